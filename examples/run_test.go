package examples

import (
	"bytes"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const patience = 60 * time.Second // building is part of it

// TestMakeRunTakesAMessage does what the README's first command does, on
// another port: builds, listens, takes a message, turns a denied peer away.
func TestMakeRunTakesAMessage(t *testing.T) {
	address := freeAddress(t)
	cmd := exec.Command("make", "-C", "..", "run")
	cmd.Env = append(os.Environ(), "LISTEN="+address)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM)
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("make run:\n%s", out.String())
		}
	}()

	// Whoever listens says so. To try would be to start ucspid, or to take the port.
	await(t, "nobody listens", func() bool {
		return strings.Contains(out.String(), "Listening on ") || strings.Contains(out.String(), "status: 0/40")
	})
	if err := smtp.SendMail(address, nil, "me@example.org", []string{"joe@example.org"}, []byte("Subject: hello\r\n\r\nhello\r\n")); err != nil {
		t.Errorf("the message was refused: %v", err)
	}
	denied := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 66)}, Timeout: patience}
	conn, err := denied.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if n, _ := conn.Read(make([]byte, 1)); n != 0 {
		t.Error("the denied peer got an answer")
	}
	for _, word := range []string{"Now try", "status: 1/40", "ok ", ":127.0.0.1::", "deny 0 ", " RULE:127.0.0.66"} {
		awaitOutput(t, &out, word)
	}
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func awaitOutput(t *testing.T, out *output, word string) {
	t.Helper()
	await(t, "the output lacks "+word, func() bool { return strings.Contains(out.String(), word) })
}

func await(t *testing.T, otherwise string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(otherwise)
		}
	}
}

// output collects what several processes write.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}
