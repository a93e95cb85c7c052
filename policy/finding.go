package policy

import "fmt"

// Trap is a kind of mistake in a text of rules.
type Trap string

// The traps. Of a Refused line tcprules(1) says so too; the others pass
// without a word.
const (
	OpenRelay Trap = "open relay"   // strangers may send mail to anybody
	LineEnd   Trap = "line end"     // CR and LF
	NoColon   Trap = "no colon"     // so no rule
	Blank     Trap = "blank"        // before or in an address, before a comment
	Refused   Trap = "refused"      // no rules file can be made of it
	Address   Trap = "address"      // no peer has it
	Range     Trap = "range"        // not the numbers that it seems to be
	HostBits  Trap = "host bits"    // beyond the length of a prefix
	Lookup    Trap = "lookup"       // for a name that nobody asks for
	Duplicate Trap = "duplicate"    // an earlier line has the address
	Shadowed  Trap = "shadowed"     // others are always found first
	Suffix    Trap = "suffix"       // does not mean the domain itself
	Variable  Trap = "variable"     // not set, or not as it seems
	Control   Trap = "control byte" // NUL and the like
)

// Finding is a line of a text of rules that hardly does what was meant.
type Finding struct {
	Line  int // from 1
	Trap  Trap
	Does  string // what becomes of the line today
	Meant string // what was probably meant
}

// String returns what is to be said of the line, without its number, in one
// line.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s; probably meant %s", f.Trap, f.Does, f.Meant)
}

// place returns where the finding stands among others: its line, but an open
// relay before all.
func (f Finding) place() int {
	if f.Trap == OpenRelay {
		return 0
	}
	return f.Line
}

// quote returns text as a finding shows it.
func quote(text string) string { return fmt.Sprintf("%q", text) }
