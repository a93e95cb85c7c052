package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a client waits for anything.
const patience = 20 * time.Second

// crowd is clients that come again and again, all of them in one thread, or a
// few: what they cost themselves is little, and the same for every server. A
// visit is over when the server hangs up, and was served when what it said is
// want.
type crowd struct {
	clients int              // at once
	threads int              // that share the clients, 0 for one
	servers []netip.AddrPort // visited in turn
	want    string           // with "" the clients are to be denied
	rate    int              // visits a second, 0 for as many as possible
	visits  int              // no more are begun
	time    time.Duration    // nor after this
	keep    bool             // served clients stay, for part
}

// tally is what became of the visits of a crowd.
type tally struct {
	served, failed int
	failure        error // the first one
	took           time.Duration
	firstByte      []time.Duration // since connect(2), or the end where nothing was said
	kept           []int           // descriptors
}

func (t *tally) fail(err error) {
	if t.failed++; t.failure == nil {
		t.failure = err
	}
}

// part has the kept clients leave.
func (t *tally) part() {
	for _, fd := range t.kept {
		unix.Close(fd)
	}
	t.kept = nil
}

// visit is one connection, seen from the client.
type visit struct {
	fd        int
	began     time.Time
	firstByte time.Duration // 0 before it
	got       int           // of what is wanted
	connected bool
}

// loop is a crowd at work.
type loop struct {
	crowd
	tally
	epoll  int
	began  time.Time
	begun  int
	here   map[int]*visit // by descriptor
	buffer [512]byte
}

// run returns when all visits are over.
func (c crowd) run() (tally, error) {
	if c.threads > 1 {
		return c.inThreads()
	}
	epoll, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return tally{}, fmt.Errorf("epoll_create1: %w", err)
	}
	defer unix.Close(epoll)
	l := &loop{crowd: c, epoll: epoll, began: time.Now(), here: make(map[int]*visit)}
	events := make([]unix.EpollEvent, c.clients)
	for l.beginDue(); len(l.here) > 0 || !l.over(); l.beginDue() {
		n, err := unix.EpollWait(epoll, events, l.waitFor())
		if err != nil && err != unix.EINTR {
			return tally{}, fmt.Errorf("epoll_wait: %w", err)
		}
		for _, e := range events[:max(n, 0)] {
			l.proceed(l.here[int(e.Fd)])
		}
		if n == 0 {
			l.loseImpatient()
		}
	}
	l.took = time.Since(l.began)
	return l.tally, nil
}

// inThreads has threads share the clients and the visits.
func (c crowd) inThreads() (all tally, err error) {
	share := c
	share.threads, share.clients, share.visits = 1, c.clients/c.threads, c.visits/c.threads
	tallies, failures := make([]tally, c.threads), make([]error, c.threads)
	var threads sync.WaitGroup
	for i := range c.threads {
		threads.Go(func() { tallies[i], failures[i] = share.run() })
	}
	threads.Wait()
	for _, one := range tallies {
		all.served += one.served
		all.failed += one.failed
		all.failure = cmp.Or(all.failure, one.failure)
		all.took = max(all.took, one.took)
		all.firstByte = append(all.firstByte, one.firstByte...)
		all.kept = append(all.kept, one.kept...)
	}
	return all, errors.Join(failures...)
}

// over tells that no more visits begin.
func (l *loop) over() bool {
	return l.begun >= l.crowd.visits || time.Since(l.began) >= l.crowd.time
}

// due tells whether it is time for another visit.
func (l *loop) due() bool {
	return l.rate == 0 || l.begun <= int(time.Since(l.began).Seconds()*float64(l.rate))
}

// waitFor returns how many milliseconds to wait for something to happen.
func (l *loop) waitFor() int {
	if l.rate > 0 && len(l.here) < l.clients {
		return 1
	}
	return 100
}

func (l *loop) beginDue() {
	for len(l.here) < l.clients && !l.over() && l.due() {
		if err := l.begin(l.servers[l.begun%len(l.servers)]); err != nil {
			l.fail(err)
			l.begun++
			return // to wait a moment before the next one is tried
		}
		l.begun++
	}
}

