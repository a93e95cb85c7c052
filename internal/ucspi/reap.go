package ucspi

import (
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// reaper notices the end of programs: of all children in one goroutine, and of
// orphans in another. A session costs no thread.
type reaper struct {
	signals chan os.Signal
	orphans *orphans
	done    sync.WaitGroup
}

func (s *Server) startReaper() *reaper {
	r := &reaper{signals: make(chan os.Signal, 1), orphans: &s.orphans}
	signal.Notify(r.signals, unix.SIGCHLD)
	r.done.Go(func() {
		s.reap() // those that ended before anybody was told
		for range r.signals {
			s.reap()
		}
	})
	r.done.Go(func() { s.orphans.wait(func(pid int) { s.end(pid, 0) }) })
	return r
}

// stop returns when no program's end will be noticed any more.
func (r *reaper) stop() {
	signal.Stop(r.signals)
	close(r.signals)
	r.orphans.stop()
	r.done.Wait()
}

// reap ends the sessions whose programs have ended: one signal may stand for
// many of them.
func (s *Server) reap() {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		s.end(pid, status)
	}
}

// end gives the slot of a session back. A child that is none, inherited from
// whoever ran exec before us, is passed over.
func (s *Server) end(pid int, status unix.WaitStatus) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if waiting, found := s.sessions.trials[pid]; found {
		delete(s.sessions.trials, pid)
		waiting <- status
		return
	}
	ended, found := s.sessions.table[pid]
	if !found {
		return
	}
	delete(s.sessions.table, pid)
	s.slots.leave(ended.visit)
	s.countsChanged()
	s.log.end(pid, status, ended)
	s.log.status(len(s.sessions.table), s.Limits.Sessions)
}
