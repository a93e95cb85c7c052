package policy_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"ucspid/policy"
)

// compiledOf returns a cdb of n rules for n different addresses.
func compiledOf(b *testing.B, n int) []byte {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "10.%d.%d.%d:allow,RELAYCLIENT=\"\"\n", i>>16, i>>8&255, i&255)
	}
	return compile(b, ramDir(b), parse(b, text.String()))
}

// BenchmarkDecide searches for every key of a peer that has many, in vain.
func BenchmarkDecide(b *testing.B) {
	stranger := policy.Peer{
		IP:   netip.MustParseAddr("192.0.2.1"),
		Host: policy.Known("ppp-192-0-2-1.pool.dialup.provider.example"),
		Info: policy.Known("joe"),
	}
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			d := database(b, compiledOf(b, n))
			b.ReportAllocs()
			for b.Loop() {
				if decision, err := policy.Decide(stranger, d); err != nil || decision.Matched {
					b.Fatal(decision, err)
				}
			}
		})
	}
}

// BenchmarkDecideByIP judges the common peer, of which nothing but the IP is
// known and whose rule is its prefix.
func BenchmarkDecideByIP(b *testing.B) {
	d := database(b, compile(b, b.TempDir(), parse(b, "192.0.2.:allow,RELAYCLIENT=\"\"\n:deny\n")))
	p := peer("192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		if decision, err := policy.Decide(p, d); err != nil || !decision.Matched {
			b.Fatal(decision, err)
		}
	}
}

// BenchmarkFile asks for rules that have not changed.
func BenchmarkFile(b *testing.B) {
	f := &policy.File{Path: rulesFile(b)}
	overwrite(b, f.Path, allowAll())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := f.Database(time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkNewDatabase checks a whole cdb, as is done when it has changed.
func BenchmarkNewDatabase(b *testing.B) {
	for _, n := range []int{10, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data := compiledOf(b, n)
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := policy.NewDatabase(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkWriteFile compiles rules.
func BenchmarkWriteFile(b *testing.B) {
	dir := ramDir(b)
	var text strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&text, "10.0.%d.%d:deny\n", i>>8, i&255)
	}
	rules := parse(b, text.String())
	for b.Loop() {
		compile(b, dir, rules)
	}
}

// BenchmarkAdmission lets a peer in and out again, with every limit there is,
// while few or many others are in.
func BenchmarkAdmission(b *testing.B) {
	terms := policy.Terms{
		Host: policy.AtMost(5), Network: policy.AtMost(50), Load: policy.AtMost(1000),
		HostRate: policy.Rate{N: 1_000_000, Per: time.Second}, NetworkRate: policy.Rate{N: 1_000_000, Per: time.Second},
	}
	for _, n := range []int{1, 1000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			a := admission(n+1, 1)
			for i := range uint32(n) {
				a.Adopt(ip4(i*4099), true)
			}
			b.ReportAllocs()
			for now := begin; b.Loop(); now = now.Add(time.Millisecond) {
				if !admitted(a, ip4(203<<24), terms, now) {
					b.Fatal("the peer is refused")
				}
			}
		})
	}
}
