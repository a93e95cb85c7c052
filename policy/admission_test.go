package policy_test

import (
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"ucspid/policy"
)

// widths are those of the options' defaults.
var hostWidth, networkWidth = policy.Width{IP4: 32, IP6: 64}, policy.Width{IP4: 24, IP6: 48}

var begin = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func admission(sessions, reserve int) *policy.Admission {
	return policy.NewAdmission(policy.Limits{Sessions: sessions, Reserve: reserve, Host: hostWidth, Network: networkWidth}, begin)
}

// guest is a peer that holds a place, as the reference sees it.
type guest struct {
	visit    *policy.Visit
	host     string
	network  string
	trusted  bool
	awaiting bool
	session  bool
}

// hall is the reference: a list of all who are in, and of when each source was
// let in. It counts by looking at everybody, each time.
type hall struct {
	*rapid.T
	a                 *policy.Admission
	sessions, reserve int
	now               time.Duration
	places            int // taken for nobody yet
	guests            []*guest
	admitted          map[string][]time.Duration
}

func (h *hall) count(counts func(*guest) bool) int {
	n := 0
	for _, g := range h.guests {
		if counts(g) {
			n++
		}
	}
	return n
}

// open tells whether there is a place for whoever comes.
func (h *hall) open() bool {
	sessions := h.count(func(g *guest) bool { return g.session })
	waiting := h.places + h.count(func(g *guest) bool { return !g.session })
	if h.reserve == 0 {
		return sessions+waiting < h.sessions
	}
	return sessions < h.sessions && waiting < h.sessions
}

// exhausted tells whether a source came too often.
func (h *hall) exhausted(source string, rate policy.Rate) bool {
	if rate == (policy.Rate{}) {
		return false
	}
	each := rate.Per / time.Duration(rate.N)
	var missing, last time.Duration
	for _, at := range h.admitted[source] {
		missing = max(0, missing-(at-last)) + each
		last = at
	}
	missing = max(0, missing-(h.now-last))
	return missing > time.Duration(rate.N-1)*each
}

// want returns the limit that refuses a guest, "" for none.
func (h *hall) want(g *guest, t policy.Terms, load int) string {
	host := h.count(func(o *guest) bool { return o != g && o.host == g.host })
	network := h.count(func(o *guest) bool { return o != g && o.network == g.network })
	sessions := h.count(func(o *guest) bool { return o.session })
	strangers := h.count(func(o *guest) bool { return o.session && !o.trusted })
	maxHost, hostLimited := t.Host.N()
	maxNetwork, networkLimited := t.Network.N()
	maxLoad, loadLimited := t.Load.N()
	switch {
	case loadLimited && load > maxLoad:
		return fmt.Sprintf("MAXLOAD:%d", maxLoad)
	case hostLimited && host >= maxHost:
		return fmt.Sprintf("MAXCONNIP:%d", maxHost)
	case networkLimited && network >= maxNetwork:
		return fmt.Sprintf("MAXCONNC:%d", maxNetwork)
	case h.reserve > 0 && sessions >= h.sessions:
		return fmt.Sprintf("SESSIONS:%d", h.sessions)
	case h.reserve > 0 && !t.Trusted && strangers >= h.sessions-h.reserve:
		return fmt.Sprintf("RESERVE:%d", h.reserve)
	case h.exhausted(g.host, t.HostRate):
		return "MAXRATEIP:" + t.HostRate.String()
	case h.exhausted(g.network, t.NetworkRate):
		return "MAXRATEC:" + t.NetworkRate.String()
	}
	return ""
}

// compare fails unless the refusal is the wanted one, "" for none.
func (h *hall) compare(what string, got *policy.Refusal, want string) {
	h.Helper()
	said := ""
	if got != nil {
		said = got.Limit()
	}
	if said != want {
		h.Fatalf("%s: refused by %q, not by %q", what, said, want)
	}
}

