package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"ucspid/policy"
)

// patience bounds every wait of a test: only one that fails takes so long.
const patience = 20 * time.Second

// server is a running ucspid, a process of its own.
type server struct {
	t         *testing.T
	cmd       *exec.Cmd
	addresses []string // that it listens on
	log       transcript
}

// start runs ucspid on a free port of 127.0.0.1.
func start(t *testing.T, args ...string) *server {
	t.Helper()
	return startOn(t, []string{"127.0.0.1:0"}, os.Environ(), args...)
}

// startOn runs ucspid on addresses whose ports are 0.
func startOn(t *testing.T, addresses, env []string, args ...string) *server {
	t.Helper()
	options := []string{"-1"}
	var hosts []string
	for _, address := range addresses {
		options = append(options, "--listen", address)
		host, _, _ := net.SplitHostPort(address)
		hosts = append(hosts, host)
	}
	cmd := exec.Command("ucspid", append(options, args...)...)
	cmd.Env = env
	return launch(t, cmd, hosts...)
}

// launch runs a server that prints a port for each host on which it listens.
func launch(t *testing.T, cmd *exec.Cmd, hosts ...string) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd}
	s.log.init()
	stderr, err := s.log.pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stderr = stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr.Close()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		if t.Failed() {
			t.Logf("stderr of %s:\n%s", cmd.Args[0], s.log.String())
		}
	})
	ports := bufio.NewScanner(stdout)
	for _, host := range hosts {
		if !ports.Scan() {
			t.Fatalf("no port on stdout; stderr: %s", s.log.String())
		}
		s.addresses = append(s.addresses, net.JoinHostPort(host, ports.Text()))
	}
	if ports.Scan() { // stdout ends here, for whoever waits for that
		t.Fatalf("after the ports stdout has %q", ports.Text())
	}
	return s
}

// stop asks the server to stop and returns its exit code.
func (s *server) stop() int {
	s.t.Helper()
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Wait(); err != nil && s.cmd.ProcessState == nil {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

// connect opens a connection to the first address, from an address of
// 127.0.0.0/8.
func (s *server) connect(from string) net.Conn {
	s.t.Helper()
	return s.connectTo(s.addresses[0], from)
}

func (s *server) connectTo(address, from string) net.Conn {
	s.t.Helper()
	dialer := net.Dialer{Timeout: patience}
	if from != "" {
		dialer.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(from), 0))
	}
	conn, err := dialer.Dial("tcp", address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return conn
}

// answer returns all that a client from that address gets.
func (s *server) answer(from string) string {
	s.t.Helper()
	return readAll(s.t, s.connect(from))
}

// readAll reads to the end; a reset is an end too.
func readAll(t *testing.T, conn net.Conn) string {
	t.Helper()
	text, err := io.ReadAll(conn)
	if err != nil && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatalf("read: %v", err)
	}
	return string(text)
}

// report returns what the probe, running as the program, found.
func (s *server) report(from string) report {
	s.t.Helper()
	return parseReport(s.t, s.answer(from))
}

func parseReport(t *testing.T, text string) report {
	t.Helper()
	var r report
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("the program's report: %v: %q", err, text)
	}
	return r
}

// echoed sends a line to a program that sends it back, and waits for that.
func echoed(t *testing.T, conn net.Conn, line string) {
	t.Helper()
	if _, err := io.WriteString(conn, line+"\n"); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, len(line)+1)
	if _, err := io.ReadFull(conn, got); err != nil {
		t.Fatal(err)
	}
	if string(got) != line+"\n" {
		t.Fatalf("sent %q, got %q back", line, got)
	}
}

// transcript collects what a process writes, and lets tests wait for it.
type transcript struct {
	mu      sync.Mutex
	text    strings.Builder
	written *sync.Cond
	ended   chan struct{} // when nobody can write any more
}

func (l *transcript) init() {
	l.written = sync.NewCond(&l.mu)
	l.ended = make(chan struct{})
}

// pipe returns a file for the process to write to. It is not exec.Cmd that
// copies, for sessions may hold the file open after the process has ended.
func (l *transcript) pipe() (*os.File, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	go func() {
		defer close(l.ended)
		defer r.Close()
		_, _ = io.Copy(l, r)
	}()
	return w, nil
}

// whole returns all that was written, once nobody can write any more.
func (s *server) whole() string {
	s.t.Helper()
	select {
	case <-s.log.ended:
	case <-time.After(patience):
		s.t.Fatal("somebody still holds stderr")
	}
	return s.log.String()
}

func (l *transcript) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.written.Broadcast()
	return l.text.Write(p)
}

func (l *transcript) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// await waits until the log matches pattern, in which ^ and $ stand for the
// ends of lines, and returns the whole log.
func (s *server) await(pattern string) string {
	s.t.Helper()
	text, matches := s.log.await(regexp.MustCompile("(?ms)" + pattern).MatchString)
	if !matches {
		s.t.Fatalf("the log never matched %q:\n%s", pattern, text)
	}
	return text
}

// await waits until the text is enough, and returns it and whether it is.
func (l *transcript) await(enough func(text string) bool) (string, bool) {
	timer := time.AfterFunc(patience, l.written.Broadcast)
	defer timer.Stop()
	deadline := time.Now().Add(patience)
	l.mu.Lock()
	defer l.mu.Unlock()
	for !enough(l.text.String()) {
		if time.Now().After(deadline) {
			return l.text.String(), false
		}
		l.written.Wait()
	}
	return l.text.String(), true
}

// compiled writes rules into a cdb and returns its path.
func compiled(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rules.cdb")
	recompile(t, path, text)
	return path
}

func recompile(t *testing.T, path, text string) {
	t.Helper()
	rules, err := policy.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if err := policy.WriteFile(path, path+".tmp", rules); err != nil {
		t.Fatal(err)
	}
}
