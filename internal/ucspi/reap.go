package ucspi

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reaper notices the end of programs by a descriptor of each process
// (pidfd_open(2)) in one epoll(7): children of ours or not, and without a
// thread, a goroutine or a signal for each.
//
// A child that is started copies our descriptors and closes them again, however
// many there are. So of our children only the youngest, who end most often, have
// one; for the others we look now and then.
type reaper struct {
	epoll *os.File
	conn  syscall.RawConn // of the epoll
	done  sync.WaitGroup
}

// newReaper returns a reaper for start. The epoll is one that Go's own can wait
// for.
func newReaper() (*reaper, error) {
	self, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil { // ENOSYS before Linux 5.3
		return nil, os.NewSyscallError("pidfd_open", err)
	}
	unix.Close(self)
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	epoll := os.NewFile(uintptr(fd), "epoll")
	conn, err := epoll.SyscallConn()
	return &reaper{epoll: epoll, conn: conn}, err
}

// add has the end of a process told, once, by its pidfd, which stays the
// caller's. If the process has ended, that is told at once. The pidfd may be
// closed at any time; that the epoll knows it for longer, while a child that is
// being started has a copy, does no harm.
func (r *reaper) add(pid, pidfd int) error {
	event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLONESHOT, Fd: int32(pid)}
	return control(r.conn, func(epoll int) error {
		return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, pidfd, &event))
	})
}

// start tells of each end until stop. Who ends later is told of by the next
// start, or by the next server.
func (r *reaper) start(ended func(pid int)) {
	r.epoll.SetReadDeadline(time.Time{})
	r.done.Go(func() {
		events := make([]unix.EpollEvent, 64)
		_ = r.conn.Read(func(epoll uintptr) bool {
			for {
				n, err := unix.EpollWait(int(epoll), events, 0)
				for _, event := range events[:max(n, 0)] {
					ended(int(event.Fd))
				}
				if n < len(events) && err != unix.EINTR {
					return false
				}
			}
		})
	})
}

// stop returns when no program's end will be noticed any more.
func (r *reaper) stop() {
	r.epoll.SetReadDeadline(time.Unix(0, 1))
	r.done.Wait()
}

// control uses a descriptor that Go may close at any other time.
func control(conn syscall.RawConn, use func(fd int) error) error {
	var used error
	err := conn.Control(func(fd uintptr) { used = use(int(fd)) })
	return errors.Join(err, used)
}

// youngest is how many children have a pidfd, sweepPause how long the end of
// another one may go unnoticed; with thousands of them it may take longer, so
// that a sweep is on a processor for one part in sweepShare of the time.
const (
	youngest   = 64
	sweepPause = 200 * time.Millisecond
	sweepShare = 400
	sweepRetry = 2 * time.Millisecond // after one that came at the wrong moment
)

// reap ends the session of a program that has ended. Nobody else may get its id
// before it is out of the table.
func (s *Server) reap(pid int) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if status, ended := waitFor(pid); ended {
		s.ended(pid, status)
	}
}

// waitFor returns the status of a program, 0 if it is no child of ours, and
// whether it has ended. One that still runs has the id of one that a sweep has
// found.
func waitFor(pid int) (status unix.WaitStatus, ended bool) {
	for {
		switch found, err := unix.Wait4(pid, &status, unix.WNOHANG, nil); err {
		case nil:
			return status, found == pid
		case unix.EINTR:
		default:
			return 0, true
		}
	}
}

// sweep ends the sessions of all children that have ended. Children that are no
// session it passes over: those of whoever ran exec before us or, where we are
// process 1, anybody's. While a program is being started, which may have ended
// before anybody knows it, it does nothing and returns false. The lock of the
// sessions is held.
func (s *Server) sweep() bool {
	if s.sessions.starting > 0 {
		return false
	}
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, unix.WNOHANG, nil)
		switch {
		case err == unix.EINTR:
		case err != nil || pid <= 0:
			return true
		default:
			s.ended(pid, status)
		}
	}
}

// sweepLater sweeps after a pause, and again as long as there are sessions and
// the server serves. The lock of the sessions is held.
func (s *Server) sweepLater(pause time.Duration) {
	if s.sessions.sweeping {
		return
	}
	s.sessions.sweeping = true
	time.AfterFunc(pause, func() {
		s.sessions.mu.Lock()
		defer s.sessions.mu.Unlock()
		s.sessions.sweeping = false
		if !s.sessions.served {
			return
		}
		began := time.Now()
		switch {
		case !s.sweep():
			s.sweepLater(sweepRetry)
		case len(s.sessions.table) > 0:
			s.sweepLater(max(sweepPause, sweepShare*time.Since(began)))
		}
	})
}

// serveEnds has the ends of programs noticed, or no longer.
func (s *Server) serveEnds(on bool) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.sessions.served = on
	if on {
		s.sweepLater(sweepPause)
	}
}

// ended gives the slot of a session back. The lock of the sessions is held.
func (s *Server) ended(pid int, status unix.WaitStatus) {
	if one, found := s.sessions.trials[pid]; found {
		delete(s.sessions.trials, pid)
		unix.Close(one.process.PIDFD)
		one.ended <- status
		return
	}
	one, found := s.sessions.table[pid]
	if !found {
		return
	}
	delete(s.sessions.table, pid)
	if one.process.PIDFD >= 0 {
		unix.Close(one.process.PIDFD)
	}
	s.slots.leave(one.visit)
	s.countsChanged()
	if err := one.process.Failed(); err != nil {
		s.dropped.Add(1)
		s.log.dropped(&connection{remote: one.remote}, s.notStarted(err))
	}
	s.log.end(pid, status, one)
	s.log.status(len(s.sessions.table), s.Limits.Sessions)
}
