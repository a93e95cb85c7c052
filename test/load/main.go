// The command load is a crowd of SMTP clients, for the scenarios: some connect
// in a loop, some open a session and keep it. When its input ends, the loops
// stop and each kept session delivers a message. With -callers there are only
// those: each delivers a message, and they come at a steady pace. It prints what
// it saw, and exits with 1 if anybody was refused, cut off or kept waiting for
// too long.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// patience is how long a client waits for anything, and callTime how long a
// call may take.
const (
	patience = 60 * time.Second
	callTime = 10 * time.Second
)

// crowd is what all clients share.
type crowd struct {
	server    string
	from      netip.Addr // of the first client; each has its own
	recipient string
	stop      chan struct{}

	served, delivered atomic.Int64
	failures          failures
}

// failures are counted, and the first ones shown.
type failures struct {
	mu    sync.Mutex
	count int
}

func (f *failures) add(what string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.count++; f.count <= 10 {
		fmt.Printf("%s %s: %v\n", time.Now().Format("15:04:05.000"), what, err)
	}
}

func main() {
	c := crowd{stop: make(chan struct{})}
	clients := flag.Int("clients", 16, "that connect in a loop")
	sessions := flag.Int("sessions", 20, "that are kept open")
	callers := flag.Int("callers", 0, "that come one after the other, in the place of all others")
	pace := flag.Duration("pace", 40*time.Millisecond, "`time` from one caller to the next")
	from := flag.String("from", "127.0.0.1", "the first client's `address`; the next one's is one higher")
	flag.StringVar(&c.server, "server", "127.0.0.1:25", "`address` and port")
	flag.StringVar(&c.recipient, "to", "joe@local.example", "the kept sessions' recipient")
	flag.Parse()
	c.from = netip.MustParseAddr(*from)
	if *callers > 0 {
		c.calls(*callers, *pace)
		c.report()
	}

	var loops, kept sync.WaitGroup
	var open sync.WaitGroup
	open.Add(*sessions)
	for i := range *sessions {
		kept.Go(func() { c.keep(i, open.Done) })
	}
	open.Wait()
	fmt.Println("ready")
	for i := range *clients {
		loops.Go(func() { c.loop(i) })
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	close(c.stop)
	loops.Wait()
	kept.Wait()
	c.report()
}

// report says what was seen, and ends the program.
func (c *crowd) report() {
	fmt.Printf("%d served, %d delivered, %d failed\n", c.served.Load(), c.delivered.Load(), c.failures.count)
	if c.failures.count > 0 {
		os.Exit(1)
	}
	os.Exit(0)
}

// calls has callers come at a pace that does not change, however they fare, and
// says how long the slowest took.
func (c *crowd) calls(n int, pace time.Duration) {
	var calls sync.WaitGroup
	took := make([]time.Duration, n)
	for i := range n {
		calls.Go(func() { took[i] = c.call(i) })
		time.Sleep(pace)
	}
	calls.Wait()
	fmt.Printf("slowest %.2f s\n", slices.Max(took).Seconds())
}

// call delivers a message, and is as good as failed if that takes too long.
func (c *crowd) call(i int) time.Duration {
	began := time.Now()
	s, err := c.open(i)
	if err == nil {
		defer s.conn.Close()
		err = s.deliver(c.recipient, fmt.Sprintf("call %d", i))
	}
	took := time.Since(began)
	switch {
	case err != nil:
		c.failures.add("call", err)
	case took > callTime:
		c.failures.add("call", fmt.Errorf("it took %v", took))
	default:
		c.delivered.Add(1)
	}
	return took
}

// loop connects, is greeted and leaves, again and again.
func (c *crowd) loop(i int) {
	for {
		select {
		case <-c.stop:
			return
		default:
		}
		if err := c.visit(i); err != nil {
			c.failures.add("visit", err)
			continue
		}
		c.served.Add(1)
	}
}

func (c *crowd) visit(i int) error {
	s, err := c.dial(i)
	if err != nil {
		return err
	}
	defer s.conn.Close()
	if err := s.expect("220"); err != nil {
		return err
	}
	return s.say("QUIT", "221")
}

// keep holds a session and at last delivers a message.
func (c *crowd) keep(i int, opened func()) {
	s, err := c.open(i)
	opened()
	if err == nil {
		defer s.conn.Close()
		<-c.stop
		err = s.deliver(c.recipient, fmt.Sprintf("kept %d", i))
	}
	if err != nil {
		c.failures.add("session", err)
		return
	}
	c.delivered.Add(1)
}

func (c *crowd) open(i int) (*session, error) {
	s, err := c.dial(i)
	if err != nil {
		return nil, err
	}
	if err := s.expect("220"); err != nil {
		return nil, err
	}
	return s, s.say("HELO client.example", "250")
}

// session is one SMTP dialogue.
type session struct {
	conn  net.Conn
	lines *bufio.Reader
}

func (c *crowd) dial(i int) (*session, error) {
	address := c.from
	for range i {
		address = address.Next()
	}
	dialer := net.Dialer{
		Timeout:   patience,
		LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(address, 0)),
	}
	conn, err := dialer.Dial("tcp", c.server)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, lines: bufio.NewReader(conn)}, nil
}

// say sends a line and expects the code in answer.
func (s *session) say(line, code string) error {
	if _, err := io.WriteString(s.conn, line+"\r\n"); err != nil {
		return fmt.Errorf("%s: %w", line, err)
	}
	return s.expect(code)
}

// expect reads an answer, of as many lines as it has.
func (s *session) expect(code string) error {
	for {
		_ = s.conn.SetReadDeadline(time.Now().Add(patience))
		line, err := s.lines.ReadString('\n')
		switch {
		case err != nil:
			return fmt.Errorf("waiting for %s: %w", code, err)
		case !strings.HasPrefix(line, code):
			return fmt.Errorf("%q in place of %s", line, code)
		case len(line) > 3 && line[3] != '-':
			return nil
		}
	}
}

func (s *session) deliver(recipient, subject string) error {
	for _, step := range []struct{ line, code string }{
		{"MAIL FROM:<sender@client.example>", "250"},
		{"RCPT TO:<" + recipient + ">", "250"},
		{"DATA", "354"},
		{"Subject: " + subject + "\r\n\r\n.", "250"},
		{"QUIT", "221"},
	} {
		if err := s.say(step.line, step.code); err != nil {
			return err
		}
	}
	return nil
}
