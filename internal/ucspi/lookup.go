package ucspi

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"ucspid/policy"
)

// Ask says when something is asked.
type Ask uint8

// The zero Ask asks where a rule depends on the answer.
const (
	AskForRules Ask = iota
	AskNever
	AskAlways
)

// Names says what is to be learned of a connection's two ends, and how. The
// zero Names asks for a peer's name only where a rule depends on it.
type Names struct {
	RemoteHost Ask  // TCPREMOTEHOST, by PTR
	Paranoid   bool // drops the remote host unless its addresses hold the peer's
	RemoteInfo Ask  // TCPREMOTEINFO, by ident (RFC 1413)

	// LocalHost is TCPLOCALHOST when it is known; else it is looked up when
	// AskLocalHost is set.
	LocalHost    policy.Name
	AskLocalHost bool

	DNS         DNS
	Timeout     time.Duration // of all lookups of a connection together
	InfoTimeout time.Duration // of ident, within Timeout
}

// wants tells whether the answer is to be asked for.
func (a Ask) wants(needed bool) bool { return a == AskAlways || a == AskForRules && needed }

// decisive tells whether a peer's name must be asked for before the rules can
// decide.
func (n *Names) decisive(rules *policy.Database) bool {
	return rules.NeedsHost() && n.RemoteHost != AskNever || rules.NeedsInfo() && n.RemoteInfo != AskNever
}

// asked tells whether any name is asked for even where no rule depends on it.
func (n *Names) asked() bool {
	return n.RemoteHost == AskAlways || n.RemoteInfo == AskAlways || n.AskLocalHost
}

// lookUp asks for the names of a connection, all at the same time. What is
// not known by the deadline stays unknown.
func (s *Server) lookUp(c *connection, rules *policy.Database) {
	n := &s.Names
	ctx, cancel := context.WithTimeout(context.Background(), n.Timeout)
	defer cancel()
	var lookups sync.WaitGroup
	if n.AskLocalHost {
		lookups.Go(func() { c.localHost = dotted(n.DNS.hostOf(ctx, c.local.Addr())) })
	}
	if n.RemoteHost.wants(rules.NeedsHost()) {
		lookups.Go(func() { c.remoteHost = n.remoteHost(ctx, c.remote.Addr()) })
	}
	if n.RemoteInfo.wants(rules.NeedsInfo()) {
		lookups.Go(func() { c.remoteInfo = ident(ctx, c.local, c.remote, n.InfoTimeout) })
	}
	lookups.Wait()
}

func (n *Names) remoteHost(ctx context.Context, ip netip.Addr) policy.Name {
	host := n.DNS.hostOf(ctx, ip)
	if n.Paranoid && host != "" && !n.DNS.confirms(ctx, host, ip) {
		return policy.Name{}
	}
	return dotted(host)
}
