package policy_test

import (
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// keys returns the keys of a peer as text, where no rule is a CIDR prefix.
func keys(p policy.Peer) []string { return keysWith(p, policy.Lengths{}) }

func keysWith(p policy.Peer, lengths policy.Lengths) []string {
	var all []string
	for key := range policy.Keys(p, lengths) {
		all = append(all, string(key))
	}
	return all
}

func TestTheOrderOfTheSearch(t *testing.T) {
	ip := netip.MustParseAddr("192.0.2.1")
	tests := []struct {
		name string
		peer policy.Peer
		want []string
	}{
		{
			name: "an IP alone",
			peer: policy.Peer{IP: ip},
			want: []string{"192.0.2.1", "192.0.2.", "192.0.", "192.", ""},
		},
		{
			name: "with a host",
			peer: policy.Peer{IP: ip, Host: policy.Known("mail.example.org")},
			want: []string{
				"192.0.2.1", "=mail.example.org",
				"192.0.2.", "192.0.", "192.",
				"=.example.org", "=.org", "=", "",
			},
		},
		{
			name: "with an info",
			peer: policy.Peer{IP: ip, Info: policy.Known("joe")},
			want: []string{"joe@192.0.2.1", "192.0.2.1", "192.0.2.", "192.0.", "192.", ""},
		},
		{
			name: "with both",
			peer: policy.Peer{IP: ip, Host: policy.Known("mail.example.org"), Info: policy.Known("joe")},
			want: []string{
				"joe@192.0.2.1", "joe@=mail.example.org",
				"192.0.2.1", "=mail.example.org",
				"192.0.2.", "192.0.", "192.",
				"=.example.org", "=.org", "=", "",
			},
		},
		{
			name: "a host that is known to be empty",
			peer: policy.Peer{IP: ip, Host: policy.Known("")},
			want: []string{"192.0.2.1", "=", "192.0.2.", "192.0.", "192.", "=", ""},
		},
		{
			name: "an info that is known to be empty",
			peer: policy.Peer{IP: ip, Info: policy.Known("")},
			want: []string{"@192.0.2.1", "192.0.2.1", "192.0.2.", "192.0.", "192.", ""},
		},
		{
			name: "both known to be empty",
			peer: policy.Peer{IP: ip, Host: policy.Known(""), Info: policy.Known("")},
			want: []string{"@192.0.2.1", "@=", "192.0.2.1", "=", "192.0.2.", "192.0.", "192.", "=", ""},
		},
		{
			name: "a host without a dot",
			peer: policy.Peer{IP: ip, Host: policy.Known("localhost")},
			want: []string{"192.0.2.1", "=localhost", "192.0.2.", "192.0.", "192.", "=", ""},
		},
		{
			name: "a host with dots at its ends and two in a row",
			peer: policy.Peer{IP: ip, Host: policy.Known(".a..b.")},
			want: []string{
				"192.0.2.1", "=.a..b.", "192.0.2.", "192.0.", "192.",
				"=.a..b.", "=..b.", "=.b.", "=.", "=", "",
			},
		},
		{
			name: "an info with the signs of an address",
			peer: policy.Peer{IP: ip, Info: policy.Known("=a@b.c")},
			want: []string{"=a@b.c@192.0.2.1", "192.0.2.1", "192.0.2.", "192.0.", "192.", ""},
		},
		{
			name: "IPv6",
			peer: policy.Peer{IP: netip.MustParseAddr("2001:DB8:0::1"), Host: policy.Known("six.example.org"), Info: policy.Known("joe")},
			want: []string{
				"joe@2001:0DB8:0000:0000:0000:0000:0000:0001", "joe@2001:db8::1", "joe@=six.example.org",
				"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1", "=six.example.org",
				"2001:db8::", "2001:db8:", "2001:",
				"=.example.org", "=.org", "=", "",
			},
		},
		{
			name: "IPv6 without a zero",
			peer: peer("2001:db8:1:2:3:4:5:6"),
			want: []string{
				"2001:0DB8:0001:0002:0003:0004:0005:0006", "2001:db8:1:2:3:4:5:6",
				"2001:db8:1:2:3:4:5:", "2001:db8:1:2:3:4:", "2001:db8:1:2:3:", "2001:db8:1:2:", "2001:db8:1:", "2001:db8:", "2001:", "",
			},
		},
		{
			name: "IPv6 of zeros only",
			peer: peer("::"),
			want: []string{"0000:0000:0000:0000:0000:0000:0000:0000", "::", "::", ":", ""},
		},
		{
			name: "IPv4-mapped",
			peer: policy.Peer{IP: netip.MustParseAddr("::ffff:192.0.2.1"), Info: policy.Known("joe")},
			want: []string{"joe@192.0.2.1", "192.0.2.1", "192.0.2.", "192.0.", "192.", ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, keys(tt.peer)); diff != "" {
				t.Errorf("Keys (-want +got)\n%s", diff)
			}
		})
	}
}

