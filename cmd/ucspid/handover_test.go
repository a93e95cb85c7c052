package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"ucspid/internal/exit"
)

// inherit runs ucspid with a listener and, as its state, what the process
// before may have left. On real systemd test/09-nobody-dropped does it.
func inherit(t *testing.T, state *os.File, options ...string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	listener := fileOf(t, l.(*net.TCPListener))
	defer listener.Close()
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec ucspid "$@"`, "sh"}, options...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=smtp:ucspid-state")
	cmd.ExtraFiles = []*os.File{listener, state}
	s := launch(t, cmd)
	s.addresses = []string{l.Addr().String()}
	return s
}

// state returns a file with that text.
func state(t testing.TB, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// running returns a process that is no child of the server, and its start time.
func running(t testing.TB) (process *exec.Cmd, born string) {
	t.Helper()
	process = exec.Command("sleep", "1000")
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = process.Process.Kill()
		_ = process.Wait()
	})
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", process.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	return process, strings.Fields(string(text))[21]
}

func TestSessionsOfTheProcessBeforeAreCounted(t *testing.T) {
	one, bornOne := running(t)
	two, bornTwo := running(t)
	pid := func(p *exec.Cmd) int { return p.Process.Pid }
	s := inherit(t, state(t, fmt.Sprintf(`{"Sessions":[
		{"PID":%d,"Born":%s,"Remote":"192.0.2.1:1234","Started":"2026-01-01T00:00:00Z"},
		{"PID":%d,"Born":%s,"Remote":"[2001:db8::1]:1234"},
		{"PID":%d,"Born":%s,"Remote":""},
		{"PID":%d,"Born":1},
		{"PID":4194305,"Born":5}
	],"Unknown":{}}`, pid(one), bornOne, pid(two), bornTwo, pid(two), bornTwo, os.Getpid())), "-vRHl0", "-c1", "cat")

	// Two are there, one of them is named twice; of two others nothing is left.
	s.await(fmt.Sprintf(`^ucspid: end %d status 0$`, os.Getpid()))
	s.await(`^ucspid: end 4194305 status 0$`)
	s.await(`^ucspid: status: 2/1$`)

	// A client waits until there is a place: two are one too many for -c 1.
	conn := s.connect("127.0.0.1")
	_ = one.Process.Kill()
	s.await(fmt.Sprintf(`^ucspid: end %d status 0$`, pid(one)))
	s.await(`^ucspid: status: 1/1$`)
	if strings.Contains(s.log.String(), "from 127.0.0.1") {
		t.Error("a client is served beyond the limit")
	}
	_ = two.Process.Kill()
	echoed(t, conn, "hello")
	s.await(fmt.Sprintf(`^ucspid: end %d status 0$`, pid(two)))
}

func TestStateThatIsNoneDoesNotCloseThePort(t *testing.T) {
	for name, file := range map[string]*os.File{
		"empty":      state(t, ""),
		"text":       state(t, "rubbish"),
		"other type": state(t, `{"Sessions":7}`),
		"negative":   state(t, `{"Sessions":[{"PID":-1,"Born":0,"Remote":"x"}]}`),
		"device":     plainFile(t),
	} {
		t.Run(name, func(t *testing.T) {
			s := inherit(t, file, "-vRHl0", "cat")
			s.await(`^ucspid: sessions that are not counted: `)
			echoed(t, s.connect("127.0.0.1"), "hello")
		})
	}
}

func TestNonsenseInsteadOfAHandover(t *testing.T) {
	for name, test := range map[string]struct{ handover, want string }{
		"word":     {"$$:all:smtp", `UCSPID_HANDOVER: "all" is no descriptor`},
		"standard": {"$$:0:smtp", `UCSPID_HANDOVER: "0" is no descriptor`},
		"closed":   {"$$:99:smtp", "UCSPID_HANDOVER: descriptor 99: bad file descriptor"},
		"alone":    {"$$:3", "sockets: none were passed"},
		"other":    {"1:0:smtp", "sockets: none were passed"},
		"not one":  {"$$:3:smtp", `socket "smtp": descriptor 3: socket operation on non-socket`},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.Command("sh", "-c", `UCSPID_HANDOVER=`+test.handover+` exec ucspid -RHl0 cat`)
			file := state(t, "")
			cmd.ExtraFiles = []*os.File{file}
			out, _ := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != exit.Usage || !strings.Contains(string(out), "ucspid: "+test.want) {
				t.Errorf("exit code %d, said %q, want %q", code, out, test.want)
			}
		})
	}
}
