package ucspi

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// said collects the lines of a log, with the time since its start.
type said struct {
	start time.Time
	mu    sync.Mutex
	lines []string
}

func (s *said) send(e Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf("%.0f %s", time.Since(s.start).Seconds(), e.Line))
}

// take returns the lines since it was last called.
func (s *said) take() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.lines
	s.lines = nil
	return lines
}

func (s *said) log() *log {
	s.start = time.Now()
	return &log{verbosity: Verbose, send: s.send, flood: flood{say: s.send}}
}

// client returns a connection from ip.
func client(ip string) *connection {
	return &connection{
		local:  netip.MustParseAddrPort("192.0.2.25:25"),
		remote: netip.AddrPortFrom(netip.MustParseAddr(ip), 1234),
	}
}

// ruled is the decision of a rule.
var ruled = policy.Decision{Matched: true, Rule: "192.0.2."}

func denyTimes(l *log, n int, ip string) {
	for range n {
		l.deny(client(ip), ruled)
	}
}

func TestFloodIsSaidInOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got said
		l := got.log()
		denyTimes(l, 9, "192.0.2.9")
		denyTimes(l, 10, "192.0.2.10")
		denyTimes(l, 1000, "192.0.2.1")
		denyTimes(l, 7, "2001:db8::1")
		denyTimes(l, 7, "2001:db8::2") // the same network
		denyTimes(l, 7, "2001:db8:0:1::2")
		if n := len(got.take()); n != 9+10+10+10+7 {
			t.Errorf("%d lines before the minute is over", n)
		}
		time.Sleep(2 * floodMinute)
		synctest.Wait()
		want := []string{
			"60 flood: 990 more from 192.0.2.1 denied in 60 s",
			"60 flood: 4 more from [2001:db8::]/64 denied in 60 s",
		}
		if diff := cmp.Diff(want, got.take()); diff != "" {
			t.Errorf("after the minute (-want +got)\n%s", diff)
		}

		denyTimes(l, 12, "192.0.2.1") // a new minute
		time.Sleep(17 * time.Second)
		l.flood.end(time.Now()) // the server stops
		time.Sleep(2 * floodMinute)
		synctest.Wait()
		lines := got.take()
		if want := "137 flood: 2 more from 192.0.2.1 denied in 17 s"; len(lines) != 11 || lines[10] != want {
			t.Errorf("%q, not %q as the eleventh", lines, want)
		}
	})
}

func dropTimes(l *log, n int, reason string) {
	for range n {
		l.dropped(client("192.0.2.1"), errors.New(reason))
	}
}

func TestDropsAreSaidInOneLineAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got said
		l := got.log()
		l.verbosity = ErrorsOnly
		dropTimes(l, 10, "unable to print banner: broken pipe")
		dropTimes(l, 1000, "unable to read /x: corrupt cdb")
		for i := range 1000 {
			dropTimes(l, 1, fmt.Sprintf("unable to fork: errno %d", i))
		}
		lines := got.take()
		if n := len(lines); n != 10+10+floodReasons-2 {
			t.Errorf("%d lines before the minute is over", n)
		}
		if want := "0 warning: dropping connection, unable to print banner: broken pipe"; lines[9] != want {
			t.Errorf("%q, not %q", lines[9], want)
		}
		time.Sleep(2 * floodMinute)
		synctest.Wait()
		want := []string{
			"60 warning: dropped 990 more connections in 60 s, unable to read /x: corrupt cdb",
			"60 warning: dropped 970 connections in 60 s, for other reasons",
		}
		if diff := cmp.Diff(want, got.take()); diff != "" {
			t.Errorf("after the minute (-want +got)\n%s", diff)
		}

		dropTimes(l, 12, "unable to fork: out of memory") // a new minute
		l.flood.end(time.Now())                           // the server stops
		lines = got.take()
		if want := "120 warning: dropped 2 more connections in 0 s, unable to fork: out of memory"; len(lines) != 11 || lines[10] != want {
			t.Errorf("%q, not %q as the eleventh", lines, want)
		}
	})
}

func TestNothingIsSaidOfDropsWhenQuiet(t *testing.T) {
	var got said
	l := got.log()
	l.verbosity = Quiet
	dropTimes(l, 1000, "unable to fork: out of memory")
	l.flood.end(time.Now())
	if lines := got.take(); len(lines) > 0 {
		t.Errorf("said %q", lines)
	}
}

