package ucspi

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// What a peer sends that nobody reads would make the kernel answer a close
// with a reset, and a reset may overtake the line that the peer is to see. So
// who gets a line is listened to until it has gone, or not much longer. In a
// flood that is only for some of them: each holds a descriptor.
const (
	lingerers   = 64
	lingerTime  = 2 * time.Second
	lingerPause = 50 * time.Millisecond // between two looks at them
)

// lingering are connections that are shut on our side and wait for the other.
// Nobody waits for them: a timer looks after them while there are any.
type lingering struct {
	mu      sync.Mutex
	some    []lingerer
	scratch []byte
}

type lingerer struct {
	fd    int
	until time.Time
}

// add shuts a connection on our side and, if there is room, owns it from now on.
func (l *lingering) add(fd int, now time.Time) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// This sends what a close, should the peer have said something, would not.
	if unix.Shutdown(fd, unix.SHUT_WR) != nil || len(l.some) == lingerers {
		return false
	}
	l.some = append(l.some, lingerer{fd, now.Add(lingerTime)})
	if len(l.some) == 1 {
		time.AfterFunc(lingerPause, l.look)
	}
	return true
}

// look closes the connections whose peers have gone or had their time, and
// reads what the others sent.
func (l *lingering) look() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.scratch == nil {
		l.scratch = make([]byte, 64<<10)
	}
	now := time.Now()
	left := l.some[:0]
	for _, one := range l.some {
		n, _, err := unix.Recvfrom(one.fd, l.scratch, unix.MSG_DONTWAIT)
		if now.Before(one.until) && (n > 0 || err == unix.EAGAIN || err == unix.EINTR) {
			left = append(left, one)
			continue
		}
		unix.Close(one.fd)
	}
	if l.some = left; len(left) > 0 {
		time.AfterFunc(lingerPause, l.look)
	}
}
