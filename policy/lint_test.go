package policy_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/iotest"
	"unicode"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"ucspid/policy"
)

// lint returns the findings in a text.
func lint(t failer, text string, unasked policy.Unasked) []policy.Finding {
	t.Helper()
	findings, err := policy.Lint(strings.NewReader(text), unasked)
	if err != nil {
		t.Fatalf("Lint(%q): %v", text, err)
	}
	return findings
}

// said returns the findings as they are said, behind their lines.
func said(findings []policy.Finding) []string {
	var all []string
	for _, f := range findings {
		all = append(all, fmt.Sprintf("%d: %s", f.Line, f))
	}
	return all
}

func TestWhatLintSays(t *testing.T) {
	const (
		denied = `1: variable: a rule that denies sets none, for no program runs; probably meant allow, or no variables`
		either = `an IP address, a "=" and a host name, or nothing for everybody`
	)
	tests := []struct{ name, text, want string }{
		{"no colon", "1.2.3.4 deny", `1: no colon: the line is no rule; probably meant "1.2.3.4:deny"`},
		{"no colon, a verdict in capitals", "1.2.3.4\tDENY", `1: no colon: the line is no rule; probably meant "1.2.3.4:deny"`},
		{"no colon, no verdict", "1.2.3.4", `1: no colon: the line is no rule; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"`},

		{"a comment behind a blank", " # note", `1: blank: no comment, for the # is not the first byte; it has no colon, and so it is passed over; probably meant # as the first byte`},
		{"a comment that is a rule", "\t#127.:allow", `1: blank: no comment, for the # is not the first byte, but a rule that is never found; probably meant # as the first byte`},
		{"a comment that is refused", " # note: this", `1: refused: verdict: allow or deny must follow the colon; probably meant # as the first byte`},
		{"a blank before an address", " 1.2.3.4:deny", `1: blank: " 1.2.3.4" is never found: the blank is part of it; probably meant "1.2.3.4"`},
		{"a tab before everybody", "\t:deny", `1: blank: "\t" is never found: the blank is part of it; probably meant ""`},
		{"a blank before the colon", "1.2.3.4 :deny", `1: blank: "1.2.3.4 " is never found: the blank is part of it; probably meant "1.2.3.4"`},
		{"a blank in an address", "from 1.2.3.4:deny", `1: blank: "from 1.2.3.4" is never found: the blank is part of it; probably meant one address without blanks`},

		{"no last dot", "1.2.3:deny", `1: address: "1.2.3" is never found: the dot at its end is missing; probably meant "1.2.3."`},
		{"no last dot, one number", "127:deny", `1: address: "127" is never found: the dot at its end is missing; probably meant "127."`},
		{"a dot too much", "1.2.3.4.:deny", `1: address: "1.2.3.4." is never found: a whole address has no dot at its end; probably meant "1.2.3.4"`},
		{"leading zeros", "010.001.000.:deny", `1: address: "010.001.000." is never found: its numbers have zeros before them; probably meant "10.1.0."`},
		{"beyond 255", "1.2.3.256:deny", `1: address: "1.2.3.256" is never found: it is no IP address; probably meant ` + either},
		{"five numbers", "1.2.3.4.5:deny", `1: address: "1.2.3.4.5" is never found: it is no IP address; probably meant ` + either},
		{"a dot", ".:deny", `1: address: "." is never found: it is no IP address; probably meant ` + either},
		{"nobody", "0.0.0.0:deny", `1: address: "0.0.0.0" is never found: it is nobody's; probably meant "", which is everybody's`},
		{"nobody in IPv6", ":::deny", `1: address: "::" is never found: it is nobody's; probably meant "", which is everybody's`},
		{"a star at the end", "1.2.3.*:deny", `1: address: "1.2.3.*" is never found: a * stands for nothing but itself; probably meant "1.2.3."`},
		{"stars at the end", "1.*.*.*:deny", `1: address: "1.*.*.*" is never found: a * stands for nothing but itself; probably meant "1."`},
		{"a star alone", "*:deny", `1: address: "*" is never found: a * stands for nothing but itself; probably meant "", which is everybody's address`},
		{"a star in the middle", "1.*.2.3:deny", `1: address: "1.*.2.3" is never found: a * stands for nothing but itself; probably meant ` + either},
		{"a star before a domain", "*.Example.org:deny", `1: address: "*.Example.org" is never found: a * stands for nothing but itself; probably meant "=.example.org"`},
		{"a star behind the =", "=*.example.org:deny", `1: address: "=*.example.org" is never found: a * stands for nothing but itself; probably meant "=.example.org"`},
		{"a star for any host", "=*:deny", `1: address: "=*" is never found: a * stands for nothing but itself; probably meant "="`},
		{"all", "ALL:deny", `1: address: "ALL" is never found: it is no word of this language; probably meant "", which is everybody's address`},
		{"a host without =", "Mail.example.org:deny", `1: address: "Mail.example.org" is never found: a host name stands behind a =; probably meant "=mail.example.org"`},
		{"a domain without =", ".example.org:deny", `1: address: ".example.org" is never found: a host name stands behind a =; probably meant "=.example.org"`},
		{"a host in capitals", "=Mail.example.org:deny", `1: address: "=Mail.example.org" is never found: host names are in lower case; probably meant "=mail.example.org"`},
		{"a host with a dot at the end", "=mail.example.org.:deny", `1: address: "=mail.example.org." is never found: host names have no dot at the end; probably meant "=mail.example.org"`},
		{"a host that is none", "=müller.example:deny", `1: address: "=müller.example" is never found: host names are of letters, digits, - and _; probably meant a name that is in DNS`},
		{"an IP address behind =", "=1.2.3.:deny", `1: address: "=1.2.3." is for a host name, not for an IP address; probably meant "1.2.3."`},
		{"two addresses", "1.2.3.4,1.2.3.5:deny", `1: address: "1.2.3.4,1.2.3.5" is never found: a rule has one address; probably meant a rule for each`},
		{"a host with a length", "mail.example.org/24:deny", `1: address: "mail.example.org/24" is never found: it is neither an IP address nor a host name; probably meant ` + either},

		{"an info at a host without =", "joe@mail.Example.org:deny", `1: address: "joe@mail.Example.org" is never found: beside an info an address is whole, without ranges and prefixes; probably meant "joe@=mail.example.org"`},
		{"an info at a domain", "joe@=.example.org:deny", `1: address: "joe@=.example.org" is never found: beside an info a host name is whole; probably meant "joe@=host.name"`},
		{"an info at any host", "joe@=:deny", `1: address: "joe@=" is never found: beside an info a host name is whole; probably meant "joe@=host.name"`},
		{"an info at a network", "joe@1.2.3.:deny", `1: address: "joe@1.2.3." is never found: beside an info an address is whole, without ranges and prefixes; probably meant a whole IP address, or =host.name, behind the @`},
		{"an info at a prefix", "joe@10.0.0.0/8:deny", `1: address: "joe@10.0.0.0/8" is never found: beside an info an address is whole, without ranges and prefixes; probably meant a whole IP address, or =host.name, behind the @`},
		{"no info", "@1.2.3.4:deny", `1: address: "@1.2.3.4" is never found: an info that is empty counts as unknown; probably meant "1.2.3.4"`},

		{"a range beside an info", "joe@1.2.3.4-6:deny", `1: range: "joe@1.2.3.4-6" is never found: beside an info an address is whole, without ranges and prefixes; probably meant a rule for each address`},
		{"a reversed range", "1.2.3.53-37:deny", `1: range: "1.2.3.53-37" is never found: it ends before it begins; probably meant "1.2.3.37-53"`},
		{"a reversed range of networks", "10.9-1.:deny", `1: range: "10.9-1." is never found: it ends before it begins; probably meant "10.1-9."`},
		{"a range without an end", "1.2.3.7-:deny", `1: range: "1.2.3.7-" is never found: its missing end counts as 0; probably meant "1.2.3.7-255"`},
		{"a range without a beginning", "1.2.3.-7:deny", `1: range: "1.2.3.-7" counts as "1.2.3.0-7"; probably meant "1.2.3.0-7", or other numbers`},
		{"a range beyond 255", "1.2.3.300-400:deny", `1: range: "1.2.3.300-400" is never found: it begins beyond 255; probably meant numbers from 0 to 255`},
		{"a range that ends beyond 255", "1.2.3.200-256:deny", `1: range: "1.2.3.200-256" counts as "1.2.3.200-255"; probably meant "1.2.3.200-255", or other numbers`},
		{"a range that wraps around", "1.2.3.18446744073709551617-3:deny", `1: range: "1.2.3.18446744073709551617-3" counts as "1.2.3.1-3"; probably meant "1.2.3.1-3", or other numbers`},
		{"a second range", "10.1-2.5-6:deny", `1: range: "10.1-2.5-6" is never found: only the first range is one; probably meant one range in a rule`},
		{"a range without its last dot", "10.1-2:deny", `1: range: "10.1-2" is never found: the dot at its end is missing; probably meant "10.1-2."`},
		{"a range of addresses", "1.2.3.9-1.2.3.20:deny", `1: range: "1.2.3.9-1.2.3.20" is never found: a range is of one number, not of addresses; probably meant "1.2.3.9-20"`},
		{"a wide range of addresses", "10.0.0.0-10.0.1.255:deny", `1: range: "10.0.0.0-10.0.1.255" is never found: a range is of one number, not of addresses; probably meant a prefix such as 10.0.0.0/8`},
		{"a range in no address", "300.1-2.:deny", `1: range: "300.1-2." is never found: "300.1." is no IP address; probably meant ` + either},

		{"host bits", "10.1.2.3/8:deny", `1: host bits: "10.1.2.3/8" counts as "10.0.0.0/8"; probably meant "10.0.0.0/8" or "10.1.2.3"`},
		{"host bits behind a short address", "10.1/8:deny", `1: host bits: "10.1/8" counts as "10.0.0.0/8"; probably meant "10.0.0.0/8" or "10.1.0.0"`},
		{"host bits of IPv6", "2001:db8::1/32:deny", `1: host bits: "2001:db8::1/32" counts as "2001:db8::/32"; probably meant "2001:db8::/32" or "2001:db8::1"`},
		{"host bits of IPv4 in IPv6", "::ffff:10.1.2.3/104:deny", `1: host bits: "::ffff:10.1.2.3/104" counts as "10.0.0.0/8"; probably meant "10.0.0.0/8" or "10.1.2.3"`},

		{"an address twice", "# both\n1.2.3.4:deny\n1.2.3.4:allow", `3: duplicate: the rule for "1.2.3.4" in line 2 counts instead; probably meant one rule for each address`},
		{"everybody twice", ":deny\n:deny", `2: duplicate: the rule for "" in line 1 counts instead; probably meant one rule for each address`},
		{"an address in two spellings", "2001:db8::1:deny\n2001:DB8:0::1:deny", `2: duplicate: the rule for "2001:db8::1" in line 1 counts instead; probably meant one rule for each address`},
		{"a prefix in two spellings", "10./8:deny\n10.0.0.0/8:deny", `2: duplicate: the rule for "10.0.0.0/8" in line 1 counts instead; probably meant one rule for each address`},
		{"ranges that overlap", "1.2.3.1-5:deny\n1.2.3.4-9:allow", `2: duplicate: for 2 of the 6 addresses earlier lines count instead: for "1.2.3.4" line 1; probably meant one rule for each address`},
		{"three rules for one", ":deny\n:allow\n:allow", "2: duplicate: the rule for \"\" in line 1 counts instead; probably meant one rule for each address\n" +
			"3: duplicate: the rule for \"\" in line 1 counts instead; probably meant one rule for each address"},

		{"a longer prefix behind a dot", "10.1.0.0/16:deny\n10.:allow", `1: shadowed: "10.1.0.0/16" is never found: "10." in line 2 is looked for first; probably meant "10.0.0.0/8" there`},
		{"a prefix behind two with dots", "10.:allow\n10.1.:allow\n10.1.2.0/24:deny", `3: shadowed: "10.1.2.0/24" is never found: "10.1." in line 2 is looked for first; probably meant "10.1.0.0/16" there`},
		{"a prefix behind the same with a dot", "10.0.0.0/8:deny\n10.:allow", `1: shadowed: "10.0.0.0/8" is never found: "10." in line 2 is looked for first; probably meant "10.0.0.0/8" there`},
		{"a prefix behind a range", "10.1.0.0/16:deny\n9-11.:allow", `1: shadowed: "10.1.0.0/16" is never found: "10." in line 2 is looked for first; probably meant "10.0.0.0/8" there`},
		{"a prefix of one address", "1.2.3.4/32:deny\n1.2.3.4:allow", `1: shadowed: "1.2.3.4/32" is never found: 1.2.3.4 in line 2 is looked for first; probably meant one rule for the address`},
		{"a prefix of one IPv6 address", "::2/128:deny\n::2:allow", `1: shadowed: "::2/128" is never found: ::2 in line 2 is looked for first; probably meant one rule for the address`},
		{"a network of which all is taken", "1.2.3.:deny\n1.2.3.0-255:allow", `1: shadowed: "1.2.3." is never found: each of its 256 parts has a rule of its own; probably meant the one or the others`},
		{"a wide network of which all is taken", "1.2.:deny\n1.2.0-255.:allow", `1: shadowed: "1.2." is never found: each of its 256 parts has a rule of its own; probably meant the one or the others`},

		{"a domain without its host", "=.example.org:deny", `1: suffix: "=.example.org" is not found for the host example.org itself; probably meant "=example.org", too`},

		{"variables of a denied peer", `:deny,RBLSMTPD="-no"`, denied},
		{"a blank before a variable", `:allow, A="x"`, `1: variable: " A" is set, with the blank; probably meant "A"`},
		{"a variable without a name", `:allow,="x"`, `1: variable: without a name no program sees it; probably meant ,NAME="VALUE"`},
		{"a variable twice", `:allow,A="x",B="",A="y"`, `1: variable: "A" is set again, and the last value counts; probably meant it once`},
		{"a variable to unset, with a value", `:allow,!A="x"`, `1: variable: "!A" is set, with the !; probably meant ",!A"`},
		{"a limit that is no number", `:allow,MAXCONNIP="five"`, `1: variable: of "five" only the digits at the beginning count, and no digits are 0; probably meant a number`},
		{"a limit that is empty", `:allow,MAXLOAD=""`, `1: variable: of "" only the digits at the beginning count, and no digits are 0; probably meant a number`},
		{"a rate that is none", `:allow,MAXRATEIP="30"`, `1: variable: "30" is no rate, and so nobody is let in; probably meant a rate such as 30/1m`},
		{"a value without quotes", `:allow,DATABYTES=2000002`, `1: variable: "DATABYTES" is set to "00000", for the byte after the = is the delimiter; probably meant quotes around the value`},
		{"a control byte in a value", ":allow,A=\"x\x1by\"", `1: control byte: there is one in the variable "A=\"x\x1by\""; probably meant "A=\"xy\""`},
		{"a NUL in a value", ":allow,A=\"x\x00D\"", `1: control byte: a NUL ends "A=x\x00D", and what is behind it counts as items of its own; probably meant no NUL`},
		{"a control byte in an address", "1.2.3.4\x00:deny", `1: control byte: there is one in the address "1.2.3.4\x00"; probably meant "1.2.3.4"`},
		{"a NUL in a range", "1.2.3.4\x00-6:deny", `1: control byte: there is one in the address "1.2.3.4\x00-6"; probably meant "1.2.3.4-6"`},

		{"no verdict", "1.2.3.4:", `1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"`},
		{"no verdict, but a variable", `1.2.3.4:A="x"`, `1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"`},
		{"no verdict, and IPv6", `2001:db8::1`, `1: refused: verdict: allow or deny must follow the colon; probably meant "2001:db8::1:allow" or "2001:db8::1:deny"`},
		{"an unknown verdict", "1.2.3.4:reject", `1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"`},
		{"a verdict in capitals", `1.2.3.4:Allow,A="X"`, `1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:allow,A=\"X\""`},
		{"a blank before the verdict", "1.2.3.4: \tdeny", `1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:deny"`},
		{"a blank before the verdict of IPv6", "::1: deny", `1: refused: verdict: allow or deny must follow the colon; probably meant "::1:deny"`},
		{"a comment behind a rule", "1.2.3.4:allow # why", `1: refused: variable: a comma must stand before " # why"; probably meant a comment on a line of its own`},
		{"a blank before the comma", `1.2.3.4:allow ,A="x"`, `1: refused: variable: a comma must stand before " ,A=\"x\""; probably meant no blank there`},
		{"a comma at the end", `1.2.3.4:allow,A="x",`, `1: refused: variable: no = after ""; probably meant no comma at the end`},
		{"a value without its end", `1.2.3.4:allow,A="x`, `1: refused: variable "A": the delimiter '"' does not come again; probably meant ,NAME="VALUE" for each variable`},
		{"a host with a -", "mail-1.example.org:deny", `1: refused: range: "mail" is not a number; probably meant "=mail-1.example.org"`},
		{"a netmask", "10.0.0.0/255.0.0.0:deny", `1: refused: prefix length: "255.0.0.0" is not a number from 1 to 32; the empty address is everybody; probably meant a prefix such as 10.0.0.0/8 or 2001:db8::/32`},
		{"the length 0", "0.0.0.0/0:deny", `1: refused: prefix length: "0" is not a number from 1 to 32; the empty address is everybody; probably meant "", which is everybody's address`},
		{"the length 0 of IPv6", "::/0:deny", `1: refused: prefix length: "0" is not a number from 1 to 128; the empty address is everybody; probably meant "", which is everybody's address`},
		{"a prefix of Debian", "2001:db8::deny", `1: refused: address: "2001:db8:" is not an IPv6 address; a prefix is written like 2001:db8::/32; probably meant "2001:db8::/32"`},
		{"an info at an IPv6 prefix", "joe@2001:db8::/32:deny", `1: refused: address: an info needs one address behind its @, not a prefix; probably meant a whole IP address, or =host.name, behind the @`},
		{"a port", "1.2.3.4:25:deny", `1: refused: address: "1.2.3.4:25" is not an IPv6 address; a prefix is written like 2001:db8::/32; probably meant ` + either},
		{
			"every wrong line, not only the first", "1.2.3.4:\n:deny\n1.2.3.5:",
			`1: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"` + "\n" +
				`3: refused: verdict: allow or deny must follow the colon; probably meant "1.2.3.5:allow" or "1.2.3.5:deny"`,
		},

		{"one line of DOS", ":deny\r\n", `1: line end: the line ends with CR and LF and is refused; probably meant LF alone`},
		{
			"a text of DOS, and what is wrong besides", "# rules\r\n\r\n127.:allow\r\n1.2.3:deny\r\n:deny\r\n",
			"3: line end: the line ends with CR and LF and is refused, like 2 more; probably meant LF alone\n" +
				`4: address: "1.2.3" is never found: the dot at its end is missing; probably meant "1.2.3."`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			findings := lint(t, tt.text, policy.Unasked{})
			if diff := cmp.Diff(strings.Split(tt.want, "\n"), said(findings)); diff != "" {
				t.Errorf("Lint(%q) (-want +got)\n%s", tt.text, diff)
			}
			isHarmlessInstead(t, findings)
		})
	}
}

