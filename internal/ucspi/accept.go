package ucspi

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// accept serves a listener until ctx ends; busy is since when it is at work on
// a connection. A slot comes before the connection: without one the clients
// wait in the kernel's backlog.
func (s *Server) accept(ctx context.Context, listener *os.File, busy *atomic.Int64) {
	vanished := 0 // in a row
	for {
		s.pause.wait(ctx)
		c, err := s.next(ctx, listener)
		switch {
		case err == nil:
			vanished = 0
			busy.Store(time.Now().UnixNano())
			s.receive(c)
			busy.Store(0)
		case ctx.Err() != nil:
			return
		case gone(err) && vanished < maxVanished:
			vanished++
		default:
			s.log.acceptFailed(err)
			s.pause.failed()
		}
	}
}

// maxVanished is how many connections may vanish one after the other before
// that is taken for an error of the system's.
const maxVanished = 100

// gone tells of an error that concerns only the connection that was to come:
// its client has gone, or the network has (accept(2)).
func gone(err error) bool {
	switch {
	case errors.Is(err, unix.ECONNABORTED), errors.Is(err, unix.EINTR), errors.Is(err, unix.EPROTO),
		errors.Is(err, unix.ENOPROTOOPT), errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EPERM),
		errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENETUNREACH), errors.Is(err, unix.ENONET),
		errors.Is(err, unix.EHOSTDOWN), errors.Is(err, unix.EHOSTUNREACH):
		return true
	}
	return false
}

// next takes a slot and a connection, in this order, and gives the slot back
// while there is no connection. It does not hold a slot while it waits, so
// that listeners share the slots by need.
func (s *Server) next(ctx context.Context, listener *os.File) (*connection, error) {
	conn, err := listener.SyscallConn()
	if err != nil {
		return nil, err
	}
	for {
		if !s.slots.take(ctx) {
			return nil, ctx.Err()
		}
		c, err := accept4(conn)
		if err == nil {
			c.visit = s.slots.admission.Visit(c.remote.Addr())
			return c, nil
		}
		s.slots.give()
		if !errors.Is(err, unix.EAGAIN) {
			return nil, err
		}
		if err := awaitReadable(conn); err != nil {
			return nil, err
		}
	}
}

// accept4 takes one connection without waiting. Package unix would ask for the
// protocol each time, in case it is not TCP. Its descriptor is blocking,
// as the program expects it, and close-on-exec.
func accept4(conn syscall.RawConn) (*connection, error) {
	var c *connection
	err := control(conn, func(fd int) error {
		accepted, peer, err := syscall.Accept4(fd, unix.SOCK_CLOEXEC)
		if err == nil {
			c = &connection{fd: accepted, remote: addrPort(peer)}
		}
		return err
	})
	return c, err
}

// awaitReadable waits until a connection has come since it was last tried
// for, or the listener's deadline.
func awaitReadable(conn syscall.RawConn) error {
	var pollErr error
	err := conn.Read(func(fd uintptr) bool {
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			pollErr = err
		}
		return ready != 0 || err != nil
	})
	return errors.Join(err, pollErr)
}

// addrPort converts a socket's address. IPv4-mapped addresses become IPv4.
func addrPort(sa syscall.Sockaddr) netip.AddrPort {
	switch sa := sa.(type) {
	case *syscall.SockaddrInet4:
		return netip.AddrPortFrom(netip.AddrFrom4(sa.Addr), uint16(sa.Port))
	case *syscall.SockaddrInet6:
		return netip.AddrPortFrom(netip.AddrFrom16(sa.Addr).Unmap(), uint16(sa.Port))
	}
	return netip.AddrPort{}
}
