package policy_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

func TestUnderWhichKeysARuleStands(t *testing.T) {
	tests := []struct {
		name    string
		address string
		want    []string
	}{
		{"an IP", "192.0.2.1", []string{"192.0.2.1"}},
		{"a prefix", "192.0.2.", []string{"192.0.2."}},
		{"a prefix without its dot, which no peer has", "192.0.2", []string{"192.0.2"}},
		{"a host", "=mail.example.org", []string{"=mail.example.org"}},
		{"a suffix", "=.example.org", []string{"=.example.org"}},
		{"any host", "=", []string{"="}},
		{"an info at an IP", "joe@192.0.2.1", []string{"joe@192.0.2.1"}},
		{"an info at a host", "joe@=mail.example.org", []string{"joe@=mail.example.org"}},
		{"everybody", "", []string{""}},
		{"a range of hosts", "192.0.2.37-40", []string{"192.0.2.37", "192.0.2.38", "192.0.2.39", "192.0.2.40"}},
		{"a range of one", "192.0.2.37-37", []string{"192.0.2.37"}},
		{"a range of networks", "10.1-3.", []string{"10.1.", "10.2.", "10.3."}},
		{"a range of networks, first number", "1-3.", []string{"1.", "2.", "3."}},
		{"a range in the middle", "10.1-2.3.4", []string{"10.1.3.4", "10.2.3.4"}},
		{"a range and nothing else", "1-2", []string{"1", "2"}},
		{"leading zeros vanish", "1.2.3.037-039", []string{"1.2.3.37", "1.2.3.38", "1.2.3.39"}},
		{"no bottom is 0", "1.2.3.-2", []string{"1.2.3.0", "1.2.3.1", "1.2.3.2"}},
		{"no top is 0", "1.2.3.0-", []string{"1.2.3.0"}},
		{"no top and a higher bottom", "1.2.3.1-", nil},
		{"neither bottom nor top", "1.2.3.-", []string{"1.2.3.0"}},
		{"a dash alone", "-", []string{"0"}},
		{"more than 255 is 255", "1.2.3.254-300", []string{"1.2.3.254", "1.2.3.255"}},
		{"beyond 255", "1.2.3.256-300", nil},
		{"in reverse", "1.2.3.53-37", nil},
		{"a second range stays text", "10.1-2.5-6", []string{"10.1.5-6", "10.2.5-6"}},
		{"no range beside @", "joe@192.0.2.4-6", []string{"joe@192.0.2.4-6"}},
		{"no range beside =", "=mail-1.example.org", []string{"=mail-1.example.org"}},
		{"no range beside = behind it", "10.1-2.=x", []string{"10.1-2.=x"}},
		{"2^64 is 0 again, at the bottom", "1.2.3.18446744073709551616-1", []string{"1.2.3.0", "1.2.3.1"}},
		{"2^64 is 0 again, at the top", "1.2.3.0-18446744073709551617", []string{"1.2.3.0", "1.2.3.1"}},
		{"from one whole address to another", "1.2.3.1-1.2.3.9", []string{"1.2.3.1.2.3.9"}},
		{"two dots", "1..0-1", []string{"1..0", "1..1"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := parse(t, tt.address+":deny\n")
			if diff := cmp.Diff(tt.want, slices.Collect(rules.Rules()[0].Keys())); diff != "" {
				t.Errorf("Keys() (-want +got)\n%s", diff)
			}
			for _, key := range tt.want {
				if rules.Rule(key) != &rules.Rules()[0] {
					t.Errorf("Rule(%q) is not the rule", key)
				}
			}
		})
	}
}

// What stands behind a NUL in a number is not read, for it is a C string to
// tcprules.
func TestANULEndsTheNumberOfARange(t *testing.T) {
	rules, err := policy.Parse(strings.NewReader("1.2.3.4\x00x-5\x006:deny\n"))
	check(t, err)
	want := []string{"1.2.3.4", "1.2.3.5"}
	if diff := cmp.Diff(want, slices.Collect(rules.Rules()[0].Keys())); diff != "" {
		t.Errorf("Keys() (-want +got)\n%s", diff)
	}
}