// In which way it is refused does not matter.
func TestAnIPv6AddressBehindAnEqualsSign(t *testing.T) {
	got := lint(t, "=::1:deny", policy.Unasked{})
	if len(got) != 1 || got[0].Trap != policy.Refused || !strings.HasPrefix(got[0].Meant, `"::1`) {
		t.Errorf("%q", said(got))
	}
}

// isHarmlessInstead makes sure that an address, once it is what lint suggests,
// is one to which lint has no objection but that it is a suffix.
func isHarmlessInstead(t *testing.T, findings []policy.Finding) {
	t.Helper()
	for _, f := range findings {
		if f.Trap != policy.Address && f.Trap != policy.Range && f.Trap != policy.HostBits {
			continue
		}
		quoted, err := strconv.QuotedPrefix(f.Meant)
		if err != nil {
			continue
		}
		address, _ := strconv.Unquote(quoted)
		for _, again := range lint(t, address+":deny", policy.Unasked{}) {
			if again.Trap != policy.Suffix {
				t.Errorf("it suggests %q, and says of that: %s", address, again)
			}
		}
	}
}

func TestLintHasNothingToSay(t *testing.T) {
	for name, text := range map[string]string{
		"no rules":                         "",
		"comments and empty lines":         "# one: two\n\n#\n   \n\t\n#:\r\n\r\n",
		"addresses":                        "1.2.3.4:allow\n1.2.3.:deny\n10.1-3.:deny\n1-3.:deny\n1.2.4.037-53:deny\n::1:deny\n2001:db8::/32:deny\n11./8:deny\n",
		"hosts":                            "=mail-1.example.org:allow\n=:allow\n=.example.org:deny\n=example.org:allow\n=.org:deny\n=.:deny\n",
		"infos":                            "joe@1.2.3.4:allow\njoe@=mail.example.org:allow\njoe@2001:DB8::1:deny\nj-o@1.2.3.4:deny\n",
		"everybody":                        ":deny\n",
		"variables":                        ":allow,A=\"\",B=/x\ty/,C=\"$$ = , :\"\n",
		"variables to unset":               ":allow,!A,B=\"x\",!C\n",
		"limits":                           ":allow,MAXCONNIP=\"5\",MAXPERIP=\"0\",MAXLOAD=\"350\",MAXRATEC=\"90/1m\",!MAXCONNC\n",
		"a message to a denied peer":       ":deny,DIEMSG=\"550 no\"\n",
		"blanks at the end":                ":allow \t\n",
		"a longer one with a dot":          "10.0.0.0/8:deny\n10.1.:allow\n10.2.3.4:allow\n",
		"a part of a network":              "1.2.3.:deny\n1.2.3.0-254:allow\n",
		"a prefix beside a dot":            "10.:allow\n11.1.0.0/16:deny\n8.0.0.0/6:deny\n",
		"an address in an IPv6 network":    "2001:db8::/32:deny\n2001:db8::1:allow\n",
		"the network of a Debian, as ours": "2001:db8::/32:allow\n",
	} {
		if findings := lint(t, text, policy.Unasked{}); findings != nil {
			t.Errorf("%s: %q", name, said(findings))
		}
	}
}

