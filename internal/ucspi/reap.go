package ucspi

import (
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reaper notices the end of programs, children of ours or not, by a descriptor
// of each process (pidfd_open(2)) in one epoll(7): at the same price for one
// and for thousands, without a thread, a goroutine or a signal for each.
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

// strayPause is how often at most we look for strays: children that are no
// session, of whoever ran exec before us or, where we are process 1, anybody's.
const strayPause = time.Second

// reap ends the session of a program that has ended, and with it, now and
// then, the strays.
func (s *Server) reap(pid int) {
	if status, ended := waitFor(pid); ended {
		s.end(pid, status)
	}
	if now := time.Now(); now.Sub(s.strays) >= strayPause && s.reapStrays() {
		s.strays = now
	}
}

// waitFor returns the status of a program, 0 if it is no child of ours, and
// whether it has ended. One that still runs has the id of one that was reaped
// among the strays.
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

// reapStrays waits for all children that have ended. It does nothing, and
// returns false, while a program is being started, which may have ended before
// anybody knows it.
func (s *Server) reapStrays() bool {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
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

// end ends a session.
func (s *Server) end(pid int, status unix.WaitStatus) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	s.ended(pid, status)
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
	unix.Close(one.process.PIDFD)
	s.slots.leave(one.visit)
	s.countsChanged()
	if err := one.process.Failed(); err != nil {
		s.log.dropped(&connection{remote: one.remote}, s.notStarted(err))
	}
	s.log.end(pid, status, one)
	s.log.status(len(s.sessions.table), s.Limits.Sessions)
}
