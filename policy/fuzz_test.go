package policy_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// FuzzParse: a text is refused with one of its own lines, or each of its rules
// can be written down and read again, stands where it says, and decides as in
// the cdb.
func FuzzParse(f *testing.F) {
	dir := ramDir(f)
	f.Add([]byte("127.:allow,RELAYCLIENT=\"\"\n# others\n1.2.3.4-6:deny\n=.example.org:allow,A=/x/,B=,y,\n:deny"))
	f.Add([]byte("2001:DB8::1:allow,A=\"x:y\"\njoe@::1:deny\n10.1./16:deny\n2001:db8::/32:allow\n::ffff:1.2.3.4:deny"))
	f.Fuzz(func(t *testing.T, text []byte) {
		rules, err := policy.Parse(bytes.NewReader(text))
		lines := bytes.Split(text, []byte("\n"))
		if err != nil {
			var syntax *policy.SyntaxError
			if rules != nil || !errors.As(err, &syntax) || syntax.Reason == "" {
				t.Fatalf("Parse = %v, %v", rules, err)
			}
			if want := string(bytes.TrimRight(lines[syntax.Line-1], " \t")); syntax.Text != want {
				t.Fatalf("line %d is %q, not %q", syntax.Line, want, syntax.Text)
			}
			if strings.ContainsFunc(syntax.Reason, unicode.IsControl) {
				t.Fatalf("line %d: %q", syntax.Line, syntax.Reason)
			}
			return
		}
		last := 0
		for i := range rules.Rules() {
			rule := &rules.Rules()[i]
			if rule.Line <= last || !bytes.HasPrefix(lines[rule.Line-1], []byte(rule.Address+":"+rule.Verdict.String())) {
				t.Fatalf("rule %d is not on line %d: %v", i, rule.Line, rule)
			}
			last = rule.Line
			readAgain(t, rule)
			for key := range rule.Keys() {
				if strings.Contains(key, "/") {
					continue // as a prefix it would be another key
				}
				if first := rules.Rule(key); first == nil || first.Line > rule.Line {
					t.Fatalf("for %q counts %v, not line %d", key, first, rule.Line)
				}
			}
		}
		nul := bytes.IndexByte(text, 0) >= 0 // it ends a variable early, and what follows is another
		compiled := database(t, compile(t, dir, rules))
		if rules.Lengths() != compiled.Lengths() {
			t.Fatalf("the text has the prefix lengths %v, the cdb %v", rules.Lengths(), compiled.Lengths())
		}
		for _, p := range peersOf(rules) {
			want, got := decide(t, p, rules), decide(t, p, compiled)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%+v (-text +cdb)\n%s", p, diff)
			}
			if !want.Matched {
				continue
			}
			rule := rules.Rule(want.Rule)
			if rule == nil {
				t.Fatalf("%+v has the rule %q, and there is none", p, want.Rule)
			}
			exact := rule.Verdict == want.Verdict && slices.Equal(rule.Env, want.Env)
			if !exact && (!nul || want.Verdict == policy.Allow && rule.Verdict == policy.Deny) {
				t.Fatalf("%+v is judged %+v by line %d, which says %v", p, want, rule.Line, rule)
			}
		}
	})
}

// peersOf returns peers for whom the rules may be, and strangers.
func peersOf(rules *policy.Ruleset) []policy.Peer {
	peers := []policy.Peer{peer("192.0.2.1"), peer("::ffff:10.1.2.3"), peer("2001:db8::1%eth0")}
	for i := range rules.Rules() {
		for key := range rules.Rules()[i].Keys() {
			if len(peers) == 40 {
				return peers
			}
			p := peers[len(peers)%3]
			info, text, found := strings.Cut(policy.AddressOf(key), "@")
			if found {
				p.Info = policy.Known(info)
			} else {
				text = info
			}
			if host, isHost := strings.CutPrefix(text, "="); isHost {
				p.Host = policy.Known("a" + host)
			} else if prefix, err := netip.ParsePrefix(text); err == nil {
				p.IP = prefix.Addr()
			} else if ip, err := netip.ParseAddr(text); err == nil {
				p.IP = ip
			}
			peers = append(peers, p)
		}
	}
	return peers
}

// readAgain makes sure that the text of a rule is read as the same rule.
func readAgain(t *testing.T, rule *policy.Rule) {
	t.Helper()
	again, err := policy.Parse(strings.NewReader(rule.String()))
	if err != nil {
		t.Fatalf("%q: %v", rule.String(), err)
	}
	want := []policy.Rule{*rule}
	want[0].Line = 1
	if diff := cmp.Diff(want, again.Rules()); diff != "" {
		t.Fatalf("%q (-want +got)\n%s", rule.String(), diff)
	}
}

// FuzzDecide: what a text says of a peer, what the cdb made of it says, and what
// the reference makes of its rules is the same. The bytes are the falls of the
// dice that invent rules and peers.
func FuzzDecide(f *testing.F) {
	dir := ramDir(f)
	for seed := range byte(8) {
		falls := make([]byte, 64)
		for i := range falls {
			falls[i] = seed + byte(i)*(2*seed+1)
		}
		f.Add(falls)
	}
	f.Fuzz(func(t *testing.T, falls []byte) { decideAlike(t, dir, readFrom(falls)) })
}

// FuzzDatabase: any file is corrupt, or is read as the original reader reads
// it. Fuzz it with -fuzzminimizetime 10x, or the time goes into making files of
// 2048 bytes shorter, which none can be.
func FuzzDatabase(f *testing.F) {
	for _, data := range oddFiles(f) {
		f.Add(data, "127.0.0.1")
	}
	f.Fuzz(readsAsTheOriginal)
}

// FuzzTables does the same, but writes the header itself: there is hardly
// another way into the records and slots behind it. Of each table with slots
// counts holds the number, and then how many.
func FuzzTables(f *testing.F) {
	for _, data := range oddFiles(f) {
		var counts []byte
		for table, slots := range lay(entriesOf(data), 2).tables {
			if len(slots) > 0 {
				counts = append(counts, byte(table), byte(len(slots)))
			}
		}
		f.Add(counts, data[2048:], "127.0.0.1")
	}
	f.Fuzz(func(t *testing.T, counts, body []byte, key string) {
		sizes := [256]uint32{}
		slots := 0
		for pair := range slices.Chunk(counts, 2) {
			if len(pair) == 2 {
				slots += int(pair[1])
				sizes[pair[0]] += uint32(pair[1])
			}
		}
		pos := uint32(max(2048+len(body)-8*slots, 0))
		var header []byte
		for _, size := range sizes {
			header = pairOf(header, pos, size)
			pos += 8 * size
		}
		readsAsTheOriginal(t, append(header, body...), key)
	})
}

func readsAsTheOriginal(t *testing.T, data []byte, key string) {
	d, err := policy.NewDatabase(data)
	if err != nil {
		isCorrupt(t, d, err)
		return
	}
	findsWhatIsThere(t, d, data)
	want, wantFound := lookup(data, key)
	if got, found, err := d.Find([]byte(key)); string(got) != want || found != wantFound || err != nil {
		t.Fatalf("Find(%q) = %q, %v, %v, want %q, %v", key, got, found, err, want, wantFound)
	}
}
