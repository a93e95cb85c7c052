package ucspi

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"ucspid/policy"
)

// A flood does not flood the log, be it of denials or of connections that are
// dropped because of an error. Of each source of denials, and of each reason to
// drop, the first few of a minute are said one by one; the rest is counted, and
// said in one line when the minute is over. The minute is the same for all: it
// begins with the first of them after the last one.

const (
	floodMinute  = time.Minute
	floodSingles = 10 // of a source, or for a reason, that are said one by one

	// floodSources are told apart, in some 60 KB; the others are counted
	// together. They are so few that the lines at the end of a minute have room
	// in the queue of whoever says them.
	floodSources = 1024

	// floodReasons likewise. There are hardly more, but for rules that are
	// broken, each time elsewhere.
	floodReasons = 32
)

// floodWidth makes one source of an IPv4 address, or of the network in which an
// IPv6 host can choose its address.
func floodWidth() policy.Width { return policy.Width{IP4: 32, IP6: 64} }

// flood counts what happens in a minute. say must not wait.
type flood struct {
	say func(Event)

	mu      sync.Mutex
	began   time.Time // the minute, zero while there is none
	over    *time.Timer
	denied  tally[netip.Prefix]
	dropped tally[string]
}

// singleDenial counts a denial of ip, whatever the reason, and tells whether it
// is to be said by itself.
func (f *flood) singleDenial(ip netip.Addr, now time.Time) bool {
	source := floodWidth().Source(ip)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin(now)
	return f.denied.single(source, floodSources)
}

// singleDrop likewise counts a connection that is dropped for a reason.
func (f *flood) singleDrop(reason string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.begin(now)
	return f.dropped.single(reason, floodReasons)
}

// begin begins a minute, unless there is one.
func (f *flood) begin(now time.Time) {
	if f.began.IsZero() {
		f.began = now
		f.over = time.AfterFunc(floodMinute, func() { f.end(time.Now()) })
	}
}

// end ends the minute, if there is one, and says what was only counted.
func (f *flood) end(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		return
	}
	f.over.Stop()
	took := now.Sub(f.began)
	f.denied.end(netip.Prefix.Compare, func(source netip.Prefix, n int) { f.say(flooded(source, n, took)) })
	f.dropped.end(strings.Compare, func(reason string, n int) { f.say(droppedMore(reason, n, took)) })
	f.began = time.Time{}
}

// tally counts by kind, and without telling them apart those of other kinds.
type tally[kind comparable] struct {
	counts map[kind]int
	others int
}

// single counts one of a kind, and tells whether it is to be said by itself.
// Of most kinds it knows to tell them apart.
func (t *tally[kind]) single(one kind, most int) bool {
	n, known := t.counts[one]
	if !known && len(t.counts) == most {
		t.others++
		return false
	}
	if t.counts == nil {
		t.counts = make(map[kind]int)
	}
	t.counts[one] = n + 1
	return n < floodSingles
}

// end says what was only counted, in order, the others last and as the zero
// kind, and begins anew.
func (t *tally[kind]) end(compare func(a, b kind) int, say func(one kind, n int)) {
	for _, one := range slices.SortedFunc(maps.Keys(t.counts), compare) {
		if more := t.counts[one] - floodSingles; more > 0 {
			say(one, more)
		}
	}
	if t.others > 0 {
		var zero kind
		say(zero, t.others)
	}
	clear(t.counts)
	t.others = 0
}

// flooded is the event of denials that were only counted. Without a source they
// are those of the others.
func flooded(source netip.Prefix, n int, took time.Duration) Event {
	who := "from other addresses"
	if source.IsValid() {
		who = "more from " + sourceText(source)
	}
	return Event{
		Name: "flood", Source: source, Count: n, Duration: took,
		Line: fmt.Sprintf("flood: %d %s denied in %.0f s", n, who, took.Seconds()),
	}
}

// droppedMore is the event of connections that were dropped and only counted.
// Without a reason they are those for other reasons.
func droppedMore(reason string, n int, took time.Duration) Event {
	what, why := "more connections", reason
	if reason == "" {
		what, why = "connections", "for other reasons"
	}
	return Event{
		Name: "drops", Warning: true, Reason: why, Count: n, Duration: took,
		Line: fmt.Sprintf("warning: dropped %d %s in %.0f s, %s", n, what, took.Seconds(), why),
	}
}

// sourceText returns a source as the log shows it.
func sourceText(source netip.Prefix) string {
	text := ipText(source.Addr())
	if !source.IsSingleIP() {
		text += fmt.Sprintf("/%d", source.Bits())
	}
	return text
}
