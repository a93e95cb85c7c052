package ucspi

import (
	"bytes"
	"context"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	"ucspid/policy"
)

// What may be shown of what somebody else wrote: a field of a line of the log,
// and a host name.
var (
	logField = regexp.MustCompile(`^[!-$&-9;-~]{0,103}$`)
	hostName = regexp.MustCompile(`^([a-z0-9_.-]|\\[0-3][0-7]{2})*$`)
	octal    = regexp.MustCompile(`\\[0-7]{3}`)
)

// fitsTheLog makes sure that what somebody else wrote is one field of one line
// of the log, and not a long one.
func fitsTheLog(t *testing.T, text string) {
	t.Helper()
	if field := appendSafe(nil, text, ""); !logField.Match(field) {
		t.Fatalf("%q in the log is %q", text, field)
	}
}

// FuzzIdent: of whatever a peer's host answers, that part of the line counts
// which tcpserver(1) takes, and nothing else.
func FuzzIdent(f *testing.F) {
	f.Add([]byte("6193, 23 : USERID : UNIX : joe\r\n"))
	f.Fuzz(func(t *testing.T, answer []byte) {
		line, _, whole := strings.Cut(string(answer), "\n")
		line = strings.NewReplacer(" ", "", "\t", "", "\r", "").Replace(line)
		var want policy.Name
		info := append(strings.SplitN(line, ":", 4), "", "", "")[3]
		if whole || len(info) >= maxIdentInfo {
			info, _, _ = strings.Cut(info[:min(len(info), maxIdentInfo)], "\x00")
			want = policy.Known(info)
		}
		if got := identInfo(bytes.NewReader(answer)); got != want {
			t.Fatalf("%q says %v, not %v", answer, got, want)
		}
		fitsTheLog(t, info)
	})
}

// FuzzNameServer: whatever a name server sends, a name is made of bytes that
// harm nobody, of labels that were in the answer, and with -p of one that was
// answered with the peer's address. The arguments are the answers to the
// questions for PTR and A, without the id.
func FuzzNameServer(f *testing.F) {
	type answers struct{ ptr, a []byte }
	var current atomic.Pointer[answers]
	server := DNS{Servers: []string{serveDNS(f, func(w dns.ResponseWriter, question *dns.Msg) {
		answer := current.Load().a
		if question.Question[0].Qtype == dns.TypePTR {
			answer = current.Load().ptr
		}
		_, _ = w.Write(append([]byte{byte(question.Id >> 8), byte(question.Id)}, answer...))
	})}}
	const reverse, host = "7.2.0.192.in-addr.arpa.", "Mail_1.example."
	f.Add(answerOf(f, reverse, dns.TypePTR, reverse+" PTR "+host), answerOf(f, host, dns.TypeA, host+" A "+peerIP))
	f.Fuzz(func(t *testing.T, ptr, a []byte) {
		if len(ptr) > dns.MinMsgSize || len(a) > dns.MinMsgSize {
			t.Skip("fits into no datagram")
		}
		current.Store(&answers{ptr, a})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		n := Names{DNS: server, Paranoid: true}
		confirmed, known := n.remoteHost(ctx, netip.MustParseAddr(peerIP)).Text()
		n.Paranoid = false
		name, knownAnyway := n.remoteHost(ctx, netip.MustParseAddr(peerIP)).Text()
		if known && (!knownAnyway || confirmed != name) {
			t.Fatalf("confirmed is %q, and not %q", confirmed, name)
		}
		if known && !bytes.Contains(a, []byte{192, 0, 2, 7}) {
			t.Fatalf("%q is not the name of "+peerIP, name)
		}
		isOf(t, name, ptr)
	})
}

// answerOf returns an answer of one record, without its id.
func answerOf(t testing.TB, name string, kind uint16, text string) []byte {
	t.Helper()
	reply := new(dns.Msg).SetReply(new(dns.Msg).SetQuestion(name, kind))
	reply.Answer = []dns.RR{record(t, text)}
	packed, err := reply.Pack()
	if err != nil {
		t.Fatal(err)
	}
	return packed[2:]
}

// isOf makes sure that a name as tcpserver(1) shows it was taken from an answer.
func isOf(t *testing.T, name string, answer []byte) {
	t.Helper()
	if !hostName.MatchString(name) || len(name) > 4*maxWireName {
		t.Fatalf("a name %q", name)
	}
	lower := bytes.Clone(answer)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	for label := range strings.SplitSeq(name, ".") {
		raw := octal.ReplaceAllStringFunc(label, func(digits string) string {
			n, _ := strconv.ParseUint(digits[1:], 8, 8)
			return string([]byte{byte(n)})
		})
		if len(raw) > 63 || !bytes.Contains(lower, []byte(raw)) {
			t.Fatalf("%q in %q is not from the answer %q", label, name, answer)
		}
	}
	fitsTheLog(t, name)
}
