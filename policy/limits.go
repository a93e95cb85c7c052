package policy

import "net/netip"

// Limits say how many connections a server takes, and of whom.
type Limits struct {
	// Sessions is how many there may be at once. Of them Reserve are kept for
	// trusted peers; without any, a connection that is still being judged
	// takes the place of a session.
	Sessions, Reserve int

	// Host is what counts as one host, and Network as one network.
	Host, Network Width
}

// Width is how many bits of an address make a source, for each family.
type Width struct{ IP4, IP6 int }

// Source returns what counts as one source. IPv4-mapped addresses are IPv4.
func (w Width) Source(ip netip.Addr) netip.Prefix {
	ip = ip.Unmap().WithZone("")
	bits := w.IP6
	if ip.Is4() {
		bits = w.IP4
	}
	source, _ := ip.Prefix(min(bits, ip.BitLen()))
	return source
}

// Max is an upper limit. The zero Max is none.
type Max struct {
	n   int
	set bool
}

// AtMost returns the limit n. Nothing is below the limit 0.
func AtMost(n int) Max { return Max{n, true} }

// N returns the limit, and whether there is one.
func (m Max) N() (n int, set bool) { return m.n, m.set }

// reached tells whether n are so many that there may be no more.
func (m Max) reached(n int) bool { return m.set && n >= m.n }
