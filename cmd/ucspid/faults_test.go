//go:build faults

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// faults are the system calls of a session's life, in their order, and how
// each may fail: strace(1) has it fail in the running server. close(2) is not
// among them: what strace fails is not done, so the descriptor would stay. What
// becomes of the journal's socket is shown by test/15-systemd-faults.
var faults = []failure{
	{call: "accept4", lasts: "EMFILE ENFILE ENOBUFS ENOMEM", passes: "ECONNABORTED EINTR EPROTO EPERM ENETDOWN EHOSTUNREACH"},
	{call: "ppoll", passes: "EINTR ENOMEM"},
	{call: "epoll_pwait", passes: "EINTR"},
	{call: "setsockopt", lasts: "ENOBUFS ENOMEM ENOPROTOOPT EINVAL"},
	{call: "getsockname", lasts: "ENOBUFS EINVAL"},
	{call: "sendmsg", lasts: "EPIPE ECONNRESET EAGAIN ENOBUFS ENOMEM"},
	{call: "newfstatat", on: rulesOf, lasts: "EACCES EIO ELOOP ENOENT ENOMEM"},
	{call: "openat", on: rulesOf, lasts: "EMFILE ENFILE EACCES EIO ENOENT ENOMEM", passes: "EINTR"},
	{call: "fstat", on: rulesOf, lasts: "EIO ENOMEM"},
	{call: "read", on: rulesOf, lasts: "EIO EISDIR ENOMEM", passes: "EINTR"},
	{call: "clone", lasts: "EAGAIN EMFILE ENFILE ENOMEM"},
	{call: "execve", lasts: "ENOENT EACCES EAGAIN EIO ELOOP EMFILE ENFILE ENOEXEC ENOMEM ETXTBSY E2BIG"},
	{call: "wait4", passes: "EINTR"},
	{call: "write", on: stderrOf, lasts: "EIO EAGAIN ENOSPC EPIPE", passes: "EINTR"},
	{call: "socket", lasts: "EMFILE ENFILE ENOBUFS ENOMEM"}, // to systemd, as the next ones; so is sendmsg
	{call: "epoll_ctl", lasts: "ENOMEM ENOSPC"},
	{call: "connect", lasts: "ECONNREFUSED ENOENT EACCES EAGAIN"},
}

// failure is a system call that fails.
type failure struct {
	call   string
	on     func(*server) string // the only file that is meant, nil for every one
	lasts  string               // the errors that may come again and again
	passes string               // those that are over with one connection, or one signal
}

// way is how a call fails.
type way struct {
	errno string
	once  bool // in each thread
}

func (w way) String() string {
	if w.once {
		return w.errno + "/once"
	}
	return w.errno
}

// ways are all of them, or with -short one.
func (f failure) ways() []way {
	var all []way
	for _, errno := range strings.Fields(f.lasts) {
		all = append(all, way{errno, false}, way{errno, true})
	}
	for _, errno := range strings.Fields(f.passes) {
		all = append(all, way{errno, true})
	}
	if testing.Short() {
		return all[:1]
	}
	return all
}

func rulesOf(s *server) string { return s.cmd.Args[len(s.cmd.Args)-2] }

