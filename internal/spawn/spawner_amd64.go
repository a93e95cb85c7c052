package spawn

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spawner starts programs that begin life as this process did: with its soft
// limit of descriptors, which Go has raised since, and with no signal caught.
type Spawner struct {
	limit  *limit
	caught uint64 // signals; number 1 is bit 0

	mu       sync.Mutex
	starting []*child // kept for those who may still read them
}

// New returns a Spawner. A process has one, made when it catches or ignores
// all signals that it ever will. SIGCHLD it leaves to the kernel from then on:
// who waits by pidfds need not be interrupted.
func New() (*Spawner, error) {
	if err := setDefault(unix.SIGCHLD); err != nil {
		return nil, err
	}
	caught, err := caughtSignals()
	if err != nil {
		return nil, err
	}
	limit, err := raiseLimit()
	return &Spawner{limit: limit, caught: caught}, err
}

// Process is a program that was started.
type Process struct {
	PID   int
	PIDFD int    // the caller's
	errno *int32 // why it was not executed, the child's to write
}

// Failed returns why the program of a process that has ended never ran, or
// nil if it did.
func (p Process) Failed() error {
	if p.errno == nil || *p.errno == 0 {
		return nil
	}
	return syscall.Errno(*p.errno)
}

// Start starts a program. The process is to be waited for, also one whose
// program cannot be executed: that is known when it has ended. An error is of
// the system, which has no room for a process, or of words that no program can
// be given.
func (s *Spawner) Start(c Command) (Process, error) {
	one, err := newChild(c)
	if err != nil {
		return Process{}, err
	}
	one.caught, one.nofile = s.caught, s.limit.ofChild()
	many := s.keep(one) >= crowd*runtime.NumCPU()
	pid := clone(one)
	if pid < 0 {
		atomic.StoreInt32(&one.shares, 0)
		return Process{}, syscall.Errno(-pid)
	}
	if many {
		unix.RawSyscall(unix.SYS_SCHED_YIELD, 0, 0, 0)
	}
	return Process{PID: pid, PIDFD: int(one.pidfd), errno: one.errno}, nil
}

// crowd is how many programs that have not begun, for each processor, are so
// many that they come first: more of them would only stand in each other's way,
// and who came first might be served last.
const crowd = 2

// keep keeps a child, forgets those that have memory of their own by now, and
// returns how many are left.
func (s *Spawner) keep(one *child) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.starting = slices.DeleteFunc(s.starting, func(c *child) bool {
		return atomic.LoadInt32(&c.shares) == 0
	})
	s.starting = append(s.starting, one)
	return len(s.starting)
}

// AsBorn calls exec, which is to replace this program, with the limit of
// descriptors as it was, unless somebody has set another.
func (s *Spawner) AsBorn(exec func() error) error {
	if born := s.limit.ofChild(); born != nil {
		_ = s.limit.set(*born) // lower than ours, or ours
		defer s.limit.set(s.limit.raised)
	}
	return exec()
}
