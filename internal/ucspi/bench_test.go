package ucspi

import (
	"fmt"
	"net/netip"
	"testing"

	"ucspid/policy"
)

// usual is a connection as most are.
func usual() *connection {
	return &connection{
		local:     netip.MustParseAddrPort("192.0.2.25:25"),
		remote:    netip.MustParseAddrPort("198.51.100.7:49152"),
		localHost: policy.Known("0"),
	}
}

// BenchmarkEnvironment puts an environment together that a rule adds to, on
// top of so many variables.
func BenchmarkEnvironment(b *testing.B) {
	for _, n := range []int{4, 40} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			base := []string{"PATH=/usr/bin:/bin"}
			for i := range n - 1 {
				base = append(base, fmt.Sprintf("VARIABLE%d=value", i))
			}
			c := usual()
			b.ReportAllocs()
			for b.Loop() {
				if env := environ(base, c, []string{"RELAYCLIENT="}); len(env) != n+7 {
					b.Fatal(env)
				}
			}
		})
	}
}

// BenchmarkLog says all that is said of a session.
func BenchmarkLog(b *testing.B) {
	for _, v := range []struct {
		name      string
		verbosity Verbosity
	}{{"errors", ErrorsOnly}, {"verbose", Verbose}} {
		b.Run(v.name, func(b *testing.B) {
			said := 0
			l := log{verbosity: v.verbosity, send: func(e Event) { said += len(e.Line) }}
			c, allowed := usual(), policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "198.51.100."}
			b.ReportAllocs()
			for b.Loop() {
				l.status(1, 40)
				l.pid(4711, c)
				l.ok(4711, c, allowed)
				l.end(4711, 0, &session{remote: c.remote})
				l.status(0, 40)
			}
			if said > 0 != (v.verbosity == Verbose) {
				b.Fatalf("%d bytes were said", said)
			}
		})
	}
}