// begin connects. Over the loopback that is mostly done at once.
func (l *loop) begin(server netip.AddrPort) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket: %w", err)
	}
	v := &visit{fd: fd, began: time.Now()}
	err = unix.Connect(fd, &unix.SockaddrInet4{Port: int(server.Port()), Addr: server.Addr().As4()})
	if err == nil {
		err = l.connected(v)
	}
	if err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return fmt.Errorf("connect: %w", err)
	}
	events := uint32(unix.EPOLLIN)
	if err == unix.EINPROGRESS {
		events = unix.EPOLLOUT
	}
	if err := unix.EpollCtl(l.epoll, unix.EPOLL_CTL_ADD, fd, &unix.EpollEvent{Events: events, Fd: int32(fd)}); err != nil {
		unix.Close(fd)
		return fmt.Errorf("epoll_ctl: %w", err)
	}
	l.here[fd] = v
	return nil
}

// connected has the client say that it has nothing to say, unless it is to
// stay.
func (l *loop) connected(v *visit) error {
	v.connected = true
	if l.keep || l.want == "" {
		return nil
	}
	return unix.Shutdown(v.fd, unix.SHUT_WR)
}

// connectedLate learns how a connect(2) has ended that was not done at once.
func (l *loop) connectedLate(v *visit) error {
	code, err := unix.GetsockoptInt(v.fd, unix.SOL_SOCKET, unix.SO_ERROR)
	switch {
	case err != nil:
		return err
	case code != 0:
		return unix.Errno(code)
	}
	if err := l.connected(v); err != nil {
		return err
	}
	return unix.EpollCtl(l.epoll, unix.EPOLL_CTL_MOD, v.fd, &unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(v.fd)})
}

// proceed goes on with a visit of which something is known.
func (l *loop) proceed(v *visit) {
	if !v.connected {
		if err := l.connectedLate(v); err != nil {
			l.lose(v, fmt.Errorf("connect: %w", err))
		}
		return
	}
	n, err := unix.Read(v.fd, l.buffer[:])
	switch {
	case err == unix.EAGAIN || err == unix.EINTR:
	case err != nil:
		l.lose(v, fmt.Errorf("read: %w", err))
	case n == 0:
		l.end(v)
	default:
		l.hear(v, string(l.buffer[:n]))
	}
}

// hear compares what the server says with what is wanted.
func (l *loop) hear(v *visit, said string) {
	if v.firstByte == 0 {
		v.firstByte = time.Since(v.began)
	}
	if len(said) > len(l.want)-v.got || said != l.want[v.got:v.got+len(said)] {
		l.lose(v, fmt.Errorf("%q is not what was wanted", said))
		return
	}
	v.got += len(said)
	if l.keep && v.got == len(l.want) {
		_ = unix.EpollCtl(l.epoll, unix.EPOLL_CTL_DEL, v.fd, nil)
		l.kept = append(l.kept, v.fd)
		l.count(v)
	}
}

// end ends a visit whose server hung up.
func (l *loop) end(v *visit) {
	if v.got < len(l.want) {
		l.lose(v, errors.New("the server hung up before it had said everything"))
		return
	}
	if v.firstByte == 0 {
		v.firstByte = time.Since(v.began)
	}
	unix.Close(v.fd)
	l.count(v)
}

// count counts a visit that was served, lose one that was not.
func (l *loop) count(v *visit) {
	delete(l.here, v.fd)
	l.served++
	l.firstByte = append(l.firstByte, v.firstByte)
}

func (l *loop) lose(v *visit, err error) {
	delete(l.here, v.fd)
	unix.Close(v.fd)
	l.fail(err)
}

// loseImpatient ends the visits whose servers say nothing.
func (l *loop) loseImpatient() {
	for _, v := range l.here {
		if time.Since(v.began) > patience {
			l.lose(v, fmt.Errorf("the server was silent for %v", patience))
		}
	}
}
