package ucspi

import (
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// loadScale is what sysinfo(2) multiplies a load average by.
const loadScale = 1 << 16

// load is the load average of the last minute, which is asked for once a
// second at most.
type load struct {
	mu    sync.Mutex
	asked time.Time
	last  int
}

// average returns the load average times 100.
func (l *load) average(now time.Time) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.asked) >= time.Second {
		l.asked = now
		var info unix.Sysinfo_t
		if err := unix.Sysinfo(&info); err == nil { // else it stays what it was
			l.last = int(uint64(info.Loads[0]) * 100 / loadScale)
		}
	}
	return l.last
}
