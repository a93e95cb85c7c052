// Enemy is a crowd of peers that mean harm. They come from many addresses, and
// each does the same. It says "begun" when they begin, and "ready" when as many
// were there as it was told; with -again they come on and on. Those that stay do
// so until its input ends.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// enemy is what all peers share.
type enemy struct {
	server string
	hosts  []netip.Addr

	came, done atomic.Int64
	failed     atomic.Int64 // to connect

	mu    sync.Mutex
	stays []net.Conn              // nobody else holds them open
	known map[string]*net.TCPConn // by its end here: whom ident may be asked about
}

func main() {
	e := enemy{known: make(map[string]*net.TCPConn)}
	flag.StringVar(&e.server, "server", "127.0.0.1:25", "`address` and port")
	from := flag.String("from", "127.0.0.1", "the first host's `address`")
	hosts := flag.Int("hosts", 20, "that they come from")
	apart := flag.Bool("apart", false, "each host is in a network of its own")
	peers := flag.Int("peers", 1000, "that come")
	atOnce := flag.Int("at-once", 100, "of them")
	again := flag.Bool("again", false, "and come again")
	flag.Parse()

	harm, found := e.harms()[flag.Arg(0)]
	if !found {
		check(fmt.Errorf("%q is no harm", flag.Arg(0)))
	}
	e.settle(netip.MustParseAddr(*from), *hosts, *apart)
	if flag.Arg(0) == "reset-asked" {
		e.listen()
	}

	var over atomic.Bool
	var crowd sync.WaitGroup
	fmt.Println("begun")
	for range *atOnce {
		crowd.Go(func() {
			for {
				n := e.came.Add(1)
				if n > int64(*peers) && (!*again || over.Load()) {
					return
				}
				e.visit(int(n), harm)
				if e.done.Add(1) == int64(*peers) {
					fmt.Println("ready")
				}
			}
		})
	}
	_, _ = io.Copy(io.Discard, os.Stdin)
	over.Store(true)
	crowd.Wait()
	fmt.Printf("%d came, %d failed\n", e.done.Load(), e.failed.Load())
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "enemy:", err)
		os.Exit(1)
	}
}

// settle finds the hosts their addresses: one after the other, or with so much
// between them that nobody takes two for one network.
func (e *enemy) settle(first netip.Addr, hosts int, apart bool) {
	ip := first.As4()
	for range hosts {
		e.hosts = append(e.hosts, netip.AddrFrom4(ip))
		if ip[3]++; apart {
			ip[3] = first.As4()[3]
			if ip[2]++; ip[2] == 0 {
				ip[1]++
			}
		}
	}
}

// visit connects, and does harm.
func (e *enemy) visit(n int, harm func(*net.TCPConn)) {
	from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(e.hosts[n%len(e.hosts)], 0))
	dialer := net.Dialer{LocalAddr: from, Timeout: time.Minute}
	conn, err := dialer.Dial("tcp", e.server)
	if err != nil {
		if e.failed.Add(1) <= 5 {
			fmt.Println(err)
		}
		return
	}
	harm(conn.(*net.TCPConn))
}

// harms are what peers can do to a server.
func (e *enemy) harms() map[string]func(*net.TCPConn) {
	return map[string]func(*net.TCPConn){
		"silent":         e.stay,
		"reset":          reset,
		"reset-banner":   after(1, reset),
		"reset-greeting": after(2, reset),
		"reset-asked":    e.expectQuestion,
		"half-close":     halfClose,
		"vanish":         after(2, vanish),
		"deaf":           e.shout,
		"slow-header":    header,
	}
}

// stay sends nothing and reads nothing.
func (e *enemy) stay(conn *net.TCPConn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stays = append(e.stays, conn)
}

// reset hangs up in the rudest way.
func reset(conn *net.TCPConn) {
	_ = conn.SetLinger(0)
	conn.Close()
}

// after reads so many lines first.
func after(lines int, harm func(*net.TCPConn)) func(*net.TCPConn) {
	return func(conn *net.TCPConn) {
		in := bufio.NewReader(conn)
		for range lines {
			if _, err := in.ReadString('\n'); err != nil {
				break
			}
		}
		harm(conn)
	}
}

// halfClose says at once that nothing will come, and reads to the end.
func halfClose(conn *net.TCPConn) {
	_ = conn.CloseWrite()
	_, _ = io.Copy(io.Discard, conn)
	conn.Close()
}

// vanish leaves without a packet: a machine that has lost its power.
func vanish(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	check(err)
	check(raw.Control(func(fd uintptr) {
		check(unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_REPAIR, 1))
	}))
	conn.Close()
}

// shout talks without end and never listens.
func (e *enemy) shout(conn *net.TCPConn) {
	e.stay(conn)
	go func() {
		talk := []byte(strings.Repeat("NOOP\r\n", 1000))
		for {
			if _, err := conn.Write(talk); err != nil {
				return
			}
		}
	}()
}

// header begins a PROXY header, byte by byte, and never ends it.
func header(conn *net.TCPConn) {
	for _, c := range "PROXY TCP4 203.0.113.9 192.0.2.25 1024 25" {
		if _, err := conn.Write([]byte{byte(c)}); err != nil {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	_, _ = io.Copy(io.Discard, conn)
	conn.Close()
}

// listen has every host answer ident, which it never does.
func (e *enemy) listen() {
	for _, host := range e.hosts {
		l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(host, 113)))
		check(err)
		go func() {
			for {
				conn, err := l.AcceptTCP()
				check(err)
				go e.asked(conn)
			}
		}()
	}
}

// expectQuestion waits until ident is asked about a connection, or it ends.
func (e *enemy) expectQuestion(conn *net.TCPConn) {
	here := conn.LocalAddr().String()
	if e.meet(here, conn) {
		reset(conn)
		return
	}
	_, _ = io.Copy(io.Discard, conn)
	e.mu.Lock()
	delete(e.known, here)
	e.mu.Unlock()
	conn.Close()
}

// asked gives no answer, and resets the connection that was asked about.
func (e *enemy) asked(question *net.TCPConn) {
	e.stay(question)
	line, _ := bufio.NewReader(question).ReadString('\n')
	port, _, _ := strings.Cut(line, " ,")
	host, _, _ := net.SplitHostPort(question.LocalAddr().String())
	e.meet(net.JoinHostPort(host, port), nil)
}

// meet brings a connection and the question about it together, whichever comes
// first. It tells whether the other one was there; a connection that was is reset.
func (e *enemy) meet(here string, conn *net.TCPConn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	other, met := e.known[here]
	if !met {
		e.known[here] = conn
		return false
	}
	delete(e.known, here)
	if other != nil {
		reset(other)
	}
	return true
}
