package main

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"golang.org/x/sys/unix"
)

// hold opens a session of cat that stays open.
func (s *server) hold(from string) net.Conn {
	s.t.Helper()
	conn := s.connect(from)
	echoed(s.t, conn, "let in")
	return conn
}

// refuses wants a client to get this and nothing else, and the log to name
// the limit.
func (s *server) refuses(from, limit, text string) {
	s.t.Helper()
	if got := s.answer(from); got != text {
		s.t.Errorf("%s gets %q, not %q", from, got, text)
	}
	s.await(`^ucspid: deny 0 0:127\.0\.0\.1:\d+ :` + regexp.QuoteMeta(from) + `::\d+ ` + regexp.QuoteMeta(limit) + `$`)
}

func TestHostMayHaveSoMany(t *testing.T) {
	s := start(t, "-vRHl0", "-C", "2", "cat")
	first := s.hold("127.0.0.1")
	s.hold("127.0.0.1")
	s.refuses("127.0.0.1", "MAXCONNIP:2", "")
	s.hold("127.0.0.2")
	first.Close()
	s.await(`^ucspid: end `)
	s.hold("127.0.0.1")
	s.refuses("127.0.0.1", "MAXCONNIP:2", "")
}

func TestNetworkMayHaveSoMany(t *testing.T) {
	s := start(t, "-vRHl0", "--per-network", "2", "cat")
	s.hold("127.0.0.1")
	s.hold("127.0.0.2")
	s.refuses("127.0.0.3", "MAXCONNC:2", "")
	s.hold("127.0.1.1")
}

func TestWidthOfAHost(t *testing.T) {
	s := start(t, "-vRHl0", "-C1", "--host-bits", "30:64", "cat")
	s.hold("127.0.0.1")
	s.refuses("127.0.0.3", "MAXCONNIP:1", "")
	s.hold("127.0.0.4")
}

func TestHostMayComeSoOften(t *testing.T) {
	s := start(t, "-vRHl0", "--rate", "2/1h", "--network-rate", "5/1h", "cat")
	for range 2 {
		s.hold("127.0.0.1").Close()
	}
	s.refuses("127.0.0.1", "MAXRATEIP:2/1h", "")
	for _, ip := range []string{"127.0.0.2", "127.0.0.3", "127.0.0.4"} {
		s.hold(ip).Close()
	}
	s.refuses("127.0.0.5", "MAXRATEC:5/1h", "")
	s.hold("127.0.1.1").Close()
}

// TestLimitsPatch has the rules of its manual, and what it says of them.
func TestLimitsPatch(t *testing.T) {
	rules := compiled(t, `127.0.0.1:allow
127.0.0.2:allow,MAXCONNIP="1",DIEMSG="421 example.com unavailable"
127.0.0.3:allow,MAXCONNIP="0",DIEMSG_MAXCONNIP="421 never you"
127.0.0.4:allow,MAXLOAD="1",DIEMSG_MAXLOAD="421 busy",DIEMSG="421 not this one"
127.0.0.5:allow,MAXLOAD="10000000"
127.0.0.6:allow,MAXPERIP="1"
127.0.0.9:deny,DIEMSG="550 go away"
127.0.1.:allow,MAXCONNIP="1",MAXCONNC="2"
:allow,!MAXCONNIP
`)
	s := startOn(t, []string{"127.0.0.1:0"}, append(os.Environ(), "MAXCONNIP=3"), "-vRHl0", "-C", "1", "-x", rules, "cat")
	for range 3 { // the variable of the server, not the option
		s.hold("127.0.0.1")
	}
	s.refuses("127.0.0.1", "MAXCONNIP:3", "")
	s.hold("127.0.0.2")
	s.refuses("127.0.0.2", "MAXCONNIP:1", "421 example.com unavailable\r\n")
	s.refuses("127.0.0.3", "MAXCONNIP:0", "421 never you\r\n")
	awaitLoad(t)
	s.refuses("127.0.0.4", "MAXLOAD:1", "421 busy\r\n")
	s.hold("127.0.0.5")
	s.hold("127.0.0.6")
	s.refuses("127.0.0.6", "MAXCONNIP:1", "")
	s.refuses("127.0.0.9", "RULE:127.0.0.9", "550 go away\r\n")
	s.hold("127.0.1.1")
	s.refuses("127.0.1.1", "MAXCONNIP:1", "")
	s.hold("127.0.1.2")
	s.refuses("127.0.1.3", "MAXCONNC:2", "")
	for range 5 {
		s.hold("127.0.2.1")
	}
}