func TestDenialsAreNotCountedWhereTheyAreNotSaid(t *testing.T) {
	for _, verbosity := range []Verbosity{ErrorsOnly, Quiet} {
		var got said
		l := got.log()
		l.verbosity = verbosity
		denyTimes(l, 1000, "192.0.2.1")
		l.flood.end(time.Now())
		if lines := got.take(); len(lines) > 0 {
			t.Errorf("said %q", lines)
		}
	}
}

// TestMillionDenialsAreNoMillionLines has them come from as many sources as it
// takes to have the most lines, and from a million.
func TestMillionDenialsAreNoMillionLines(t *testing.T) {
	const million = 1_000_000
	for sources, want := range map[uint32]struct{ single, flood, others int }{
		floodSources + 1: {floodSources * floodSingles, floodSources + 1, million / (floodSources + 1)},
		million:          {floodSources, 1, million - floodSources},
	} {
		now := time.Now()
		single, lines, counted, others := 0, 0, 0, 0
		f := flood{say: func(e Event) {
			lines++
			counted += e.Count
			if !e.Source.IsValid() {
				others += e.Count
			}
		}}
		for i := range uint32(million) {
			var ip [4]byte
			binary.BigEndian.PutUint32(ip[:], 10<<24+i%sources)
			if f.singleDenial(netip.AddrFrom4(ip), now) {
				single++
			}
		}
		f.end(now.Add(floodMinute))
		if single != want.single || lines != want.flood || others != want.others || single+counted != million {
			t.Errorf("%d sources: %d lines and %d of the flood, in which %d and %d of others", sources, single, lines, counted, others)
		}
	}
}

// denials are some of one source.
type denials struct {
	At time.Duration
	IP string
	N  int
}

// TestFloodIsExact compares what is said with what one learns of a list of all
// denials.
func TestFloodIsExact(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		var all []denials
		at := time.Duration(0)
		for range rapid.IntRange(0, 100).Draw(r, "steps") {
			at += time.Duration(rapid.IntRange(0, 20).Draw(r, "pause")) * 997 * time.Millisecond
			ip := rapid.SampledFrom([]string{"192.0.2.1", "192.0.2.2", "2001:db8::1", "2001:db8::2"}).Draw(r, "ip")
			all = append(all, denials{at, ip, rapid.IntRange(1, 12).Draw(r, "times")})
		}
		var got said
		synctest.Test(t, func(*testing.T) {
			l := got.log()
			for _, d := range all {
				time.Sleep(time.Until(got.start.Add(d.At)))
				denyTimes(l, d.N, d.IP)
			}
			time.Sleep(2 * floodMinute)
			synctest.Wait()
		})
		floods := slices.DeleteFunc(got.take(), func(line string) bool { return !strings.Contains(line, " flood: ") })
		if diff := cmp.Diff(floodsOf(all), floods, cmpopts.EquateEmpty()); diff != "" {
			r.Fatalf("(-denials +log)\n%s", diff)
		}
	})
}

// floodsOf returns the lines that are due.
func floodsOf(all []denials) []string {
	var lines []string
	for len(all) > 0 {
		over := all[0].At + floodMinute
		counts := make(map[string]int)
		for len(all) > 0 && all[0].At < over {
			source := all[0].IP
			if strings.Contains(source, ":") {
				source = "[2001:db8::]/64"
			}
			counts[source] += all[0].N
			all = all[1:]
		}
		for _, source := range slices.Sorted(maps.Keys(counts)) {
			if more := counts[source] - 10; more > 0 {
				lines = append(lines, fmt.Sprintf("%.0f flood: %d more from %s denied in 60 s", over.Seconds(), more, source))
			}
		}
	}
	return lines
}

func TestDenialThatIsOnlyCountedAllocatesNothing(t *testing.T) {
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		var got said
		l := got.log()
		c := client(ip)
		denyTimes(l, floodSingles, ip)
		if n := testing.AllocsPerRun(1000, func() { l.deny(c, ruled) }); n != 0 {
			t.Errorf("%s: %v allocations", ip, n)
		}
		l.flood.end(time.Now())
	}
}

func BenchmarkDenialThatIsOnlyCounted(b *testing.B) {
	var got said
	l := got.log()
	c := client("192.0.2.1")
	for b.Loop() {
		l.deny(c, ruled)
	}
	l.flood.end(time.Now())
}
