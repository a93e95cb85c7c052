package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/exit"
)

// activate runs ucspid with descriptors as systemd passes them, from 3 on, and
// returns its exit code and what it said. It is for starts that fail.
func activate(t *testing.T, files []*os.File, env ...string) (int, string) {
	t.Helper()
	// LISTEN_PID must be the process's own id, which only a shell can know.
	cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ exec ucspid -RHl0 cat`)
	cmd.Env = append(os.Environ(), env...)
	cmd.ExtraFiles = files
	cmd.WaitDelay = patience
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	out, _ := cmd.CombinedOutput()
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestBadDescriptorsAreRefusedByName(t *testing.T) {
	for name, test := range map[string]struct {
		file func(t *testing.T) *os.File
		want string
	}{
		"file":      {plainFile, `socket "smtp": descriptor 3: socket operation on non-socket`},
		"unix":      {unixListener, `socket "smtp": not a TCP socket`},
		"datagram":  {datagramSocket, `socket "smtp": not a stream socket`},
		"connected": {connectedSocket, `socket "smtp": not listening`},
	} {
		t.Run(name, func(t *testing.T) {
			f := test.file(t)
			defer f.Close()
			code, said := activate(t, []*os.File{f}, "LISTEN_FDS=1", "LISTEN_FDNAMES=smtp")
			if code != exit.Usage || !strings.Contains(said, "ucspid: "+test.want) {
				t.Errorf("exit code %d, said %q, want %q", code, said, test.want)
			}
		})
	}
}

func TestNonsenseInsteadOfDescriptors(t *testing.T) {
	for name, test := range map[string]struct{ env, want string }{
		"none":   {"LISTEN_FDS=0", "sockets: none were passed\nucspid: hint: start the .socket unit"},
		"word":   {"LISTEN_FDS=all", `LISTEN_FDS: "all" is not a number`},
		"minus":  {"LISTEN_FDS=-1", `LISTEN_FDS: "-1" is not a number`},
		"huge":   {"LISTEN_FDS=99999999999", "is not a number from 0 to 1024"},
		"closed": {"LISTEN_FDS=1", "descriptor 3: socket operation on non-socket"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := activate(t, nil, test.env)
			if code != exit.Usage || !strings.Contains(said, test.want) {
				t.Errorf("exit code %d, said %q, want %q", code, said, test.want)
			}
		})
	}
}

func plainFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func unixListener(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("unix", t.TempDir()+"/socket")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return fileOf(t, l.(*net.UnixListener))
}

func datagramSocket(t *testing.T) *os.File {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fileOf(t, c.(*net.UDPConn))
}

func connectedSocket(t *testing.T) *os.File {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return fileOf(t, c.(*net.TCPConn))
}

func fileOf(t testing.TB, socket interface{ File() (*os.File, error) }) *os.File {
	t.Helper()
	f, err := socket.File()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// TestServesASocketThatWasPassed lets systemd's own tool listen and pass.
func TestServesASocketThatWasPassed(t *testing.T) {
	tool, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		missing(t, "systemd-socket-activate is not installed")
	}
	address := freeAddress(t)
	cmd := exec.Command(tool, "-l", address, "-E", "GORACE", "ucspid", "-vRHl0", "cat")
	log := &server{t: t, addresses: []string{address}}
	log.log.init()
	stderr, err := log.log.pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stderr.Close()
	log.cmd = cmd
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	log.await(`^Listening on `)
	echoed(t, log.connect("127.0.0.1"), "hello")
	log.await(`^ucspid: ok `)
	if code := log.stop(); code != exit.OK {
		t.Errorf("exit code %d", code)
	}
}

// freeAddress returns an address of 127.0.0.1 on which nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// missing skips a test whose prerequisite is not there; where nothing may be
// missing it is a failure.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(what)
	}
	t.Skip(what)
}

// TestLogReaderThatStalls leaves the log unread: the server goes on, and says
// afterwards how much was left out.
func TestLogReaderThatStalls(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	address := freeAddress(t)
	cmd := exec.Command("ucspid", "-vRHl0", "--listen", address, "-x", compiled(t, "127.9.:deny\n"), "echo", "served")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	first := make([]byte, len("ucspid: status: 0/40\n")) // it serves now
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	pipeSize, err := unix.FcntlInt(r.Fd(), unix.F_GETPIPE_SZ, 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, addresses: []string{address}}
	for i := range pipeSize/len("ucspid: deny 0 ::") + voiceQueue {
		s.answer(fmt.Sprintf("127.9.%d.%d", i>>8&3, i&255)) // few of each, or they are only counted
	}
	if got := s.answer("127.0.0.1"); got != "served\n" {
		t.Errorf("while the log is stuck the client got %q", got)
	}
	if err := cmd.Process.Signal(unix.SIGTERM); err != nil {
		t.Fatal(err)
	}
	rest, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(rest), "lines left out: the log did not take them") {
		t.Error("nothing is said of the lines left out")
	}
}

// TestLogReaderThatGoes closes the log: that ends no server.
func TestLogReaderThatGoes(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	cmd := exec.Command("ucspid", "-vRHl0", "--listen", address, "echo", "served")
	cmd.Stderr = w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	first := make([]byte, len("ucspid: status: 0/40\n"))
	if _, err := io.ReadFull(r, first); err != nil {
		t.Fatal(err)
	}
	r.Close()
	s := &server{t: t, addresses: []string{address}}
	for range 3 {
		if got := s.answer("127.0.0.1"); got != "served\n" {
			t.Errorf("without a reader of the log the client got %q", got)
		}
	}
}
