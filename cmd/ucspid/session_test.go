package main

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

func TestProgramFindsTheUCSPIEnvironment(t *testing.T) {
	stale := []string{
		"PATH=" + os.Getenv("PATH"), "KEPT=1", "TWICE=1", "TWICE=2",
		"TCPREMOTEHOST=stale", "TCPREMOTEINFO=stale", "TCP6REMOTEIP=stale",
		"LISTEN_FDNAMES=x", "NOTIFY_SOCKET=", "INVOCATION_ID=x", "TRIGGER_UNIT=x", "UCSPID_GROUP=x",
		"MAINPID=1", "STATE_DIRECTORY=/x",
	}
	rules := compiled(t, `127.0.0.1:allow,RELAYCLIENT="",KEPT=/2/,PROTO="SMTP",A="1",A="2"`+"\n")
	s := startOn(t, []string{"127.0.0.1:0"}, stale, "-RHl", "here.example", "-x", rules, "probe", "an", "argument")
	conn := s.connect("127.0.0.1")
	got := parseReport(t, readAll(t, conn))
	want := []string{
		"PATH=" + os.Getenv("PATH"), "TWICE=2",
		"TCPLOCALIP=127.0.0.1", "TCPLOCALPORT=" + port(conn.RemoteAddr()), "TCPLOCALHOST=here.example",
		"TCPREMOTEIP=127.0.0.1", "TCPREMOTEPORT=" + port(conn.LocalAddr()),
		"RELAYCLIENT=", "KEPT=2", "PROTO=SMTP", "A=2",
	}
	slices.Sort(want)
	slices.Sort(got.Env)
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"probe", "an", "argument"}, got.Args); diff != "" {
		t.Errorf("arguments (-want +got):\n%s", diff)
	}
}

func port(a net.Addr) string {
	_, port, _ := net.SplitHostPort(a.String())
	return port
}

func TestIPv6PeerFindsBothNames(t *testing.T) {
	s := startOn(t, []string{"[::1]:0"}, []string{"PATH=" + os.Getenv("PATH")}, "-vRHl0", "probe")
	conn := s.connectTo(s.addresses[0], "::1")
	got := parseReport(t, readAll(t, conn))
	here, there := port(conn.RemoteAddr()), port(conn.LocalAddr())
	want := []string{
		"PATH=" + os.Getenv("PATH"), "PROTO=TCP6",
		"TCPLOCALIP=::1", "TCPLOCALPORT=" + here, "TCPLOCALHOST=0", "TCPREMOTEIP=::1", "TCPREMOTEPORT=" + there,
		"TCP6LOCALIP=::1", "TCP6LOCALPORT=" + here, "TCP6LOCALHOST=0", "TCP6REMOTEIP=::1", "TCP6REMOTEPORT=" + there,
	}
	slices.Sort(want)
	slices.Sort(got.Env)
	if diff := cmp.Diff(want, got.Env); diff != "" {
		t.Errorf("environment (-want +got):\n%s", diff)
	}
	s.await(`^ucspid: pid \d+ from \[::1\]$.*^ucspid: ok \d+ 0:\[::1\]:` + here + ` :\[::1\]::` + there + `$`)
}

func TestIPv4PeerOfADualStackSocketIsIPv4(t *testing.T) {
	s := startOn(t, []string{"[::]:0"}, os.Environ(), "-RHl0", "-x", compiled(t, "127.:allow,BY=\"prefix\"\n:deny\n"), "probe")
	conn := s.connectTo("127.0.0.1:"+port(mustResolve(t, s.addresses[0])), "127.0.0.1")
	got := parseReport(t, readAll(t, conn))
	for _, variable := range []string{"PROTO=TCP", "TCPREMOTEIP=127.0.0.1", "TCPLOCALIP=127.0.0.1", "BY=prefix"} {
		if !slices.Contains(got.Env, variable) {
			t.Errorf("%s is missing in %q", variable, got.Env)
		}
	}
}

func mustResolve(t *testing.T, address string) net.Addr {
	t.Helper()
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(address))
}

