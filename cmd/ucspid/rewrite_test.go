package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// versions returns compiled rules that differ in their size and in their order,
// and two in the order only. In each a rule denies 127.0.0.66, and another
// allows 127.0.0.1.
func versions(t *testing.T) [][]byte {
	t.Helper()
	var all [][]byte
	for _, text := range []string{
		"127.0.0.66:deny\n127.0.0.1:allow\n127.:allow,A=\"1\"\n",
		"127.:allow,B=\"2\"\n127.0.0.1:allow\n127.0.0.66:deny\n",
		":deny\n127.0.0.1:allow\n127.0.0.66:deny\n",
		"127.0.0.1:allow\n" + strings.Repeat("127.0.1-255.:allow\n", 2) + "127.0.0.66:deny,REASON=\"spam\"\n",
	} {
		data, err := os.ReadFile(compiled(t, text))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	return all
}

// renamed replaces a file as tcprules does.
func renamed(path string, data []byte) error {
	if err := os.WriteFile(path+".tmp", data, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".tmp", path)
}

// truncated cuts a file off, here and there, and writes it anew.
func truncated(path string, data []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, size := range []int{len(data) - 8, 2048, 1} {
		if err := f.Truncate(int64(size)); err != nil {
			return err
		}
	}
	_, err = f.WriteAt(data, 0)
	return err
}

// overwritten writes over what is there, a bit at a time.
func overwritten(path string, data []byte) error {
	const bit = 100
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	for at := 0; at < len(data); at += bit {
		if _, err := f.WriteAt(data[at:min(at+bit, len(data))], int64(at)); err != nil {
			return err
		}
	}
	return f.Truncate(int64(len(data)))
}

// crowd has clients come from an address, all at once, and returns how many
// were let in.
func (s *server) crowd(from string, size int) (in int) {
	s.t.Helper()
	var conns []net.Conn
	for range size {
		conns = append(conns, s.connect(from))
	}
	for _, conn := range conns {
		if readAll(s.t, conn) != "" {
			in++
		}
		conn.Close()
	}
	return in
}

func TestRulesThatChangeAllTheTimeLetInNobodyWhomTheyAlwaysDeny(t *testing.T) {
	for name, test := range map[string]struct {
		change func(path string, data []byte) error
		whole  bool // at every moment
	}{
		"renamed":     {renamed, true},
		"truncated":   {truncated, false},
		"overwritten": {overwritten, false},
	} {
		t.Run(name, func(t *testing.T) {
			path, all := filepath.Join(t.TempDir(), "tcp.smtp.cdb"), versions(t)
			if err := test.change(path, all[0]); err != nil {
				t.Fatal(err)
			}
			s := start(t, "-RHl0", "-x", path, "echo", "let in")
			changes := changing(t, path, all, test.change)
			for range 100 {
				if in := s.crowd("127.0.0.66", 19); in > 0 {
					t.Fatalf("%d were let in whom every version denies", in)
				}
				if in := s.crowd("127.0.0.1", 1); in < 1 && test.whole {
					t.Fatal("one was not let in whom every version allows")
				}
			}
			t.Logf("2,000 decisions, %d changes", changes())
			for _, data := range all {
				if err := test.change(path, data); err != nil {
					t.Fatal(err)
				}
				if in := s.crowd("127.0.0.66", 1); in > 0 {
					t.Error("one was let in whom the last version denies")
				}
				if in := s.crowd("127.0.0.1", 1); in < 1 {
					t.Error("one was not let in whom the last version allows")
				}
			}
			if code := s.stop(); code != 0 {
				t.Errorf("exit code %d", code)
			}
		})
	}
}

// changing brings one version after the other, until the test ends or the
// function that it returns is called. That returns how many there were.
func changing(t *testing.T, path string, all [][]byte, change func(string, []byte) error) (stop func() int) {
	t.Helper()
	done, changes := make(chan struct{}), make(chan int)
	go func() {
		for n := 0; ; n++ {
			select {
			case <-done:
				changes <- n
				return
			default:
			}
			if err := change(path, all[n%len(all)]); err != nil {
				t.Errorf("version %d: %v", n, err)
			}
		}
	}()
	stop = sync.OnceValue(func() int {
		close(done)
		return <-changes
	})
	t.Cleanup(func() { stop() })
	return stop
}