func TestLintHasNothingToSayOfTheRulesThatAreShipped(t *testing.T) {
	for _, path := range []string{"../examples/tcp.smtp", "../test/01-main-job/tcp.smtp"} {
		text, err := os.ReadFile(path)
		check(t, err)
		if findings := lint(t, string(text), policy.Unasked{Host: true, Info: true}); findings != nil {
			t.Errorf("%s: %q", path, said(findings))
		}
	}
}

func TestAnOpenRelayComesFirst(t *testing.T) {
	text := "1.2.3:deny\n=.example.org:deny\n8.:allow,RELAYCLIENT=\"\"\n1.2.3.4\n:allow,A=\"x\",RELAYCLIENT=\"@fixme\"\r\n"
	want := []string{
		`3: open relay: everybody in "8." may send mail to anybody through this server; probably meant RELAYCLIENT in rules for networks of your own`,
		`5: open relay: everybody may send mail to anybody through this server; probably meant RELAYCLIENT in rules for networks of your own`,
		`1: address: "1.2.3" is never found: the dot at its end is missing; probably meant "1.2.3."`,
		`2: suffix: "=.example.org" is not found for the host example.org itself; probably meant "=example.org", too`,
		`4: no colon: the line is no rule; probably meant "1.2.3.4:allow" or "1.2.3.4:deny"`,
		`5: line end: the line ends with CR and LF and is refused; probably meant LF alone`,
	}
	if diff := cmp.Diff(want, said(lint(t, text, policy.Unasked{}))); diff != "" {
		t.Errorf("Lint (-want +got)\n%s", diff)
	}
}