// CIDR prefixes come between the beginnings and the suffixes, and only the
// lengths that rules have.
func TestPrefixesAreSearchedForByTheLengthsThereAre(t *testing.T) {
	const text = "10.0.0.0/8:deny\n1.2.3.4/32:deny\n9.9.9.9/8:deny\n192.0.0.0/1:deny\n" +
		"2001:db8::/32:deny\n::/1:deny\n::1/128:deny\nfe80::/10:deny\n"
	tests := []struct {
		name, text string
		peer       policy.Peer
		want       []string
	}{
		{
			name: "IPv4",
			text: text,
			peer: policy.Peer{IP: netip.MustParseAddr("127.0.0.1"), Host: policy.Known("a.b")},
			want: []string{
				"127.0.0.1", "=a.b", "127.0.0.", "127.0.", "127.",
				"_0bcdefgh000000000000000000000006", "_0bcdefgh", "_0",
				"=.b", "=", "",
			},
		},
		{
			name: "IPv6",
			text: text,
			peer: policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Host: policy.Known("a.b")},
			want: []string{
				"2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::1", "=a.b", "2001:db8::", "2001:db8:", "2001:",
				"^00`000000000000a0000bc0de0fgh000" + strings.Repeat("0", 95) + "i",
				"^00`000000000000a0000bc0de0fgh000", "^00`0000000", "^0",
				"=.b", "=", "",
			},
		},
		{
			name: "IPv4, where the prefixes are of IPv6",
			text: "::/8:deny\n::/32:deny\n",
			peer: peer("127.0.0.1"),
			want: []string{"127.0.0.1", "127.0.0.", "127.0.", "127.", ""},
		},
		{
			name: "IPv6, where the prefixes are of IPv4",
			text: "0.0.0.0/8:deny\n0.0.0.0/32:deny\n",
			peer: peer("::1"),
			want: []string{"0000:0000:0000:0000:0000:0000:0000:0001", "::1", "::", ":", ""},
		},
		{
			name: "what is not stored as a prefix has no length",
			text: " 10.0.0.0/8:deny\njoe@10.0.0.0/8:deny\n10.1-3.0.0/16:deny\nx/8:deny\n_:deny\n",
			peer: peer("127.0.0.1"),
			want: []string{"127.0.0.1", "127.0.0.", "127.0.", "127.", ""},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rules := parse(t, tt.text)
			compiled := database(t, compile(t, t.TempDir(), rules))
			for holder, lengths := range map[string]policy.Lengths{"text": rules.Lengths(), "cdb": compiled.Lengths()} {
				if diff := cmp.Diff(tt.want, keysWith(tt.peer, lengths)); diff != "" {
					t.Errorf("Keys, by the %s (-want +got)\n%s", holder, diff)
				}
			}
		})
	}
}

func TestRulesWithoutPrefixesHaveNoLengths(t *testing.T) {
	text, err := os.ReadFile("testdata/tcp.smtp")
	check(t, err)
	var none policy.Database
	for holder, lengths := range map[string]policy.Lengths{
		"the text":          parse(t, string(text)+"::1:allow\n").Lengths(),
		"the cdb":           database(t, mailServer(t)).Lengths(),
		"the zero Database": none.Lengths(),
	} {
		if lengths != (policy.Lengths{}) {
			t.Errorf("%s has %v", holder, lengths)
		}
	}
}

// A file from elsewhere may hold keys that look like prefixes of any length.
func TestKeysThatAreTooLongForAPrefixHaveNoLength(t *testing.T) {
	for _, key := range []string{"_", "^", "_" + strings.Repeat("0", 33), "^" + strings.Repeat("0", 129), "_" + strings.Repeat("0", 5000)} {
		if d := database(t, cdbmake([]entry{{key, "D\x00"}}, 2)); d.Lengths() != (policy.Lengths{}) {
			t.Errorf("%.40q gives %v", key, d.Lengths())
		}
	}
}

// An interface's name may hold a dot, as that of a VLAN does. It is no part of
// the address that tcpserver judges.
func TestALinkLocalPeerIsJudgedWithoutItsInterface(t *testing.T) {
	want := []string{"FE80:0000:0000:0000:0000:0000:0000:0001", "fe80::1", "fe80::", "fe80:", ""}
	if diff := cmp.Diff(want, keys(peer("fe80::1%eth0.7"))); diff != "" {
		t.Errorf("Keys (-want +got)\n%s", diff)
	}
}

func TestAVeryLongNameIsSearchedFor(t *testing.T) {
	host := strings.Repeat("a.", 5000) + "b"
	p := policy.Peer{IP: netip.MustParseAddr("192.0.2.1"), Host: policy.Known(host), Info: policy.Known(host)}
	got := keys(p)
	if len(got) != 2+2+3+5000+2 || got[1] != host+"@="+host || !slices.Contains(got, "=.b") {
		t.Errorf("%d keys, the second of %d bytes", len(got), len(got[1]))
	}
}

func TestTheSearchMayEndAnywhere(t *testing.T) {
	lengths := parse(t, "10.0.0.0/8:deny\n10.0.0.0/9:deny\n::/8:deny\n::/64:deny\n").Lengths()
	for _, ip := range []string{"192.0.2.1", "2001:db8::1"} {
		p := policy.Peer{IP: netip.MustParseAddr(ip), Host: policy.Known("a.b"), Info: policy.Known("joe")}
		all := keysWith(p, lengths)
		for n := range all {
			var got []string
			for key := range policy.Keys(p, lengths) {
				if got = append(got, string(key)); len(got) == n+1 {
					break
				}
			}
			if diff := cmp.Diff(all[:n+1], got); diff != "" {
				t.Errorf("the first %d keys of %s (-want +got)\n%s", n+1, ip, diff)
			}
		}
	}
}
