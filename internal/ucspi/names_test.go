package ucspi

import (
	"context"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ucspid/policy"
)

func TestNamesFromDNSAreShownAsTcpserverShowsThem(t *testing.T) {
	long := strings.Repeat(strings.Repeat("a", 63)+".", 3) + strings.Repeat("b", 61) + "."
	for name, want := range map[string]policy.Name{
		"":                      {},
		".":                     policy.Known("."),
		"Mail.Example.ORG.":     policy.Known("mail.example.org"),
		`a_b-9.example.`:        policy.Known("a_b-9.example"),
		`evil\032name.example.`: policy.Known(`evil\040name.example`),
		`dot\.in.example.`:      policy.Known(`dot\056in.example`),
		`\027\0910m.example.`:   policy.Known(`\033\1330m.example`),
		`n\000ul.example.`:      policy.Known(`n\000ul.example`),
		`caf\195\169.example.`:  policy.Known(`caf\303\251.example`),
		long:                    policy.Known(strings.TrimSuffix(long, ".")),
		"x" + long:              {},
		"empty..label.example.": {},
	} {
		if got := dotted(name); got != want {
			t.Errorf("dotted(%q) = %v, not %v", name, got, want)
		}
	}
}

func TestIdentAnswers(t *testing.T) {
	for line, want := range map[string]policy.Name{
		"6193, 23 : USERID : UNIX : joe\r\n":         policy.Known("joe"),
		"6193,23:USERID:UNIX:joe\n":                  policy.Known("joe"),
		"6193,23:USERID:OTHER,US-ASCII: a b\tc \r\n": policy.Known("abc"),
		"6193,23:USERID:UNIX:with:colons\r\n":        policy.Known("with:colons"),
		"6193,23:ERROR:NO-USER\r\n":                  policy.Known(""),
		"6193,23:USERID:UNIX: \r\n":                  policy.Known(""),
		"nonsense\n":                                 policy.Known(""),
		"\n":                                         policy.Known(""),
		"":                                           {},
		"6193,23:USERID:UNIX:joe":                    {},
		strings.Repeat(" ", 300) + ":::joe":          {},
		"::: joe\x00RELAYCLIENT=\n":                  policy.Known("joe"),
		":::" + strings.Repeat("x", 257):             policy.Known(strings.Repeat("x", 257)),
		":::" + strings.Repeat("x", 900) + "\n":      policy.Known(strings.Repeat("x", 257)),
	} {
		if got := identInfo(strings.NewReader(line)); got != want {
			t.Errorf("identInfo(%q) = %v, not %v", line, got, want)
		}
	}
}

func TestLogFieldsAreSafe(t *testing.T) {
	for text, want := range map[string]string{
		"":                         "/",
		"mail.example.org":         "mail.example.org/",
		"a b:c%d\x1b[0m\n\x7f\xff": "a?b?c?d?[0m???/",
		strings.Repeat("x", 99):    strings.Repeat("x", 99) + "/",
		strings.Repeat("x", 100):   strings.Repeat("x", 100) + ".../",
		strings.Repeat("x", 5000):  strings.Repeat("x", 100) + ".../",
	} {
		if got := string(appendSafe(nil, text, "/")); got != want {
			t.Errorf("appendSafe(%q) = %q, not %q", text, got, want)
		}
	}
}

func TestLogFieldOfARuleIsSafe(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "",
		"joe@=mail.example.org":         "joe@=mail.example.org",
		"2001:db8::":                    "2001:db8::",
		"a b%\x1b\n\xff":                "a?b????",
		strings.Repeat("x", 99):         strings.Repeat("x", 99),
		strings.Repeat("x", 100):        strings.Repeat("x", 100) + "...",
		"=" + strings.Repeat("x", 5000): "=" + strings.Repeat("x", 99) + "...",
	} {
		if got := safeAddress(text); got != want {
			t.Errorf("safeAddress(%q) = %q, not %q", text, got, want)
		}
	}
}