func TestProgramGetsTheConnectionAndNothingElse(t *testing.T) {
	leaked, err := os.Open(os.DevNull) // a descriptor that ucspid is born with
	if err != nil {
		t.Fatal(err)
	}
	defer leaked.Close()
	if _, err := unix.FcntlInt(leaked.Fd(), unix.F_SETFD, 0); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-RHl0", "probe")
	got := s.report("127.0.0.1")
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	var own report
	own.readSignals() // who starts us may ignore some: make does, with 32 and 33
	want := report{
		Args: []string{"probe"}, Env: got.Env, Dir: dir, Server: s.cmd.Process.Pid,
		Descriptors: []int{0, 1, 2}, Files: got.Files, Socket: got.Socket, Blocking: true,
		Ignored: own.Ignored, Blocked: own.Blocked,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("report (-want +got):\n%s", diff)
	}
}

func TestSocketOptions(t *testing.T) {
	for _, test := range []struct {
		options    string
		noDelay    int
		hasOptions bool // the client's IPv4 options are left
	}{
		{"-RHl0", 0, false},
		{"-DRHl0", 1, false},
		{"-DdRHl0", 0, false},
		{"-oRHl0", 0, true},
		{"-oORHl0", 0, false},
	} {
		t.Run(test.options, func(t *testing.T) {
			s := start(t, test.options, "probe")
			got := parseReport(t, readAll(t, connectWithOptions(t, s.addresses[0], "127.0.0.1")))
			if got.NoDelay != test.noDelay {
				t.Errorf("TCP_NODELAY is %d, not %d", got.NoDelay, test.noDelay)
			}
			if (got.IPOptions > 0) != test.hasOptions {
				t.Errorf("%d bytes of IPv4 options", got.IPOptions)
			}
			if got.KeepAlive != 0 {
				t.Error("SO_KEEPALIVE is set")
			}
		})
	}
}

