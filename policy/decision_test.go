package policy_test

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// records is a Finder without a file: records by their keys.
type records map[string]string

func (r records) Find(key []byte) ([]byte, bool, error) {
	record, found := r[string(key)]
	return []byte(record), found, nil
}

func TestTheClosestRuleDecides(t *testing.T) {
	host := func(ip, host string) policy.Peer {
		return policy.Peer{IP: netip.MustParseAddr(ip), Host: policy.Known(host)}
	}
	tests := []struct {
		name string
		text string
		peer policy.Peer
		want policy.Decision
	}{
		{
			name: "without rules everybody is allowed",
			text: "",
			peer: peer("192.0.2.1"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "without a rule for the peer it is allowed",
			text: "10.:deny\n",
			peer: peer("192.0.2.1"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a rule that says nothing but allow is a rule",
			text: "192.0.2.:allow\n:deny\n",
			peer: peer("192.0.2.1"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "192.0.2."},
		},
		{
			name: "the rule for everybody",
			text: "10.:allow\n:deny\n",
			peer: peer("192.0.2.1"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: ""},
		},
		{
			name: "the longer prefix comes first, wherever it stands",
			text: "10.:deny\n10.1.:allow\n10.1.2.:deny\n10.1.2.3:allow\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.1.2.3"},
		},
		{
			name: "a prefix without its dot is for nobody",
			text: "192.0.2:deny\n",
			peer: peer("192.0.2.1"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a prefix ends at a dot",
			text: "192.0.2.1:deny\n",
			peer: peer("192.0.2.11"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "the first hit ends the search, and inherits nothing",
			text: "10.1.2.3:allow,A=\"a\"\n10.:allow,B=\"b\"\n:deny,C=\"c\"\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.1.2.3", Env: []string{"A=a"}},
		},
		{
			name: "the first line of an address wins",
			text: "10.:allow,A=\"first\"\n10.:deny,A=\"second\"\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.", Env: []string{"A=first"}},
		},
		{
			name: "a range that came before wins too",
			text: "10.1.2.1-9:deny\n10.1.2.3:allow\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.1.2.3"},
		},
		{
			name: "a denied peer has its variables as well",
			text: "10.:deny,REASON=\"spam\"\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.", Env: []string{"REASON=spam"}},
		},
		{
			name: "of a variable that is set twice both are there, in order",
			text: "10.:allow,A=\"x\",B=\"\",A=\"y\"\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.", Env: []string{"A=x", "B=", "A=y"}},
		},
		{
			name: "a host comes before a prefix",
			text: "10.:deny\n=mail.example.org:allow\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "=mail.example.org"},
		},
		{
			name: "a prefix comes before a suffix",
			text: "10.:deny\n=.example.org:allow\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10."},
		},
		{
			name: "an IP comes before a host",
			text: "=mail.example.org:allow\n10.1.2.3:deny\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.1.2.3"},
		},
		{
			name: "the domain itself is not below its suffix",
			text: "=.example.org:deny\n",
			peer: host("10.1.2.3", "example.org"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "any name at all",
			text: "=:allow\n:deny\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "="},
		},
		{
			name: "no name at all",
			text: "=:allow\n:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: ""},
		},
		{
			name: "names are compared letter by letter",
			text: "=mail.example.org:deny\n",
			peer: host("10.1.2.3", "Mail.Example.ORG"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a rule behind a blank is for nobody",
			text: " 10.1.2.3:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a CIDR of tcprules is for nobody",
			text: "10.0.0.0/8:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := parse(t, tt.text)
			for holder, finder := range map[string]policy.Finder{
				"text": rules,
				"cdb":  database(t, compile(t, t.TempDir(), rules)),
			} {
				if diff := cmp.Diff(tt.want, decide(t, tt.peer, finder)); diff != "" {
					t.Errorf("by the %s (-want +got)\n%s", holder, diff)
				}
			}
		})
	}
}

