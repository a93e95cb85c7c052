package policy

import (
	"bytes"
	"strings"
)

// A record is the value of a cdb entry: items that each end with a NUL. "D"
// denies, "+NAME=VALUE" sets a variable, "-NAME" unsets one. No item at all
// allows. To ucspi-tcp "-NAME" is unknown; it is of indimail's tcprules.

// appendRecord appends the record of a rule to b.
func appendRecord(b []byte, r *Rule) []byte {
	if r.Verdict == Deny {
		b = append(b, 'D', 0)
	}
	for _, v := range r.Env {
		if name, unset := Unsets(v); unset {
			b = append(b, '-')
			b = append(b, name...)
		} else {
			b = append(b, '+')
			b = append(b, v...)
		}
		b = append(b, 0)
	}
	return b
}

// Unsets tells whether an item of Env is !NAME, which unsets a variable, and
// returns the name.
func Unsets(item string) (name string, unset bool) {
	name, unset = strings.CutPrefix(item, "!")
	return name, unset && !strings.Contains(name, "=")
}

// decodeRecord reads a record as tcpserver(1) does: only an item's first byte
// says what it is, and unknown items, variables without "=" and an
// unterminated tail count for nothing. Neither does a name with a "=" in it.
func decodeRecord(record []byte) (Verdict, []string) {
	verdict := Allow
	var env []string
	for {
		item, rest, terminated := bytes.Cut(record, []byte{0})
		if !terminated {
			return verdict, env
		}
		switch {
		case len(item) == 0:
		case item[0] == 'D':
			verdict = Deny
		case item[0] == '+' && bytes.IndexByte(item, '=') > 0:
			env = append(env, string(item[1:]))
		case item[0] == '-' && len(item) > 1 && bytes.IndexByte(item, '=') < 0:
			env = append(env, "!"+string(item[1:]))
		}
		record = rest
	}
}