// connectWithOptions connects with the record route option of IPv4, which the
// kernel keeps on the accepted socket as it does a source route.
func connectWithOptions(t *testing.T, address, from string) net.Conn {
	t.Helper()
	recordRoute := string([]byte{7, 11, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	local := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	dialer := net.Dialer{Timeout: patience, LocalAddr: local, Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			err = unix.SetsockoptString(int(fd), unix.IPPROTO_IP, unix.IP_OPTIONS, recordRoute)
		})
		if err != nil {
			return err
		}
		return controlErr
	}}
	conn, err := dialer.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestLogOfASessionIsInTheWordsOfTcpserver(t *testing.T) {
	s := start(t, "-vRHl", "here:%\x01", "sh", "-c", "exit 3")
	conn := s.connect("127.0.0.5")
	here, there := port(conn.RemoteAddr()), port(conn.LocalAddr())
	log := s.await(`^ucspid: end .*^ucspid: status: 0/40$`)
	pid := regexp.MustCompile(`pid (\d+)`).FindStringSubmatch(log)[1]
	want := strings.NewReplacer("PID", pid, "HERE", here, "THERE", there).Replace(
		"ucspid: status: 0/40\n" +
			"ucspid: status: 1/40\n" +
			"ucspid: pid PID from 127.0.0.5\n" +
			"ucspid: ok PID here???:127.0.0.1:HERE :127.0.0.5::THERE\n" +
			"ucspid: end PID status 768\n" +
			"ucspid: status: 0/40\n")
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestEndOfAKilledProgramShowsTheRawWaitStatus(t *testing.T) {
	s := start(t, "-vRHl0", "sh", "-c", "kill -9 $$")
	s.connect("127.0.0.1")
	s.await(`^ucspid: end \d+ status 9$`)
}

func TestDeniedPeerIsClosedInOneLine(t *testing.T) {
	s := start(t, "-vRHl0", "-x", compiled(t, "127.0.0.9:deny\n=:deny\n"), "cat")
	conn := s.connect("127.0.0.9")
	if got := readAll(t, conn); got != "" {
		t.Errorf("the denied peer got %q", got)
	}
	log := s.await(`^ucspid: deny .*$`)
	want := "ucspid: status: 0/40\n" +
		"ucspid: deny 0 0:127.0.0.1:" + port(conn.RemoteAddr()) + " :127.0.0.9::" + port(conn.LocalAddr()) + " RULE:127.0.0.9\n"
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
}

func TestVerbosity(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "missing.cdb")
	for options, want := range map[string]string{
		"-qRHl0":   "",
		"-vqRHl0":  "",
		"-RHl0":    "warning: dropping connection, unable to read " + broken,
		"-vQRHl0":  "warning: dropping connection, unable to read " + broken,
		"-QqvRHl0": "status: 0/40",
	} {
		t.Run(options, func(t *testing.T) {
			s := start(t, options, "-x", broken, "cat")
			if got := s.answer("127.0.0.1"); got != "" {
				t.Errorf("the peer got %q", got)
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
			log := s.whole()
			if !strings.Contains(log, want) || want == "" && log != "" {
				t.Errorf("log is %q, want %q in it", log, want)
			}
		})
	}
}

func TestAtTheLimitClientsWaitInTheBacklog(t *testing.T) {
	control := filepath.Join(t.TempDir(), "concurrencyincoming")
	if err := os.WriteFile(control, []byte("1\nignored\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, limit := range []string{"1", "@" + control} {
		t.Run(limit, func(t *testing.T) {
			s := start(t, "-vRHl0", "-c", limit, "cat")
			first := s.connect("127.0.0.1")
			echoed(t, first, "first")
			second := s.connect("127.0.0.2")
			if _, err := io.WriteString(second, "second\n"); err != nil {
				t.Fatal(err)
			}
			echoed(t, first, "still first")
			first.Close()
			echoed2 := make([]byte, len("second\n"))
			if _, err := io.ReadFull(second, echoed2); err != nil {
				t.Fatal(err)
			}
			second.Close()
			log := s.await(`(^ucspid: end .*){2}^ucspid: status: 0/1$`)
			if strings.Contains(log, "2/1") {
				t.Error("two sessions at once")
			}
			if !regexp.MustCompile(`(?s)from 127.0.0.1.*end .*from 127.0.0.2`).MatchString(log) {
				t.Error("the second client was served before the first one's end")
			}
		})
	}
}

func TestDeniedPeersTakeNoSlotFromSessions(t *testing.T) {
	s := start(t, "-vRHl0", "-c", "2", "-x", compiled(t, "127.0.0.9:deny\n"), "cat")
	held := s.connect("127.0.0.1")
	echoed(t, held, "x")
	for range 50 {
		s.answer("127.0.0.9")
	}
	echoed(t, s.connect("127.0.0.2"), "y")
}

func TestListenersShareTheLimit(t *testing.T) {
	s := startOn(t, []string{"127.0.0.1:0", "127.0.0.1:0", "[::1]:0"}, os.Environ(), "-vRHl0", "-c1", "cat")
	for round := range 2 {
		for i, address := range s.addresses {
			conn := s.connectTo(address, "")
			echoed(t, conn, "hello")
			conn.Close()
			s.await(`(^ucspid: end .*){` + string(rune('1'+3*round+i)) + `}`)
		}
	}
}

func TestBannerIsFirst(t *testing.T) {
	s := start(t, "-RHl0", "-B", "220-hello\r\n", "-x", compiled(t, "127.0.0.9:deny\n"), "echo", "220 program")
	if got, want := s.answer("127.0.0.1"), "220-hello\r\n220 program\n"; got != want {
		t.Errorf("the client got %q, not %q", got, want)
	}
	if got, want := s.answer("127.0.0.9"), "220-hello\r\n"; got != want {
		t.Errorf("the denied client got %q, not %q", got, want)
	}
}

func TestStoppedServerLeavesItsSessions(t *testing.T) {
	s := start(t, "-RHl0", "cat")
	conn := s.connect("127.0.0.1")
	echoed(t, conn, "before")
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	echoed(t, conn, "after")
	if _, err := net.Dial("tcp", s.addresses[0]); err == nil {
		t.Error("the port is still open")
	}
}

func TestProgramThatVanishes(t *testing.T) {
	program := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho here\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	s := start(t, "-vRHl0", program)
	if got := s.answer("127.0.0.1"); got != "here\n" {
		t.Errorf("got %q", got)
	}
	s.await(`^ucspid: end `)
	if err := os.Rename(program, program+".away"); err != nil {
		t.Fatal(err)
	}
	if got := s.answer("127.0.0.1"); got != "" {
		t.Errorf("got %q", got)
	}
	s.await(`^ucspid: warning: dropping connection, unable to run ` + regexp.QuoteMeta(program) + `: `)
	if err := os.Rename(program+".away", program); err != nil {
		t.Fatal(err)
	}
	if got := s.answer("127.0.0.1"); got != "here\n" {
		t.Errorf("got %q after the program was back", got)
	}
}