func TestWhatIsAnOpenRelay(t *testing.T) {
	open := []string{
		"", "=", "8.", "192.", "172.", "100.", "169.", "0.", "1-255.", "0-255.", "9-10.", "8.0-1.", "172.16-33.", "8.8.0.0/15",
		"10.0.0.0/7", "128./1", "192.168.0.0/15", "172.16.0.0/11", "100.64.0.0/9", "2000::/3", "2001:db8::/31", "fc00::/6",
		"::/1", "::/31", "fe80::/9", "::ffff:8.0.0.0/104",
	}
	closed := []string{
		"1.2.3.4", "1.2.3.4-200", "8.8.", "8.8.0.0/16", "8.8.8.", "8.8.0-255.", "172.16-32.", "10.", "127.", "172.16-31.", "192.168.",
		"169.254.", "100.64.0.0/10", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "10-10.", "::1", "fc00::/7", "fd00::/8", "fe80::/10",
		"2001:db8::/32", "2001:db8::/48", "=mail.example.org", "=.example.org", "joe@1.2.3.4", "8", "8.*", " ", "8.255-0.",
	}
	for _, address := range append(open, closed...) {
		first := policy.Finding{}
		if findings := lint(t, address+":allow,RELAYCLIENT=\"\"\n", policy.Unasked{}); len(findings) > 0 {
			first = findings[0]
		}
		want := slices.Contains(open, address)
		if got := first.Trap == policy.OpenRelay; got != want {
			t.Errorf("RELAYCLIENT for %q: an open relay: %v, want %v", address, got, want)
		}
	}
}

