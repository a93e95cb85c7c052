package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// Listener is a listening TCP socket that systemd passed.
type Listener struct {
	Name string   // FileDescriptorName= of the .socket unit
	File *os.File // non-blocking, close-on-exec
}

// newListener makes sure that f is a listening TCP socket.
func newListener(f *os.File) (Listener, error) {
	if err := control(f, checkSocket); err != nil {
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

// checkSocket makes sure that fd is a listening TCP socket.
func checkSocket(fd int) error {
	domain, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DOMAIN)
	if err != nil {
		return fmt.Errorf("descriptor %d: %w", fd, err)
	}
	if domain != unix.AF_INET && domain != unix.AF_INET6 {
		return errors.New("not a TCP socket: ListenStream= must be a port or an IP address with a port")
	}
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
