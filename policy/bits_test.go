package policy_test

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// prefixKeys are the keys that ucspi-tcp6 stores for prefixes, worked out by
// hand. Of IPv4 each bit has its letter, a to z and then 1 to 6:
//
//	127        .0
//	0 1111111  00000000
//	0 bcdefgh  00000000
//
// Of IPv6 each 1 has the byte behind that of the 1 before it, the first of
// them a grave accent:
//
//	2    0    0    1     0    d    b    8
//	0010 0000 0000 0001  0000 1101 1011 1000
//	00`0 0000 0000 000a  0000 bc0d e0fg h000
var prefixKeys = []struct{ prefix, key string }{
	{"0.0.0.0/1", "_0"},
	{"128.0.0.0/1", "_a"},
	{"64.0.0.0/2", "_0b"},
	{"10.0.0.0/8", "_0000e0g0"},
	{"127.0.0.0/8", "_0bcdefgh"},
	{"224.0.0.0/4", "_abc0"},
	{"172.16.0.0/12", "_a0c0ef00000l"},
	{"192.168.0.0/16", "_ab000000i0k0m000"},
	{"169.254.0.0/16", "_a0c0e00hijklmno0"},
	{"100.64.0.0/10", "_0bc00f000j"},
	{"192.0.2.0/24", "_ab00000000000000000000w0"},
	{"192.0.2.64/26", "_ab00000000000000000000w00z"},
	{"203.0.113.128/25", "_ab00e0gh000000000rst000xy"},
	{"1.2.3.4/32", "_0000000h000000o0000000wx00000400"},
	{"0.0.0.0/32", "_00000000000000000000000000000000"},
	{"0.0.0.63/32", "_00000000000000000000000000123456"},
	{"255.255.255.255/32", "_abcdefghijklmnopqrstuvwxyz123456"},
	{"::/1", "^0"},
	{"8000::/1", "^`"},
	{"2000::/3", "^00`"},
	{"c000::/2", "^`a"},
	{"fc00::/7", "^`abcde0"},
	{"fe80::/10", "^`abcdef0g0"},
	{"ff00::/8", "^`abcdefg"},
	{"2001:db8::/32", "^00`000000000000a0000bc0de0fgh000"},
	{"2002::/16", "^00`00000000000a0"},
	{"64:ff9b::/96", "^000000000`a00b00cdefghijk00lm0no" + strings.Repeat("0", 64)},
	{"::1/128", "^" + strings.Repeat("0", 127) + "`"},
	{"::/128", "^" + strings.Repeat("0", 128)},
	{"8000::1/128", "^`" + strings.Repeat("0", 126) + "a"},
	{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", "^" + bytesFrom(0x60, 128)},
}

// bytesFrom returns n bytes, each one more than the one before it.
func bytesFrom(first byte, n int) string {
	var b []byte
	for i := range n {
		b = append(b, first+byte(i))
	}
	return string(b)
}

func TestTheKeysOfPrefixesAreThoseOfUcspiTCP6(t *testing.T) {
	for _, tt := range prefixKeys {
		want := []entry{{tt.key, "D\x00"}}
		rules := parse(t, tt.prefix+":deny\n")
		if diff := cmp.Diff(want, entriesOf(compile(t, t.TempDir(), rules)), cmp.AllowUnexported(entry{})); diff != "" {
			t.Errorf("the cdb of %s (-want +got)\n%s", tt.prefix, diff)
		}
		if got := policy.AddressOf(tt.key); got != tt.prefix {
			t.Errorf("AddressOf(%q) = %q, want %q", tt.key, got, tt.prefix)
		}
	}
}

func TestAFileOfUcspiTCP6IsJudgedBy(t *testing.T) {
	for _, tt := range prefixKeys {
		d := database(t, cdbmake([]entry{{tt.key, "D\x00"}}, 2))
		prefix := netip.MustParsePrefix(tt.prefix)
		want := policy.Decision{Verdict: policy.Deny, Matched: true, Rule: tt.prefix}
		for _, ip := range []netip.Addr{prefix.Addr(), lastOf(prefix)} {
			if diff := cmp.Diff(want, decide(t, policy.Peer{IP: ip}, d)); diff != "" {
				t.Errorf("%s, by %q (-want +got)\n%s", ip, tt.key, diff)
			}
		}
		want = policy.Decision{Verdict: policy.Allow}
		for _, ip := range []netip.Addr{prefix.Addr().Prev(), lastOf(prefix).Next()} {
			if !ip.IsValid() {
				continue
			}
			if diff := cmp.Diff(want, decide(t, policy.Peer{IP: ip}, d)); diff != "" {
				t.Errorf("%s, by %q (-want +got)\n%s", ip, tt.key, diff)
			}
		}
	}
}

// A key that only looks like that of a prefix is found by nobody, and named as
// it is.
func TestKeysThatAreNearlyThoseOfPrefixes(t *testing.T) {
	for _, key := range []string{
		"_", "^", "_1", "_b", "_A", "_0a", "_0bcdefgi", "_0bcdefgH", "_0bcdefgh ",
		"_0bcdefgh\x00", // of ucspi-tcp6 1.10.5, which kept the end of the string
		"_" + strings.Repeat("0", 33), "_abcdefghijklmnopqrstuvwxyz1234567",
		"^1", "^a", "^b", "^``", "^`b", "^`0b", "^00`000000000000b", "^" + strings.Repeat("0", 129), "^" + bytesFrom(0x60, 129),
		"-0bcdefgh", "0bcdefgh", "joe@_0bcdefgh", "=_0bcdefgh",
	} {
		if got := policy.AddressOf(key); got != key {
			t.Errorf("AddressOf(%q) = %q", key, got)
		}
		d := database(t, cdbmake([]entry{{key, "D\x00"}}, 2))
		for _, ip := range []string{"0.0.0.0", "127.0.0.1", "128.0.0.0", "255.255.255.255", "::", "::1", "8000::", "2001:db8::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"} {
			if diff := cmp.Diff(policy.Decision{Verdict: policy.Allow}, decide(t, peer(ip), d)); diff != "" {
				t.Errorf("%s, by %q (-want +got)\n%s", ip, key, diff)
			}
		}
	}
}

// The texts in a file of Debian's, and other keys with colons, are as they are
// written.
func TestOtherKeysAreNamedAsTheyAre(t *testing.T) {
	for _, key := range []string{
		"2001:db8::1", "2001:db8::", "2001:db8:", "2001:", ":", "::", "2001:db8::1:1:1:1:1", "joe@2001:db8::1",
		"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:DB8::1", "2001:0DB8:0000:0000:0000:0000:0000:000",
		"2001:0DB8:0000:0000:0000:0000:0000:0001 ", "=2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::/32", "10.0.0.0/8",
	} {
		if got := policy.AddressOf(key); got != key {
			t.Errorf("AddressOf(%q) = %q", key, got)
		}
	}
}
