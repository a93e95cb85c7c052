package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// commentMeant is what was meant by a comment behind a blank.
const commentMeant = "# as the first byte"

// isComment tells whether a line is meant as a comment.
func isComment(text string) bool { return strings.HasPrefix(strings.TrimLeft(text, " \t"), "#") }

// colonMeant guesses what was meant by a line without a colon.
func colonMeant(text string) string {
	words := strings.FieldsFunc(text, func(c rune) bool { return c == ' ' || c == '\t' })
	if len(words) > 1 && hasVerdict(strings.ToLower(words[1])) {
		return quote(words[0] + ":" + strings.ToLower(words[1]))
	}
	return fmt.Sprintf("%q or %q", words[0]+":allow", words[0]+":deny")
}

// remedy guesses what was meant by a line that is refused.
func remedy(text string) string {
	address, tail, _ := cutAddress(text)
	switch {
	case isComment(text):
		return commentMeant
	case !hasVerdict(tail):
		return verdictMeant(text)
	}
	for _, tail, _ = cutVerdict(tail); tail != ""; {
		_, rest, err := parseVariable(tail)
		if err != nil {
			return variableMeant(tail)
		}
		tail = rest
	}
	return addressMeant(address)
}

// verdictMeant guesses what was meant by a line without a verdict: one may
// stand there in other letters, or behind a blank.
func verdictMeant(text string) string {
	if _, err := netip.ParseAddr(text); err == nil {
		return fmt.Sprintf("%q or %q", text+":allow", text+":deny")
	}
	head, _, _ := strings.Cut(text, ",")
	for _, colon := range []int{strings.IndexByte(text, ':'), strings.LastIndexByte(head, ':')} {
		if colon < 0 {
			continue
		}
		address, tail := text[:colon], withVerdict(text[colon+1:])
		for _, line := range []string{address + ":" + tail, strings.TrimPrefix(address, "=") + ":" + tail} {
			if _, err := parseLine([]byte(line)); err == nil {
				return quote(line)
			}
		}
	}
	address, _, _ := strings.Cut(text, ":")
	return fmt.Sprintf("%q or %q", address+":allow", address+":deny")
}

// withVerdict returns what stands behind a colon without blanks before it, and
// its verdict in lower case.
func withVerdict(tail string) string {
	tail = strings.TrimLeft(tail, " \t")
	for _, verdict := range []Verdict{Deny, Allow} {
		word := verdict.String()
		if len(tail) >= len(word) && strings.EqualFold(tail[:len(word)], word) {
			return word + tail[len(word):]
		}
	}
	return tail
}

// variableMeant guesses what was meant by text that is no variable.
func variableMeant(text string) string {
	rest := strings.TrimLeft(text, " \t")
	switch {
	case strings.HasPrefix(rest, "#"):
		return "a comment on a line of its own"
	case rest == ",":
		return "no comma at the end"
	case rest != text:
		return "no blank there"
	}
	return `,NAME="VALUE" for each variable`
}

// addressMeant guesses what was meant by an address that is refused.
func addressMeant(address string) string {
	info, place := cutInfo(address)
	switch {
	case info != "":
		return besideInfo
	case isIP6(strings.TrimPrefix(place, "=")):
		return quote(strings.TrimPrefix(place, "="))
	case strings.HasSuffix(place, "/0"):
		return `"", which is everybody's address`
	case strings.Contains(place, "/"):
		return "a prefix such as 10.0.0.0/8 or 2001:db8::/32"
	case looksLikeHost(address):
		return quote("=" + strings.ToLower(address))
	}
	if prefix, ok := debianPrefix(address); ok {
		return quote(prefix.String())
	}
	return anAddress
}

func isIP6(text string) bool {
	ip, err := netip.ParseAddr(text)
	return err == nil && ip.Is6()
}

// variables finds variables that are not set, or not as it seems.
func (l *linter) variables(rule *Rule, text string) {
	if rule.Verdict == Deny && slices.ContainsFunc(rule.Env, func(v string) bool { return !strings.HasPrefix(v, "DIEMSG=") }) {
		l.say(rule.Line, Variable, "a rule that denies sets none, for no program runs", "allow, or no variables")
		return
	}
	_, tail, _ := cutAddress(text)
	seen := make(map[string]bool)
	for _, tail, _ = cutVerdict(tail); tail != ""; {
		variable, rest, err := parseVariable(tail)
		if err != nil { // not here: the line was parsed
			return
		}
		name, _, _ := strings.Cut(variable, "=")
		l.variable(rule.Line, variable, tail[:len(tail)-len(rest)])
		if seen[name] {
			l.say(rule.Line, Variable, fmt.Sprintf("%q is set again, and the last value counts", name), "it once")
		}
		seen[name] = true
		tail = rest
	}
}

// variable finds what is wrong with one variable; text is how it is written.
func (l *linter) variable(line int, variable, text string) {
	name, value, _ := strings.Cut(variable, "=")
	switch {
	case strings.Contains(text, "\x00"):
		l.say(line, Control, fmt.Sprintf("a NUL ends %q, and what is behind it counts as items of its own", variable), "no NUL")
	case hasControl(text):
		l.say(line, Control, "there is one in the variable "+quote(text[1:]), quote(withoutControl(text[1:])))
	}
	if _, unset := Unsets(variable); unset {
		return
	}
	delimiter := text[len(name)+2]
	switch {
	case name == "":
		l.say(line, Variable, "without a name no program sees it", `,NAME="VALUE"`)
	case strings.ContainsAny(name, " \t"):
		l.say(line, Variable, fmt.Sprintf("%q is set, with the blank", name), quote(strings.NewReplacer(" ", "", "\t", "").Replace(name)))
	case strings.HasPrefix(name, "!"):
		l.say(line, Variable, fmt.Sprintf("%q is set, with the !", name), quote(","+name))
	case 'a' <= delimiter|0x20 && delimiter|0x20 <= 'z' || '0' <= delimiter && delimiter <= '9':
		l.say(line, Variable, fmt.Sprintf("%q is set to %q, for the byte after the = is the delimiter", name, value), "quotes around the value")
	}
	l.limit(line, name, value)
}

// limit finds a limit that is no number, or no rate.
func (l *linter) limit(line int, name, value string) {
	switch name {
	case "MAXCONNIP", "MAXCONNC", "MAXPERIP", "MAXLOAD":
		if value == "" || strings.Trim(value, "0123456789") != "" {
			l.say(line, Variable, fmt.Sprintf("of %q only the digits at the beginning count, and no digits are 0", value), "a number")
		}
	case "MAXRATEIP", "MAXRATEC":
		if _, err := ParseRate(value); err != nil {
			l.say(line, Variable, fmt.Sprintf("%q is no rate, and so nobody is let in", value), "a rate such as 30/1m")
		}
	}
}
