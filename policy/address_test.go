package policy_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// keysOf returns the keys of the rule for an address.
func keysOf(t failer, address string) []string {
	t.Helper()
	return slices.Collect(parse(t, address+":deny\n").Rules()[0].Keys())
}

func TestAnIPv6AddressHasOneKeyHoweverItIsWritten(t *testing.T) {
	tests := []struct {
		key       string
		addresses []string
	}{
		{"2001:0DB8:0000:0000:0000:0000:0000:0001", []string{
			"2001:db8::1", "2001:DB8::1", "2001:dB8::1", "2001:0db8::0001", "2001:db8:0:0:0:0:0:1", "2001:db8:0::0:1",
			"2001:0db8:0000:0000:0000:0000:0000:0001", "2001:0DB8:0000:0000:0000:0000:0000:0001", "2001:db8::0.0.0.1",
		}},
		{"2001:0DB8:0000:0001:0001:0001:0001:0001", []string{"2001:db8:0:1:1:1:1:1", "2001:db8::1:1:1:1:1"}},
		{"2001:0DB8:0000:0000:0000:0000:0000:0000", []string{"2001:db8::", "2001:db8:0:0::0.0.0.0"}},
		{"0000:0000:0000:0000:0000:0000:0000:0000", []string{"::", "0::0", "0:0:0:0:0:0:0:0", "::0.0.0.0"}},
		{"0000:0000:0000:0000:0000:0000:0000:0001", []string{"::1", "::0001", "0::1", "::0.0.0.1"}},
		{"ABCD:EF01:2345:6789:ABCD:EF01:2345:6789", []string{"abcd:ef01:2345:6789:abcd:ef01:2345:6789", "ABCD:EF01:2345:6789:ABCD:EF01:35.69.103.137"}},
		{"0064:FF9B:0000:0000:0000:0000:0102:0304", []string{"64:ff9b::1.2.3.4", "64:FF9B::102:304"}},
		{"1.2.3.4", []string{"::ffff:1.2.3.4", "::FFFF:1.2.3.4", "::ffff:102:304", "0:0:0:0:0:ffff:0102:0304", "0::ffff:1.2.3.4"}},
		{"0000:0000:0000:0000:0000:0000:0102:0304", []string{"::1.2.3.4", "::102:304"}},
		{"joe@2001:0DB8:0000:0000:0000:0000:0000:0001", []string{"joe@2001:db8::1", "joe@2001:DB8:0::1"}},
		{"@0000:0000:0000:0000:0000:0000:0000:0001", []string{"@::1", "@0:0::1"}},
		{"joe@1.2.3.4", []string{"joe@::ffff:1.2.3.4", "joe@::FFFF:102:304"}},
	}
	for _, tt := range tests {
		for _, address := range tt.addresses {
			if diff := cmp.Diff([]string{tt.key}, keysOf(t, address)); diff != "" {
				t.Errorf("%s (-want +got)\n%s", address, diff)
			}
			if rule := parse(t, address+":deny\n").Rules()[0]; rule.Address != address || rule.String() != address+":deny" {
				t.Errorf("%s is no longer as it was written: %v", address, &rule)
			}
		}
	}
}

