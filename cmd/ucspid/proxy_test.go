package main

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/internal/ucspi"
)

// The addresses from which these tests connect: those of --proxy-from, and one
// that is no balancer.
const (
	balancers = "127.0.9.0/24,127.0.10.1"
	balancer  = "127.0.9.1"
	balancer2 = "127.0.10.1"
	stranger  = "127.0.10.2"
)

// Headers for a client at 192.0.2.7 or 2001:db8::7, and those with which a
// balancer speaks for itself.
const (
	forClient4 = "PROXY TCP4 192.0.2.7 198.51.100.25 12345 2525\r\n"
	forClient6 = "PROXY TCP6 2001:db8::7 2001:db8::25 12345 2525\r\n"
	forMapped  = "PROXY TCP6 ::ffff:192.0.2.7 ::ffff:198.51.100.25 12345 2525\r\n"
	forClient  = "\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x19\x30\x39\x09\xdd" // version 2
	forItself1 = "PROXY UNKNOWN\r\n"
	forItself2 = "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"
)

// relay connects from an address and sends text.
func (s *server) relay(from, text string) net.Conn {
	s.t.Helper()
	conn := s.connect(from)
	if _, err := io.WriteString(conn, text); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

func TestClientOfABalancerIsThePeer(t *testing.T) {
	path := "PATH=" + os.Getenv("PATH")
	rules := compiled(t, "192.0.2.:allow,BY=\"four\"\n2001:db8::/32:allow,BY=\"six\"\n:deny\n")
	four := []string{
		path, "BY=four", "PROTO=TCP", "TCPLOCALHOST=0", "TCPLOCALIP=198.51.100.25", "TCPLOCALPORT=2525",
		"TCPREMOTEIP=192.0.2.7", "TCPREMOTEPORT=12345",
	}
	six := []string{
		path, "BY=six", "PROTO=TCP6", "TCPLOCALHOST=0", "TCPLOCALIP=2001:db8::25", "TCPLOCALPORT=2525",
		"TCPREMOTEIP=2001:db8::7", "TCPREMOTEPORT=12345", "TCP6LOCALHOST=0", "TCP6LOCALIP=2001:db8::25",
		"TCP6LOCALPORT=2525", "TCP6REMOTEIP=2001:db8::7", "TCP6REMOTEPORT=12345",
	}
	const line4 = `0:198\.51\.100\.25:2525 :192\.0\.2\.7::12345`
	for name, test := range map[string]struct {
		header string
		env    []string
		line   string
	}{
		"version 1":   {forClient4, four, line4},
		"version 2":   {forClient, four, line4},
		"IPv6":        {forClient6, six, `0:\[2001:db8::25\]:2525 :\[2001:db8::7\]::12345`},
		"IPv4-mapped": {forMapped, four, line4},
	} {
		t.Run(name, func(t *testing.T) {
			s := startOn(t, []string{"127.0.0.1:0"}, []string{path}, "-vRHl0", "-x", rules, "--proxy-from", balancers, "probe")
			got := parseReport(t, readAll(t, s.relay(balancer, test.header)))
			if diff := cmp.Diff(slices.Sorted(slices.Values(test.env)), slices.Sorted(slices.Values(got.Env))); diff != "" {
				t.Errorf("environment (-want +got):\n%s", diff)
			}
			if !got.Blocking || !slices.Equal(got.Descriptors, []int{0, 1, 2}) {
				t.Errorf("the program's connection is blocking: %v; its descriptors: %v", got.Blocking, got.Descriptors)
			}
			s.await(`^ucspid: ok \d+ ` + test.line + `$`)
		})
	}
}

func TestProgramGetsEverythingBehindTheHeader(t *testing.T) {
	s := start(t, "-RHl0", "--proxy-from", balancers, "cat")
	for _, header := range []string{forClient4, forClient, forItself1, forItself2} {
		const text = forClient4 + "EHLO client.example\r\n"
		conn := s.relay(balancer, header+text)
		got := make([]byte, len(text))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != text {
			t.Errorf("after %q the program gets %q (%v)", header, got, err)
		}
		echoed(t, conn, "and what comes later")
	}
}

// TestBalancerForItself has health checks come: their peer is the balancer.
func TestBalancerForItself(t *testing.T) {
	s := start(t, "-RHl0", "--proxy-from", balancers, "probe")
	for _, header := range []string{forItself1, forItself2} {
		conn := s.relay(balancer2, header)
		got := parseReport(t, readAll(t, conn))
		for _, variable := range []string{"TCPREMOTEIP=" + balancer2, "TCPREMOTEPORT=" + port(conn.LocalAddr()), "TCPLOCALIP=127.0.0.1"} {
			if !slices.Contains(got.Env, variable) {
				t.Errorf("%q: no %s in %q", header, variable, got.Env)
			}
		}
	}
}

// TestRulesAreAboutTheClient denies a client and its balancer: the one for its
// address, the other only when it speaks for itself.
func TestRulesAreAboutTheClient(t *testing.T) {
	rules := compiled(t, "192.0.2.:allow\n2001:db8::/32:deny\n"+balancer+":deny\n")
	s := start(t, "-vRHl0", "-x", rules, "--proxy-from", balancers, "echo", "served")
	if got := readAll(t, s.relay(balancer, forClient4)); got != "served\n" {
		t.Errorf("a client that is allowed gets %q", got)
	}
	if got := readAll(t, s.relay(balancer, forClient6)); got != "" {
		t.Errorf("a client that is denied gets %q", got)
	}
	s.await(`^ucspid: deny 0 0:\[2001:db8::25\]:2525 :\[2001:db8::7\]::12345 RULE:2001:db8::/32$`)
	if got := readAll(t, s.relay(balancer, forItself1)); got != "" {
		t.Errorf("a balancer that is denied gets %q", got)
	}
	s.await(`^ucspid: deny 0 0:127\.0\.0\.1:\d+ :127\.0\.9\.1::\d+ RULE:127\.0\.9\.1$`)
}

// TestStrangerIsNotBelieved has somebody claim to be another client.
func TestStrangerIsNotBelieved(t *testing.T) {
	rules := compiled(t, "192.0.2.:allow,RELAYCLIENT=\"\"\n127.:allow\n")
	s := start(t, "-vRHl0", "-x", rules, "--proxy-from", balancers, "sh", "-c", `echo "$TCPREMOTEIP ${RELAYCLIENT-none}"; exec cat`)
	for _, header := range []string{forClient4, forClient} {
		conn := s.relay(stranger, header)
		want := stranger + " none\n" + header
		got := make([]byte, len(want))
		if _, err := io.ReadFull(conn, got); err != nil || string(got) != want {
			t.Errorf("a stranger with %q gets %q (%v)", header, got, err)
		}
	}
}

// TestConnectionWithoutAHeaderIsClosed: no byte is written before the header,
// not the banner, and no program is started.
func TestConnectionWithoutAHeaderIsClosed(t *testing.T) {
	for name, test := range map[string]struct {
		sent   string
		ends   bool
		reason string
	}{
		"SMTP":           {"EHLO client.example\r\n", false, "missing"},
		"nothing":        {"", true, "the connection ended"},
		"silence":        {"", false, "timed out"},
		"half of one":    {forClient4[:20], true, "the connection ended"},
		"one too long":   {"PROXY TCP4 " + strings.Repeat("1", 200), false, "too long"},
		"one of no kind": {"PROXY UDP4 192.0.2.7 198.51.100.25 12345 2525\r\n", false, "malformed"},
		"a datagram's":   {strings.Replace(forClient, "\x21\x11", "\x21\x12", 1), false, "the client does not come by TCP"},
		"wrong checksum": {strings.Replace(forClient, "\x00\x0c", "\x00\x13", 1) + "\x03\x00\x04\x00\x00\x00\x00", false, "wrong checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, "-vRHl0", "-B", "220 too early", "--proxy-from", balancers, "echo", "served")
			conn := s.relay(balancer, test.sent)
			if test.ends {
				if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
					t.Fatal(err)
				}
			}
			if got := readAll(t, conn); got != "" {
				t.Errorf("it gets %q", got)
			}
			log := s.await(`^ucspid: warning: dropping connection, unable to read PROXY header: ` + test.reason + `$`)
			if want := "ucspid: status: 0/40\n"; log[:strings.Index(log, "ucspid: warning")] != want || strings.Count(log, "\n") != 2 {
				t.Errorf("the log is more than one line:\n%s", log)
			}
		})
	}
}

