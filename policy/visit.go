package policy

import (
	"net/netip"
	"time"
)

// stage is how far a visit has come.
type stage uint8

const (
	arrived stage = iota
	awaiting
	session
)

// Visit is a peer's stay, from its coming until it leaves.
type Visit struct {
	a             *Admission
	host, network netip.Prefix
	stage         stage
	stranger      bool
}

// Await lets a peer wait for its names. The terms are those that count for it
// without a name. So neither a host, nor a network, nor strangers together
// can hold more places by names that never come than they can by sessions.
func (v *Visit) Await(t Terms) *Refusal {
	v.a.mu.Lock()
	defer v.a.mu.Unlock()
	a, l := v.a, v.a.limits
	if t.Host.reached(a.hosts[v.host].awaiting) {
		return refused(PerHost, t.Host.n)
	}
	if t.Network.reached(a.networks[v.network].awaiting) {
		return refused(PerNetwork, t.Network.n)
	}
	if !t.Trusted && l.Reserve > 0 && a.awaiting >= l.Sessions-l.Reserve {
		return refused(Judging, l.Sessions-l.Reserve)
	}
	v.come()
	v.await(!t.Trusted, +1)
	return nil
}

// Admit lets a peer in, at a time and with a load average that matter only
// where the terms have a rate or a load.
func (v *Visit) Admit(t Terms, now time.Time, load int) *Refusal {
	v.a.mu.Lock()
	defer v.a.mu.Unlock()
	since := now.Sub(v.a.began)
	if r := v.refusal(&t, since, load); r != nil {
		return r
	}
	v.spend(&t, since)
	v.a.taken--
	switch v.stage {
	case arrived:
		v.come()
	case awaiting:
		v.await(v.stranger, -1)
	}
	v.begin(!t.Trusted)
	return nil
}

// refusal returns why a peer cannot be let in, nil if it can.
func (v *Visit) refusal(t *Terms, now time.Duration, load int) *Refusal {
	a, l := v.a, v.a.limits
	host, network := v.others()
	switch {
	case t.Load.set && load > t.Load.n:
		return refused(Overload, t.Load.n)
	case t.Host.reached(host):
		return refused(PerHost, t.Host.n)
	case t.Network.reached(network):
		return refused(PerNetwork, t.Network.n)
	case l.Reserve > 0 && a.sessions >= l.Sessions:
		return refused(Full, l.Sessions)
	case l.Reserve > 0 && !t.Trusted && a.strangers >= l.Sessions-l.Reserve:
		return refused(Reserved, l.Reserve)
	case !t.HostRate.lets(a.hostBuckets.full(v.host, v.network), now):
		return &Refusal{HostTooOften, t.HostRate.String()}
	case !t.NetworkRate.lets(a.networkBuckets.full(v.network, provider(v.network)), now):
		return &Refusal{NetworkTooOften, t.NetworkRate.String()}
	}
	return nil
}

// others returns how many other connections of the host and of the network are
// in, sessions and those that wait for their names alike.
func (v *Visit) others() (host, network int) {
	host, network = v.a.hosts[v.host].all, v.a.networks[v.network].all
	if v.stage == arrived {
		return host, network
	}
	return host - 1, network - 1
}

// spend takes a connection out of the buckets of the host and of the network.
func (v *Visit) spend(t *Terms, now time.Duration) {
	a := v.a
	if t.HostRate.N > 0 {
		full := t.HostRate.take(a.hostBuckets.full(v.host, v.network), now)
		a.hostBuckets.put(v.host, v.network, full, now)
	}
	if t.NetworkRate.N > 0 {
		above := provider(v.network)
		full := t.NetworkRate.take(a.networkBuckets.full(v.network, above), now)
		a.networkBuckets.put(v.network, above, full, now)
	}
}

// provider returns the network that a network is likely part of: the group of
// its bucket.
func provider(network netip.Prefix) netip.Prefix {
	return Width{min(16, network.Bits()), min(32, network.Bits())}.Source(network.Addr())
}

// come counts the peer among those who are in.
func (v *Visit) come() { v.count(presence{all: +1}) }

func (v *Visit) await(stranger bool, n int) {
	v.stage, v.stranger = awaiting, stranger
	v.count(presence{awaiting: n})
	if stranger {
		v.a.awaiting += n
	}
}

func (v *Visit) begin(stranger bool) {
	v.stage, v.stranger = session, stranger
	v.a.sessions++
	if stranger {
		v.a.strangers++
	}
}

// count changes how many are in of the host and of the network. A source of
// which nobody is in is not known.
func (v *Visit) count(more presence) {
	change(v.a.hosts, v.host, more)
	change(v.a.networks, v.network, more)
}

func change(sources map[netip.Prefix]presence, source netip.Prefix, more presence) {
	p := sources[source]
	p.all += more.all
	p.awaiting += more.awaiting
	if p == (presence{}) {
		delete(sources, source)
		return
	}
	sources[source] = p
}

// Trusted tells whether the peer of a session is trusted.
func (v *Visit) Trusted() bool { return !v.stranger }

// Leave ends the visit, wherever it has come to. Nothing may be done with it
// any more.
func (v *Visit) Leave() {
	v.a.mu.Lock()
	defer v.a.mu.Unlock()
	switch v.stage {
	case arrived:
		v.a.taken--
		return
	case awaiting:
		v.a.taken--
		v.await(v.stranger, -1)
	case session:
		v.a.sessions--
		if v.stranger {
			v.a.strangers--
		}
	}
	v.count(presence{all: -1})
}
