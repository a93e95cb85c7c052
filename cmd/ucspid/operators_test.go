package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/exit"
	"ucspid/internal/status"
)

// observed runs ucspid with a port and a status socket, as systemd passes them,
// and returns the server and the path of the socket. On real systemd
// test/17-status does it.
func observed(t *testing.T, options ...string) (*server, string) {
	t.Helper()
	port, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "status")
	socket, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		port.Close()
		socket.Close()
	})
	files := []*os.File{fileOf(t, socket.(*net.UnixListener)), fileOf(t, port.(*net.TCPListener))}
	cmd := exec.Command("sh", append([]string{"-c", `LISTEN_PID=$$ exec ucspid "$@"`, "sh"}, options...)...)
	cmd.Env = append(os.Environ(), "LISTEN_FDS=2", "LISTEN_FDNAMES=status:smtp")
	cmd.ExtraFiles = files
	s := launch(t, cmd)
	for _, f := range files {
		f.Close()
	}
	s.addresses = []string{port.Addr().String()}
	return s, path
}

func TestOperatorsAreToldWhatTheServerDoes(t *testing.T) {
	rules := compiled(t, "127.0.0.1:allow\n127.0.0.2:deny\n127.0.0.3:allow,MAXCONNIP=\"0\"\n")
	s, socket := observed(t, "-vRHl0", "-c7", "-C5", "--rate", "30/1m", "--reserve", "2", "-x", rules, "cat")
	conn := s.connect("127.0.0.1")
	echoed(t, conn, "hello")
	for _, ip := range []string{"127.0.0.2", "127.0.0.3"} {
		readAll(t, s.connect(ip))
	}
	s.await(`MAXCONNIP:0$`)

	r, err := status.Ask(socket)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Sessions) != 1 || r.Sessions[0].Peer.String() != conn.LocalAddr().String() {
		t.Fatalf("the sessions are %+v", r.Sessions)
	}
	one := r.Sessions[0]
	s.await(fmt.Sprintf(`^ucspid: pid %d from 127.0.0.1$`, one.ID))
	if rule, found := one.Rule.Text(); !found || rule != "127.0.0.1" {
		t.Errorf("the rule is %q, %t", rule, found)
	}
	if host, known := one.Name.Text(); known {
		t.Errorf("the name is %q, and nobody was asked for it", host)
	}
	if age := time.Since(one.Started); age < 0 || age > patience {
		t.Errorf("the session is %v old", age)
	}
	if n := r.Counts; n.Begun != 1 || n.Denied != 1 || n.Refused["per-host"] != 1 || n.Dropped != 0 {
		t.Errorf("the counts are %+v", n)
	}
	if l := r.Limits; l.Sessions != 7 || *l.PerHost != 5 || l.PerNetwork != nil || l.Rate != "30/1m" || l.Reserve != 2 {
		t.Errorf("the limits are %+v", l)
	}
	if r.Rules.File != rules || r.Rules.Error != "" || time.Since(r.Rules.Modified) > patience {
		t.Errorf("the rules are %+v", r.Rules)
	}
	if err := os.WriteFile(rules, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r, err = status.Ask(socket); err != nil || r.Rules.Error == "" {
		t.Errorf("rules that are garbage: %+v, %v", r, err)
	}
}

func TestRootEndsASession(t *testing.T) {
	s, socket := observed(t, "-vRHl0", "cat")
	conn := s.connect("127.0.0.1")
	echoed(t, conn, "hello")
	r, err := status.Ask(socket)
	if err != nil || len(r.Sessions) != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	id := r.Sessions[0].ID
	for _, other := range []int{id + 1, s.cmd.Process.Pid, -1, 1} {
		if err := status.Kill(socket, other); err == nil {
			t.Errorf("session %d was ended, and there is none", other)
		}
	}
	err = status.Kill(socket, id)
	if os.Getuid() != 0 {
		if err == nil {
			t.Error("who is not root ended a session")
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	s.await(fmt.Sprintf(`^ucspid: end %d status %d$`, id, unix.SIGTERM))
}

// Nobody who asks in an unusual way keeps another from an answer for long.
func TestWhoAsksKeepsNobodyWaiting(t *testing.T) {
	s, socket := observed(t, "-vRHl0", "cat")
	for name, question := range map[string]string{
		"nothing": "", "half": `{"kil`, "garbage": "GET / HTTP/1.0\r\n\r\n", "other": `{"kill":"1"}`,
		"number": `{"kill":1e99}`, "endless": `{"kill":` + strings.Repeat(" ", 1<<16), "deep": strings.Repeat("[", 1<<16),
	} {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, question) // it may have hung up
		t.Log(name)
	}
	if _, err := status.Ask(socket); err != nil {
		t.Error(err)
	}
	echoed(t, s.connect("127.0.0.1"), "hello")
}

func TestStatusSocketIsOneOfTheFileSystem(t *testing.T) {
	for name, test := range map[string]struct {
		files []*os.File
		names string
		want  string
	}{
		"tcp":   {[]*os.File{connectedSocket(t)}, "status", `socket "status": not an AF_UNIX socket: with this name ListenStream= must be a path`},
		"file":  {[]*os.File{plainFile(t)}, "status", `socket "status": descriptor 3: socket operation on non-socket`},
		"two":   {[]*os.File{unixListener(t), unixListener(t)}, "status:status", `socket "status": passed twice`},
		"alone": {[]*os.File{unixListener(t)}, "status", "sockets: none were passed"},
	} {
		t.Run(name, func(t *testing.T) {
			code, said := activate(t, test.files, fmt.Sprintf("LISTEN_FDS=%d", len(test.files)), "LISTEN_FDNAMES="+test.names)
			if code != exit.Usage || !strings.Contains(said, "ucspid: "+test.want) {
				t.Errorf("exit code %d, said %q, want %q", code, said, test.want)
			}
		})
	}
}
