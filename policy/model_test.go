package policy_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// The reference asks of every rule whether it is meant for the peer and how
// closely. It never makes the keys of a peer.

// rank tells how closely a rule stored under key is meant for a peer: 1 is
// the closest, 0 means that it is not meant for it.
func rank(key string, p policy.Peer) int {
	ip := p.IP.String()
	host, hostKnown := p.Host.Text()
	info, infoKnown := p.Info.Text()
	switch {
	case infoKnown && key == info+"@"+ip:
		return 1
	case infoKnown && hostKnown && key == info+"@="+host:
		return 2
	case key == ip:
		return 3
	case hostKnown && key == "="+host:
		return 4
	case strings.HasSuffix(key, ".") && strings.HasPrefix(ip, key):
		return 5
	case hostKnown && strings.HasPrefix(key, "=.") && strings.HasSuffix("="+host, key[1:]):
		return 6
	case hostKnown && key == "=":
		return 7
	case key == "":
		return 8
	}
	return 0
}

// reference returns the decision of the rule that is closest to the peer. Of
// two prefixes or suffixes the longer one is closer; of two rules for the same
// the first counts.
func reference(rules []rule, p policy.Peer) policy.Decision {
	decision, closest := policy.Decision{Verdict: policy.Allow}, 0
	for _, r := range rules {
		for _, key := range r.keys {
			n := rank(key, p)
			if n == 0 {
				continue
			}
			if closest == 0 || n < closest || n == closest && len(key) > len(decision.Rule) {
				decision = policy.Decision{Verdict: r.verdict, Matched: true, Rule: key, Env: r.env}
				closest = n
			}
		}
	}
	return decision
}

// TestTextAndCDBDecideAlike is the promise that the operator's tools rest on:
// what the text says is what the compiled file does.
func TestTextAndCDBDecideAlike(t *testing.T) {
	dir := ramDir(t)
	hits := 0
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		rules, text := d.rules()
		inMemory := parse(t, text)
		compiled := database(t, compile(t, dir, inMemory))
		for range 10 {
			p := d.peer()
			want := reference(rules, p)
			if diff := cmp.Diff(want, decide(t, p, inMemory)); diff != "" {
				t.Fatalf("the text says of %+v (-want +got)\n%s\n%s", p, diff, text)
			}
			if diff := cmp.Diff(want, decide(t, p, compiled)); diff != "" {
				t.Fatalf("the cdb says of %+v (-want +got)\n%s\n%s", p, diff, text)
			}
			if want.Matched {
				hits++
			}
		}
	})
	if hits == 0 {
		t.Error("no rule was ever hit")
	}
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
