package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// An address in a text becomes one key of the cdb, or one for each number of
// a range. The keys of classic rules are the text itself, as in ucspi-tcp
// 0.88. The others are those of ucspi-tcp6: an IPv6 address written out in
// full, and a CIDR prefix as the bits that must agree (see bits.go).

// span is an address with a range in it: one key for each number from bottom
// to top, between the same words.
type span struct {
	before, after string
	bottom, top   uint64
}

// with returns the key of one number.
func (s *span) with(n uint64) string { return s.before + strconv.FormatUint(n, 10) + s.after }

// parseAddress returns the key of an address, or the span when it is a range.
// An address with a colon is of IPv6: tcprules(1) has none.
func parseAddress(address string) (key string, s *span, err error) {
	if strings.Contains(address, ":") {
		key, err = ip6Key(address)
		return key, nil, err
	}
	if s, err = parseSpan(address); s != nil || err != nil {
		return "", s, err
	}
	if strings.Contains(address, "/") && !strings.ContainsAny(address, "=@") {
		key, err = cidrKey(address)
		return key, nil, err
	}
	return address, nil, nil
}

// cutInfo splits info@ip after the last "@": an info may hold others.
func cutInfo(address string) (info, ip string) {
	at := strings.LastIndexByte(address, '@')
	return address[:at+1], address[at+1:]
}

// ip6Key returns the key of an IPv6 address in any spelling, of a prefix, or
// of info@ip. An address that is IPv4-mapped is an IPv4 address: so are its
// peers.
func ip6Key(address string) (string, error) {
	info, text := cutInfo(address)
	first, _, isPrefix := strings.Cut(text, "/")
	switch {
	case isPrefix && info != "":
		return "", errors.New("address: an info needs one address behind its @, not a prefix")
	case isPrefix && strings.Contains(first, ":"):
		return cidrKey(text)
	}
	ip, err := netip.ParseAddr(text)
	if err != nil || !ip.Is6() || ip.Zone() != "" {
		return "", fmt.Errorf("address: %q is not an IPv6 address; a prefix is written like 2001:db8::/32", text)
	}
	return info + ipKey(ip.Unmap()), nil
}

// ipKey returns the key of one address.
func ipKey(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	return strings.ToUpper(ip.StringExpanded())
}

// cidrKey returns the key of a prefix. Bits beyond its length do not count.
// What is neither digits and dots nor has colons before the "/" is no prefix;
// it is stored as it is, as by tcprules(1), and never found.
func cidrKey(address string) (string, error) {
	text, length, _ := strings.Cut(address, "/")
	var ip netip.Addr
	var err error
	switch {
	case strings.Contains(text, ":"):
		ip, err = netip.ParseAddr(text)
	case strings.Trim(text, "0123456789.") == "" && text != "":
		ip, err = netip.ParseAddr(padded(text))
	default:
		return address, nil
	}
	if err != nil || ip.Zone() != "" {
		return "", fmt.Errorf("address: %q is not an IP address", text)
	}
	n, err := strconv.ParseUint(length, 10, 8)
	if err != nil || n == 0 || int(n) > ip.BitLen() {
		return "", fmt.Errorf("prefix length: %q is not a number from 1 to %d; the empty address is everybody", length, ip.BitLen())
	}
	if ip.Is4In6() {
		if n <= 96 {
			return "", errors.New("prefix length: an IPv4-mapped prefix is longer than 96")
		}
		ip, n = ip.Unmap(), n-96
	}
	return prefixKey(ip, int(n)), nil
}

// padded completes an IPv4 address that ends early: 10./8 is 10.0.0.0/8.
func padded(text string) string {
	text = strings.TrimSuffix(text, ".")
	return text + strings.Repeat(".0", max(0, 3-strings.Count(text, ".")))
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