func TestWhatARecordSays(t *testing.T) {
	tests := []struct {
		name   string
		record string
		want   policy.Verdict
		env    []string
	}{
		{"nothing allows", "", policy.Allow, nil},
		{"D denies", "D\x00", policy.Deny, nil},
		{"a variable", "+A=x\x00", policy.Allow, []string{"A=x"}},
		{"D and a variable", "D\x00+A=x\x00", policy.Deny, []string{"A=x"}},
		{"a variable and then D", "+A=x\x00D\x00", policy.Deny, []string{"A=x"}},
		{"D twice", "D\x00D\x00", policy.Deny, nil},
		{"only the first byte of an item counts", "Dxyz\x00", policy.Deny, nil},
		{"a D inside an item", "xD\x00", policy.Allow, nil},
		{"a small d", "d\x00", policy.Allow, nil},
		{"items that nobody knows", "X\x00Mfoo=bar\x00+A=x\x00\xff\x00", policy.Allow, []string{"A=x"}},
		{"empty items", "\x00\x00+A=x\x00\x00", policy.Allow, []string{"A=x"}},
		{"only empty items", "\x00\x00\x00", policy.Allow, nil},
		{"a D without its end", "D", policy.Allow, nil},
		{"a variable without its end", "+A=x", policy.Allow, nil},
		{"a tail without its end", "+A=x\x00D", policy.Allow, []string{"A=x"}},
		{"a variable without =", "+A\x00+B=y\x00", policy.Allow, []string{"B=y"}},
		{"a + alone", "+\x00", policy.Allow, nil},
		{"a variable without a name", "+=x\x00", policy.Allow, []string{"=x"}},
		{"a variable without name and value", "+=\x00", policy.Allow, []string{"="}},
		{"= in the value", "+A=x=y\x00", policy.Allow, []string{"A=x=y"}},
		{"+ in the name", "++A=x\x00", policy.Allow, []string{"+A=x"}},
		{"a value of any bytes", "+A=\xff\n\x01\x00", policy.Allow, []string{"A=\xff\n\x01"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := policy.Decision{Verdict: tt.want, Matched: true, Rule: "", Env: tt.env}
			if diff := cmp.Diff(want, decide(t, peer("192.0.2.1"), records{"": tt.record})); diff != "" {
				t.Errorf("Decide (-want +got)\n%s", diff)
			}
		})
	}
}

// A NUL in a value ends the item in the record, for tcprules as for us.
func TestANULInAValueEndsIt(t *testing.T) {
	rules := parse(t, ":allow,A=\"x\x00D\",B=\"y\"\n")
	want := policy.Decision{Verdict: policy.Deny, Matched: true, Env: []string{"A=x", "B=y"}}
	for holder, finder := range map[string]policy.Finder{
		"text": rules,
		"cdb":  database(t, compile(t, t.TempDir(), rules)),
	} {
		if diff := cmp.Diff(want, decide(t, peer("192.0.2.1"), finder)); diff != "" {
			t.Errorf("by the %s (-want +got)\n%s", holder, diff)
		}
	}
}

func TestADecisionNobodyMadeDenies(t *testing.T) {
	var decision policy.Decision
	if decision.Verdict != policy.Deny {
		t.Errorf("the zero Decision says %v", decision.Verdict)
	}
	if got := policy.Verdict(17).String(); got != "deny" {
		t.Errorf("a verdict that does not exist is called %q, want deny", got)
	}
}

// failing is a Finder whose file has gone bad at a key.
type failing struct {
	at  string
	err error
}

func (f failing) Find(key []byte) ([]byte, bool, error) {
	if string(key) == f.at {
		return []byte("+A=x\x00"), true, f.err
	}
	return nil, false, nil
}

func TestASearchThatFailsDenies(t *testing.T) {
	bad := errors.New("input/output error")
	for _, key := range keys(peer("192.0.2.1")) {
		got, err := policy.Decide(peer("192.0.2.1"), failing{key, bad})
		if !errors.Is(err, bad) {
			t.Errorf("failing at %q: error %v, want %v", key, err, bad)
		}
		if diff := cmp.Diff(policy.Decision{}, got); diff != "" {
			t.Errorf("failing at %q (-want +got)\n%s", key, diff)
		}
	}
}

func TestRulesForIPv6ComeFromElsewhere(t *testing.T) {
	d := database(t, cdbmake([]entry{{"2001:db8::1", "D\x00"}, {"fe80::1", "+A=x\x00"}}, 2))
	tests := []struct {
		ip   string
		want policy.Decision
	}{
		{"2001:db8::1", policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::1"}},
		{"2001:DB8:0:0::0:1", policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::1"}},
		{"fe80::1", policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "fe80::1", Env: []string{"A=x"}}},
		{"2001:db8::2", policy.Decision{Verdict: policy.Allow}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, decide(t, peer(tt.ip), d)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.ip, diff)
		}
	}
}

func TestUnknownAndEmptyNamesDiffer(t *testing.T) {
	var unknown policy.Name
	for _, tt := range []struct {
		name  policy.Name
		text  string
		known bool
	}{{unknown, "", false}, {policy.Known(""), "", true}, {policy.Known("joe"), "joe", true}} {
		if text, known := tt.name.Text(); text != tt.text || known != tt.known {
			t.Errorf("Text() = %q, %v, want %q, %v", text, known, tt.text, tt.known)
		}
	}
}
