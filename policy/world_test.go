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

// readFrom returns dice that fall as the bytes have it. When these are used up,
// each falls on the side after that of the one before.
func readFrom(falls []byte) dice {
	n := 0
	return func(sides int) int {
		n++
		if n <= len(falls) {
			return int(falls[n-1]) % sides
		}
		return n % sides
	}
}

// one returns one of the words.
func (d dice) one(words ...string) string { return words[d(len(words))] }

// It is a small world, in which rules and peers meet often.

func (d dice) octet() string { return d.one("1", "10", "2", "255", "0") }

func (d dice) ip() string {
	return d.octet() + "." + d.octet() + "." + d.octet() + "." + d.octet()
}

func (d dice) ip4() netip.Addr { return netip.MustParseAddr(d.ip()) }

// ip6 returns an IPv6 address that is not IPv4-mapped.
func (d dice) ip6() netip.Addr {
	groups := [8]uint16{0x2001, 0xdb8}
	switch d(6) {
	case 0: // ::, or close to it
		groups = [8]uint16{6: uint16(d(2)), 7: uint16(d(2))}
	case 1: // hardly a zero
		groups = [8]uint16{0x2001, 0xdb8, 1, 1, 1, 1, 1, 1}
		groups[2+d(6)], groups[2+d(6)] = 0, 0
	default:
		for range d(4) {
			groups[2+d(6)] = [...]uint16{1, 0xabcd, 0x8000}[d(3)]
		}
	}
	var octets [16]byte
	for i, group := range groups {
		octets[2*i], octets[2*i+1] = byte(group>>8), byte(group)
	}
	return netip.AddrFrom16(octets)
}

func mapped(ip4 netip.Addr) netip.Addr { return netip.AddrFrom16(ip4.As16()) }

// spelled returns one of the ways to write an IPv6 address.
func (d dice) spelled(ip netip.Addr) string {
	octets := ip.As16()
	var words []string
	for i := 0; i < len(octets); i += 2 {
		words = append(words, fmt.Sprintf(d.one("%x", "%x", "%X", "%04x", "%04X"), uint16(octets[i])<<8|uint16(octets[i+1])))
	}
	if d(4) == 0 {
		words = append(words[:6], netip.AddrFrom4([4]byte(octets[12:])).String())
	}
	from, to := d.zeros(words)
	if from == to {
		return strings.Join(words, ":")
	}
	return strings.Join(words[:from], ":") + "::" + strings.Join(words[to:], ":")
}

// zeros returns where some of the words are zero, one behind the other.
func (d dice) zeros(words []string) (from, to int) {
	zero := func(i int) bool { return i < len(words) && strings.Trim(words[i], "0") == "" }
	from = d(len(words))
	for to = from; zero(to) && d(5) > 0; {
		to++
	}
	return from, to
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

// peer returns a peer of either family. That of an IPv4 address may come by a
// socket for both.
func (d dice) peer() policy.Peer {
	ip := d.ip4()
	switch d(8) {
	case 0:
		ip = mapped(ip)
	case 1:
		ip = d.ip6().WithZone("eth0.7")
	case 2, 3, 4:
		ip = d.ip6()
	}
	return policy.Peer{IP: ip, Host: d.name(d.host()), Info: d.name(d.info())}
}

// classicPeer returns a peer of which the programs of 1998 have an idea.
func (d dice) classicPeer() policy.Peer {
	p := d.peer()
	p.IP = d.ip4()
	return p
}

// target is whom an address means.
type target struct {
	text   string       // as a decision names it
	prefix netip.Prefix // of a CIDR
}

func targets(texts ...string) []target {
	var all []target
	for _, text := range texts {
		all = append(all, target{text: text})
	}
	return all
}

// address returns an address as a rule has it, and whom it means.
func (d dice) address() (text string, means []target) {
	switch d(6) {
	case 0:
		return d.ip6Address()
	case 1, 2:
		return d.cidr()
	}
	return d.classicAddress()
}

// ip6Address returns an IPv6 address, also one that is IPv4-mapped, and also
// behind an info.
func (d dice) ip6Address() (text string, means []target) {
	ip := d.ip6()
	text, meant := d.spelled(ip), ip.String()
	if d(6) == 0 {
		ip4 := d.ip4()
		text, meant = d.spelled(mapped(ip4)), ip4.String()
	}
	info := ""
	if d(2) == 0 {
		info = d.info() + "@"
	}
	return info + text, targets(info + meant)
}

// cidr returns a prefix, most often with bits in it that do not count.
func (d dice) cidr() (text string, means []target) {
	ip := d.ip6()
	if d(2) == 0 {
		ip = d.ip4()
	}
	n := 1 + d(ip.BitLen())
	if d(2) == 0 {
		n = 8 * (1 + d(ip.BitLen()/8))
	}
	text, shown := ip.String(), n
	switch {
	case ip.Is6():
		text = d.spelled(ip)
	case d(6) == 0:
		text, shown = d.spelled(mapped(ip)), 96+n
	case d(3) == 0:
		text, ip = d.cutShort(ip)
	}
	prefix, err := ip.Prefix(n)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("%s/%d", text, shown), []target{{prefix.String(), prefix}}
}

// cutShort leaves out some of the last octets of an IPv4 address, and returns
// what the rest means.
func (d dice) cutShort(ip netip.Addr) (string, netip.Addr) {
	octets, kept := ip.As4(), 1+d(3)
	clear(octets[kept:])
	words := strings.Split(netip.AddrFrom4(octets).String(), ".")
	return strings.Join(words[:kept], ".") + d.one("", "."), netip.AddrFrom4(octets)
}

// classicAddress returns an address that tcprules knows, and what it stores.
func (d dice) classicAddress() (text string, means []target) {
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
		text = d.one(a, a+"."+b, "joe@1.2.1-2", "=mail-1", "joe", "*", " "+a+".", "joe@1.0/8", " 1.0/8", "/8", "joe@1.", "joe@")
	default:
		text = d.ip()
	}
	return text, targets(text)
}

func (d dice) rangeOf(before, after string) (text string, means []target) {
	numbers := []int{0, 1, 2, 3, 9, 10, 11, 254, 255, 256, 300}
	bottom, top := numbers[d(len(numbers))], numbers[d(len(numbers))]
	for n := range 256 {
		if bottom <= n && n <= top {
			means = append(means, target{text: before + strconv.Itoa(n) + after})
		}
	}
	zeros := d.one("", "", "0", "00")
	return fmt.Sprintf("%s%s%d-%s%d%s", before, zeros, bottom, zeros, top, after), means
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
	means   []target
	verdict policy.Verdict
	env     []string
}

func (d dice) rule() rule {
	address, means := d.address()
	return d.ruleFor(address, means)
}

func (d dice) ruleFor(address string, means []target) rule {
	r := rule{line: address, means: means, verdict: policy.Verdict(d(2))}
	r.line += ":" + r.verdict.String()
	for range d(3) {
		variable, text := d.variable()
		r.env = append(r.env, variable)
		r.line += "," + text
	}
	return r
}

// line returns a line of which Parse makes a rule.
func (d dice) line() string { return d.rule().line }

// classicLine returns a line of which tcprules makes a rule too.
func (d dice) classicLine() string { return d.ruleFor(d.classicAddress()).line }

// rules returns a few rules and their text.
func (d dice) rules() (rules []rule, text string) {
	for range d(24) {
		r := d.rule()
		rules = append(rules, r)
		text += r.line + "\n"
	}
	return rules, text
}
