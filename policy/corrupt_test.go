package policy_test

import (
	"bytes"
	"iter"
	"math/bits"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// Of the bytes of testdata/tcp.smtp.cdb these many are rule data: what a rule
// says of its own peers is in them, and no file can tell that one was changed.
// All the others are the file's own, and none of them changes unnoticed.
const (
	ruleBytes = 232

	// doorBytes are those of them by which somebody comes in who was denied:
	// the D of each rule that denies, and the byte that ends the rule when
	// nothing else does.
	doorBytes = 9
)

// guests returns a peer for each rule of testdata/tcp.smtp, and strangers.
func guests() []policy.Peer {
	guest := func(ip, host, info string) policy.Peer {
		p := peer(ip)
		if host != "" {
			p.Host = policy.Known(host)
		}
		if info != "" {
			p.Info = policy.Known(info)
		}
		return p
	}
	guests := []policy.Peer{
		guest("192.0.2.1", "", "joe"),
		guest("192.0.2.1", "mail.example.org", "jim"),
		guest("192.0.2.1", "a.example.net", ""),
		guest("192.0.2.1", "elsewhere.example", ""),
		{IP: peer("192.0.2.1").IP, Host: policy.Known("gw.example.com"), Info: policy.Known("")},
	}
	for _, ip := range []string{
		"127.0.0.1", "10.1.2.3", "10.1.2.4", "192.0.2.37", "192.0.2.38", "192.0.2.39", "172.16.0.1", "172.17.255.255",
		"10.2.2.3", "172.18.0.1", "203.0.113.9", "::ffff:10.1.2.3", "2001:db8::1%eth0", zeroKey,
	} {
		guests = append(guests, guest(ip, "", ""))
	}
	return guests
}

// others returns what a byte may become: every other byte. The race detector
// takes ten times as long; for it, those that differ in one bit and those that
// say something in a rule have to do.
func others(b byte) []byte {
	var all, few []byte
	for flip := 1; flip < 256; flip++ {
		other := b ^ byte(flip)
		all = append(all, other)
		if bits.OnesCount(uint(flip)) == 1 || strings.IndexByte("\x00D+-=\xff", other) >= 0 {
			few = append(few, other)
		}
	}
	if info, ok := debug.ReadBuildInfo(); ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		return few
	}
	return all
}

// decisions returns what the rules say of the peers, in their order.
func decisions(t failer, peers []policy.Peer, f policy.Finder) []policy.Decision {
	t.Helper()
	var all []policy.Decision
	for _, p := range peers {
		all = append(all, decide(t, p, f))
	}
	return all
}

// alike compares two decisions, a million times in a few seconds.
func alike(a, b policy.Decision) bool {
	return a.Verdict == b.Verdict && a.Matched == b.Matched && a.Rule == b.Rule && slices.Equal(a.Env, b.Env)
}

// owners tells of each byte of a whole cdb to which rule it belongs, if it is
// in a value.
func owners(data []byte) map[int]string {
	in := make(map[int]string)
	pos := 2048
	for _, e := range entriesOf(data) {
		pos += 8 + len(e.key)
		for range len(e.value) {
			in[pos] = e.key
			pos++
		}
	}
	return in
}

func TestEveryRuleOfTheMailServerHasItsGuest(t *testing.T) {
	met := make(map[string]bool)
	for _, d := range decisions(t, guests(), database(t, mailServer(t))) {
		met[d.Rule] = d.Matched
	}
	for _, e := range entriesOf(mailServer(t)) {
		if !met[e.key] {
			t.Errorf("nobody is judged by %q", e.key)
		}
	}
}