func TestTheWidestRangeHas256Keys(t *testing.T) {
	keys := slices.Collect(parse(t, "10.0.0.0-99999:deny\n").Rules()[0].Keys())
	if len(keys) != 256 || keys[0] != "10.0.0.0" || keys[255] != "10.0.0.255" {
		t.Errorf("%d keys from %q to %q, want 256 from 10.0.0.0 to 10.0.0.255", len(keys), keys[0], keys[len(keys)-1])
	}
}

func TestKeysMayBeLeftEarly(t *testing.T) {
	rule := parse(t, "10.0.0.0-255:deny\n").Rules()[0]
	for key := range rule.Keys() {
		if key == "10.0.0.2" {
			return
		}
	}
	t.Error("10.0.0.2 is not among the keys")
}

func TestAnAddressThatParseRefusesHasNoKeys(t *testing.T) {
	rule := policy.Rule{Address: "mail-1.example.org"}
	if keys := slices.Collect(rule.Keys()); keys != nil {
		t.Errorf("Keys() = %q, want none", keys)
	}
}

func TestTheFirstLineOfAnAddressCounts(t *testing.T) {
	rules := parse(t, strings.Join([]string{
		"1.2.3.4-6:allow", // line 1
		"1.2.3.5:deny",
		"1.2.3.6-8:deny",
		":deny",
		":allow",
		"1.2.3.9-1:allow",
		"1.2.3.8:allow",
	}, "\n"))
	want := map[string]int{
		"1.2.3.3": 0, "1.2.3.4": 1, "1.2.3.5": 1, "1.2.3.6": 1, "1.2.3.7": 3, "1.2.3.8": 3, "1.2.3.9": 0,
		"": 4, "=": 0, "1.2.3.": 0,
	}
	got := map[string]int{}
	for key := range want {
		got[key] = 0
		if rule := rules.Rule(key); rule != nil {
			got[key] = rule.Line
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the line that counts for each key, 0 for none (-want +got)\n%s", diff)
	}
}

func TestRulesAreWrittenAsTheyAreRead(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"allow", "1.2.3.4:allow", "1.2.3.4:allow"},
		{"deny", "1.2.3.4:deny", "1.2.3.4:deny"},
		{"a range", "1.2.3.4-6:deny", "1.2.3.4-6:deny"},
		{"everybody", ":allow", ":allow"},
		{"a variable", `127.:allow,RELAYCLIENT=//`, `127.:allow,RELAYCLIENT=""`},
		{"two variables", `:allow,A=xyx,B=,z,`, `:allow,A="y",B="z"`},
		{"a quote in the value", `:allow,A='"'`, `:allow,A=/"/`},
		{"a quote and a slash", `:allow,A='"/'`, `:allow,A=:"/:`},
		{"a quote, a slash and a colon", `:allow,A='"/:'`, `:allow,A=|"/:|`},
		{"all of the four", `:allow,A='"/:|'`, `:allow,A=!"/:|!`},
		{"no name", `:allow,="x"`, `:allow,="x"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rule := parse(t, tt.text).Rules()[0]
			if got := rule.String(); got != tt.want {
				t.Errorf("String() = %s, want %s", got, tt.want)
			}
		})
	}
}

func TestAWrittenRuleIsReadAsTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		same(t, d.line())
	})
}

// A value that holds every printable character was delimited by another byte,
// and needs one again.
func TestAWrittenRuleFindsADelimiterForAnyValue(t *testing.T) {
	var printable strings.Builder
	for c := byte('!'); c < 127; c++ {
		printable.WriteByte(c)
	}
	for _, delimiter := range []string{"\x01", "\r", "\x7f", "\xff", "\x00"} {
		same(t, ":allow,A="+delimiter+printable.String()+delimiter)
	}
}

// same makes sure that a line, read and written, is read as the same again.
func same(t failer, line string) {
	t.Helper()
	want := parse(t, line).Rules()
	got, err := policy.Parse(strings.NewReader(want[0].String()))
	if err != nil {
		t.Fatalf("%q is written as %q: %v", line, want[0].String(), err)
	}
	if diff := cmp.Diff(want, got.Rules()); diff != "" {
		t.Fatalf("%q is written as %q (-want +got)\n%s", line, want[0].String(), diff)
	}
}
