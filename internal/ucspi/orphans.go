package ucspi

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// orphans notices the end of sessions whose programs are no children of ours:
// those of a server before this one. Each costs a descriptor, none a thread or
// a goroutine of its own.
type orphans struct {
	epoll *os.File // of their pidfds, nil where there never was one
}

// add waits for the process of a pidfd, which it owns from now on. It comes
// before wait.
func (o *orphans) add(pidfd, pid int) error {
	err := o.begin()
	if err == nil {
		err = o.control(func(epoll int) error {
			event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pidfd), Pad: int32(pid)}
			return os.NewSyscallError("epoll_ctl", unix.EpollCtl(epoll, unix.EPOLL_CTL_ADD, pidfd, &event))
		})
	}
	if err != nil {
		unix.Close(pidfd)
	}
	return err
}

// begin makes the epoll(7) of all pidfds, which Go's own can wait for.
func (o *orphans) begin() error {
	if o.epoll != nil {
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	o.epoll = os.NewFile(uintptr(fd), "orphans")
	return nil
}

func (o *orphans) control(use func(epoll int) error) error {
	conn, err := o.epoll.SyscallConn()
	if err != nil {
		return err
	}
	var used error
	err = conn.Control(func(fd uintptr) { used = use(int(fd)) })
	return errors.Join(err, used)
}

// wait tells of each end until stop. Who ends later is told of by the next
// wait, or by the next server.
func (o *orphans) wait(ended func(pid int)) {
	if o.epoll == nil {
		return
	}
	conn, err := o.epoll.SyscallConn()
	if err != nil || o.epoll.SetReadDeadline(time.Time{}) != nil {
		return
	}
	events := make([]unix.EpollEvent, 64)
	_ = conn.Read(func(epoll uintptr) bool {
		for {
			n, err := unix.EpollWait(int(epoll), events, 0)
			for _, event := range events[:max(n, 0)] {
				// A close alone is not enough while a child that is being
				// started has a copy: the epoll would go on telling of a number
				// that is another's by then.
				_ = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_DEL, int(event.Fd), nil)
				unix.Close(int(event.Fd))
				ended(int(event.Pad))
			}
			if n < len(events) && err != unix.EINTR {
				return false
			}
		}
	})
}

// stop ends the wait.
func (o *orphans) stop() {
	if o.epoll != nil {
		_ = o.epoll.SetReadDeadline(time.Unix(0, 1))
	}
}
