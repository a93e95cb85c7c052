package ucspi

import (
	"net/netip"
	"slices"
	"time"

	"ucspid/internal/proxy"
)

// proxyTimeout is how long a balancer has for its header: long enough for one
// packet to be lost twice.
const proxyTimeout = 5 * time.Second

// behindProxy tells whether a connection must begin with a header. From others
// none is taken: what looks like one is for the program, like all that a
// client sends.
func (s *Server) behindProxy(c *connection) bool {
	return slices.ContainsFunc(s.ProxyFrom, func(network netip.Prefix) bool {
		return network.Contains(c.remote.Addr())
	})
}

// unwrap learns from the header who the client is, and goes on with it as if it
// had connected itself.
func (s *Server) unwrap(c *connection) {
	header, err := proxy.Receive(c.fd, proxyTimeout)
	if err != nil {
		s.drop(c, err)
		return
	}
	if header.Source.IsValid() {
		c.proxy = c.remote
		c.remote, c.local = header.Source, header.Destination
		c.visit = s.slots.admission.Visit(c.remote.Addr()) // so far it was but a place
	}
	s.admit(c)
}
