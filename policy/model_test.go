package policy_test

import (
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// The reference asks of every rule whether it is meant for the peer and how
// closely. It never makes the keys of a peer, nor the bits of a prefix.

// rank tells how closely a rule for a is meant for a peer, whose ip is in text
// too: 1 is the closest, 0 means that it is not meant for it.
func rank(a target, p policy.Peer, ip string) int {
	host, hostKnown := p.Host.Text()
	info, infoKnown := p.Info.Text()
	switch {
	case a.prefix.IsValid() && a.prefix.Contains(p.IP):
		return 6
	case a.prefix.IsValid():
		return 0
	case infoKnown && a.text == info+"@"+ip:
		return 1
	case infoKnown && hostKnown && a.text == info+"@="+host:
		return 2
	case a.text == ip:
		return 3
	case hostKnown && a.text == "="+host:
		return 4
	case strings.HasSuffix(a.text, ".") && strings.HasPrefix(ip, a.text):
		return 5
	case hostKnown && strings.HasPrefix(a.text, "=.") && strings.HasSuffix("="+host, a.text[1:]):
		return 7
	case hostKnown && a.text == "=":
		return 8
	case a.text == "":
		return lastRank
	}
	return 0
}

const lastRank = 9

// size compares two targets of the same rank: the longer one is closer.
func (a target) size() int {
	if a.prefix.IsValid() {
		return a.prefix.Bits()
	}
	return len(a.text)
}

// reference returns the decision of the rule that is closest to the peer, with
// the number of its line, and its rank. Of two rules for the same the first
// counts.
func reference(rules []rule, p policy.Peer) (decision policy.Decision, line, closest int) {
	decision = policy.Decision{Verdict: policy.Allow}
	p.IP = p.IP.Unmap().WithZone("")
	ip := p.IP.String()
	var best target
	for i, r := range rules {
		for _, a := range r.means {
			n := rank(a, p, ip)
			if n == 0 || closest != 0 && (n > closest || n == closest && a.size() <= best.size()) {
				continue
			}
			decision = policy.Decision{Verdict: r.verdict, Matched: true, Rule: a.text, Env: r.env}
			best, line, closest = a, i+1, n
		}
	}
	return decision, line, closest
}

// TestTextAndCDBDecideAlike is the promise that the operator's tools rest on:
// what the text says is what the compiled file does.
func TestTextAndCDBDecideAlike(t *testing.T) {
	dir := ramDir(t)
	rapid.Check(t, func(t *rapid.T) {
		decideAlike(t, dir, drawn(t))
	})
	var hits [lastRank + 1]atomic.Int64
	share(t, 2000, func(dir string, i int) {
		for n, more := range decideAlike(t, dir, thrown(i)) {
			hits[n].Add(int64(more))
		}
	})
	for n := range hits {
		t.Logf("%d questions had a rule of rank %d", hits[n].Load(), n)
		if hits[n].Load() < 10 {
			t.Error("that is too few to tell")
		}
	}
}

// decideAlike asks about peers, and returns how often which rank decided.
func decideAlike(t failer, dir string, d dice) (hits [lastRank + 1]int) {
	t.Helper()
	rules, text := d.rules()
	inMemory := parse(t, text)
	compiled := database(t, compile(t, dir, inMemory))
	if inMemory.Lengths() != compiled.Lengths() {
		t.Fatalf("the text has the prefix lengths %v, the cdb %v\n%s", inMemory.Lengths(), compiled.Lengths(), text)
	}
	for range 10 {
		p := d.peer()
		want, line, n := reference(rules, p)
		if diff := cmp.Diff(want, decide(t, p, inMemory)); diff != "" {
			t.Fatalf("the text says of %+v (-want +got)\n%s\n%s", p, diff, text)
		}
		if diff := cmp.Diff(want, decide(t, p, compiled)); diff != "" {
			t.Fatalf("the cdb says of %+v (-want +got)\n%s\n%s", p, diff, text)
		}
		if rule := inMemory.Rule(want.Rule); want.Matched && (rule == nil || rule.Line != line) {
			t.Fatalf("Rule(%q) = %v, want that of line %d\n%s", want.Rule, rule, line, text)
		}
		hits[n]++
	}
	return hits
}

// TestALookupThatNoRuleNeedsChangesNothing is why the daemon may leave DNS and
// ident alone.
func TestALookupThatNoRuleNeedsChangesNothing(t *testing.T) {
	dir := ramDir(t)
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		var text string
		for range d(3) {
			text += d.line() + "\n"
		}
		compiled := database(t, compile(t, dir, parse(t, text)))
		for range 10 {
			p := d.peer()
			less := p
			if !compiled.NeedsHost() {
				less.Host = policy.Name{}
			}
			if !compiled.NeedsInfo() {
				less.Info = policy.Name{}
			}
			if diff := cmp.Diff(decide(t, p, compiled), decide(t, less, compiled)); diff != "" {
				t.Fatalf("%+v, judged with and without its names (-with +without)\n%s\n%s", p, diff, text)
			}
		}
	})
}

func TestWhatMustBeKnownOfAPeer(t *testing.T) {
	tests := []struct {
		name, text string
		host, info bool
	}{
		{"no rules", "", false, false},
		{"addresses", "127.:allow\n10.1.2.3:deny\n1.2.3.4-6:deny\n:allow\n", false, false},
		{"IPv6 addresses and prefixes", "::1:allow\n10.0.0.0/8:deny\nffff::/16:deny\n255.255.255.255/32:deny\n", false, false},
		{"the prefix with all bits", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128:deny\n", false, false},
		{"an info at an IPv6 address", "joe@::1:allow\n", false, true},
		{"a host", "=mail.example.org:allow\n", true, false},
		{"a suffix", "=.example.org:allow\n", true, false},
		{"any host", ":deny\n=:allow\n", true, false},
		{"an info at an IP", "joe@192.0.2.1:allow\n", false, true},
		{"an info at a host", "joe@=mail.example.org:allow\n", true, true},
		{"the empty info at an IP", "@192.0.2.1:allow\n", false, true},
		{"the empty info at the empty host", "@=:allow\n", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d := database(t, compile(t, t.TempDir(), parse(t, tt.text)))
			if d.NeedsHost() != tt.host || d.NeedsInfo() != tt.info {
				t.Errorf("NeedsHost %v, NeedsInfo %v, want %v, %v", d.NeedsHost(), d.NeedsInfo(), tt.host, tt.info)
			}
		})
	}
}
