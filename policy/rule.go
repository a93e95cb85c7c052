package policy

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// Rule is one line of a ruleset: what becomes of the peers at an address.
type Rule struct {
	Address string   // as it is written, a range not yet expanded
	Verdict Verdict  //
	Env     []string // NAME=VALUE, in the order written
	Line    int      // in the text, from 1
}

// String returns the rule's text, quoted with the first delimiter of "/:| that
// the value does not hold.
func (r *Rule) String() string {
	var b strings.Builder
	b.WriteString(r.Address + ":" + r.Verdict.String())
	for _, v := range r.Env {
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

// Keys yields the keys under which the rule is stored: its address, or one
// for each number of a range such as 1.2.3.37-53.
func (r *Rule) Keys() iter.Seq[string] {
	return func(yield func(string) bool) {
		span, err := parseSpan(r.Address)
		if err != nil {
			return
		}
		if span == nil {
			yield(r.Address)
			return
		}
		for n := span.bottom; n <= span.top; n++ {
			if !yield(span.before + strconv.FormatUint(n, 10) + span.after) {
				return
			}
		}
	}
}

// span is an address with a range in it: one key for each number from bottom
// to top, between the same words.
type span struct {
	before, after string
	bottom, top   uint64
}

// parseSpan finds the range in an address as tcprules(1) does: only where the
// address has neither "=" nor "@", only at the first "-", from the last dot
// before it to the next dot after it. It returns nil where there is no range.
func parseSpan(address string) (*span, error) {
	if strings.ContainsAny(address, "=@") {
		return nil, nil
	}
	dash := strings.IndexByte(address, '-')
	if dash < 0 {
		return nil, nil
	}
	left := strings.LastIndexByte(address[:dash], '.') + 1
	right := len(address)
	if dot := strings.IndexByte(address[dash:], '.'); dot >= 0 {
		right = dash + dot
	}
	bottom, err := number(address[left:dash])
	if err != nil {
		return nil, err
	}
	top, err := number(address[dash+1 : right])
	if err != nil {
		return nil, err
	}
	return &span{address[:left], address[right:], bottom, min(top, 255)}, nil
}

// number reads a decimal number as tcprules(1) does: none at all is 0, one too
// large wraps around, and a NUL ends it.
func number(s string) (uint64, error) {
	s, _, _ = strings.Cut(s, "\x00")
	var n uint64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, fmt.Errorf("range: %q is not a number", s)
		}
		n = n*10 + uint64(s[i]-'0')
	}
	return n, nil
}
