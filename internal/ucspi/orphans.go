package ucspi

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// orphans notices the end of sessions whose programs are no children of ours:
// those of a server before this one. Each costs a descriptor, none a thread or
// a goroutine of its own.
type orphans struct {
	ended func(pid int)

	mu    sync.Mutex
	epoll *os.File // nil while there are none
}

// add waits for the process of a pidfd, which it owns from now on.
func (o *orphans) add(pidfd, pid int) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.epoll == nil {
		if err := o.begin(); err != nil {
			unix.Close(pidfd)
			return err
		}
	}
	conn, err := o.epoll.SyscallConn()
	if err == nil {
		err = conn.Control(func(epoll uintptr) {
			event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: int32(pidfd), Pad: int32(pid)}
			err = unix.EpollCtl(int(epoll), unix.EPOLL_CTL_ADD, pidfd, &event)
		})
	}
	return err
}

// begin makes the epoll(7) of all pidfds, which Go's own can wait for.
func (o *orphans) begin() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return err
	}
	o.epoll = os.NewFile(uintptr(fd), "orphans")
	go o.wait(o.epoll)
	return nil
}

// wait tells of each end, for as long as the process lives.
func (o *orphans) wait(epoll *os.File) {
	conn, err := epoll.SyscallConn()
	if err != nil {
		return
	}
	events := make([]unix.EpollEvent, 64)
	_ = conn.Read(func(fd uintptr) bool {
		for {
			n, err := unix.EpollWait(int(fd), events, 0)
			for _, event := range events[:max(n, 0)] {
				unix.Close(int(event.Fd)) // which takes it out of the epoll
				o.ended(int(event.Pad))
			}
			if n < len(events) && err != unix.EINTR {
				return false
			}
		}
	})
}
