package activation

import (
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// firstDescriptor is SD_LISTEN_FDS_START of sd_listen_fds(3).
const firstDescriptor = 3

// maxDescriptors bounds LISTEN_FDS, which comes from outside.
const maxDescriptors = 1024

// ErrNoSockets says that systemd passed no socket: the program was not
// started by its .socket unit.
var ErrNoSockets = errors.New("sockets: none were passed")

// Listener is a listening TCP socket that systemd passed.
type Listener struct {
	Name string   // FileDescriptorName= of the .socket unit
	File *os.File // non-blocking, close-on-exec
}

// Listeners returns the sockets that systemd passed, in its order. The caller
// owns the files. All of them are listening TCP sockets; when one is not, the
// error names it. Without any it returns ErrNoSockets. It is called once.
func Listeners() ([]Listener, error) {
	n, err := passed()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, ErrNoSockets
	}
	for fd := firstDescriptor; fd < firstDescriptor+n; fd++ {
		if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile looks, and so polls it
			return nil, fmt.Errorf("descriptor %d: passed by LISTEN_FDS: %w", fd, err)
		}
	}
	var listeners []Listener
	for _, f := range activation.Files(true) {
		if err := checkListener(f); err != nil {
			return nil, fmt.Errorf("socket %q: %w", f.Name(), err)
		}
		listeners = append(listeners, Listener{Name: f.Name(), File: f})
	}
	return listeners, nil
}

// passed returns how many descriptors are meant for this process.
func passed() (int, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	text := os.Getenv("LISTEN_FDS")
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxDescriptors {
		return 0, fmt.Errorf("LISTEN_FDS: %q is not a number from 0 to %d", text, maxDescriptors)
	}
	return n, nil
}

// checkListener makes sure that f is a listening TCP socket.
func checkListener(f *os.File) error {
	conn, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var bad error
	err = conn.Control(func(fd uintptr) { bad = checkSocket(int(fd)) })
	return errors.Join(err, bad)
}

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
