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
	"ucspid/internal/spawn"
	"ucspid/policy"
)

// session is a running program. It holds a slot, and of descriptors at most one
// of its process.
type session struct {
	process spawn.Process // without a pidfd (-1) when it is old
	visit   *policy.Visit
	remote  netip.AddrPort
	host    policy.Name // of the peer
	rule    policy.Name // the address of the rule that let it in
	started time.Time
	born    uint64 // see Session; 0 where nobody has asked
	orphan  bool   // no child of ours: its status will not be known
}

// sessions are the programs that run, by process id.
type sessions struct {
	mu       sync.Mutex
	table    map[int]*session
	trials   map[int]trial // of Try: programs that are none
	starting int           // programs of which the id is not yet known

	young    [youngest]int // ids of the last that were started, in a ring
	next     int           // place in it
	served   bool          // ends are noticed
	sweeping bool          // a sweep is due
}

func (t *sessions) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.table)
}

// add takes a session of a child, and the pidfd of the one that is not among
// the youngest any more.
func (t *sessions) add(one *session) {
	grown := t.young[t.next]
	t.young[t.next] = one.process.PID
	t.next = (t.next + 1) % youngest
	if old := t.table[grown]; old != nil && !old.orphan && old.process.PIDFD >= 0 {
		unix.Close(old.process.PIDFD)
		old.process.PIDFD = -1
	}
	t.table[one.process.PID] = one
}

// begin counts a program that is about to be started.
func (t *sessions) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.starting++
}

// start runs the program on an allowed connection, which becomes its
// descriptors 0 and 1; 2 is our own stderr. The connection is closed here; it
// is the program's now, and so is the slot.
func (s *Server) start(c *connection, decision policy.Decision) {
	env := environ(s.Program.Env, c, decision.Env)
	err := s.run(s.Program, env, [3]int{c.fd, c.fd, syscall.Stderr}, func(p spawn.Process) {
		s.sessions.add(&session{
			process: p, visit: c.visit, remote: c.remote, host: c.remoteHost, rule: ruleOf(decision), started: time.Now(),
		})
		s.log.status(len(s.sessions.table), s.Limits.Sessions)
		s.log.pid(p.PID, c)
		s.log.ok(p.PID, c, decision)
	})
	if err != nil {
		s.drop(c, s.notStarted(err))
		return
	}
	unix.Close(c.fd)
	s.begun.Add(1)
	s.countsChanged()
	s.pause.succeeded()
}

// ruleOf returns the address of the rule that decided, unknown where none was
// found.
func ruleOf(d policy.Decision) policy.Name {
	if !d.Matched {
		return policy.Name{}
	}
	return policy.Known(d.Rule)
}

// run starts a program and has its end noticed, but not before known has
// noted, and said, that it runs: so the lines of a session come in order. The
// lock of the sessions is held then, and known owns the pidfd. It is the one
// place where a process begins.
func (s *Server) run(p Program, env []string, files [3]int, known func(spawn.Process)) error {
	s.sessions.begin()
	process, err := s.spawner.Start(spawn.Command{Path: p.Path, Args: p.Args, Env: env, Files: files})
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.starting--
	if err != nil {
		return err
	}
	s.sweepLater(sweepPause)
	if err := s.reaper.add(process.PID, process.PIDFD); err != nil {
		_ = unix.PidfdSendSignal(process.PIDFD, unix.SIGKILL, nil, 0) // the sweep waits for it
		unix.Close(process.PIDFD)
		return err
	}
	// An orphan of that id, which its own parent has waited for, has ended.
	s.ended(process.PID, 0)
	known(process)
	return nil
}

// notStarted returns what to say of a program that was not started, and where
// the system is short of something lets all loops wait.
func (s *Server) notStarted(err error) error {
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOMEM), errors.Is(err, unix.ENOSPC),
		errors.Is(err, unix.EMFILE), errors.Is(err, unix.ENFILE):
		s.pause.failed()
		return fmt.Errorf("unable to fork: %s", errno.Text(err))
	}
	return fmt.Errorf("unable to run %s: %s", s.Program.Args[0], errno.Text(err))
}