func TestWhoGetsNoRELAYCLIENTDoesNotRelay(t *testing.T) {
	for name, text := range map[string]string{
		"denied":                      `:deny,RELAYCLIENT=""`,
		"another variable":            `:allow,NORELAYCLIENT="",RELAYCLIENTS="",A="RELAYCLIENT="`,
		"a name with a blank":         `:allow, RELAYCLIENT=""`,
		"a rule that does not count":  ":deny\n" + `:allow,RELAYCLIENT=""`,
		"a range hardly left":         "8.0-254.:deny\n" + `8.0-255.:allow,RELAYCLIENT=""`,
		"a prefix that is not found":  "8.:deny\n" + `8.0.0.0/15:allow,RELAYCLIENT=""`,
		"a line that is refused":      `:Allow,RELAYCLIENT=""`,
		"denied by what is behind it": ":allow,RELAYCLIENT=\"\x00D\"",
	} {
		for _, f := range lint(t, text, policy.Unasked{}) {
			if f.Trap == policy.OpenRelay {
				t.Errorf("%s: %s", name, f)
			}
		}
	}
	if got := lint(t, ":allow,A=\"\x00+RELAYCLIENT=\"", policy.Unasked{}); got[0].Trap != policy.OpenRelay {
		t.Errorf("a RELAYCLIENT behind a NUL: %q", said(got))
	}
}

