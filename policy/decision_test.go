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

func (r records) Lengths() policy.Lengths { return policy.Lengths{} }

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
			name: "a prefix by its length",
			text: "10.0.0.0/8:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.0.0.0/8"},
		},
		{
			name: "a prefix ends at its last bit",
			text: "10.0.0.0/9:deny\n",
			peer: peer("10.128.0.0"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a prefix is named without the bits that do not count",
			text: "10.1.2.3/8:deny\n",
			peer: peer("10.9.9.9"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.0.0.0/8"},
		},
		{
			name: "the longer prefix by length comes first, wherever it stands",
			text: "10.0.0.0/8:deny\n10.1.0.0/16:allow\n10.1.2.0/24:deny\n10.1.2.0/23:allow\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.1.2.0/24"},
		},
		{
			name: "the first line of a prefix wins, however it is written",
			text: "10.1.2.3/8:allow\n10./8:deny\n10.0.0.0/8:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.0.0.0/8"},
		},
		{
			name: "a prefix with a dot comes before a longer one by length",
			text: "10.1.2.0/24:deny\n10.:allow\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10."},
		},
		{
			name: "an IP comes before its prefix of 32 bits",
			text: "10.1.2.3/32:deny\n10.1.2.3:allow\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "10.1.2.3"},
		},
		{
			name: "a host comes before a prefix of 32 bits",
			text: "10.1.2.3/32:deny\n=mail.example.org:allow\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "=mail.example.org"},
		},
		{
			name: "a prefix by length comes before a suffix",
			text: "10.0.0.0/8:deny\n=.example.org:allow\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.0.0.0/8"},
		},
		{
			name: "a prefix of one bit comes before any name at all",
			text: "0.0.0.0/1:deny\n=:allow\n:allow\n",
			peer: host("10.1.2.3", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "0.0.0.0/1"},
		},
		{
			name: "a prefix behind a blank is for nobody",
			text: " 10.0.0.0/8:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a prefix behind an info is for nobody",
			text: "joe@10.0.0.0/8:deny\n",
			peer: policy.Peer{IP: netip.MustParseAddr("10.1.2.3"), Info: policy.Known("joe")},
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "an info that looks like a prefix",
			text: "10.0.0.0/8@10.1.2.3:deny\n",
			peer: policy.Peer{IP: netip.MustParseAddr("10.1.2.3"), Info: policy.Known("10.0.0.0/8")},
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "10.0.0.0/8@10.1.2.3"},
		},
		{
			name: "a range of prefixes is for nobody",
			text: "10.1-3.0.0/16:deny\n",
			peer: peer("10.1.2.3"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "an IPv6 address",
			text: "2001:db8::1:deny\n",
			peer: peer("2001:db8::1"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::1"},
		},
		{
			name: "an IPv6 address is no prefix of a longer one",
			text: "2001:db8::1:deny\n",
			peer: peer("2001:db8::11"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "an IPv6 address in another spelling",
			text: "2001:0DB8:0::0:0001:deny\n",
			peer: peer("2001:db8::1"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::1"},
		},
		{
			name: "the first line of an IPv6 address wins, however it is written",
			text: "2001:DB8::1:allow\n2001:db8::1:deny\n",
			peer: peer("2001:db8::1"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "2001:db8::1"},
		},
		{
			name: "an IPv6 prefix",
			text: "2001:db8::/32:deny\n",
			peer: peer("2001:db8:ffff::1"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::/32"},
		},
		{
			name: "an IPv6 prefix ends at its last bit",
			text: "2001:db8::/32:deny\n",
			peer: peer("2001:db9::"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "the longer IPv6 prefix comes first",
			text: "2001:db8::/32:deny\n2001:db8:0:1::/64:allow\n2000::/3:deny\n",
			peer: peer("2001:db8:0:1::25"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "2001:db8:0:1::/64"},
		},
		{
			name: "an IPv6 address comes before its prefix of 128 bits",
			text: "2001:db8::1/128:deny\n2001:db8::1:allow\n",
			peer: peer("2001:db8::1"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "2001:db8::1"},
		},
		{
			name: "a host comes before an IPv6 prefix",
			text: "2001:db8::1/128:deny\n=mail.example.org:allow\n",
			peer: host("2001:db8::1", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "=mail.example.org"},
		},
		{
			name: "an IPv6 prefix comes before a suffix",
			text: "2001:db8::/32:deny\n=.example.org:allow\n",
			peer: host("2001:db8::1", "mail.example.org"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::/32"},
		},
		{
			name: "an info at an IPv6 address",
			text: "2001:db8::1:deny\njoe@2001:DB8::1:allow\n",
			peer: policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Info: policy.Known("joe")},
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "joe@2001:db8::1"},
		},
		{
			name: "an info that is empty, at an IPv6 address",
			text: "2001:db8::1:deny\n@2001:db8::1:allow\n",
			peer: policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Info: policy.Known("")},
			want: policy.Decision{Verdict: policy.Allow, Matched: true, Rule: "@2001:db8::1"},
		},
		{
			name: "an info that is another",
			text: "joe@2001:db8::1:deny\n",
			peer: policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Info: policy.Known("jim")},
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "a link-local peer, by whatever interface",
			text: "fe80::/10:deny\n",
			peer: peer("fe80::1%eth0.7"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "fe80::/10"},
		},
		{
			name: "the rule for everybody is for IPv6 too",
			text: ":deny\n",
			peer: peer("2001:db8::1"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: ""},
		},
		{
			name: "an IPv4-mapped peer is of IPv4",
			text: "1.2.3.4:deny\n",
			peer: peer("::ffff:1.2.3.4"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "1.2.3.4"},
		},
		{
			name: "an IPv4-mapped peer has the prefixes of IPv4",
			text: "1.2.3.0/24:deny\n",
			peer: peer("::ffff:1.2.3.4"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "1.2.3.0/24"},
		},
		{
			name: "an IPv4-mapped rule is of IPv4",
			text: "::FFFF:102:304:deny\n",
			peer: peer("1.2.3.4"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "1.2.3.4"},
		},
		{
			name: "an IPv4-mapped prefix is of IPv4",
			text: "::ffff:1.2.3.4/120:deny\n",
			peer: peer("1.2.3.9"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "1.2.3.0/24"},
		},
		{
			name: "an IPv4-mapped prefix is for IPv4-mapped peers",
			text: "::ffff:1.2.3.4/120:deny\n",
			peer: peer("::ffff:1.2.3.9"),
			want: policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "1.2.3.0/24"},
		},
		{
			name: "an IPv6 prefix is not for IPv4 peers, mapped or not",
			text: "::/1:deny\n::/64:deny\n",
			peer: peer("::ffff:1.2.3.4"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "an IPv4 prefix is not for IPv6 peers",
			text: "0.0.0.0/1:deny\n128.0.0.0/1:deny\n",
			peer: peer("102:304::"),
			want: policy.Decision{Verdict: policy.Allow},
		},
		{
			name: "an IPv4-compatible address is of IPv6",
			text: "::1.2.3.4:deny\n",
			peer: peer("1.2.3.4"),
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

func (f failing) Lengths() policy.Lengths { return policy.Lengths{} }

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

// The files of others are read as well: an IPv6 rule of Debian's has the text
// that its tcpserver makes of a peer, or the beginning of it.
func TestRulesForIPv6MayComeFromElsewhere(t *testing.T) {
	d := database(t, cdbmake([]entry{
		{"2001:db8::1", "D\x00"},
		{"fe80::1", "+A=x\x00"},
		{"2001:db8::1:1:1:1:1", "D\x00"}, // that of RFC 5952 has a 0 there
		{"2001:db8:", "+A=y\x00"},
		{"joe@2001:db8::1", "+A=z\x00"},
		{"2001:DB8::3", "D\x00"},
		{"2001:0DB8:0000:0000:0000:0000:0000:0007", "D\x00"},
		{"2001:db8::7", "+A=later\x00"},
		{"^00`000000000000a0000bc0de0fgh000", "D\x00"},
	}, 2))
	allow := func(rule, variable string) policy.Decision {
		return policy.Decision{Verdict: policy.Allow, Matched: true, Rule: rule, Env: []string{variable}}
	}
	deny := func(rule string) policy.Decision {
		return policy.Decision{Verdict: policy.Deny, Matched: true, Rule: rule}
	}
	tests := []struct {
		peer policy.Peer
		want policy.Decision
	}{
		{peer("2001:db8::1"), deny("2001:db8::1")},
		{peer("2001:DB8:0:0::0:1"), deny("2001:db8::1")},
		{policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Info: policy.Known("joe")}, allow("joe@2001:db8::1", "A=z")},
		{peer("fe80::1"), allow("fe80::1", "A=x")},
		{peer("2001:db8:0:1:1:1:1:1"), deny("2001:db8::1:1:1:1:1")},
		{peer("2001:db8::2"), allow("2001:db8:", "A=y")},
		{peer("2001:db8::3"), allow("2001:db8:", "A=y")}, // capitals are nobody's
		{peer("2001:db8::7"), deny("2001:db8::7")},
		{peer("2001:db9::1"), policy.Decision{Verdict: policy.Allow}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, decide(t, tt.peer, d)); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", tt.peer, diff)
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
