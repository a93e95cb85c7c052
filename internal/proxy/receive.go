package proxy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/errno"
)

var (
	errTimeout = errors.New("timed out")
	errEnded   = errors.New("the connection ended")
)

// Receive takes the header off a connection that begins with one, and leaves
// what follows. It waits for it no longer than timeout, and no thread waits
// meanwhile. The descriptor is blocking before and after that; nobody else may
// use it until Receive returns.
func Receive(fd int, timeout time.Duration) (Header, error) {
	h, err := receive(fd, timeout)
	if err != nil {
		return Header{}, fmt.Errorf("unable to read PROXY header: %s", errno.Text(err))
	}
	return h, nil
}

func receive(fd int, timeout time.Duration) (h Header, err error) {
	if err := unix.SetNonblock(fd, true); err != nil {
		return Header{}, err
	}
	defer func() { err = errors.Join(err, unix.SetNonblock(fd, false)) }()
	f, err := pollable(fd)
	if err != nil {
		return Header{}, err
	}
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return Header{}, err
	}
	n, err := await(f)
	if err != nil {
		return Header{}, err
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(f, b); err != nil {
		return Header{}, err
	}
	return parse(b)
}

// pollable returns a file that Go's poller can wait for. It has a descriptor of
// its own, for a file takes the one that it is made of with it when it is closed.
func pollable(fd int) (*os.File, error) {
	again, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(again), "connection"), nil
}

// await waits until a header is there, whole, and returns its length.
func await(f *os.File) (int, error) {
	conn, err := f.SyscallConn()
	if err != nil {
		return 0, err
	}
	var n int
	var peekErr error
	buffer := make([]byte, maxLength2)
	// The poller tells of bytes when they come, once: those that are left in the
	// socket do not wake us again and again.
	err = conn.Read(func(fd uintptr) bool {
		n, peekErr = peek(int(fd), buffer)
		return n > 0 || peekErr != nil
	})
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = errTimeout
	}
	return n, errors.Join(peekErr, err)
}

// peek returns the length of the header if all of it has come, 0 while more may
// come.
func peek(fd int, buffer []byte) (int, error) {
	ended := hasEnded(fd) // asked before the look, which then misses nothing
	got, _, err := unix.Recvfrom(fd, buffer, unix.MSG_PEEK)
	switch {
	case errors.Is(err, unix.EAGAIN):
		return 0, nil
	case err != nil:
		return 0, err
	}
	n, err := length(buffer[:got])
	switch {
	case err != nil:
		return 0, err
	case n > 0 && n <= got:
		return n, nil
	case ended:
		return 0, errEnded
	}
	return 0, nil
}

// hasEnded tells whether the peer will send nothing any more.
func hasEnded(fd int) bool {
	events := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
	n, err := unix.Poll(events, 0)
	return n > 0 && err == nil
}
