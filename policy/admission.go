package policy

import (
	"net/netip"
	"sync"
	"time"
)

// Admission counts who is in, and says who may come in. It may be used by
// several goroutines.
//
// A connection takes a place before anybody knows whose it is (Take). The
// place becomes a Visit when the peer has come (Visit), waits for the peer's
// names where the rules need them (Await), and becomes that of a session when
// the peer is let in (Admit). It is free again when the peer leaves (Leave).
//
// The sources of those who are in are counted exactly and never forgotten.
// How often a source came is remembered in a number of buckets that is fixed.
type Admission struct {
	limits Limits
	began  time.Time

	mu             sync.Mutex
	taken          int // places of connections that are no sessions
	awaiting       int // strangers among them who wait for their names
	sessions       int
	strangers      int // among the sessions
	hosts          map[netip.Prefix]presence
	networks       map[netip.Prefix]presence
	hostBuckets    *buckets
	networkBuckets *buckets
}

// presence is how many connections of a source are in.
type presence struct{ all, awaiting int }

// NewAdmission returns an Admission with nobody in. now is any time before
// the first one that it is told.
func NewAdmission(l Limits, now time.Time) *Admission {
	return &Admission{
		limits: l, began: now,
		hosts: make(map[netip.Prefix]presence), networks: make(map[netip.Prefix]presence),
		hostBuckets: newBuckets(), networkBuckets: newBuckets(),
	}
}

// Take takes a place for a connection that is to come, if there is one for
// whoever it will be.
func (a *Admission) Take() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.open() {
		return false
	}
	a.taken++
	return true
}

// Give gives the place back when none came.
func (a *Admission) Give() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.taken--
}

// Open tells whether Take would succeed.
func (a *Admission) Open() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open()
}

func (a *Admission) open() bool {
	if a.limits.Reserve == 0 {
		return a.taken+a.sessions < a.limits.Sessions
	}
	return a.taken < a.limits.Sessions && a.sessions < a.limits.Sessions
}

// Visit makes a place that was taken that of a peer.
func (a *Admission) Visit(ip netip.Addr) *Visit {
	return &Visit{a: a, host: a.limits.Host.Source(ip), network: a.limits.Network.Source(ip)}
}

// Adopt lets a peer in who was in before there was this Admission, whether
// there is a place or not.
func (a *Admission) Adopt(ip netip.Addr, trusted bool) *Visit {
	v := a.Visit(ip)
	a.mu.Lock()
	defer a.mu.Unlock()
	v.come()
	v.begin(!trusted)
	return v
}
