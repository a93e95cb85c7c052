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
// each may fail: strace(1) has it fail in the running server.
var faults = []failure{
	{call: "accept4", lasts: "EMFILE ENFILE ENOBUFS ENOMEM", passes: "ECONNABORTED EINTR EPROTO EPERM ENETDOWN EHOSTUNREACH"},
	{call: "ppoll", passes: "EINTR ENOMEM"},
	{call: "setsockopt", lasts: "ENOBUFS ENOMEM ENOPROTOOPT EINVAL"},
	{call: "getsockname", lasts: "ENOBUFS EINVAL"},
	{call: "sendmsg", lasts: "EPIPE ECONNRESET EAGAIN ENOBUFS ENOMEM"},
	{call: "newfstatat", on: rulesOf, lasts: "EACCES EIO ELOOP ENOENT ENOMEM"},
	{call: "openat", on: rulesOf, lasts: "EMFILE ENFILE EACCES EIO ENOENT ENOMEM", passes: "EINTR"},
	{call: "fstat", on: rulesOf, lasts: "EIO ENOMEM"},
	{call: "read", on: rulesOf, lasts: "EIO EISDIR ENOMEM", passes: "EINTR"},
	{call: "pipe2", lasts: "EMFILE ENFILE"},
	{call: "clone", lasts: "EAGAIN ENOMEM"},
	{call: "execve", lasts: "ENOENT EACCES EAGAIN EIO ELOOP EMFILE ENFILE ENOEXEC ENOMEM ETXTBSY E2BIG"},
	{call: "wait4", passes: "EINTR"},
	{call: "write", on: stderrOf, lasts: "EIO EAGAIN ENOSPC EPIPE", passes: "EINTR"},
}

// failure is a system call that fails.
type failure struct {
	call   string
	on     func(*server) string // the only file that is meant, nil for every one
	lasts  string               // the errors that may come again and again
	passes string               // those that are over with one connection, or one signal
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
	if _, err := exec.LookPath("strace"); err != nil {
		missing(t, "strace is not installed")
	}
	if os.Geteuid() != 0 {
		missing(t, "only root may surely trace another process")
	}
	for _, f := range faults {
		for _, errno := range strings.Fields(f.lasts) {
			t.Run(f.call+"/"+errno+"/once", func(t *testing.T) { f.befall(t, errno, true) })
			t.Run(f.call+"/"+errno, func(t *testing.T) { f.befall(t, errno, false) })
		}
		for _, errno := range strings.Fields(f.passes) {
			t.Run(f.call+"/"+errno+"/once", func(t *testing.T) { f.befall(t, errno, true) })
		}
	}
}

// faultSlots are so few that one which is lost will be missed.
const faultSlots = 3

// befall has the call fail in a server, once in each thread or until enough
// clients have come.
func (f failure) befall(t *testing.T, errno string, once bool) {
	t.Parallel()
	rules := compiled(t, ":allow\n")
	s := start(t, "-vDRHl0", "-c", strconv.Itoa(faultSlots), "-B", "hello\n", "-x", rules, "cat")
	s.await(`^ucspid: status: 0/`)
	descriptors := s.descriptors()
	s.serveAll()

	recompile(t, rules, "127.:allow\n") // so that they are read again
	trace := s.inject(f.call, errno, f.path(s), once)
	var clients []net.Conn
	for range 3 * faultSlots {
		clients = append(clients, s.connect("127.0.0.1"))
		_ = clients[len(clients)-1].(*net.TCPConn).CloseWrite()
	}
	if f.call == "accept4" && !once {
		s.idlesWithoutAccept()
		trace.end()
		leave(t, clients)
	} else {
		leave(t, clients)
		s.childless() // strace may take a signal of theirs with it
		trace.end()
	}

	s.serveAll()
	s.eventually("no descriptor is left", func() bool { return s.descriptors() == descriptors })
	s.childless()
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
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
func (s *server) inject(call, errno, path string, once bool) *tracer {
	s.t.Helper()
	injection := "inject=" + call + ":error=" + errno
	if once {
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
