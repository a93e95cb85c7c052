package proxy

import (
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// connection is a connection of TCP: the balancer's end, and a descriptor that
// is ours, blocking as accept4(2) gives it.
type connection struct {
	t        *testing.T
	balancer *net.TCPConn
	fd       int
	file     *os.File // whose descriptor that is
}

func connect(t *testing.T) *connection {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	balancer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	file, err := accepted.(*net.TCPConn).File()
	accepted.Close()
	if err != nil {
		t.Fatal(err)
	}
	c := &connection{t: t, balancer: balancer.(*net.TCPConn), fd: int(file.Fd()), file: file}
	if err := unix.SetNonblock(c.fd, false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.balancer.Close(); c.file.Close() })
	return c
}

// send sends text and waits until all that was sent so far, total bytes, can
// be read.
func (c *connection) send(text string, total int) {
	c.t.Helper()
	if _, err := io.WriteString(c.balancer, text); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		n, err := unix.IoctlGetInt(c.fd, unix.TIOCINQ)
		switch {
		case err != nil:
			c.t.Fatal(err)
		case n == total:
			return
		case time.Now().After(deadline):
			c.t.Fatalf("%d of %d bytes came", n, total)
		}
		time.Sleep(100 * time.Microsecond)
	}
}

// rest returns what the program would read.
func (c *connection) rest() string {
	c.t.Helper()
	if err := c.balancer.CloseWrite(); err != nil {
		c.t.Fatal(err)
	}
	flags, err := unix.FcntlInt(uintptr(c.fd), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_NONBLOCK != 0 {
		c.t.Errorf("the connection is left non-blocking (%v)", err)
	}
	text, err := io.ReadAll(c.file)
	if err != nil {
		c.t.Fatal(err)
	}
	return string(text)
}

func TestProgramGetsEachByteBehindTheHeader(t *testing.T) {
	// The second header is for the program: it was not the balancer that wrote it.
	const after = "PROXY TCP4 127.0.0.1 127.0.0.1 1 25\r\nEHLO client.example\r\n"
	for name, test := range valid {
		c := connect(t)
		c.send(test.wire+after, len(test.wire)+len(after))
		got, err := Receive(c.fd, patience)
		if err != nil || got != test.want {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if rest := c.rest(); rest != after {
			t.Errorf("%s: behind the header there is %q", name, rest)
		}
	}
}

// TestHeaderInPieces parts headers in two at each place: the first part is not
// enough, and with the second one the header is taken and nothing else.
func TestHeaderInPieces(t *testing.T) {
	const after = "EHLO"
	buffer := make([]byte, maxLength2)
	for _, name := range []string{"1, IPv4", "1, mapped", "1, unknown", "2, IPv6", "2, local", "2, checksum"} {
		whole := valid[name].wire
		for i := 1; i < len(whole); i++ {
			c := connect(t)
			c.send(whole[:i], i)
			if n, err := peek(c.fd, buffer); n != 0 || err != nil {
				t.Fatalf("%s: after %d bytes: %d, %v", name, i, n, err)
			}
			c.send(whole[i:]+after, len(whole)+len(after))
			if got, err := Receive(c.fd, patience); err != nil || got != valid[name].want {
				t.Fatalf("%s: in two parts, %d bytes first: %v, %v", name, i, got, err)
			}
			if rest := c.rest(); rest != after {
				t.Fatalf("%s: in two parts, %d bytes first: %q is left", name, i, rest)
			}
		}
	}
}

func TestHeaderByteByByte(t *testing.T) {
	c := connect(t)
	wire, after := valid["2, IPv6"].wire, "EHLO"
	go func() {
		for _, b := range []byte(wire + after) {
			_, _ = c.balancer.Write([]byte{b})
		}
	}()
	if got, err := Receive(c.fd, patience); err != nil || got != valid["2, IPv6"].want {
		t.Errorf("got %v, %v", got, err)
	}
	rest := make([]byte, len(after))
	if _, err := io.ReadFull(c.file, rest); err != nil || string(rest) != after {
		t.Errorf("behind the header there is %q (%v)", rest, err)
	}
}

func TestNoHeader(t *testing.T) {
	const wire = "PROXY TCP4 192.0.2.7 198.51.100.25 12345 25\r\n"
	for name, test := range map[string]struct {
		sent    string
		then    func(*net.TCPConn) error
		timeout time.Duration
		want    string
	}{
		"silence":         {"", nil, time.Millisecond, "timed out"},
		"half of it":      {wire[:20], nil, time.Millisecond, "timed out"},
		"the end":         {"", (*net.TCPConn).CloseWrite, patience, "the connection ended"},
		"half and end":    {wire[:20], (*net.TCPConn).CloseWrite, patience, "the connection ended"},
		"a reset":         {"", reset, patience, "connection reset"},
		"another program": {"EHLO client.example\r\n", nil, patience, "missing"},
		"too long":        {"PROXY " + strings.Repeat("x", 200), nil, patience, "too long"},
		"UDP":             {header2(0x21, 0x12, ends4), nil, patience, "the client does not come by TCP"},
	} {
		c := connect(t)
		c.send(test.sent, len(test.sent))
		if test.then != nil {
			if err := test.then(c.balancer); err != nil {
				t.Fatal(err)
			}
		}
		_, err := Receive(c.fd, test.timeout)
		if err == nil || err.Error() != "unable to read PROXY header: "+test.want {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func reset(c *net.TCPConn) error {
	if err := c.SetLinger(0); err != nil {
		return err
	}
	return c.Close()
}

// TestWaitingIsIdle has the bytes of half a header lie there: they keep nobody
// busy.
func TestWaitingIsIdle(t *testing.T) {
	c := connect(t)
	c.send("PROXY TCP4", len("PROXY TCP4"))
	const wait = 500 * time.Millisecond
	before := cpuTime(t)
	if _, err := Receive(c.fd, wait); err == nil {
		t.Fatal("half a header is enough")
	}
	if used := cpuTime(t) - before; used > wait/4 {
		t.Errorf("to wait %v took %v of the processor", wait, used)
	}
}

// cpuTime returns how long this process has been running on processors.
func cpuTime(t *testing.T) time.Duration {
	t.Helper()
	var used unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