func TestRulesForNamesThatAreNotAskedFor(t *testing.T) {
	const text = "=mail.example.org:deny\n=.example.org:deny\n=:deny\njoe@1.2.3.4:deny\njoe@=mail.example.org:deny\n1.2.3.4:deny\n:deny\n"
	host := func(line int, address string) string {
		return fmt.Sprintf("%d: lookup: %q is never found: with -H no host name is looked up; probably meant a server with -h", line, address)
	}
	info := func(line int, address string) string {
		return fmt.Sprintf("%d: lookup: %q is never found: with -R nobody is asked for an info; probably meant a server with -r", line, address)
	}
	suffix := `2: suffix: "=.example.org" is not found for the host example.org itself; probably meant "=example.org", too`
	for _, tt := range []struct {
		unasked policy.Unasked
		want    []string
	}{
		{policy.Unasked{}, []string{suffix}},
		{policy.Unasked{Host: true}, []string{host(1, "=mail.example.org"), host(2, "=.example.org"), host(3, "="), host(5, "joe@=mail.example.org")}},
		{policy.Unasked{Info: true}, []string{suffix, info(4, "joe@1.2.3.4"), info(5, "joe@=mail.example.org")}},
		{policy.Unasked{Host: true, Info: true}, []string{
			host(1, "=mail.example.org"), host(2, "=.example.org"), host(3, "="), info(4, "joe@1.2.3.4"), info(5, "joe@=mail.example.org"),
		}},
	} {
		if diff := cmp.Diff(tt.want, said(lint(t, text, tt.unasked))); diff != "" {
			t.Errorf("%+v (-want +got)\n%s", tt.unasked, diff)
		}
	}
}

