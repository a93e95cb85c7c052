package policy_test

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// The tcprules of Debian's ucspi-tcp-ipv6 stores an IPv6 address as it is
// written, and its tcpserver searches for the one text that it makes of a
// peer's. Its files are read too.

// remoteIP returns what the tcpservers call an address. Debian's leaves out the
// first of the longest runs of zeros, of two or only one.
func remoteIP(ip netip.Addr) string {
	ip = ip.Unmap().WithZone("")
	if ip.Is4() {
		return ip.String()
	}
	octets := ip.As16()
	var words [8]string
	for i := range words {
		words[i] = fmt.Sprintf("%x", uint16(octets[2*i])<<8|uint16(octets[2*i+1]))
	}
	best, length := 0, 0
	for from := range words {
		to := from
		for to < len(words) && words[to] == "0" {
			to++
		}
		if to-from > length {
			best, length = from, to-from
		}
	}
	if length == 0 {
		return strings.Join(words[:], ":")
	}
	return strings.Join(words[:best], ":") + "::" + strings.Join(words[best+length:], ":")
}

// What a tcpserver of ucspi-tcp-ipv6 passed on as TCPREMOTEIP to a client at
// the address.
func TestDebiansNameOfAnAddress(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":            "192.0.2.1",
		"::ffff:192.0.2.1":     "192.0.2.1",
		"2001:db8:0:1:1:1:1:1": "2001:db8::1:1:1:1:1",
		"2001:0:0:1:0:0:0:1":   "2001:0:0:1::1",
		"2001:db8:0:1:0:1:0:1": "2001:db8::1:0:1:0:1",
		"2001:0:0:1:0:0:1:1":   "2001::1:0:0:1:1",
		"2001:db8:1:1:1:1:1:0": "2001:db8:1:1:1:1:1::",
		"2001:db8:0:0:1:1:1:0": "2001:db8::1:1:1:0",
		"2001:db8:0:0:1:0:0:0": "2001:db8:0:0:1::",
		"fd00:0:1::":           "fd00:0:1::",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2:3:4:5:6",
		"64:ff9b::1.2.3.4":     "64:ff9b::102:304",
		"fd00:a:0:b:0:c:0:0":   "fd00:a:0:b:0:c::",
	} {
		p := peer(ip)
		if got := remoteIP(p.IP); got != want {
			t.Errorf("%s is called %s, want %s", ip, got, want)
		}
		text := keys(p)
		if p.IP.Unmap().Is6() {
			text = text[1:] // the first is ucspi-tcp6's
		}
		if text[0] != want {
			t.Errorf("%s is searched for as %s, want %s", ip, text[0], want)
		}
	}
}

func TestFilesOfDebiansTcprulesAreJudgedByAsItDoes(t *testing.T) {
	const files, questions = 300, 20
	tcprules := original(t, "ucspi-tcp-ipv6", "tcprules")
	tcprulescheck := original(t, "ucspi-tcp-ipv6", "tcprulescheck")
	var matched, matched6 atomic.Int64
	share(t, files, func(dir string, i int) {
		d := thrown(i)
		var text string
		for range 3 + d(40) {
			text += d.debianLine() + "\n"
		}
		made := compiledBy(t, tcprules, dir, text)[0]
		if made.refused != "" {
			t.Errorf("tcprules refused %q of %q", made.refused, text)
			return
		}
		var peers, peers6 []policy.Peer
		for range questions {
			if p := d.peer(); p.IP.Unmap().Is4() {
				peers = append(peers, p)
			} else {
				peers6 = append(peers6, p)
			}
		}
		n := answeredAlike(t, tcprulescheck, dir, []byte(made.cdb), peers6)
		matched6.Add(n)
		matched.Add(n + answeredAlike(t, tcprulescheck, dir, []byte(made.cdb), peers))
	})
	t.Logf("%d of %d questions had a rule, %d of them of IPv6 peers", matched.Load(), files*questions, matched6.Load())
	if n := matched.Load(); !t.Failed() && (n < files*questions/5 || matched6.Load() < n/4) {
		t.Error("that is too few to tell")
	}
}

// debianLine returns a line of which Debian's tcprules makes a rule, which may
// be one that no peer has. Its tcprules does not end on lines without a rule.
func (d dice) debianLine() string {
	ip := d.ip6()
	text := remoteIP(ip)
	address := text
	switch d(10) {
	case 0, 1, 2:
		return d.classicLine()
	case 3, 4, 5: // a beginning
		var colons []int
		for i := range len(text) {
			if text[i] == ':' {
				colons = append(colons, i)
			}
		}
		address = text[:colons[d(len(colons))]+1]
	case 6:
		address = d.info() + "@" + text
	case 7: // never found, unless it comes out as it must be
		if address = d.spelled(ip); address == strings.ToUpper(ip.StringExpanded()) {
			address = text
		}
	case 8: // of no use, but for ":" to peers like ::1
		address = d.one(text+"/64", text+"/", "10.0.0.0/8", "joe@2001:db8:", "2001:db8", "2001", " "+text, ":")
	}
	return d.ruleFor(address, nil).line
}

// An address of which every digit is written, in capitals, is the key of
// ucspi-tcp6. Debian's tcprules stores it too when somebody writes it that way,
// and its tcpserver never finds it. That is the one difference: whose file it
// is cannot be seen.
func TestAnAddressWrittenOutIsARuleInAFileOfDebiansToo(t *testing.T) {
	dir, p := ramDir(t), peer("2001:db8::1")
	text := "2001:0DB8:0000:0000:0000:0000:0000:0001:deny\n"
	made := compiledBy(t, original(t, "ucspi-tcp-ipv6", "tcprules"), dir, text)[0]
	check(t, os.WriteFile(filepath.Join(dir, "asked.cdb"), []byte(made.cdb), 0o644))
	answers := answersOf(t, original(t, "ucspi-tcp-ipv6", "tcprulescheck"), dir, []policy.Peer{p})
	if diff := cmp.Diff([]string{"default:\n", "allow connection\n"}, answers[0]); diff != "" {
		t.Errorf("tcprulescheck (-want +got)\n%s", diff)
	}
	want := policy.Decision{Verdict: policy.Deny, Matched: true, Rule: "2001:db8::1"}
	if diff := cmp.Diff(want, decide(t, p, database(t, []byte(made.cdb)))); diff != "" {
		t.Errorf("Decide (-want +got)\n%s", diff)
	}
}
