package policy

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// SyntaxError tells of a line that is no rule. tcprules(1) refuses the same
// lines, but for a wrong IPv4 prefix, which it takes for some other address.
type SyntaxError struct {
	Line   int    // from 1
	Text   string // the line without the blanks at its end
	Reason string // what is wrong with it, noun first
}

// Error returns the line's number, the reason and the text.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d: %s: %q", e.Line, e.Reason, e.Text)
}

// Parse reads rules in the text form of tcprules(1): on each line an address,
// a colon, allow or deny, and variables:
//
//	192.168.1.:allow,RELAYCLIENT=""
//
// An address may also be of IPv6, or a CIDR prefix of either family. The one
// byte after a variable's "=" delimits its value; !NAME in the place of a
// variable unsets it. Lines that are empty, that begin with "#" or that have no
// colon hold no rule. The error is a *SyntaxError or what r returned.
func Parse(r io.Reader) (*Ruleset, error) {
	var rules []Rule
	err := eachLine(r, func(n int, line []byte) error {
		rule, err := parseLine(line)
		if err != nil {
			return &SyntaxError{Line: n, Text: string(trim(line)), Reason: err.Error()}
		}
		if rule != nil {
			rule.Line = n
			rules = append(rules, *rule)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return newRuleset(rules), nil
}

// eachLine calls do with the number and the bytes of each line, its newline
// too where it has one, until there is an error.
func eachLine(r io.Reader, do func(n int, line []byte) error) error {
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if bad := do(n, line); bad != nil {
			return bad
		}
		if err != nil {
			return nil
		}
	}
}

// trim cuts off what tcprules(1) cuts off: not the CR of a CRLF.
func trim(line []byte) []byte { return bytes.TrimRight(line, " \t\n") }

// parseLine returns the rule on a line, nil when there is none.
func parseLine(line []byte) (*Rule, error) {
	if len(line) == 0 || line[0] == '#' || line[0] == '\n' {
		return nil, nil
	}
	address, text, found := cutAddress(string(trim(line)))
	if !found {
		return nil, nil
	}
	verdict, text, found := cutVerdict(text)
	if !found {
		return nil, errors.New("verdict: allow or deny must follow the colon")
	}
	rule := &Rule{Address: address, Verdict: verdict}
	for text != "" {
		variable, rest, err := parseVariable(text)
		if err != nil {
			return nil, err
		}
		rule.Env = append(rule.Env, variable)
		text = rest
	}
	_, _, err := parseAddress(address)
	return rule, err
}

// cutAddress splits a line at the colon behind its address. As in tcprules(1)
// that is the first one; only where no verdict follows it, so that tcprules
// would refuse the line, the address may be of IPv6, and its colon is the last
// one before the variables.
func cutAddress(line string) (address, rest string, found bool) {
	address, rest, found = strings.Cut(line, ":")
	if !found || hasVerdict(rest) {
		return address, rest, found
	}
	head, _, _ := strings.Cut(line, ",")
	last := strings.LastIndexByte(head, ':')
	if last >= 0 && hasVerdict(line[last+1:]) {
		return line[:last], line[last+1:], true
	}
	return address, rest, true
}

// cutVerdict splits text behind the verdict that it begins with.
func cutVerdict(text string) (v Verdict, rest string, found bool) {
	for _, v := range [...]Verdict{Deny, Allow} {
		if rest, found := strings.CutPrefix(text, v.String()); found {
			return v, rest, true
		}
	}
	return Deny, text, false
}

func hasVerdict(text string) bool {
	_, _, found := cutVerdict(text)
	return found
}

// parseVariable reads one ,NAME=<d>VALUE<d> or ,!NAME from the start of text.
func parseVariable(text string) (variable, rest string, err error) {
	if text[0] != ',' {
		return "", "", fmt.Errorf("variable: a comma must stand before %q", text)
	}
	if item, _, _ := strings.Cut(text[1:], ","); unsetsName(item) {
		return item, text[1+len(item):], nil
	}
	name, quoted, found := strings.Cut(text[1:], "=")
	if !found {
		return "", "", fmt.Errorf("variable: no = after %q", name)
	}
	if quoted == "" {
		return "", "", fmt.Errorf("variable %q: no value after the =", name)
	}
	value, rest, found := strings.Cut(quoted[1:], quoted[:1])
	if !found {
		return "", "", fmt.Errorf("variable %q: the delimiter %q does not come again", name, quoted[0])
	}
	return name + "=" + value, rest, nil
}

// unsetsName tells whether an item is a "!" and a name. Where tcprules(1)
// finds a variable in it, or a comment was meant, it is none.
func unsetsName(item string) bool {
	name, unset := Unsets(item)
	return unset && name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' })
}