// TestBannerGreetsTheClient has the banner come after the header, which says
// whom it is for, and before what the program writes.
func TestBannerGreetsTheClient(t *testing.T) {
	s := start(t, "-RHl0", "-B", "hello ", "--proxy-from", balancers, "echo", "served")
	if got := readAll(t, s.relay(balancer, forClient4)); got != "hello served\n" {
		t.Errorf("got %q", got)
	}
	if got := s.answer(stranger); got != "hello served\n" {
		t.Errorf("a peer that is no balancer gets %q", got)
	}
}

// TestSlowBalancersHoldNobodyUp has many connections wait for half of their
// header: others are served meanwhile, and none of them costs a thread.
func TestSlowBalancersHoldNobodyUp(t *testing.T) {
	const many = 100
	s := start(t, "-RHl0", "-c", fmt.Sprint(many+1), "--proxy-from", balancers, "echo", "served")
	var slow []net.Conn
	for range many {
		slow = append(slow, s.relay(balancer, forClient4[:20]))
	}
	if got := s.answer(stranger); got != "served\n" { // accepted after all of them
		t.Errorf("another client gets %q", got)
	}
	threads, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", s.cmd.Process.Pid))
	if err != nil || len(threads) > many/2 {
		t.Errorf("%d threads for %d connections that wait (%v)", len(threads), many, err)
	}
	for _, conn := range slow {
		if _, err := io.WriteString(conn, forClient4[20:]); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, conn); got != "served\n" {
			t.Errorf("a client behind a slow balancer gets %q", got)
		}
	}
}