// An option may change; the text is dangerous all the same.
func TestAnOpenRelayIsOneWithoutLookups(t *testing.T) {
	got := lint(t, `=:allow,RELAYCLIENT=""`, policy.Unasked{Host: true})
	if len(got) != 2 || got[0].Trap != policy.OpenRelay || got[1].Trap != policy.Lookup {
		t.Errorf("%q", said(got))
	}
}

func TestWhatLintCannotRead(t *testing.T) {
	broken := errors.New("input/output error")
	findings, err := policy.Lint(iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(":deny\n"))), policy.Unasked{})
	if findings != nil || !errors.Is(err, iotest.ErrTimeout) {
		t.Errorf("Lint = %v, %v", findings, err)
	}
	if _, err := policy.Lint(iotest.ErrReader(broken), policy.Unasked{}); !errors.Is(err, broken) || err.Error() != "line 1: input/output error" {
		t.Errorf("Lint = %v", err)
	}
}

// Lint refuses what Parse refuses: the same line, and the text is fine without
// those that lint names.
func TestLintNamesEachLineThatParseRefuses(t *testing.T) {
	share(t, 3000, func(_ string, i int) {
		text := thrown(i).text()
		lines := strings.Split(text, "\n")
		refused := make(map[int]bool)
		crs := 0
		for _, f := range lint(t, text, policy.Unasked{}) {
			refused[f.Line] = refused[f.Line] || f.Trap == policy.Refused || f.Trap == policy.LineEnd
			if f.Trap == policy.LineEnd {
				crs++
			}
		}
		for n, line := range lines {
			_, err := policy.Parse(strings.NewReader(line))
			dos := crs > 0 && strings.HasSuffix(strings.TrimRight(line, " \t"), "\r") // only the first is named
			if (err != nil) != refused[n+1] && !dos {
				t.Errorf("text %d, line %d: lint says that it is refused: %v, Parse: %v\n%q", i, n+1, refused[n+1], err, line)
			}
		}
	})
}

