package policy

import (
	"iter"
	"net/netip"
	"slices"
	"strings"
)

// Keys yields the keys under which a rule for the peer may stand, in the order
// of tcprules(1), with the CIDR prefixes where ucspi-tcp6 has them:
//
//  1. info@ip, when the info is known
//  2. info@=host, when both are known
//  3. ip
//  4. =host, when the host is known
//  5. the beginnings of the ip that end with a dot, longest first
//  6. the CIDR prefixes of the given lengths, longest first
//  7. =.suffix at each dot of the host, longest first
//  8. =, when the host is known
//  9. the empty key
//
// An IPv6 address is tried in full, and then as Debian's ucspi-tcp-ipv6 writes
// it, whose rules may end with a colon where others end with a dot. An
// IPv4-mapped address counts as IPv4, and the zone of a link-local one for
// nothing. A yielded key is valid until the next one is asked for.
func Keys(p Peer, lengths Lengths) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var space [2 * maxBits]byte
		ip := p.IP.Unmap().WithZone("")
		s := search{key: space[:0], ip: ip, lengths: lengths, yield: yield}
		if ip.Is4() {
			s.texts = []string{ip.String()}
		} else {
			s.texts = []string{ipKey(ip), shortText(ip)}
		}
		s.run(p)
	}
}

// search walks through the keys of one peer. Its steps return false when the
// search is over.
type search struct {
	key     []byte
	ip      netip.Addr
	texts   []string // of the ip, the one with the prefixes last
	lengths Lengths
	yield   func([]byte) bool
}

func (s *search) run(p Peer) bool {
	host, hostKnown := p.Host.Text()
	info, infoKnown := p.Info.Text()
	return (!infoKnown || s.tryTexts(info, "@")) &&
		(!infoKnown || !hostKnown || s.try(info, "@=", host)) &&
		s.tryTexts() &&
		(!hostKnown || s.try("=", host)) &&
		s.beginnings() &&
		s.prefixes() &&
		(!hostKnown || s.suffixes(host) && s.try("=")) &&
		s.try()
}

// tryTexts yields what stands before and the ip, in each of its texts.
func (s *search) tryTexts(before ...string) bool {
	for _, text := range s.texts {
		if !s.try(append(before, text)...) {
			return false
		}
	}
	return true
}

// try yields the key made of the parts.
func (s *search) try(parts ...string) bool {
	s.key = s.key[:0]
	for _, part := range parts {
		s.key = append(s.key, part...)
	}
	return s.yield(s.key)
}

// beginnings yields the ip up to each of its dots or colons.
func (s *search) beginnings() bool {
	text := s.texts[len(s.texts)-1]
	for i := len(text); i > 0; i-- {
		if (text[i-1] == '.' || text[i-1] == ':') && !s.try(text[:i]) {
			return false
		}
	}
	return true
}

// prefixes yields the CIDR prefixes of the ip, of the lengths that there are.
func (s *search) prefixes() bool {
	if s.lengths == (Lengths{}) || !s.ip.IsValid() {
		return true
	}
	s.key = appendBits(s.key[:0], s.ip)
	for n := s.ip.BitLen(); n > 0; n-- {
		if s.lengths.has(s.ip, n) && !s.yield(s.key[:n+1]) {
			return false
		}
	}
	return true
}

// suffixes yields = and the host from each of its dots on.
func (s *search) suffixes(host string) bool {
	for i := range len(host) {
		if host[i] == '.' && !s.try("=", host[i:]) {
			return false
		}
	}
	return true
}

// shortText returns an IPv6 address in the text of Debian's ucspi-tcp-ipv6:
// that of RFC 5952, but "::" stands for a single group of zeros too.
func shortText(ip netip.Addr) string {
	text := ip.String()
	if !ip.Is6() || strings.Contains(text, "::") {
		return text
	}
	groups := strings.Split(text, ":")
	zero := slices.Index(groups, "0")
	if zero < 0 {
		return text
	}
	return strings.Join(groups[:zero], ":") + "::" + strings.Join(groups[zero+1:], ":")
}