// TestAPrefixIsForItsPeersAndNoOthers asks about the first and the last address
// of each prefix, and about those beside them.
func TestAPrefixIsForItsPeersAndNoOthers(t *testing.T) {
	tests := []struct {
		prefix    string
		addresses []string
	}{
		{"10.0.0.0/8", []string{
			"10.0.0.0/8", "10.1.2.3/8", "10.255.255.255/8", "10./8", "10/8", "10.1/8", "10.1./8", "10.1.2./8", "10.0.0.0./8", "10.0.0.0/08",
			"::ffff:10.0.0.0/104", "::FFFF:a01:203/104",
		}},
		{"10.16.0.0/12", []string{"10.16/12", "10.31.255.255/12", "10.20./12"}},
		{"192.168.0.0/16", []string{"192.168/16", "192.168./16", "192.168.0.0/16"}},
		{"192.0.2.0/24", []string{"192.0.2/24", "192.0.2./24", "192.0.2.255/24", "::ffff:192.0.2.1/120"}},
		{"192.0.2.64/26", []string{"192.0.2.64/26", "192.0.2.127/26"}},
		{"192.0.2.1/32", []string{"192.0.2.1/32", "::ffff:192.0.2.1/128"}},
		{"192.0.2.0/31", []string{"192.0.2.1/31"}},
		{"0.0.0.0/1", []string{"0/1", "127.255.255.255/1", "::ffff:1.2.3.4/97"}},
		{"128.0.0.0/1", []string{"128./1", "255.255.255.255/1"}},
		{"0.0.0.0/32", []string{"0/32"}},
		{"255.255.255.255/32", []string{"255.255.255.255/32"}},
		{"2001:db8::/32", []string{"2001:db8::/32", "2001:DB8::/32", "2001:0db8:ffff::1/32", "2001:db8:0:0:0:0:0:0/32", "2001:db8:1:2:3:4:5.6.7.8/32"}},
		{"2001:db8::/33", []string{"2001:db8:7fff::/33"}},
		{"2001:db8::/48", []string{"2001:db8::1/48"}},
		{"2001:db8:1:2::/64", []string{"2001:db8:1:2:3:4:5:6/64"}},
		{"2001:db8::1/128", []string{"2001:db8::1/128"}},
		{"2001:db8::/127", []string{"2001:db8::1/127"}},
		{"fe80::/10", []string{"fe80::/10", "febf:ffff::/10"}},
		{"::/1", []string{"::/1", "7fff::/1"}},
		{"8000::/1", []string{"8000::/1", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/1"}},
		{"::/128", []string{"::/128"}},
		{"::/96", []string{"::1.2.3.4/96"}},
		{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128", []string{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff/128"}},
	}
	for _, tt := range tests {
		prefix := netip.MustParsePrefix(tt.prefix)
		first, last := prefix.Addr(), lastOf(prefix)
		for _, address := range tt.addresses {
			rules := parse(t, address+":deny\n")
			compiled := database(t, compile(t, t.TempDir(), rules))
			for _, ip := range []netip.Addr{first, last, first.Prev(), last.Next()} {
				if !ip.IsValid() || ip.Is4In6() { // beyond the first and the last of all
					continue
				}
				want := policy.Decision{Verdict: policy.Allow}
				if prefix.Contains(ip) {
					want = policy.Decision{Verdict: policy.Deny, Matched: true, Rule: tt.prefix}
				}
				for holder, finder := range map[string]policy.Finder{"text": rules, "cdb": compiled} {
					if diff := cmp.Diff(want, decide(t, policy.Peer{IP: ip}, finder)); diff != "" {
						t.Errorf("%s says of %s, by the %s (-want +got)\n%s", address, ip, holder, diff)
					}
				}
			}
		}
	}
}

// lastOf returns the last address of a prefix.
func lastOf(prefix netip.Prefix) netip.Addr {
	octets := prefix.Addr().AsSlice()
	for n := prefix.Bits(); n < 8*len(octets); n++ {
		octets[n/8] |= 0x80 >> (n % 8)
	}
	last, _ := netip.AddrFromSlice(octets)
	return last
}

func TestWhereTheAddressEnds(t *testing.T) {
	tests := []struct {
		line    string
		address string
		verdict policy.Verdict
		env     []string
	}{
		{`::1:deny`, "::1", policy.Deny, nil},
		{`:::deny`, "::", policy.Deny, nil},
		{`2001:db8::1:allow`, "2001:db8::1", policy.Allow, nil},
		{`2001:db8:::allow`, "2001:db8::", policy.Allow, nil},
		{`2001:db8::1:allow,A="x:y"`, "2001:db8::1", policy.Allow, []string{"A=x:y"}},
		{`2001:db8::1:allow,A=":deny",B="::1:allow"`, "2001:db8::1", policy.Allow, []string{"A=:deny", "B=::1:allow"}},
		{`2001:db8::1:deny,A=,x:y,,B=:z:`, "2001:db8::1", policy.Deny, []string{"A=x:y", "B=z"}},
		{`2001:db8::1:deny,a:b=":"`, "2001:db8::1", policy.Deny, []string{"a:b=:"}},
		{`2001:db8::/32:deny`, "2001:db8::/32", policy.Deny, nil},
		{`joe@2001:db8::1:allow`, "joe@2001:db8::1", policy.Allow, nil},
		{"::1:allow \t", "::1", policy.Allow, nil},

		// A verdict behind the first colon makes it a classic line.
		{`dead:deny`, "dead", policy.Deny, nil},
		{`:deny`, "", policy.Deny, nil},
		{`:allow,A="::1:deny"`, "", policy.Allow, []string{"A=::1:deny"}},
		{`beef:allow,A=":deny"`, "beef", policy.Allow, []string{"A=:deny"}},
		{`2001:deny`, "2001", policy.Deny, nil},
	}
	for _, tt := range tests {
		want := []policy.Rule{{Address: tt.address, Verdict: tt.verdict, Env: tt.env, Line: 1}}
		if diff := cmp.Diff(want, parse(t, tt.line+"\n").Rules()); diff != "" {
			t.Errorf("%s (-want +got)\n%s", tt.line, diff)
		}
	}
}

func TestAddressesThatAreRefused(t *testing.T) {
	const (
		noVerdict = "verdict: allow or deny must follow the colon"
		range4    = " is not a number from 1 to 32; the empty address is everybody"
		range6    = " is not a number from 1 to 128; the empty address is everybody"
		noIPv6    = " is not an IPv6 address; a prefix is written like 2001:db8::/32"
	)
	line := func(name, line, reason string) refused {
		return refused{name, line, policy.SyntaxError{Text: line, Reason: reason}}
	}
	areRefused(t, []refused{
		line("a length of 0", "10.0.0.0/0:deny", `prefix length: "0"`+range4),
		line("a length of 0, for all", "0.0.0.0/0:deny", `prefix length: "0"`+range4),
		line("a length of 33", "10.0.0.0/33:deny", `prefix length: "33"`+range4),
		line("a length of IPv6", "10.0.0.0/64:deny", `prefix length: "64"`+range4),
		line("a length of 256, which is 0 in 8 bits", "10.0.0.0/256:deny", `prefix length: "256"`+range4),
		line("a length of 2^64+8", "10.0.0.0/18446744073709551624:deny", `prefix length: "18446744073709551624"`+range4),
		line("no length", "10.0.0.0/:deny", `prefix length: ""`+range4),
		line("a word for a length", "10.0.0.0/x:deny", `prefix length: "x"`+range4),
		line("a length with a sign", "10.0.0.0/+8:deny", `prefix length: "+8"`+range4),
		line("a hexadecimal length", "10.0.0.0/0x8:deny", `prefix length: "0x8"`+range4),
		line("a mask", "10.0.0.0/255.0.0.0:deny", `prefix length: "255.0.0.0"`+range4),
		line("two lengths", "10.0.0.0/8/9:deny", `prefix length: "8/9"`+range4),
		line("a blank behind the length", "10.0.0.0/8 :deny", `prefix length: "8 "`+range4),
		line("a NUL behind the length", "10.0.0.0/8\x00:deny", `prefix length: "8\x00"`+range4),
		line("a length of 0 for IPv6", "2001:db8::/0:deny", `prefix length: "0"`+range6),
		line("all IPv6", "::/0:deny", `prefix length: "0"`+range6),
		line("a length of 129", "2001:db8::/129:deny", `prefix length: "129"`+range6),
		line("no length for IPv6", "2001:db8::/:deny", `prefix length: ""`+range6),
		line("a word for a length of IPv6", "2001:db8::/x:deny", `prefix length: "x"`+range6),
		line("all of IPv4, as IPv6", "::ffff:0.0.0.0/96:deny", "prefix length: an IPv4-mapped prefix is longer than 96"),
		line("a number beyond 255", "256.0.0.0/8:deny", `address: "256.0.0.0" is not an IP address`),
		line("five numbers", "1.2.3.4.5/8:deny", `address: "1.2.3.4.5" is not an IP address`),
		line("two dots", "10..1/8:deny", `address: "10..1" is not an IP address`),
		line("a dot only", "./8:deny", `address: "." is not an IP address`),
		line("a zero in front", "010.0.0.0/8:deny", `address: "010.0.0.0" is not an IP address`),
		line("an IPv6 prefix that ends early", "2001:db8/32:deny", `address: "2001:db8" is not an IP address`),
		line("an IPv6 prefix with one colon", "2001:db8:/32:deny", `address: "2001:db8:" is not an IP address`),
		line("an IPv6 prefix with an interface", "fe80::%eth0/64:deny", `address: "fe80::%eth0" is not an IP address`),
		line("an IPv6 address with an interface", "fe80::1%eth0:deny", `address: "fe80::1%eth0"`+noIPv6),
		line("Debian's prefix", "2001:db8::deny", `address: "2001:db8:"`+noIPv6),
		line("everybody, as Debian's prefix", "::deny", `address: ":"`+noIPv6),
		line("an address that ends early", "2001:db8:1:allow", `address: "2001:db8:1"`+noIPv6),
		line("two holes", "2001::db8::1:allow", `address: "2001::db8::1"`+noIPv6),
		line("nine groups", "1:2:3:4:5:6:7:8:9:allow", `address: "1:2:3:4:5:6:7:8:9"`+noIPv6),
		line("a group of five digits", "2001:0db80::1:allow", `address: "2001:0db80::1"`+noIPv6),
		line("a letter that is no digit", "2001:dbg::1:allow", `address: "2001:dbg::1"`+noIPv6),
		line("brackets", "[::1]:allow", `address: "[::1]"`+noIPv6),
		line("a blank before", " ::1:allow", `address: " ::1"`+noIPv6),
		line("a blank behind", "::1 :allow", `address: "::1 "`+noIPv6),
		line("a port", "1.2.3.4:25:allow", `address: "1.2.3.4:25"`+noIPv6),
		line("two verdicts, the first behind the first colon", "1.2.3.4:deny:allow", `variable: a comma must stand before ":allow"`),
		line("an info that ends the address", "a:deny@::1:deny", `variable: a comma must stand before "@::1:deny"`),
		line("two verdicts", "::1:deny:allow", `address: "::1:deny"`+noIPv6),
		line("an info at half an address", "joe@2001:db8:deny", `address: "2001:db8"`+noIPv6),
		line("no verdict", "2001:db8::1", noVerdict),
		line("another word", "2001:db8::1:Allow", noVerdict),
		line("a comma before the verdict", `::1,A="x":allow`, noVerdict),
		line("a variable without an end", `::1:allow,A="x`, `variable "A": the delimiter '"' does not come again`),
		line("a CRLF", "::1:allow\r", `variable: a comma must stand before "\r"`),
	})
}

// The reason must not advise to write what was written.
func TestAnInfoAtAPrefixIsRefused(t *testing.T) {
	const line = "joe@2001:db8::/32:deny"
	_, err := policy.Parse(strings.NewReader(line))
	if err == nil {
		t.Fatalf("%q is taken", line)
	}
	if strings.Contains(err.Error(), "a prefix is written like 2001:db8::/32") {
		t.Errorf("that is no advice: %v", err)
	}
}

// Where tcprules refuses a line, only an IPv6 address makes it a rule: whatever
// else there is before a second colon is as much of a mistake as it was. Most of
// these would be rules that no peer has, and deny nobody.
func TestOnlyAnIPv6AddressHasAColonInIt(t *testing.T) {
	for _, line := range []string{
		`10.:A="b":deny`,
		`1.2.3.4:RELAYCLIENT="":allow`,
		`=mail.example.org:Allow:deny`,
		`=mail.example.org::deny`,
		`joe@=mail.example.org::deny`,
		`a:b@1.2.3.4:deny`,
		`10.:x@10.:deny`,
		`1-2.:x:deny`,
		`:10.3-1.:deny`,
		`::ffff:1.2.3.4-6:deny`,
		`::ffff:10.1-3.0.0/104:deny`,
		`2001:db8::1.2.3.4-6:deny`,
		`2001:db8::1-3:deny`,
		`/8::deny`,
		`x/8::deny`,
	} {
		rules, err := policy.Parse(strings.NewReader(line))
		if err == nil {
			t.Errorf("%s is taken, and stored as %q", line, slices.Collect(rules.Rules()[0].Keys()))
		}
	}
}

// An info may hold any sign, also those that mean something elsewhere.
func TestAnyInfoAtAnIPv6AddressIsFound(t *testing.T) {
	for _, info := range []string{"joe", "", "=joe", "a=b", "=", "a@b", "@", "joe@=org", "a:b", ":", "a/b", "10.0.0.0/8", "a-b", "1-2", "a.b", "_0", "::1"} {
		rules := parse(t, info+"@2001:DB8::1:deny\n")
		p := policy.Peer{IP: netip.MustParseAddr("2001:db8::1"), Info: policy.Known(info)}
		want := policy.Decision{Verdict: policy.Deny, Matched: true, Rule: info + "@2001:db8::1"}
		for holder, finder := range map[string]policy.Finder{
			"text": rules,
			"cdb":  database(t, compile(t, t.TempDir(), rules)),
		} {
			if diff := cmp.Diff(want, decide(t, p, finder)); diff != "" {
				t.Errorf("%q, by the %s (-want +got)\n%s", info, holder, diff)
			}
		}
		p.Info = policy.Name{}
		if decision := decide(t, p, rules); decision.Matched {
			t.Errorf("%q is not needed: %+v", info, decision)
		}
		if rule := rules.Rule(want.Rule); rule != &rules.Rules()[0] {
			t.Errorf("Rule(%q) = %v", want.Rule, rule)
		}
	}
}

// What AddressOf makes of a key is an address with that key.
func TestTheAddressOfAKeyHasThatKey(t *testing.T) {
	tests := []struct{ address, written string }{
		{"192.0.2.1", "192.0.2.1"},
		{"192.0.2.", "192.0.2."},
		{"192.0.2", "192.0.2"},
		{"=mail.example.org", "=mail.example.org"},
		{"=.example.org", "=.example.org"},
		{"=", "="},
		{"", ""},
		{"joe@192.0.2.1", "joe@192.0.2.1"},
		{"joe@=mail.example.org", "joe@=mail.example.org"},
		{"a@b@192.0.2.1", "a@b@192.0.2.1"},
		{"@=", "@="},
		{"@", "@"},
		{"joe@10.0.0.0/8", "joe@10.0.0.0/8"},
		{" 10.0.0.0/8", " 10.0.0.0/8"},
		{"/8", "/8"},
		{"2001:DB8:0::1", "2001:db8::1"},
		{"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
		{"::", "::"},
		{"::1.2.3.4", "::102:304"},
		{"::ffff:1.2.3.4", "1.2.3.4"},
		{"joe@2001:DB8:0::1", "joe@2001:db8::1"},
		{"@::1", "@::1"},
		{"joe@::ffff:1.2.3.4", "joe@1.2.3.4"},
		{"10.1.2.3/8", "10.0.0.0/8"},
		{"10./8", "10.0.0.0/8"},
		{"0.0.0.0/1", "0.0.0.0/1"},
		{"1.2.3.4/32", "1.2.3.4/32"},
		{"::ffff:1.2.3.4/120", "1.2.3.0/24"},
		{"2001:DB8:FFFF::/32", "2001:db8::/32"},
		{"::/1", "::/1"},
		{"::1/128", "::1/128"},
	}
	for _, tt := range tests {
		key := keysOf(t, tt.address)[0]
		if got := policy.AddressOf(key); got != tt.written {
			t.Errorf("AddressOf(%q) = %q, want %q", key, got, tt.written)
		}
		if diff := cmp.Diff([]string{key}, keysOf(t, tt.written)); diff != "" {
			t.Errorf("the key of %q (-want +got)\n%s", tt.written, diff)
		}
		rules := parse(t, ":allow\n"+tt.address+":deny\n"+tt.written+":allow\n")
		if rule := rules.Rule(tt.written); rule == nil || rule.Line > 2 {
			t.Errorf("Rule(%q) = %v, want that of line 2, or everybody's", tt.written, rule)
		}
	}
}

func TestTheAddressOfAnyKeyHasThatKey(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		address, means := drawn(t).address()
		keys := keysOf(t, address)
		if len(keys) != len(means) {
			t.Fatalf("%q has the keys %q", address, keys)
		}
		for i, key := range keys {
			written := policy.AddressOf(key)
			if written != means[i].text {
				t.Fatalf("AddressOf(%q) = %q, want %q", key, written, means[i].text)
			}
			if diff := cmp.Diff([]string{key}, keysOf(t, written)); diff != "" {
				t.Fatalf("the key of %q (-want +got)\n%s", written, diff)
			}
		}
	})
}
