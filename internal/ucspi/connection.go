package ucspi

import (
	"fmt"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/errno"
	"ucspid/policy"
)

// connection is an accepted connection that is not yet a session. It owns the
// descriptor and a slot.
type connection struct {
	fd            int // blocking, close-on-exec
	visit         *policy.Visit
	local, remote netip.AddrPort
	proxy         netip.AddrPort // who connected in the name of remote, if anybody did
	localHost     policy.Name
	remoteHost    policy.Name
	remoteInfo    policy.Name
}

func (c *connection) peer() policy.Peer {
	return policy.Peer{IP: c.remote.Addr(), Host: c.remoteHost, Info: c.remoteInfo}
}

// receive takes a connection until it is a session, closed, or in the hands
// of a goroutine that waits for a header or for names.
func (s *Server) receive(c *connection) {
	if err := s.prepare(c); err != nil {
		s.drop(c, err)
		return
	}
	if s.behindProxy(c) {
		s.judging.Go(func() { s.unwrap(c) })
		return
	}
	s.admit(c)
}

// admit greets a peer whose address is known, and lets it in if it may. The
// order is tcpserver's: the banner first, then the names, then the rules, then
// the limits; but where no rule depends on a name, a peer that will not be let
// in waits for none.
func (s *Server) admit(c *connection) {
	if err := writeBanner(c.fd, s.Banner); err != nil {
		s.drop(c, fmt.Errorf("unable to print banner: %s", errno.Text(err)))
		return
	}
	rules, err := s.rules()
	if err != nil {
		s.drop(c, err)
		return
	}
	if s.Names.decisive(rules) {
		if !s.await(c, rules) {
			return
		}
		s.judging.Go(func() {
			s.lookUp(c, rules)
			if decision, allowed := s.judge(c, rules); allowed {
				s.start(c, decision)
			}
		})
		return
	}
	decision, allowed := s.judge(c, rules)
	switch {
	case !allowed:
	case s.Names.asked():
		s.judging.Go(func() {
			s.lookUp(c, rules)
			s.start(c, decision)
		})
	default:
		s.start(c, decision)
	}
}

// prepare sets the socket's options and learns what can be learned without
// asking anybody.
func (s *Server) prepare(c *connection) error {
	if !s.KeepOptions && c.remote.Addr().Is4() {
		// A source route would let a peer borrow somebody's address. Where the
		// system knows no options there is none.
		_ = unix.SetsockoptString(c.fd, unix.IPPROTO_IP, unix.IP_OPTIONS, "")
	}
	if s.NoDelay {
		_ = unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_NODELAY, 1)
	}
	local, err := syscall.Getsockname(c.fd)
	if err != nil {
		return fmt.Errorf("unable to get local address: %s", errno.Text(err))
	}
	c.local = addrPort(local)
	c.localHost = s.Names.LocalHost
	return nil
}

// writeBanner writes without waiting: it is the first that is written, and so
// has the whole send buffer.
func writeBanner(fd int, banner string) error {
	if banner == "" {
		return nil
	}
	n, err := unix.SendmsgN(fd, []byte(banner), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	if err == nil && n < len(banner) {
		err = unix.EMSGSIZE
	}
	return err
}

// rules returns the rules as they are now.
func (s *Server) rules() (*policy.Database, error) {
	if s.Rules == nil {
		return &policy.Database{}, nil
	}
	rules, err := s.Rules.Database(time.Now())
	if err != nil {
		return nil, s.unreadable(err)
	}
	return rules, nil
}

func (s *Server) unreadable(err error) error {
	return fmt.Errorf("unable to read %s: %s", s.Rules.Path, errno.Text(err))
}

// close ends a connection that became no session.
func (s *Server) close(c *connection) {
	unix.Close(c.fd)
	s.slots.leave(c.visit)
}

// drop closes a connection because of an error and says why.
func (s *Server) drop(c *connection, err error) {
	s.close(c)
	s.dropped.Add(1)
	s.log.dropped(c, err)
}
