package policy

import (
	"fmt"
	"iter"
	"strings"
)

// Rule is one line of a ruleset: what becomes of the peers at an address.
type Rule struct {
	Address string   // as it is written, a range not yet expanded
	Verdict Verdict  //
	Env     []string // NAME=VALUE or !NAME, in the order written
	Line    int      // in the text, from 1
}

// String returns the rule's text, quoted with the first delimiter of "/:| that
// the value does not hold.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(r.Address + ":" + r.Verdict.String())
	for _, v := range r.Env {
		if _, unset := Unsets(v); unset {
			b.WriteString("," + v)
			continue
		}
		name, value, _ := strings.Cut(v, "=")
		quote := delimiter(value)
		fmt.Fprintf(&b, ",%s=%c%s%c", name, quote, value, quote)
	}
	return b.String()
}

// delimiter returns a byte that can stand around value: a usual one, else a
// printable one, else any but a newline. There is one, for the value was
// delimited itself.
func delimiter(value string) byte {
	free := func(c byte) bool { return strings.IndexByte(value, c) < 0 }
	for _, c := range []byte("\"/:|") {
		if free(c) {
			return c
		}
	}
	for i := range 256 {
		if c := byte('!' + i); c != '\n' && free(c) { // from "!" on, and around
			return c
		}
	}
	return '"'
}

// Keys yields the keys under which the rule is stored: that of its address, or
// one for each number of a range such as 1.2.3.37-53.
func (r *Rule) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		key, span, err := parseAddress(r.Address)
		switch {
		case err != nil:
		case span == nil:
			yield(key)
		default:
			for n := span.bottom; n <= span.top; n++ {
				if !yield(span.with(n)) {
					return
				}
			}
		}
	}
}
