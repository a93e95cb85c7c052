package policy

import (
	"net/netip"
	"strings"
)

// The key of a CIDR prefix, as ucspi-tcp6 stores it: "_" (IPv4) or "^" (IPv6)
// and a byte for each bit of the prefix. A bit that is 0 is the byte "0". In
// IPv4 the byte for a 1 is a letter or digit by the bit's position; in IPv6 it
// says the how-many-eth 1 it is, counted from "`".
const (
	mark4   = '_'
	mark6   = '^'
	ones4   = "abcdefghijklmnopqrstuvwxyz123456"
	first6  = '`'
	maxBits = 128
)

// appendBits appends the mark and the bytes of all bits of an address. The
// key of a prefix of length n is the first n+1 bytes.
func appendBits(b []byte, ip netip.Addr) []byte {
	mark := byte(mark6)
	if ip.Is4() {
		mark = mark4
	}
	b = append(b, mark)
	ones := 0
	for i, octet := range ip.AsSlice() {
		for j := range 8 {
			switch {
			case octet&(0x80>>j) == 0:
				b = append(b, '0')
				continue
			case ip.Is4():
				b = append(b, ones4[8*i+j])
			default:
				b = append(b, byte(first6+ones))
			}
			ones++
		}
	}
	return b
}

// prefixKey returns the key of a prefix of length n, at least 1.
func prefixKey(ip netip.Addr, n int) string {
	var space [maxBits + 1]byte
	return string(appendBits(space[:0], ip)[:n+1])
}

// parsePrefixKey returns the prefix that has the key.
func parsePrefixKey(key string) (netip.Prefix, bool) {
	if len(key) < 2 {
		return netip.Prefix{}, false
	}
	bits := key[1:]
	var octets [maxBits / 8]byte
	size := len(octets)
	switch key[0] {
	case mark4:
		size = 4
	case mark6:
	default:
		return netip.Prefix{}, false
	}
	if len(bits) > 8*size {
		return netip.Prefix{}, false
	}
	for i := range len(bits) {
		if bits[i] != '0' {
			octets[i/8] |= 0x80 >> (i % 8)
		}
	}
	ip, _ := netip.AddrFromSlice(octets[:size])
	return netip.PrefixFrom(ip, len(bits)), prefixKey(ip, len(bits)) == key
}

// AddressOf returns the address that a key was made from, as one would write
// it: a prefix as CIDR, an IPv6 address in its short form.
func AddressOf(key string) string {
	if prefix, ok := parsePrefixKey(key); ok {
		return prefix.String()
	}
	info, text := cutInfo(key)
	if ip, err := netip.ParseAddr(text); err == nil && strings.Contains(text, ":") && ipKey(ip) == text {
		return info + ip.String()
	}
	return key
}

// Lengths is the set of the prefix lengths that CIDR rules have: a search need
// not try the others.
type Lengths struct {
	ip4 uint64
	ip6 [maxBits/64 + 1]uint64
}

// note adds the length of a key, if it is that of a prefix.
func (l *Lengths) note(key []byte) {
	n := len(key) - 1
	switch {
	case n < 1:
	case key[0] == mark4 && n <= 32:
		l.ip4 |= 1 << n
	case key[0] == mark6 && n <= maxBits:
		l.ip6[n/64] |= 1 << (n % 64)
	}
}

// has tells whether prefixes of length n are in the set, in the family of ip.
func (l *Lengths) has(ip netip.Addr, n int) bool {
	if ip.Is4() {
		return l.ip4&(1<<n) != 0
	}
	return l.ip6[n/64]&(1<<(n%64)) != 0
}