// awaitLoad keeps the machine busy until it knows that it is.
func awaitLoad(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for time.Now().Before(deadline) {
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err != nil {
			t.Fatal(err)
		}
		if info.Loads[0] > 1<<16/20 {
			return
		}
	}
	t.Fatal("a busy machine has no load")
}

func TestRuleUnsetsAVariable(t *testing.T) {
	rules := compiled(t, "127.0.0.1:allow,!GONE,!TCPREMOTEPORT,NEW=\"1\"\n:allow\n")
	s := startOn(t, []string{"127.0.0.1:0"}, append(os.Environ(), "GONE=1"), "-RHl0", "-x", rules, "probe")
	for from, want := range map[string]int{"127.0.0.1": 1, "127.0.0.2": 2} {
		env := "\n" + strings.Join(s.report(from).Env, "\n")
		if got := strings.Count(env, "\nGONE=") + strings.Count(env, "\nTCPREMOTEPORT=") + strings.Count(env, "\nNEW="); got != want {
			t.Errorf("the program of %s finds%s", from, env)
		}
	}
}

func TestStrangersLeaveThePlacesThatAreReserved(t *testing.T) {
	rules := compiled(t, "127.0.0.5:allow,UCSPID_TRUSTED=\"\"\n127.0.0.6:allow,RELAYCLIENT=\"\"\n:allow\n")
	s := start(t, "-vRHl0", "-c3", "--reserve", "2", "--trust", "RELAYCLIENT", "-x", rules, "cat")
	stranger := s.hold("127.0.0.1")
	s.refuses("127.0.0.2", "RESERVE:2", "")
	s.hold("127.0.0.5")
	s.hold("127.0.0.6")

	// Where not even a trusted peer could be served, clients wait.
	late := s.connect("127.0.0.6")
	stranger.Close()
	echoed(t, late, "late")
	if log := s.log.String(); strings.Contains(log, "4/3") || strings.Contains(log, "SESSIONS") {
		t.Errorf("too many at once, or refused:\n%s", log)
	}
}

// slowNames starts a server that must know the names of its peers, and keeps
// one place for 127.0.0.5 and 127.0.0.6. Names of 127.9.0.0/16 never come, those
// of others when told is closed.
func slowNames(t *testing.T, told <-chan struct{}, options ...string) *server {
	t.Helper()
	var w world
	udp, tcp := w.listen(t)
	tcp.Close()
	names := &dns.Server{PacketConn: udp, Handler: dns.HandlerFunc(func(out dns.ResponseWriter, question *dns.Msg) {
		if !strings.HasSuffix(question.Question[0].Name, ".9.127.in-addr.arpa.") {
			<-told
			_ = out.WriteMsg(new(dns.Msg).SetRcode(question, dns.RcodeNameError))
		}
	})}
	go func() { _ = names.ActivateAndServe() }()
	t.Cleanup(func() { _ = names.Shutdown() })
	rules := compiled(t, "=friend.example:allow\n127.0.0.5-6:allow,UCSPID_TRUSTED=\"\"\n:allow\n")
	args := slices.Concat([]string{"-vRl0", "--reserve", "1", "--lookup-timeout", "60", "-x", rules}, options, []string{"cat"})
	return startOn(t, []string{"127.0.0.1:0"}, w.environ(), args...)
}

func TestSlowNamesLockNobodyOut(t *testing.T) {
	told := make(chan struct{})
	close(told)
	s := slowNames(t, told, "-c4", "-C2")
	waiting := []net.Conn{s.connect("127.9.0.1"), s.connect("127.9.0.1")}
	s.refuses("127.9.0.1", "MAXCONNIP:2", "")
	waiting = append(waiting, s.connect("127.9.0.2"))
	s.refuses("127.9.0.3", "JUDGING:3", "")
	s.hold("127.0.0.5")
	s.hold("127.0.0.6")
	for _, conn := range waiting {
		if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		if n, err := conn.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one who was to wait for its name got %d bytes, %v", n, err)
		}
	}
}

func TestSlowNamesOfANetworkLockNobodyElseOut(t *testing.T) {
	told := make(chan struct{})
	close(told)
	s := slowNames(t, told, "-c4", "--per-network", "2")
	s.connect("127.9.0.1")
	s.connect("127.9.0.2")
	s.refuses("127.9.0.3", "MAXCONNC:2", "")
	s.hold("127.0.0.1")
}

