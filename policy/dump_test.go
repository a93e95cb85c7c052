package policy_test

import (
	"bytes"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// isDumped makes sure that the text of a cdb compiles to the cdb, and that the
// database knows it.
func isDumped(t failer, dir string, data []byte) {
	t.Helper()
	d := database(t, data)
	text, lost := d.Text()
	if lost > 0 {
		t.Fatalf("%d records are lost:\n%s", lost, text)
	}
	rules := parse(t, string(text))
	if !bytes.Equal(compile(t, dir, rules), data) {
		t.Fatalf("another cdb is made of its text\n%s", text)
	}
	if same, err := d.Is(rules); !same || err != nil {
		t.Fatalf("Is = %v, %v of its own text\n%s", same, err, text)
	}
}

func TestTheTextOfACDBCompilesToIt(t *testing.T) {
	dir := ramDir(t)
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		text := ""
		for range d(12) {
			text += d.line() + "\n"
		}
		isDumped(t, dir, compile(t, dir, parse(t, text)))
	})
}

// So it does for those of the original tcprules, also when the text is full of
// mistakes.
func TestTheTextOfAnOriginalCDBCompilesToIt(t *testing.T) {
	tcprules := original(t, "ucspi-tcp", "tcprules")
	// Of a NUL in a variable tcprules makes an item that it does not know, of
	// !NAME one that is part of the next variable's name.
	classic := strings.NewReplacer("\x00", "", "!", "")
	var dumped atomic.Int64
	share(t, 100, func(dir string, i int) {
		var texts []string
		for n := range 10 {
			texts = append(texts, classic.Replace(thrown(10*i+n).text()))
		}
		for _, made := range compiledBy(t, tcprules, dir, texts...) {
			if made.cdb != "" {
				dumped.Add(1)
				isDumped(t, dir, []byte(made.cdb))
			}
		}
	})
	if dumped.Load() < 100 {
		t.Errorf("%d texts are too few to tell", dumped.Load())
	}
	isDumped(t, ramDir(t), mailServer(t))
}

func TestTheTextOfRecords(t *testing.T) {
	tests := []struct{ name, key, value, want string }{
		{"everybody", "", "", ":allow"},
		{"a denied network", "10.", "D\x00", "10.:deny"},
		{"variables", "10.", "D\x00+A=x\x00+=\"\x00", `10.:deny,A="x",=/"/`},
		{"a variable twice", "10.", "+A=x\x00+A=y\x00", `10.:allow,A="x",A="y"`},
		{"blanks", " 10. ", "+ A= \x00", ` 10. :allow, A=" "`},
		{"an IPv6 address", "2001:0DB8:0000:0000:0000:0000:0000:0001", "", "2001:db8::1:allow"},
		{"an IPv6 address behind an info", "joe@0000:0000:0000:0000:0000:0000:0000:0001", "", "joe@::1:allow"},
		{"an IPv4 prefix", "_0000e0g0", "D\x00", "10.0.0.0/8:deny"},
		{"an IPv6 prefix", "^00`00000000000a0", "D\x00", "2002::/16:deny"},
		{"a range of ranges", "10.1.5-6", "D\x00", "10-10.1.5-6:deny"},
		{"a range as it is written", "1.2.3.4-6", "", "1-1.2.3.4-6:allow"},
		{"a prefix that tcprules took for text", "10.0.0.0/8", "D\x00", "10-10.0.0.0/8:deny"},
		{"a range beside an info", "joe@1.2.3.4-6", "", "joe@1.2.3.4-6:allow"},
		{"a host with a -", "=mail-1.example.org", "", "=mail-1.example.org:allow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := cdbmake([]entry{{tt.key, tt.value}}, 2)
			text, _ := database(t, data).Text()
			if string(text) != tt.want+"\n" {
				t.Errorf("Text() = %q, want %q", text, tt.want)
			}
			isDumped(t, t.TempDir(), data)
		})
	}
}

