package ucspi

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/errno"
	"ucspid/policy"
)

// session is a running program. It holds a slot but no descriptor.
type session struct {
	visit   *policy.Visit
	remote  netip.AddrPort
	started time.Time
	born    uint64 // see Session; 0 where nobody has asked
	orphan  bool   // no child of ours: its status will not be known
}

// sessions are the programs that run, by process id. The lock is held from
// before a program is started until it stands in the table, so that the
// reaper, which may learn of its end at once, finds it there, and so that the
// lines of the log come in order.
type sessions struct {
	mu     sync.Mutex
	table  map[int]session
	trials map[int]chan<- unix.WaitStatus // of Try: programs that are none
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.table)
}

// start runs the program on an allowed connection, which becomes its
// descriptors 0 and 1; 2 is our own stderr. The connection is closed here; it
// is the program's now, and so is the slot.
func (s *Server) start(c *connection, decision policy.Decision) {
	env := environ(s.Program.Env, c, decision.Env)
	s.sessions.mu.Lock()
	pid, err := s.Program.spawn(env, c.fd, c.fd, syscall.Stderr)
	if err != nil {
		s.sessions.mu.Unlock()
		s.spawnFailed(c, err)
		return
	}
	s.sessions.table[pid] = session{visit: c.visit, remote: c.remote, started: time.Now()}
	s.log.status(len(s.sessions.table), s.Limits.Sessions)
	s.log.pid(pid, c)
	s.log.ok(pid, c, decision)
	s.sessions.mu.Unlock()

	unix.Close(c.fd)
	s.countsChanged()
	s.pause.succeeded()
}

// spawn starts the program with three descriptors and no other. It is the one
// place where a process begins.
func (p Program) spawn(env []string, stdin, stdout, stderr int) (pid int, err error) {
	return syscall.ForkExec(p.Path, p.Args, &syscall.ProcAttr{
		Env:   env,
		Files: []uintptr{uintptr(stdin), uintptr(stdout), uintptr(stderr)},
	})
}

// spawnFailed closes the connection, so that the client need not wait, and
// where the system is short of something lets all loops wait instead.
func (s *Server) spawnFailed(c *connection, err error) {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM),
		errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		s.pause.failed()
		s.drop(c, fmt.Errorf("unable to fork: %s", errno.Text(err)))
	default:
		s.drop(c, fmt.Errorf("unable to run %s: %s", s.Program.Args[0], errno.Text(err)))
	}
}