// pick returns one of the guests that are meant, nil where there are none.
func (h *hall) pick(meant func(*guest) bool) *guest {
	var some []*guest
	for _, g := range h.guests {
		if meant(g) {
			some = append(some, g)
		}
	}
	if len(some) == 0 {
		return nil
	}
	return rapid.SampledFrom(some).Draw(h.T, "guest")
}

func (h *hall) leave(g *guest) {
	g.visit.Leave()
	h.guests = slices.DeleteFunc(h.guests, func(o *guest) bool { return o == g })
}

// hallTerms draws the terms of a peer.
func hallTerms(t *rapid.T) policy.Terms {
	var terms policy.Terms
	some := func(label string) bool { return rapid.IntRange(0, 2).Draw(t, label) == 0 }
	if some("host limit") {
		terms.Host = policy.AtMost(rapid.IntRange(0, 4).Draw(t, "host"))
	}
	if some("network limit") {
		terms.Network = policy.AtMost(rapid.IntRange(0, 5).Draw(t, "network"))
	}
	if some("load limit") {
		terms.Load = policy.AtMost(rapid.IntRange(1, 300).Draw(t, "load"))
	}
	if some("rate limit") {
		terms.HostRate = policy.Rate{N: 3, Per: 7 * time.Second}
	}
	if some("network rate limit") {
		terms.NetworkRate = policy.Rate{N: 5, Per: 10 * time.Second}
	}
	terms.Trusted = some("trusted")
	return terms
}

// come makes a peer come, and adds it to the guests.
func (h *hall) come() *guest {
	ip := netip.MustParseAddr(rapid.SampledFrom([]string{
		"192.0.2.1", "192.0.2.1", "::ffff:192.0.2.1", "192.0.2.2", "198.51.100.1",
		"2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1", "fe80::1%eth0",
	}).Draw(h.T, "ip"))
	g := &guest{visit: h.a.Visit(ip)}
	if text := ip.Unmap().String(); strings.Contains(text, ".") {
		g.host, g.network = text, text[:strings.LastIndexByte(text, '.')]
	} else {
		octets := ip.As16()
		g.host, g.network = string(octets[:8]), string(octets[:6])
	}
	h.places--
	h.guests = append(h.guests, g)
	return g
}

// TestAdmissionIsExact compares with a reference that knows nothing of counts,
// buckets or places but looks at everybody who is in.
func TestAdmissionIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &hall{T: t, sessions: rapid.IntRange(1, 8).Draw(t, "sessions"), admitted: make(map[string][]time.Duration)}
		h.reserve = rapid.IntRange(0, h.sessions-1).Draw(t, "reserve")
		h.a = admission(h.sessions, h.reserve)
		t.Repeat(map[string]func(*rapid.T){
			"take": func(*rapid.T) {
				open := h.open()
				if h.a.Open() != open || h.a.Take() != open {
					h.Fatalf("Take: not %t", open)
				}
				if open {
					h.places++
				}
			},
			"give": func(*rapid.T) {
				if h.places > 0 {
					h.a.Give()
					h.places--
				}
			},
			"await": func(t *rapid.T) {
				if h.places == 0 {
					return
				}
				g, terms := h.come(), hallTerms(t)
				most, limited := terms.Host.N()
				waiting := h.count(func(o *guest) bool { return o.awaiting && o.host == g.host })
				near := h.count(func(o *guest) bool { return o.awaiting && o.network == g.network })
				mostNear, limitedNear := terms.Network.N()
				strangers := h.count(func(o *guest) bool { return o.awaiting && !o.trusted })
				want := ""
				switch {
				case limited && waiting >= most:
					want = fmt.Sprintf("MAXCONNIP:%d", most)
				case limitedNear && near >= mostNear:
					want = fmt.Sprintf("MAXCONNC:%d", mostNear)
				case h.reserve > 0 && !terms.Trusted && strangers >= h.sessions-h.reserve:
					want = fmt.Sprintf("JUDGING:%d", h.sessions-h.reserve)
				}
				h.compare("Await", g.visit.Await(terms), want)
				if g.trusted, g.awaiting = terms.Trusted, true; want != "" {
					h.leave(g)
				}
			},
			"admit": func(t *rapid.T) {
				g := h.pick(func(g *guest) bool { return g.awaiting })
				if g == nil || rapid.Bool().Draw(t, "new") {
					if h.places == 0 {
						return
					}
					g = h.come()
				}
				h.admit(g, hallTerms(t), rapid.IntRange(0, 300).Draw(t, "load"))
			},
			"leave": func(*rapid.T) {
				if g := h.pick(func(*guest) bool { return true }); g != nil {
					h.leave(g)
				}
			},
			"wait": func(t *rapid.T) {
				h.now += time.Duration(rapid.IntRange(1, 5000).Draw(t, "pause")) * time.Millisecond
			},
		})
	})
}