// TestStopWaitsForTheHeader: who is accepted is served.
func TestStopWaitsForTheHeader(t *testing.T) {
	s := start(t, "-vRHl0", "--proxy-from", balancers, "echo", "served")
	conn := s.relay(balancer, forClient4[:20])
	if got := s.answer(stranger); got != "served\n" { // accepted after the other one
		t.Fatalf("another client gets %q", got)
	}
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, forClient4[20:]); err != nil {
		t.Fatal(err)
	}
	if got := readAll(t, conn); got != "served\n" {
		t.Errorf("got %q", got)
	}
}

func TestBalancerStandsInTheJournal(t *testing.T) {
	fields := journalFields(ucspi.Event{
		Name: "ok", Remote: netip.MustParseAddrPort("192.0.2.7:12345"), Proxy: netip.MustParseAddrPort("127.0.9.1:40000"),
	})
	for field, want := range map[string]string{
		"UCSPI_REMOTE_IP": "192.0.2.7", "UCSPI_REMOTE_PORT": "12345", "UCSPI_PROXY_IP": "127.0.9.1", "UCSPI_PROXY_PORT": "40000",
	} {
		if fields[field] != want {
			t.Errorf("%s is %q, not %q", field, fields[field], want)
		}
	}
}

// TestLimitsAreOfTheClient has clients behind one balancer, each of whom may
// have one session, and the balancer as many as there are clients.
func TestLimitsAreOfTheClient(t *testing.T) {
	s := start(t, "-vRHl0", "--proxy-from", balancer, "-C1", "cat")
	held := s.relay(balancer, forClient4)
	echoed(t, held, "let in")
	echoed(t, s.relay(balancer, forClient6), "let in")
	if got := readAll(t, s.relay(balancer, forClient)); got != "" {
		t.Errorf("the second connection of a client gets %q", got)
	}
	s.await(`^ucspid: deny 0 0:198\.51\.100\.25:2525 :192\.0\.2\.7::12345 MAXCONNIP:1$`)
	held.Close()
	s.await(`^ucspid: end `)
	echoed(t, s.relay(balancer, forClient), "let in")
}