// plausible returns a peer of which the server may know what it knows.
func (d dice) plausible() policy.Peer {
	p := d.peer()
	if p.IP.Unmap().WithZone("").IsUnspecified() {
		p.IP = netip.MustParseAddr("10.1.2.255")
	}
	if _, known := p.Host.Text(); known {
		p.Host = policy.Known(d.one("org", "example.org", "mail.example.org", "mail-1.example.org", "localhost", "."))
	}
	if info, known := p.Info.Text(); known && info == "" {
		p.Info = policy.Name{}
	}
	return p
}

// What lint says is never found is not found, by whomever.
func TestWhatIsNeverFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := drawn(t)
		text := ""
		for range 1 + d(12) {
			text += d.line() + "\n"
		}
		unasked := policy.Unasked{Host: d(4) == 0, Info: d(4) == 0}
		never := make(map[int]string)
		for _, f := range lint(t, text, unasked) {
			if strings.Contains(f.Does, "is never found") {
				never[f.Line] = f.Does
			}
		}
		rules := parse(t, text)
		for range 20 {
			p := d.plausible()
			if unasked.Host {
				p.Host = policy.Name{}
			}
			if unasked.Info {
				p.Info = policy.Name{}
			}
			decision := decide(t, p, rules)
			if !decision.Matched {
				continue
			}
			if line := rules.Rule(decision.Rule).Line; never[line] != "" {
				t.Fatalf("line %d: %s, but %+v does\n%s", line, never[line], p, text)
			}
		}
	})
}

func ExampleLint() {
	text := "192.168.1:allow,RELAYCLIENT=\"\"\n10.:deny\n:allow,RELAYCLIENT=\"\"\n"
	findings, err := policy.Lint(strings.NewReader(text), policy.Unasked{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range findings {
		fmt.Printf("line %d: %s\n", f.Line, f.Does)
	}
	// Output:
	// line 3: everybody may send mail to anybody through this server
	// line 1: "192.168.1" is never found: the dot at its end is missing
}

// FuzzLint: whatever the text, lint names lines that it has, each in one line.
func FuzzLint(f *testing.F) {
	f.Add([]byte("127.:allow,RELAYCLIENT=\"\"\n# others\n1.2.3.4-6:deny\n 10./7:deny\r\n=.Example.org:allow,A=/x/,B=,y,\n:deny"))
	f.Fuzz(func(t *testing.T, text []byte) {
		lines := strings.Count(string(text), "\n") + 1
		for _, finding := range lint(t, string(text), policy.Unasked{Host: true}) {
			if finding.Line < 1 || finding.Line > lines || finding.Does == "" || finding.Meant == "" {
				t.Fatalf("%+v", finding)
			}
			if strings.ContainsFunc(finding.String(), unicode.IsControl) {
				t.Fatalf("%q", finding.String())
			}
		}
	})
}
