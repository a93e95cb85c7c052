package ucspi

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"ucspid/policy"
)

// A flood of denials does not flood the log. Of each source the first few of a
// minute are said one by one; the rest is counted, and said in one line when
// the minute is over. The minute is the same for all sources: it begins with
// the first denial after the last one.

const (
	floodMinute  = time.Minute
	floodSingles = 10 // denials of a source that are said one by one

	// floodSources are told apart, in some 60 KB; the others are counted
	// together. They are so few that the lines at the end of a minute have room
	// in the queue of whoever says them.
	floodSources = 1024
)

// floodWidth makes one source of an IPv4 address, or of the network in which an
// IPv6 host can choose its address.
func floodWidth() policy.Width { return policy.Width{IP4: 32, IP6: 64} }

// flood counts the denials of a minute, whatever the reason. say must not wait.
type flood struct {
	say func(Event)

	mu     sync.Mutex
	began  time.Time // the minute, zero while there is none
	over   *time.Timer
	denied map[netip.Prefix]int
	others int // denials of sources that are not told apart
}

// single counts a denial of ip, and tells whether it is to be said by itself.
func (f *flood) single(ip netip.Addr, now time.Time) bool {
	source := floodWidth().Source(ip)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.began.IsZero() {
		f.begin(now)
	}
	n, known := f.denied[source]
	if !known && len(f.denied) == floodSources {
		f.others++
		return false
	}
	f.denied[source] = n + 1
	return n < floodSingles
}

func (f *flood) begin(now time.Time) {
	f.began = now
	f.over = time.AfterFunc(floodMinute, func() { f.end(time.Now()) })
	if f.denied == nil {
		f.denied = make(map[netip.Prefix]int)
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
	for _, source := range slices.SortedFunc(maps.Keys(f.denied), netip.Prefix.Compare) {
		if more := f.denied[source] - floodSingles; more > 0 {
			f.say(flooded(source, more, took))
		}
	}
	if f.others > 0 {
		f.say(flooded(netip.Prefix{}, f.others, took))
	}
	clear(f.denied)
	f.others = 0
	f.began = time.Time{}
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

// sourceText returns a source as the log shows it.
func sourceText(source netip.Prefix) string {
	text := ipText(source.Addr())
	if !source.IsSingleIP() {
		text += fmt.Sprintf("/%d", source.Bits())
	}
	return text
}
