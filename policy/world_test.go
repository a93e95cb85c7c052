package policy_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"strings"

	"pgregory.net/rapid"

	"ucspid/policy"
)

// dice throw a number below n. All that the tests invent comes from them, so
// that one world serves the properties, which need draws to shrink by, and
// the comparison with the original programs, which needs speed.
type dice func(n int) int

// drawn returns the dice of a property.
func drawn(t *rapid.T) dice {
	return func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "die") }
}

// thrown returns dice that fall the same way for the same seed.
func thrown(seed int) dice {
	return rand.New(rand.NewPCG(uint64(seed), 0)).IntN
}

// one returns one of the words.
func (d dice) one(words ...string) string { return words[d(len(words))] }

// It is a small world, in which rules and peers meet often.

func (d dice) octet() string { return d.one("1", "10", "2", "255", "0") }

func (d dice) ip() string {
	return d.octet() + "." + d.octet() + "." + d.octet() + "." + d.octet()
}

func (d dice) host() string {
	host := d.one("org", "example.org", "mail.example.org", "mail-1.example.org", "localhost", "org.", "..", "a..b")
	return d.one("", "", "mail.", ".", "a.b.c.") + d.one(host, host, host, "")
}

func (d dice) info() string { return d.one("joe", "", "a@b", "=joe", "joe@=org") }

func (d dice) name(text string) policy.Name {
	if d(3) == 0 {
		return policy.Name{}
	}
	return policy.Known(text)
}

func (d dice) peer() policy.Peer {
	ip := d.ip()
	if d(8) == 0 {
		ip = d.one("::1", "2001:db8::1")
	}
	return policy.Peer{IP: netip.MustParseAddr(ip), Host: d.name(d.host()), Info: d.name(d.info())}
}

// address returns an address as a rule has it, and the keys that it means.
func (d dice) address() (text string, keys []string) {
	switch a, b, c := d.octet(), d.octet(), d.octet(); d(12) {
	case 0:
		return d.rangeOf(a+"."+b+"."+c+".", "")
	case 1:
		return d.rangeOf(a+".", ".")
	case 2:
		text = a + "."
	case 3:
		text = a + "." + b + "." + c + "."
	case 4:
		text = "=" + d.host()
	case 5:
		text = "=." + d.host()
	case 6:
		text = d.one("=", "", "@", ".", "=.")
	case 7:
		text = d.info() + "@" + d.ip()
	case 8:
		text = d.info() + "@=" + d.host()
	case 9:
		text = d.one(a, a+"."+b, "joe@1.2.1-2", "=mail-1", "joe", "*", " "+a+".", "1.0/8", "joe@1.", "joe@")
	default:
		text = d.ip()
	}
	return text, []string{text}
}

func (d dice) rangeOf(before, after string) (text string, keys []string) {
	numbers := []int{0, 1, 2, 3, 9, 10, 11, 254, 255, 256, 300}
	bottom, top := numbers[d(len(numbers))], numbers[d(len(numbers))]
	for n := range 256 {
		if bottom <= n && n <= top {
			keys = append(keys, before+strconv.Itoa(n)+after)
		}
	}
	zeros := d.one("", "", "0", "00")
	return fmt.Sprintf("%s%s%d-%s%d%s", before, zeros, bottom, zeros, top, after), keys
}

// variable returns NAME=VALUE and a way to write it down.
func (d dice) variable() (variable, text string) {
	name := d.one("A", "B", "RELAYCLIENT", "", "a b", "+", "D")
	value := d.one("", "x", "y", "a,b:c=d", `"`, `"/:|`, " ", "é\xff", "\r", `,B="x"`)
	for {
		if delimiter := d.one(`"`, "/", ":", "=", ",", "|", "z", "\xfe", "\x01"); !strings.Contains(value, delimiter) {
			return name + "=" + value, name + "=" + delimiter + value + delimiter
		}
	}
}

// rule is what a line should mean.
type rule struct {
	line    string
	keys    []string
	verdict policy.Verdict
	env     []string
}

func (d dice) rule() rule {
	var r rule
	r.line, r.keys = d.address()
	r.verdict = policy.Verdict(d(2))
	r.line += ":" + r.verdict.String()
	for range d(3) {
		variable, text := d.variable()
		r.env = append(r.env, variable)
		r.line += "," + text
	}
	return r
}

// line returns a line of which tcprules makes a rule.
func (d dice) line() string { return d.rule().line }

// rules returns a few rules and their text.
func (d dice) rules() (rules []rule, text string) {
	for range d(12) {
		r := d.rule()
		rules = append(rules, r)
		text += r.line + "\n"
	}
	return rules, text
}