func TestRecordsThatNoLineGives(t *testing.T) {
	const comment = "# no line gives the record with the key "
	tests := []struct{ name, key, value, want string }{
		{"a newline in the key", "a\nb", "", `"a\nb" and the data ""`},
		{"a newline in a value", "1.", "+A=x\ny\x00", `"1." and the data "+A=x\ny\x00"`},
		{"a comment", "#1.", "", `"#1." and the data ""`},
		{"a colon", "1.:deny", "", `"1.:deny" and the data ""`},
		{"an unknown item", "1.", "X\x00+A=x\x00", `"1." and the data "X\x00+A=x\x00"; this one does the same:` + "\n" + `# 1.:allow,A="x"`},
		{"a tail", "1.", "+A=x\x00D", `"1." and the data "+A=x\x00D"; this one does the same:` + "\n" + `# 1.:allow,A="x"`},
		{"an empty item", "1.", "\x00", `"1." and the data "\x00"; this one does the same:` + "\n# 1.:allow"},
		{"a deny behind a variable", "1.", "+A=x\x00D\x00", `"1." and the data "+A=x\x00D\x00"; this one does the same:` + "\n" + `# 1.:deny,A="x"`},
		{"a deny with more in it", "1.", "Dx\x00", `"1." and the data "Dx\x00"; this one does the same:` + "\n# 1.:deny"},
		{"a variable without =", "1.", "+A\x00", `"1." and the data "+A\x00"; this one does the same:` + "\n# 1.:allow"},
		{"an unknown item, a newline", "1.", "X\x00+A=\n\x00", `"1." and the data "X\x00+A=\n\x00"`},

		{"an IPv6 address of Debian", "2001:db8::1", "D\x00", `"2001:db8::1" and the data "D\x00"; this one does the same:` + "\n# 2001:db8::1:deny"},
		{"one of one zero", "2001:db8::1:1:1:1:1", "D\x00", `"2001:db8::1:1:1:1:1" and the data "D\x00"; this one does the same:` + "\n# 2001:db8:0:1:1:1:1:1:deny"},
		{"one behind an info", "joe@::1", "D\x00", `"joe@::1" and the data "D\x00"; this one does the same:` + "\n# joe@::1:deny"},
		{"one in capitals, never found", "2001:DB8::1", "D\x00", `"2001:DB8::1" and the data "D\x00"`},
		{"one in full, never found", "2001:db8:0:0:0:0:0:1", "D\x00", `"2001:db8:0:0:0:0:0:1" and the data "D\x00"`},
		{"a prefix of Debian", "2001:db8:", "", `"2001:db8:" and the data ""; this one does the same:` + "\n# 2001:db8::/32:allow"},
		{"one with an unknown item", "fe80:", "X\x00", `"fe80:" and the data "X\x00"; this one does the same:` + "\n# fe80::/16:allow"},
		{"one with a zero", "2001:0:", "", `"2001:0:" and the data ""`},
		{"one with zeros", "2001:db8::", "", `"2001:db8::" and the data ""`},
		{"one of zeros", "::", "", `"::" and the data ""`},
		{"one with leading zeros", "2001:0db8:", "", `"2001:0db8:" and the data ""`},
		{"a colon alone", ":", "", `":" and the data ""`},
		{"nine groups", "1:2:3:4:5:6:7:8:", "", `"1:2:3:4:5:6:7:8:" and the data ""`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			data := cdbmake([]entry{{"127.", ""}, {tt.key, tt.value}, {"", "D\x00"}}, 2)
			text, lost := database(t, data).Text()
			if diff := cmp.Diff("127.:allow\n"+comment+tt.want+"\n:deny\n", string(text)); lost != 1 || diff != "" {
				t.Errorf("Text(), with %d lost (-want +got)\n%s", lost, diff)
			}
		})
	}
}

// What is said to do the same is for the same peers, and does the same.
func TestTheRuleInAComment(t *testing.T) {
	var compared, matched atomic.Int64
	share(t, 5000, func(_ string, i int) {
		d := thrown(i)
		e := d.foreign()
		theirs := database(t, cdbmake([]entry{e}, 2))
		text, lost := theirs.Text()
		_, line, found := strings.Cut(string(text), "\n# ")
		if lost == 0 || !found {
			return
		}
		compared.Add(1)
		ours := parse(t, line)
		for range 20 {
			p := d.peer()
			want, got := decide(t, p, theirs), decide(t, p, ours)
			want.Rule, got.Rule = "", ""
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%+v (-cdb +text)\n%s\n%s", p, diff, text)
			}
			if want.Matched {
				matched.Add(1)
			}
		}
	})
	t.Logf("%d compared, %d questions had a rule", compared.Load(), matched.Load())
	if compared.Load() < 1000 || matched.Load() < 1000 {
		t.Error("that is too few to tell")
	}
}

