package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// keys returns the keys of a peer as text.
func keys(p policy.Peer) []string {
	var all []string
	for key := range policy.Keys(p) {
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
				"joe@2001:db8::1", "joe@=six.example.org",
				"2001:db8::1", "=six.example.org",
				"=.example.org", "=.org", "=", "",
			},
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

// An interface's name may hold a dot, as that of a VLAN does. It is no part of
// the address that tcpserver judges.
func TestALinkLocalPeerIsJudgedWithoutItsInterface(t *testing.T) {
	want := []string{"fe80::1", ""}
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
	p := policy.Peer{IP: netip.MustParseAddr("192.0.2.1"), Host: policy.Known("a.b"), Info: policy.Known("joe")}
	all := keys(p)
	for n := range all {
		var got []string
		for key := range policy.Keys(p) {
			if got = append(got, string(key)); len(got) == n+1 {
				break
			}
		}
		if diff := cmp.Diff(all[:n+1], got); diff != "" {
			t.Errorf("the first %d keys (-want +got)\n%s", n+1, diff)
		}
	}
}
