package ucspi

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Sessions outlive the server that began them. The server that comes after it,
// in the same process or in another, counts them as its own and notices their
// end.

// Session is a session as one server leaves it to the next.
type Session struct {
	PID     int            // of the program
	Born    uint64         // its start time, in clock ticks since the boot (proc(5))
	Remote  netip.AddrPort // the peer
	Trusted bool
	Started time.Time
}

// Sessions returns the sessions that run, for the server that comes next.
func (s *Server) Sessions() []Session {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	var all []Session
	for pid, running := range s.sessions.table {
		// Nobody else waits for a child of ours, so the id is still its own.
		if running.born == 0 {
			p, err := readProcess(pid)
			if err != nil {
				continue
			}
			running.born = p.born
		}
		all = append(all, Session{
			PID: pid, Born: running.born, Remote: running.remote,
			Trusted: running.visit.Trusted(), Started: running.started,
		})
	}
	return all
}

// Adopt counts the sessions of the server before this one. Of those that have
// ended meanwhile it tells the end. It comes before Serve.
func (s *Server) Adopt(before []Session) error {
	var failed error
	for _, one := range before {
		if err := s.adopt(one); err != nil {
			failed = err // one stands for all of them: it is the system that lacks something
		}
	}
	return failed
}

func (s *Server) adopt(one Session) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if _, twice := s.sessions.table[one.PID]; twice {
		return nil
	}
	orphan, err := s.follow(one)
	adopted := session{remote: one.Remote, started: one.Started, born: one.Born, orphan: orphan}
	switch {
	case errors.Is(err, errEnded):
		adopted.orphan = true
		s.log.end(one.PID, 0, adopted)
		return nil
	case err != nil:
		return fmt.Errorf("session of process %d: %w", one.PID, err)
	}
	adopted.visit = s.slots.admission.Adopt(one.Remote.Addr(), one.Trusted)
	s.sessions.table[one.PID] = adopted
	return nil
}

// follow has the end of a session's program noticed: by the reaper if it is a
// child of ours, as after an exec, else by a descriptor of the process.
func (s *Server) follow(one Session) (orphan bool, err error) {
	if parent, err := one.parent(); err != nil || parent == os.Getpid() {
		return false, err
	}
	pidfd, err := unix.PidfdOpen(one.PID, 0)
	switch {
	case err == unix.ESRCH:
		return true, errEnded
	case err != nil:
		return true, os.NewSyscallError("pidfd_open", err)
	}
	// Did the id become another's in between?
	if _, err := one.parent(); err != nil {
		unix.Close(pidfd)
		return true, err
	}
	return true, s.orphans.add(pidfd, one.PID)
}

// errEnded says that the program of a session has ended and nobody saw it.
var errEnded = errors.New("the program has ended")

// parent returns the parent of the session's program, or errEnded.
func (one Session) parent() (int, error) {
	p, err := readProcess(one.PID)
	if err != nil || p.born != one.Born {
		return 0, errEnded
	}
	return p.parent, nil
}