func TestPlaceOfWhoNoLongerWaitsIsFree(t *testing.T) {
	told := make(chan struct{})
	s := slowNames(t, told, "-c2")
	s.connect("127.9.0.1")
	first, second := s.connect("127.0.0.5"), s.connect("127.0.0.6") // the second one has no place yet
	close(told)
	echoed(t, first, "first")
	echoed(t, second, "second")
}

func TestWhatTheRefusedGet(t *testing.T) {
	const rules = "127.0.0.9:deny\n127.0.0.8:deny,DIEMSG=\"not you\"\n" +
		"127.0.0.3:allow,MAXCONNIP=\"0\",DIEMSG=\"two\rlines\x01\xff\"\n" +
		"127.0.0.4:allow,MAXCONNIP=\"0\",DIEMSG=\"\"\n" +
		"127.0.0.5:allow,MAXCONNIP=\"0\",DIEMSG=\"550 for good\"\n" +
		"127.0.0.6:allow,MAXRATEIP=\"0/1s\"\n" +
		":allow,MAXCONNIP=\"0\"\n"
	long := strings.Repeat("x", 600)
	for _, test := range []struct {
		options string
		want    map[string]string
	}{
		{"", map[string]string{"127.0.0.1": "", "127.0.0.9": "", "127.0.0.8": "not you\r\n", "127.0.0.3": "two?lines??\r\n", "127.0.0.4": ""}},
		{"-C 5:" + long, map[string]string{"127.0.0.1": long[:510] + "\r\n", "127.0.0.4": "", "127.0.0.6": ""}},
		{`-C 5:gone\r\n`, map[string]string{"127.0.0.1": "gone\r\n"}},
		{`-C 5:`, map[string]string{"127.0.0.1": ""}},
		{"--refuse-with smtp", map[string]string{
			"127.0.0.1": "421 4.7.0 Too many connections from your address\r\n", "127.0.0.9": "", "127.0.0.8": "not you\r\n",
			"127.0.0.3": "421 4.7.0 two?lines??\r\n", "127.0.0.4": "", "127.0.0.5": "550 for good\r\n",
			"127.0.0.6": "421 4.7.0 You connect too often\r\n",
		}},
		{"--refuse-with smtp --refuse-denied -C 5:gone", map[string]string{
			"127.0.0.1": "421 4.7.0 gone\r\n", "127.0.0.9": "554 5.7.1 Access denied\r\n", "127.0.0.8": "554 5.7.1 not you\r\n",
		}},
	} {
		s := start(t, slices.Concat([]string{"-vRHl0", "-x", compiled(t, rules)}, strings.Fields(test.options), []string{"cat"})...)
		for from, want := range test.want {
			if got := s.answer(from); got != want {
				t.Errorf("%.40s: %s gets %q, not %q", test.options, from, got, want)
			}
		}
	}
}

// TestRefusalReachesWhoTalksFirst has a client that sends before it reads: what
// nobody reads must not make the kernel throw the line away.
func TestRefusalReachesWhoTalksFirst(t *testing.T) {
	s := start(t, "-RHl0", "-x", compiled(t, ":allow,MAXCONNIP=\"0\"\n"), "--refuse-with", "smtp", "cat")
	for range 20 {
		conn := s.connect("127.0.0.1")
		for range 3 {
			if _, err := conn.Write(bytes.Repeat([]byte("EHLO client.example\r\n"), 100)); err != nil {
				t.Fatalf("write: %v", err)
			}
		}
		text, err := io.ReadAll(conn)
		if want := "421 4.7.0 Too many connections from your address\r\n"; string(text) != want || err != nil {
			t.Fatalf("got %q, %v", text, err)
		}
		conn.Close()
	}
}

// TestRefusedWhoNeitherReadNorLeave hold up nobody and nothing: not the others,
// and not more than a few descriptors.
func TestRefusedWhoNeitherReadNorLeave(t *testing.T) {
	s := start(t, "-vRHl0", "-x", compiled(t, "127.0.0.9:allow,MAXCONNIP=\"0\"\n:allow\n"), "--refuse-with", "smtp", "cat")
	const crowd = 300
	for range crowd {
		s.connect("127.0.0.9")
	}
	s.hold("127.0.0.1")
	descriptors, err := os.ReadDir("/proc/" + strconv.Itoa(s.cmd.Process.Pid) + "/fd")
	if err != nil {
		t.Fatal(err)
	}
	if n := len(descriptors); n > crowd/2 {
		t.Errorf("%d descriptors are open", n)
	}
}
