package policy_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// FuzzParse: a text is refused with one of its own lines, or each of its rules
// can be written down and read again, and stands where it says.
func FuzzParse(f *testing.F) {
	f.Add([]byte("127.:allow,RELAYCLIENT=\"\"\n# others\n1.2.3.4-6:deny\n=.example.org:allow,A=/x/,B=,y,\n:deny"))
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
				if first := rules.Rule(key); first == nil || first.Line > rule.Line {
					t.Fatalf("for %q counts %v, not line %d", key, first, rule.Line)
				}
			}
		}
	})
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
