package ucspi

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/spawn"
	"ucspid/policy"
)

// Sessions outlive the server that began them. The server that comes after it,
// in the same process or in another, counts them as its own and notices their
// end.

// Session is a session as one server leaves it to the next.
type Session struct {
	PID     int            // of the program
	Born    uint64         // its start time, in clock ticks since the boot (proc(5)), 0 if that is hidden
	Remote  netip.AddrPort // the peer
	Host    policy.Name    `json:",omitzero"` // of the peer
	Rule    policy.Name    `json:",omitzero"` // the address of the one that let it in
	Trusted bool
	Started time.Time
}

// Sessions returns the sessions that run, for the server that comes next. It
// comes after Serve: nobody waits for a child any more, so that the id of one
// that has ended is still its own.
func (s *Server) Sessions() []Session {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	var all []Session
	for pid, running := range s.sessions.table {
		if running.born == 0 {
			p, _ := readProcess(pid)
			running.born = p.born
		}
		all = append(all, Session{
			PID: pid, Born: running.born, Remote: running.remote, Host: running.host, Rule: running.rule,
			Trusted: running.visit.Trusted(), Started: running.started,
		})
	}
	return all
}

// Adopt counts the sessions of the server before this one. Of those that have
// ended meanwhile it tells the end. It comes before Serve.
func (s *Server) Adopt(before []Session) error {
	group := sync.OnceValues(controlGroup)
	var failed error
	for _, one := range before {
		if err := s.adopt(one, group); err != nil {
			failed = err // one stands for all of them: it is the system that lacks something
		}
	}
	return failed
}

func (s *Server) adopt(one Session, group func() (map[int]bool, error)) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if _, twice := s.sessions.table[one.PID]; twice {
		return nil
	}
	adopted := &session{
		remote: one.Remote, host: one.Host, rule: one.Rule,
		started: one.Started, born: one.Born, orphan: !isChild(one.PID),
	}
	pidfd, err := one.open(adopted.orphan, group)
	if err == nil {
		if err = s.reaper.add(one.PID, pidfd); err != nil {
			unix.Close(pidfd)
		}
	}
	switch {
	case errors.Is(err, errEnded):
		s.log.end(one.PID, 0, adopted)
		return nil
	case err != nil:
		return fmt.Errorf("session of process %d: %w", one.PID, err)
	}
	adopted.process = spawn.Process{PID: one.PID, PIDFD: pidfd}
	adopted.visit = s.slots.admission.Adopt(one.Remote.Addr(), one.Trusted)
	if adopted.orphan {
		s.sessions.table[one.PID] = adopted
	} else {
		s.sessions.add(adopted)
	}
	return nil
}

// open returns a pidfd of a session's program. That of a child, as after an
// exec, is surely its own, even if it has ended; an orphan's id may be
// another's by now.
func (one Session) open(orphan bool, group func() (map[int]bool, error)) (pidfd int, err error) {
	pidfd, err = unix.PidfdOpen(one.PID, 0)
	switch {
	case err == unix.ESRCH:
		return -1, errEnded
	case err != nil:
		return -1, os.NewSyscallError("pidfd_open", err)
	case !orphan:
		return pidfd, nil
	}
	if err := one.identify(pidfd, group); err != nil {
		unix.Close(pidfd)
		return -1, err
	}
	return pidfd, nil
}

// isChild tells whether a process is a child of ours, perhaps one that has
// ended.
func isChild(pid int) bool {
	return unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOHANG|unix.WNOWAIT, nil) == nil
}

// What may have become of a session's program.
var (
	errEnded  = errors.New("the program has ended")
	errHidden = errors.New("the process is hidden from us")
)

// identify makes sure that a pidfd, which was opened by the id of the
// session's program, is of that program.
func (one Session) identify(pidfd int, group func() (map[int]bool, error)) error {
	p, err := readProcess(one.PID)
	switch {
	case err == nil && p.born == one.Born:
		return nil
	case err == nil && one.Born != 0:
		return errEnded // the id is another's
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH):
		return err
	case hasEnded(pidfd):
		return errEnded
	}
	// It lives, and may not be looked at: another user's, or in another user
	// namespace (PrivateUsers=). But nobody is in our control group who was not
	// begun there.
	if members, err := group(); err != nil || !members[one.PID] {
		return errHidden
	}
	return nil
}

// hasEnded tells whether the process of a pidfd has ended.
func hasEnded(pidfd int) bool {
	events := []unix.PollFd{{Fd: int32(pidfd), Events: unix.POLLIN}}
	n, err := unix.Poll(events, 0)
	return n > 0 && err == nil
}
