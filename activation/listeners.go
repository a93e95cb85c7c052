package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listener is a listening socket that systemd passed.
type Listener struct {
	Name string   // FileDescriptorName= of the .socket unit
	File *os.File // non-blocking, close-on-exec
}

// newListener makes sure that f is the socket that it should be.
func newListener(f *os.File, check func(fd int) error) (Listener, error) {
	if err := control(f, check); err != nil {
		return Listener{}, fmt.Errorf("socket %q: %w", f.Name(), err)
	}
	return Listener{Name: f.Name(), File: f}, nil
}

// control calls use with the descriptor of f, which stays non-blocking, as it
// would not with f.Fd.
func control(f *os.File, use func(fd int) error) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var used error
	err = conn.Control(func(fd uintptr) { used = use(int(fd)) })
	return errors.Join(err, used)
}

// checkTCP makes sure that fd is a listening TCP socket.
func checkTCP(fd int) error {
	domain, err := domainOf(fd)
	if err != nil {
		return err
	}
	if domain != unix.AF_INET && domain != unix.AF_INET6 {
		return errors.New("not a TCP socket: ListenStream= must be a port or an IP address with a port")
	}
	return checkStream(fd)
}

// checkUnix makes sure that fd is a listening socket of the file system, whose
// mode says who may ask.
func checkUnix(fd int) error {
	domain, err := domainOf(fd)
	if err != nil {
		return err
	}
	if domain != unix.AF_UNIX {
		return errors.New("not an AF_UNIX socket: with this name ListenStream= must be a path")
	}
	return checkStream(fd)
}

func domainOf(fd int) (int, error) {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return 0, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return domain, nil
}

// checkStream makes sure that clients can connect to the socket.
func checkStream(fd int) error {
	if kind, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_STREAM {
		return errors.New("not a stream socket: use ListenStream= in the .socket unit")
	}
	if listening, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN); err != nil || listening == 0 {
		return errors.New("not listening: use Accept=no in the .socket unit")
	}
	return nil
}

// Seal marks every descriptor above stderr as close-on-exec, so that none that
// this process was born with reaches another program.
func Seal() error {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("inherited descriptors: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return fmt.Errorf("inherited descriptors: %w", err)
	}
	for _, name := range names {
		if fd, err := strconv.Atoi(name); err == nil && fd > unix.Stderr {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}