// serveDNS answers on UDP and TCP of one port of loopback, until the test
// ends.
func serveDNS(t testing.TB, answer dns.HandlerFunc) string {
	t.Helper()
	udp, tcp := listenBoth(t)
	for _, server := range []*dns.Server{{PacketConn: udp, Handler: answer}, {Listener: tcp, Handler: answer}} {
		go func() { _ = server.ActivateAndServe() }()
		t.Cleanup(func() { _ = server.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// listenBoth listens on a port that is free for UDP and for TCP.
func listenBoth(t testing.TB) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 100 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		udp.Close() // the port is somebody else's in TCP
	}
	t.Fatal("no port is free for both")
	return nil, nil
}

func record(t testing.TB, text string) dns.RR {
	t.Helper()
	rr, err := dns.NewRR(text)
	if err != nil {
		t.Fatal(err)
	}
	return rr
}

// peerIP is the address whose name the tests ask for.
const peerIP = "192.0.2.7"

func TestLyingNameServers(t *testing.T) {
	const reverse = "7.2.0.192.in-addr.arpa."
	for name, test := range map[string]struct {
		answer func(reply *dns.Msg)
		want   policy.Name
	}{
		"one name": {func(reply *dns.Msg) {
			reply.Answer = append(reply.Answer, record(t, reverse+" PTR Mail.example."))
		}, policy.Known("mail.example")},
		"the first of several counts": {func(reply *dns.Msg) {
			reply.Answer = append(reply.Answer, record(t, reverse+" PTR a.example."), record(t, reverse+" PTR b.example."))
		}, policy.Known("a.example")},
		"delegated by CNAME (RFC 2317)": {func(reply *dns.Msg) {
			reply.Answer = append(reply.Answer, record(t, reverse+" CNAME 7.x.example."), record(t, "7.x.example. PTR a.example."))
		}, policy.Known("a.example")},
		"the question in capitals": {func(reply *dns.Msg) {
			reply.Question[0].Name = strings.ToUpper(reply.Question[0].Name)
			reply.Answer = append(reply.Answer, record(t, reverse+" PTR a.example."))
		}, policy.Known("a.example")},
		"no such name": {func(reply *dns.Msg) { reply.Rcode = dns.RcodeNameError }, policy.Name{}},
		"another type": {func(reply *dns.Msg) {
			reply.Answer = append(reply.Answer, record(t, reverse+" TXT trick.example."))
		}, policy.Name{}},
		"too large for a datagram": {func(reply *dns.Msg) {
			for range 200 {
				reply.Answer = append(reply.Answer, record(t, reverse+" PTR large.example."))
			}
		}, policy.Known("large.example")},
	} {
		t.Run(name, func(t *testing.T) {
			d := DNS{Servers: []string{serveDNS(t, func(w dns.ResponseWriter, question *dns.Msg) {
				reply := new(dns.Msg).SetReply(question)
				test.answer(reply)
				if w.LocalAddr().Network() == "udp" {
					reply.Truncate(dns.MinMsgSize)
				}
				_ = w.WriteMsg(reply)
			})}}
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			if got := dotted(d.hostOf(ctx, netip.MustParseAddr(peerIP))); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func TestParanoidBelievesOnlyConfirmedNames(t *testing.T) {
	server := serveDNS(t, func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg).SetReply(question)
		switch name := question.Question[0].Name; name {
		case "7.2.0.192.in-addr.arpa.":
			reply.Answer = append(reply.Answer, record(t, name+" PTR true.example."))
		case "8.2.0.192.in-addr.arpa.":
			reply.Answer = append(reply.Answer, record(t, name+" PTR false.example."))
		case "9.2.0.192.in-addr.arpa.": // a name that looks like the address itself
			reply.Answer = append(reply.Answer, record(t, name+" PTR 192.0.2.9."))
		case "true.example.":
			reply.Answer = append(reply.Answer, record(t, name+" A 198.51.100.1"), record(t, name+" A 192.0.2.7"))
		case "false.example.":
			reply.Answer = append(reply.Answer, record(t, name+" A 198.51.100.1"))
		default:
			reply.Rcode = dns.RcodeNameError
		}
		_ = w.WriteMsg(reply)
	})
	n := Names{DNS: DNS{Servers: []string{server}}, Paranoid: true}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for ip, want := range map[string]policy.Name{
		"192.0.2.7": policy.Known("true.example"),
		"192.0.2.8": {},
		"192.0.2.9": {},
	} {
		if got := n.remoteHost(ctx, netip.MustParseAddr(ip)); got != want {
			t.Errorf("%s: got %v, want %v", ip, got, want)
		}
	}
}

func TestAnotherServerIsAskedWhenOneFails(t *testing.T) {
	failing := serveDNS(t, func(w dns.ResponseWriter, question *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(question, dns.RcodeServerFailure))
	})
	mistaken := serveDNS(t, func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg).SetReply(question)
		reply.Question[0].Name = "another.example."
		reply.Answer = append(reply.Answer, record(t, "another.example. PTR trick.example."))
		_ = w.WriteMsg(reply)
	})
	good := serveDNS(t, func(w dns.ResponseWriter, question *dns.Msg) {
		reply := new(dns.Msg).SetReply(question)
		reply.Answer = append(reply.Answer, record(t, question.Question[0].Name+" PTR good.example."))
		_ = w.WriteMsg(reply)
	})
	d := DNS{Servers: []string{failing, mistaken, good}}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if got := d.hostOf(ctx, netip.MustParseAddr(peerIP)); got != "good.example." {
		t.Errorf("got %q", got)
	}
}

func TestLookupsEndAtTheDeadline(t *testing.T) {
	silent, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	s := Server{Config: Config{Names: Names{
		RemoteHost: AskAlways, AskLocalHost: true, Timeout: 50 * time.Millisecond,
		DNS: DNS{Servers: []string{silent.LocalAddr().String()}},
	}}}
	c := &connection{local: netip.MustParseAddrPort("192.0.2.1:25"), remote: netip.MustParseAddrPort("192.0.2.7:1024")}
	s.lookUp(c, &policy.Database{})
	if _, known := c.remoteHost.Text(); known {
		t.Error("a name from nowhere")
	}
}