// Each byte is changed, see others. Whom the damaged file lets in was let in
// before, unless the byte is in the value of the peer's own rule.
func TestAChangedByteLetsInNobodyButThePeersOfItsRule(t *testing.T) {
	data, peers := mailServer(t), guests()
	intact, owner := decisions(t, peers, database(t, data)), owners(data)
	doors := make(map[int]bool)
	changed := slices.Clone(data)
	for at := range data {
		for _, changed[at] = range others(data[at]) {
			d, err := policy.NewDatabase(changed)
			if err != nil {
				continue
			}
			rule, inValue := owner[at]
			if !inValue {
				t.Fatalf("byte %d: %#x for %#x went unnoticed", at, changed[at], data[at])
			}
			for i, now := range decisions(t, peers, d) {
				if now.Rule != intact[i].Rule || now.Rule != rule && !alike(now, intact[i]) {
					t.Fatalf("byte %d, of %q, is %#x: %+v (-intact +damaged)\n%s", at, rule, changed[at], peers[i], cmp.Diff(intact[i], now))
				}
				if now.Verdict == policy.Allow && intact[i].Verdict == policy.Deny {
					doors[at] = true
				}
			}
		}
		changed[at] = data[at]
	}
	if len(owner) != ruleBytes || len(doors) != doorBytes {
		t.Errorf("%d of %d bytes are rule data, %d of them let somebody in; want %d and %d",
			len(owner), len(data), len(doors), ruleBytes, doorBytes)
	}
}

// A damaged file takes less than 1 MB of memory, for 128 of them do together.
func TestNoDamageTakesMemory(t *testing.T) {
	data := mailServer(t)
	changed := slices.Clone(data)
	for at := range data {
		for some := range slices.Chunk(others(data[at]), 128) {
			took := memoryOf(func() {
				for _, changed[at] = range some {
					_, _ = policy.NewDatabase(changed)
				}
			})
			if took > 1<<20 {
				t.Fatalf("byte %d takes %d bytes of memory", at, took)
			}
		}
		changed[at] = data[at]
		if took := memoryOf(func() { _, _ = policy.NewDatabase(data[:at:at]) }); took > 1<<20 {
			t.Fatalf("cut off at %d it takes %d bytes of memory", at, took)
		}
	}
}

// memoryOf returns how many bytes do allocates.
func memoryOf(do func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	do()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// A file that is overwritten in place is a bit of the new one and the rest of
// the old one for a moment: written from its beginning, or as cdbmake does,
// from the records on. Whatever the moment, a rule that denies in both denies.
func TestAHalfOverwrittenFileLetsInNobodyWhomARuleOfBothDenies(t *testing.T) {
	var versions [][]byte
	for _, text := range []string{
		"192.0.2.66:deny\n127.:allow\n",
		"127.:allow\n192.0.2.66:deny\n",
		"128.:allow\n192.0.2.66:deny\n",
		"127.:deny,A=\"1\"\n192.0.2.66:deny\n192.:allow\n",
		"127.:allow,ABC=\"1\"\n192.0.2.66:deny\n192.:allow\n",
		"192.:allow\n192.0.2.66:deny,A=\"1\"\n127.:allow\n",
		"10.0.0.0-15:allow\n192.0.2.66:deny\n192.0.2.66:allow\n",
	} {
		versions = append(versions, compile(t, ramDir(t), parse(t, text)))
	}
	mixed := 0 // and yet whole
	for _, before := range versions {
		for _, after := range versions {
			for half := range halves(before, after) {
				d, err := policy.NewDatabase(half)
				if err != nil {
					continue
				}
				mixed++
				if got := decide(t, peer("192.0.2.66"), d); got.Verdict != policy.Deny {
					t.Fatalf("%q, half overwritten with %q, is %q: %+v", before[2048:], after[2048:], half[2048:], got)
				}
			}
		}
	}
	if mixed == 0 {
		t.Error("no mixture passed for a cdb")
	}
	t.Logf("%d mixtures passed for a cdb", mixed)
}

// halves yields what a file is, other than before and after, while it is
// overwritten.
func halves(before, after []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, from := range []int{0, 2048} {
			for to := from; to <= len(after); to++ {
				half := make([]byte, max(len(before), to))
				copy(half, before)
				copy(half[from:to], after[from:to])
				if !bytes.Equal(half, before) && !bytes.Equal(half, after) && !yield(half) {
					return
				}
			}
		}
	}
}