func stderrOf(s *server) string {
	path, err := os.Readlink(fmt.Sprintf("/proc/%d/fd/2", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return path
}

// TestFaults has each system call of a session's life fail while clients come.
// They may be turned away, but whoever comes afterwards is served, and nothing
// is left behind.
func TestFaults(t *testing.T) {
	needStrace(t)
	for _, f := range faults {
		for _, w := range f.ways() {
			t.Run(f.call+"/"+w.String(), func(t *testing.T) { f.befall(t, w) })
		}
	}
}

// TestFaultsDelayTheStatus has systemd not hear of the last change. It does
// later, and without another change.
func TestFaultsDelayTheStatus(t *testing.T) {
	needStrace(t)
	systemd := newSystemd(t)
	s := startOn(t, []string{"127.0.0.1:0"}, append(os.Environ(), "NOTIFY_SOCKET="+systemd.path),
		"-vRHl0", "-x", compiled(t, ":deny\n"), "cat")
	s.answer("127.0.0.1")
	systemd.await(t, "STATUS=0/40 sessions; 1 denied")
	trace := s.inject("connect", way{errno: "ECONNREFUSED"}, "")
	s.answer("127.0.0.1")
	trace.end()
	systemd.await(t, "STATUS=0/40 sessions; 2 denied")
}

func needStrace(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("strace"); err != nil {
		missing(t, "strace is not installed")
	}
	if os.Geteuid() != 0 {
		missing(t, "only root may surely trace another process")
	}
}

const (
	faultSlots   = 3  // so few that one which is lost will be missed
	faultClients = 12 // at once: more than are dropped in as many lines
)

// befall has the call fail in a server, once in each thread or until enough
// clients have come.
func (f failure) befall(t *testing.T, w way) {
	t.Parallel()
	rules := compiled(t, ":allow\n")
	systemd := newSystemd(t)
	s := startOn(t, []string{"127.0.0.1:0"}, append(os.Environ(), "NOTIFY_SOCKET="+systemd.path),
		"-vDRHl0", "-c", strconv.Itoa(faultSlots), "-B", "hello\n", "-x", rules, "cat")
	empty := fmt.Sprintf("STATUS=0/%d sessions; 0 denied", faultSlots)
	s.serveAll()
	systemd.await(t, empty)
	descriptors := s.descriptors()

	recompile(t, rules, "127.:allow\n") // so that they are read again
	trace := s.inject(f.call, w, f.path(s))
	var clients []net.Conn
	for range faultClients {
		clients = append(clients, s.connect("127.0.0.1"))
		_ = clients[len(clients)-1].(*net.TCPConn).CloseWrite()
	}
	if f.call == "accept4" && !w.once {
		s.idlesWithoutAccept()
		trace.end()
		leave(t, clients)
	} else {
		leave(t, clients)
		s.childless() // strace may take a signal of theirs with it
		trace.end()
	}

	s.serveAll()
	systemd.await(t, empty)
	s.eventually("no descriptor is left", func() bool { return s.descriptors() <= descriptors })
	s.childless()
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	s.complainsInMeasure()
}

func (f failure) path(s *server) string {
	if f.on == nil {
		return ""
	}
	return f.on(s)
}

// leave waits until the server, or the program, has hung up on all clients.
func leave(t *testing.T, clients []net.Conn) {
	t.Helper()
	for _, conn := range clients {
		_ = conn.SetDeadline(time.Now().Add(patience)) // each may have to wait for a pause
		readAll(t, conn)
		conn.Close()
	}
}

// serveAll has as many clients as there are slots be served side by side, and
// leave.
func (s *server) serveAll() {
	s.t.Helper()
	before := len(s.log.String())
	var clients []net.Conn
	for range faultSlots {
		conn := s.connect("127.0.0.1")
		clients = append(clients, conn)
		banner := make([]byte, len("hello\n"))
		if _, err := io.ReadFull(conn, banner); err != nil {
			s.t.Fatal(err)
		}
		echoed(s.t, conn, "served")
	}
	for _, conn := range clients {
		conn.Close()
	}
	empty := fmt.Sprintf("status: 0/%d\n", faultSlots)
	if text, is := s.log.await(func(text string) bool { return strings.HasSuffix(text[before:], empty) }); !is {
		s.t.Fatalf("the slots are not empty:\n%s", text)
	}
}

// tracer is a strace that is attached to a server.
type tracer struct {
	server *server
	cmd    *exec.Cmd
	output string
}

// inject has a system call of the server fail, on every file or on the one of
// that path.
func (s *server) inject(call string, w way, path string) *tracer {
	s.t.Helper()
	injection := "inject=" + call + ":error=" + w.errno
	if w.once {
		injection += ":when=1"
	}
	tr := &tracer{server: s, output: filepath.Join(s.t.TempDir(), "trace")}
	tr.cmd = exec.Command("strace", "-f", "-o", tr.output, "-e", "trace="+call, "-e", injection, "-p", strconv.Itoa(s.cmd.Process.Pid))
	if path != "" {
		tr.cmd.Args = append(tr.cmd.Args, "-P", path)
	}
	var said transcript
	said.init()
	stderr, err := said.pipe()
	if err != nil {
		s.t.Fatal(err)
	}
	defer stderr.Close()
	tr.cmd.Stderr = stderr
	if err := tr.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		_ = tr.cmd.Process.Kill()
		_ = tr.cmd.Wait()
	})
	if text, is := said.await(regexp.MustCompile(`Process \d+ attached`).MatchString); !is {
		s.t.Fatalf("strace did not attach:\n%s", text)
	}
	return tr
}