func (h *hall) admit(g *guest, terms policy.Terms, load int) {
	want := h.want(g, terms, load)
	h.compare("Admit", g.visit.Admit(terms, begin.Add(h.now), load), want)
	if want != "" {
		h.leave(g)
		return
	}
	g.session, g.awaiting, g.trusted = true, false, terms.Trusted
	for source, rate := range map[string]policy.Rate{g.host: terms.HostRate, g.network: terms.NetworkRate} {
		if rate != (policy.Rate{}) {
			h.admitted[source] = append(h.admitted[source], h.now)
		}
	}
}

// admitted tells whether a connection of ip is let in, and lets it leave.
func admitted(a *policy.Admission, ip netip.Addr, t policy.Terms, now time.Time) bool {
	a.Take()
	v := a.Visit(ip)
	defer v.Leave()
	return v.Admit(t, now, 0) == nil
}

// ip4 returns the nth of all IPv4 addresses, ip6 the nth /64 of 2001:db8::/32.
func ip4(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

func ip6(n uint32) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 15: 1})
}

// TestFloodOfOneGroupDrivesOutNobody has many sources use up their rates, then
// as many of one group come as it takes to fill everything.
func TestFloodOfOneGroupDrivesOutNobody(t *testing.T) {
	const others, flood = 40_000, 100_000
	once := policy.Rate{N: 1, Per: time.Hour}
	host, network := policy.Terms{HostRate: once}, policy.Terms{NetworkRate: once}
	for _, test := range []struct {
		group string
		terms policy.Terms
		ip    func(n uint32) netip.Addr
	}{
		{"the /64s of a /48", host, func(n uint32) netip.Addr { return ip6(n & 0xffff) }},
		{"the hosts of a /24", host, func(n uint32) netip.Addr { return ip4(10<<24 + n&0xff) }},
		{"the /48s of a /32", network, func(n uint32) netip.Addr { return ip6(n << 16) }},
		{"the /24s of a /16", network, func(n uint32) netip.Addr { return ip4(10<<24 + n<<8&0xffff) }},
	} {
		t.Run(test.group, func(t *testing.T) {
			a := admission(1, 0)
			other := func(n uint32) netip.Addr { return ip4(n * 100_003) } // all over the Internet
			for n := range uint32(others) {
				admitted(a, other(n), test.terms, begin)
			}
			known := make(map[uint32]bool)
			for n := range uint32(others) {
				if !admitted(a, other(n), test.terms, begin) {
					known[n] = true
				}
			}
			if len(known) < others*9/10 {
				t.Fatalf("only %d of %d are remembered before the flood", len(known), others)
			}
			for n := range uint32(flood) {
				admitted(a, test.ip(n), test.terms, begin)
			}
			forgotten := 0
			for n := range known {
				if admitted(a, other(n), test.terms, begin) {
					forgotten++
				}
			}
			if forgotten > 2*32 { // to ask after one that is forgotten may drive out another
				t.Errorf("%d of %d are forgotten", forgotten, len(known))
			}
		})
	}
}