// foreign returns a record with a key of Debian's or of ours, and mostly with
// data that tcprules does not write.
func (d dice) foreign() entry {
	key := remoteIP(d.ip6())
	switch d(4) {
	case 0:
		key = d.one("", "10.", "=.example.org", "joe@", "joe@1.2.1.2", "_0000e0g0") + d.one("", key)
	case 1:
		parts := strings.SplitAfter(key, ":")
		key = strings.Join(parts[:1+d(len(parts))], "")
	case 2:
		key = d.one("2001:db8:", "2001:", "2001:db8:1:")
	}
	return entry{key, d.one("", "D\x00", "X\x00", "+A=x\x00X\x00", "+A=x\x00D\x00", "+A", "\x00")}
}

func TestTheTextOfACDBOfDebian(t *testing.T) {
	tcprules := original(t, "ucspi-tcp-ipv6", "tcprules")
	dir := ramDir(t)
	made := compiledBy(t, tcprules, dir, "127.:allow,RELAYCLIENT=\"\"\n::1:allow\n2001:db8::deny\n10.1-2.:deny\n=.example.org:deny\n",
		"10.0.0.0/8:deny\n1.2.3.4-6:allow\n:deny\n")
	text, lost := database(t, []byte(made[0].cdb)).Text()
	want := "127.:allow,RELAYCLIENT=\"\"\n" +
		"# no line gives the record with the key \"::1\" and the data \"\"; this one does the same:\n# ::1:allow\n" +
		"# no line gives the record with the key \"2001:db8:\" and the data \"D\\x00\"; this one does the same:\n# 2001:db8::/32:deny\n" +
		"10.1.:deny\n10.2.:deny\n=.example.org:deny\n"
	if diff := cmp.Diff(want, string(text)); diff != "" || lost != 2 {
		t.Errorf("Text(), with %d lost (-want +got)\n%s", lost, diff)
	}
	isDumped(t, dir, []byte(made[1].cdb))
}

func TestTheRecordsOfADatabase(t *testing.T) {
	want := []entry{{"z", ""}, {"", "D\x00"}, {zeroKey, "+A=x\x00"}, {"z", "D\x00"}, {"a\x00\n", "\xff"}}
	d := database(t, cdbmake(want, 2))
	var got []entry
	for key, value := range d.Records() {
		got = append(got, entry{string(key), string(value)})
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(entry{})); diff != "" {
		t.Errorf("Records (-want +got)\n%s", diff)
	}
	for key := range d.Records() {
		if len(key) == 0 {
			break
		}
	}
	for key := range (&policy.Database{}).Records() {
		t.Errorf("the zero Database holds %q", key)
	}
}

// Records in another order, and tables of another size, are another file.
func TestADatabaseKnowsItsOwnRules(t *testing.T) {
	const text = "127.:allow\n" + zeroKey + ":deny\n:allow\n"
	entries := []entry{{"127.", ""}, {zeroKey, "D\x00"}, {"", ""}}
	for _, tt := range []struct {
		name string
		data []byte
		want bool
	}{
		{"its own", cdbmake(entries, 2), true},
		{"larger tables", cdbmake(entries, 3), false},
		{"another order", cdbmake([]entry{entries[1], entries[0], entries[2]}, 2), false},
		{"a record more", cdbmake(append(entries, entries[0]), 2), false},
		{"another value", cdbmake([]entry{entries[0], entries[1], {"", "D\x00"}}, 2), false},
		{"nothing", cdbmake(nil, 2), false},
	} {
		if same, err := database(t, tt.data).Is(parse(t, text)); same != tt.want || err != nil {
			t.Errorf("%s: Is = %v, %v, want %v", tt.name, same, err, tt.want)
		}
	}
}