// end leaves the server alone once something has failed.
func (tr *tracer) end() {
	tr.server.t.Helper()
	tr.server.eventually("a call fails", func() bool {
		text, err := os.ReadFile(tr.output)
		return err == nil && strings.Contains(string(text), "(INJECTED)")
	})
	_ = tr.cmd.Process.Signal(unix.SIGTERM)
	_ = tr.cmd.Wait() // says that the signal ended it
}

// idlesWithoutAccept waits until the log has complained three times, once a
// second at most, and wants the server to have slept meanwhile.
func (s *server) idlesWithoutAccept() {
	s.t.Helper()
	began, used := time.Now(), s.used()
	text := s.await(`(unable to accept.*){3}`)
	took := time.Since(began)
	if used = s.used() - used; used > took/20 {
		s.t.Errorf("in %v without accept it used %v of a processor", took, used)
	}
	if n := strings.Count(text, "unable to accept"); n > 1+int(took/time.Second) {
		s.t.Errorf("%d complaints in %v", n, took)
	}
}

// complainsInMeasure wants no more lines for one reason to drop a connection
// than there are in a minute.
func (s *server) complainsInMeasure() {
	s.t.Helper()
	lines := make(map[string]int)
	for line := range strings.Lines(s.whole()) {
		if strings.Contains(line, "dropping connection") {
			lines[line]++
		}
	}
	for line, n := range lines {
		if n > 10 {
			s.t.Errorf("%d times %q", n, line)
		}
	}
}

// systemd is the socket that a service tells its state to.
type systemd struct {
	path  string
	heard transcript // a message a line
}

func newSystemd(t *testing.T) *systemd {
	t.Helper()
	sd := &systemd{path: filepath.Join(t.TempDir(), "notify")}
	sd.heard.init()
	socket, err := net.ListenPacket("unixgram", sd.path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	go func() {
		message := make([]byte, 1<<10)
		for {
			n, _, err := socket.ReadFrom(message)
			if err != nil {
				return
			}
			_, _ = sd.heard.Write(append(message[:n], '\n'))
		}
	}()
	return sd
}

// await waits until that is the last message.
func (sd *systemd) await(t *testing.T, message string) {
	t.Helper()
	if text, is := sd.heard.await(func(text string) bool { return strings.HasSuffix(text, message+"\n") }); !is {
		t.Fatalf("the last message is not %q:\n%s", message, text)
	}
}

// stat returns the fields of /proc/PID/stat after the name of the process.
func stat(pid string) ([]string, error) {
	text, err := os.ReadFile("/proc/" + pid + "/stat")
	return strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:])), err
}

// used returns how long the server has had a processor.
func (s *server) used() time.Duration {
	s.t.Helper()
	fields, err := stat(strconv.Itoa(s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	user, userErr := strconv.Atoi(fields[11])
	system, systemErr := strconv.Atoi(fields[12])
	if err := errors.Join(userErr, systemErr); err != nil {
		s.t.Fatal(err)
	}
	const tick = time.Second / 100 // proc(5) on Linux
	return time.Duration(user+system) * tick
}

// descriptors returns how many the server has open.
func (s *server) descriptors() int {
	s.t.Helper()
	entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.cmd.Process.Pid))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(entries)
}

// childless waits until no process is the server's, not even a dead one.
func (s *server) childless() {
	s.t.Helper()
	parent := strconv.Itoa(s.cmd.Process.Pid)
	s.eventually("no child is left", func() bool {
		stats, _ := filepath.Glob("/proc/[0-9]*/stat")
		return !slices.ContainsFunc(stats, func(path string) bool {
			fields, err := stat(filepath.Base(filepath.Dir(path)))
			return err == nil && fields[1] == parent
		})
	})
}

// eventually waits until it is so.
func (s *server) eventually(what string, so func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("still not so: %s", what)
		}
	}
}
