package main

import (
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"ucspid/internal/exit"
)

// TestSystemdThatDoesNotRead has nobody read what systemd is to be told, and
// there is no room for more: the server serves, and ends when it is asked to.
func TestSystemdThatDoesNotRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	fill(t, path)

	s := startOn(t, []string{"127.0.0.1:0"}, append(os.Environ(), "NOTIFY_SOCKET="+path, "WATCHDOG_USEC=1000000"), "-vRHl0", "cat")
	echoed(t, s.connect("127.0.0.1"), "hello")
	if code := s.stop(); code != exit.Temporary { // the sessions are left to nobody
		t.Errorf("exit code %d", code)
	}
	s.await(`^ucspid: sessions: state: .*timeout$`)
}

// fill sends messages to a socket until it takes no more.
func fill(t *testing.T, path string) {
	t.Helper()
	conn, err := net.Dial("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = conn.Write([]byte("full"))
	}
	if !os.IsTimeout(err) {
		t.Fatal(err)
	}
}
