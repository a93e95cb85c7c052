package policy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
)

// Unasked says what a server never asks for, by its options: what rules
// depend on that is never found.
type Unasked struct {
	Host bool // TCPREMOTEHOST, by -H
	Info bool // TCPREMOTEINFO, by -R
}

// Lint returns what is hardly meant in a text of rules: what Parse passes over
// without a word, and every line that it refuses. Open relays come first, then
// the findings in the order of their lines. The error is what r returned.
func Lint(r io.Reader, unasked Unasked) ([]Finding, error) {
	l := linter{unasked: unasked}
	err := eachLine(r, func(n int, line []byte) error {
		l.read(n, line)
		return nil
	})
	if err != nil {
		return nil, err
	}
	l.judge(newRuleset(l.rules))
	return l.findings, nil
}

// linter collects the rules of a text and the findings.
type linter struct {
	unasked  Unasked
	rules    []Rule
	dos      []int // lines that are refused for the CR of their line end
	findings []Finding
}

func (l *linter) say(line int, trap Trap, does, meant string) {
	l.add(line, &Finding{Trap: trap, Does: does, Meant: meant})
}

func (l *linter) add(line int, f *Finding) {
	f.Line = line
	l.findings = append(l.findings, *f)
}

// read finds what can be told from one line alone, and keeps its rule.
func (l *linter) read(n int, line []byte) {
	line, dos := withoutCR(line)
	if dos {
		l.dos = append(l.dos, n)
	}
	text := string(trim(line))
	rule, err := parseLine(line)
	switch {
	case text == "" || text[0] == '#':
	case err != nil:
		l.say(n, Refused, err.Error(), remedy(text))
	case isComment(text) && rule == nil:
		l.say(n, Blank, "no comment, for the # is not the first byte; it has no colon, and so it is passed over", commentMeant)
	case isComment(text):
		l.say(n, Blank, "no comment, for the # is not the first byte, but a rule that is never found", commentMeant)
	case rule == nil:
		l.say(n, NoColon, "the line is no rule", colonMeant(text))
	default:
		rule.Line = n
		l.rules = append(l.rules, *rule)
		l.variables(rule, text)
	}
}

// withoutCR returns a line without the CR of a line end of DOS, and whether
// the line is refused because of it.
func withoutCR(line []byte) (rest []byte, dos bool) {
	rest, found := bytes.CutSuffix(trim(line), []byte("\r"))
	rule, err := parseLine(line)
	if !found || rule != nil { // no CR, or it is a delimiter
		return line, false
	}
	return rest, err != nil
}

// judge finds what can be told from all rules together.
func (l *linter) judge(s *Ruleset) {
	if len(l.dos) > 0 {
		does := "the line ends with CR and LF and is refused"
		if more := len(l.dos) - 1; more > 0 {
			does += fmt.Sprintf(", like %d more", more)
		}
		l.say(l.dos[0], LineEnd, does, "LF alone")
	}
	for i := range s.rules {
		if l.mayBeFound(s, i) {
			l.suffix(s, &s.rules[i])
			l.numbers(&s.rules[i])
			l.relay(s, i)
		}
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return a.place() - b.place() })
}

// mayBeFound tells whether there are peers for a rule. If not, it says why.
func (l *linter) mayBeFound(s *Ruleset, i int) bool {
	rule := &s.rules[i]
	if f := stray(rule.Address); f != nil {
		l.add(rule.Line, f)
		return false
	}
	if f := shadow(s, i); f != nil {
		l.add(rule.Line, f)
		return false
	}
	l.lookup(rule)
	return !l.duplicate(s, i)
}

// lookup finds a rule that depends on what is not asked for. It may still be
// an open relay: the options are not the text's.
func (l *linter) lookup(rule *Rule) {
	info, place := cutInfo(rule.Address)
	switch {
	case l.unasked.Info && info != "":
		l.say(rule.Line, Lookup, quote(rule.Address)+" is never found: with -R nobody is asked for an info", "a server with -r")
	case l.unasked.Host && strings.HasPrefix(place, "="):
		l.say(rule.Line, Lookup, quote(rule.Address)+" is never found: with -H no host name is looked up", "a server with -h")
	}
}

// duplicate finds the keys of a rule that an earlier line has. It tells
// whether those are all.
func (l *linter) duplicate(s *Ruleset, i int) bool {
	rule, all, taken, example := &s.rules[i], 0, 0, ""
	for key := range rule.Keys() {
		all++
		if s.byKey[key] != i {
			taken++
			example = cmp.Or(example, key)
		}
	}
	if taken == 0 {
		return false
	}
	earlier := s.rules[s.byKey[example]].Line
	does := fmt.Sprintf("the rule for %q in line %d counts instead", AddressOf(example), earlier)
	if all > 1 {
		does = fmt.Sprintf("for %d of the %d addresses earlier lines count instead: for %q line %d", taken, all, AddressOf(example), earlier)
	}
	l.say(rule.Line, Duplicate, does, "one rule for each address")
	return taken == all
}

// shadow returns the finding of a network whose peers are all at addresses
// that are looked for earlier.
func shadow(s *Ruleset, i int) *Finding {
	key, span, _ := parseAddress(s.rules[i].Address)
	prefix, isPrefix := parsePrefixKey(key)
	switch {
	case span != nil: // only in part, if at all
	case isPrefix:
		return shadowOfPrefix(s, prefix)
	case isBeginning(key) && s.hasAllBelow(key):
		return never(Shadowed, key, "each of its 256 parts has a rule of its own", "the one or the others")
	}
	return nil
}

// shadowOfPrefix looks for a rule that is found before that of a prefix by
// all of its peers: a beginning with a dot, or the one address.
func shadowOfPrefix(s *Ruleset, prefix netip.Prefix) *Finding {
	if prefix.IsSingleIP() {
		if rule, found := s.byKey[ipKey(prefix.Addr())]; found {
			return never(Shadowed, prefix.String(), fmt.Sprintf("%s in line %d is looked for first", prefix.Addr(), s.rules[rule].Line), "one rule for the address")
		}
	}
	if !prefix.Addr().Is4() {
		return nil
	}
	text := prefix.Addr().String()
	for n := min(prefix.Bits()/8, 3); n > 0; n-- {
		beginning := strings.Join(strings.SplitAfter(text, ".")[:n], "")
		if rule, found := s.byKey[beginning]; found {
			why := fmt.Sprintf("%q in line %d is looked for first", beginning, s.rules[rule].Line)
			return never(Shadowed, prefix.String(), why, fmt.Sprintf("%q there", netip.PrefixFrom(prefix.Addr(), 8*n).Masked()))
		}
	}
	return nil
}

// hasAllBelow tells whether all addresses that begin so have rules with one
// number more.
func (s *Ruleset) hasAllBelow(beginning string) bool {
	for n := range 256 {
		key := fmt.Sprintf("%s%d", beginning, n)
		if strings.Count(key, ".") < 3 {
			key += "."
		}
		if _, found := s.byKey[key]; !found {
			return false
		}
	}
	return true
}

// suffix finds a rule for the hosts below a domain that leaves out the domain.
// No host has the name of a top-level domain.
func (l *linter) suffix(s *Ruleset, rule *Rule) {
	domain, isSuffix := strings.CutPrefix(rule.Address, "=.")
	if _, found := s.byKey["="+domain]; found || !isSuffix || !strings.Contains(domain, ".") || l.unasked.Host {
		return
	}
	does := fmt.Sprintf("%q is not found for the host %s itself", rule.Address, domain)
	l.say(rule.Line, Suffix, does, fmt.Sprintf("%q, too", "="+domain))
}