// TestMillionSourcesCostNoMoreMemory also shows that none of them drives out a
// host with a session.
func TestMillionSourcesCostNoMoreMemory(t *testing.T) {
	const million = 1_000_000
	often := policy.Terms{HostRate: policy.Rate{N: 30, Per: time.Hour}, NetworkRate: policy.Rate{N: 90, Per: time.Hour}}
	one := policy.Terms{Host: policy.AtMost(1)}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	a := admission(2, 0)
	a.Take()
	if r := a.Visit(ip4(1)).Admit(one, begin, 0); r != nil {
		t.Fatalf("the first one is refused by %s", r.Limit())
	}
	for n := range uint32(million / 2) {
		if ip := ip4(n * 4099); !admitted(a, ip, often, begin) {
			t.Fatalf("%v is refused", ip)
		}
		admitted(a, ip6(n*4099), often, begin)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	used := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d bytes for %d sources", used, million)
	if used > 5<<20 {
		t.Error("that is more than the manual says")
	}
	if admitted(a, ip4(1), one, begin) {
		t.Error("the session is forgotten")
	}
}

func TestAdoptedSessionsCount(t *testing.T) {
	a := admission(2, 1)
	for range 3 { // more than there are places
		a.Adopt(netip.MustParseAddr("192.0.2.1"), false)
	}
	trustedOne := a.Adopt(netip.MustParseAddr("192.0.2.2"), true)
	if a.Take() {
		t.Error("there is a place beside four sessions of two")
	}
	trustedOne.Leave()
	if a.Open() {
		t.Error("there is a place beside three sessions of two")
	}
}

func TestRates(t *testing.T) {
	for text, want := range map[string]policy.Rate{
		"30/1m":       {N: 30, Per: time.Minute},
		"1/1s":        {N: 1, Per: time.Second},
		"0/1s":        {N: 0, Per: time.Second},
		"100/24h":     {N: 100, Per: 24 * time.Hour},
		"1000000/90s": {N: 1_000_000, Per: 90 * time.Second},
	} {
		got, err := policy.ParseRate(text)
		if got != want || err != nil {
			t.Errorf("ParseRate(%q) = %v, %v", text, got, err)
		}
	}
	for _, text := range []string{
		"", "30", "30/", "30/m", "/1m", "30/1", "30/0s", "30/25h", "30/1d", "30/1m30s", "-1/1m", "30/-1m", "+30/1m",
		"1.5/1s", "1000001/1s", "30/1m ", " 30/1m", "30//1m", "30/1m/1m", "30/99999999999999999999s",
	} {
		if rate, err := policy.ParseRate(text); err == nil {
			t.Errorf("ParseRate(%q) = %v", text, rate)
		}
	}
}

func FuzzRate(f *testing.F) {
	for _, text := range []string{"30/1m", "1/86400s", "0/24h", "60/60s", "007/01m"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rate, err := policy.ParseRate(text)
		if err != nil {
			return
		}
		again, err := policy.ParseRate(rate.String())
		if err != nil || again != rate {
			t.Errorf("%q is %+v, which is shown as %q: %+v, %v", text, rate, rate, again, err)
		}
	})
}

// TestRateOverAnyTime has a host come as often as it can: a full bucket at
// once, and then no more than the rate in any minute.
func TestRateOverAnyTime(t *testing.T) {
	terms := policy.Terms{HostRate: policy.Rate{N: 30, Per: time.Minute}}
	a := admission(1, 0)
	var let []int
	for second := range 600 {
		n := 0
		for range 5 {
			if admitted(a, ip4(1), terms, begin.Add(time.Duration(second)*time.Second)) {
				n++
			}
		}
		let = append(let, n)
	}
	sum := func(n []int) (total int) {
		for _, some := range n {
			total += some
		}
		return total
	}
	if n := sum(let[:60]); n < 58 || n > 60 {
		t.Errorf("%d in the first minute, of which 30 at once", n)
	}
	for from := 60; from+60 <= len(let); from++ {
		if n := sum(let[from : from+60]); n < 29 || n > 31 {
			t.Errorf("%d in the minute from %d", n, from)
		}
	}
}
