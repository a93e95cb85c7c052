package policy

import "iter"

// Keys yields the addresses under which a rule for the peer may stand, in the
// order of tcprules(1):
//
//  1. info@ip, when the info is known
//  2. info@=host, when both are known
//  3. ip
//  4. =host, when the host is known
//  5. the IP prefixes that end with a dot, longest first
//  6. =.suffix at each dot of the host, longest first
//  7. =, when the host is known
//  8. the empty address
//
// An IPv4-mapped address counts as IPv4, and the zone of a link-local one for
// nothing. A yielded key is valid until the next one is asked for.
func Keys(p Peer) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		var space [128]byte
		s := search{key: space[:0], ip: p.IP.Unmap().WithZone("").AppendTo(nil), yield: yield}
		s.run(p)
	}
}

// search walks through the keys of one peer. Its steps return false when the
// search is over.
type search struct {
	key   []byte
	ip    []byte
	yield func([]byte) bool
}

func (s *search) run(p Peer) bool {
	host, hostKnown := p.Host.Text()
	info, infoKnown := p.Info.Text()
	return (!infoKnown || s.try(info, "@", string(s.ip))) &&
		(!infoKnown || !hostKnown || s.try(info, "@=", host)) &&
		s.yield(s.ip) &&
		(!hostKnown || s.try("=", host)) &&
		s.prefixes() &&
		(!hostKnown || s.suffixes(host) && s.try("=")) &&
		s.try()
}

// try yields the key made of the parts.
func (s *search) try(parts ...string) bool {
	s.key = s.key[:0]
	for _, part := range parts {
		s.key = append(s.key, part...)
	}
	return s.yield(s.key)
}

// prefixes yields the IP up to each of its dots. An IPv6 address has none.
func (s *search) prefixes() bool {
	for i := len(s.ip) - 1; i > 0; i-- {
		if s.ip[i-1] == '.' && !s.yield(s.ip[:i]) {
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
