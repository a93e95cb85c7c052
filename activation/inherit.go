package activation

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/coreos/go-systemd/v22/activation"
	"golang.org/x/sys/unix"
)

// Inheritance is what this process was given: by systemd at its start, or by
// the program that it was until it called Exec.
type Inheritance struct {
	Listeners []Listener // none without a .socket unit; the caller owns the files
	Status    *Listener  // where operators ask, nil unless it was passed; the caller's, too
	State     []byte     // what the process before left by Keep or Exec, nil if nothing
	Lost      error      // why a state that was left cannot be read
	Continued bool       // it was Exec
}

// The names of descriptors that are no ports.
const (
	stateName  = "ucspid-state" // a state, here and in systemd's store
	statusName = "status"       // FileDescriptorName= of the socket that operators ask at
)

// What comes from outside is bounded.
const (
	firstDescriptor = 3    // SD_LISTEN_FDS_START of sd_listen_fds(3)
	maxDescriptors  = 1024 // in LISTEN_FDS
	maxState        = 1 << 26
)

// Inherit takes what this process was given. Every descriptor must be a
// listening TCP socket, or by its name the status socket or a state; when one
// is not, the error names it. It is called once.
func Inherit() (Inheritance, error) {
	files, continued, err := inherited()
	if err != nil {
		return Inheritance{}, err
	}
	in := Inheritance{Continued: continued}
	for _, f := range files {
		if err := in.add(f); err != nil {
			return Inheritance{}, err
		}
	}
	if in.State != nil || in.Lost != nil {
		_ = unstore() // it is for the next one
	}
	return in, nil
}

// add takes one descriptor. A state that cannot be read must not keep the port
// closed. Of several the first one counts: systemd puts the newest first.
func (in *Inheritance) add(f *os.File) error {
	switch f.Name() {
	case stateName:
		if in.State == nil && in.Lost == nil {
			in.State, in.Lost = readState(f)
		}
		return f.Close()
	case statusName:
		if in.Status != nil {
			return fmt.Errorf("socket %q: passed twice: one ListenStream= is enough", statusName)
		}
		l, err := newListener(f, checkUnix)
		in.Status = &l
		return err
	}
	l, err := newListener(f, checkTCP)
	in.Listeners = append(in.Listeners, l)
	return err
}

// inherited returns the descriptors, with their names: those of Exec, else
// those of sd_listen_fds(3). Which ones they are comes from the environment,
// and is taken out of it.
func inherited() (files []*os.File, continued bool, err error) {
	if files, continued, err = handedOver(); continued {
		return files, continued, err
	}
	n, err := passed()
	if n == 0 || err != nil {
		return nil, false, err
	}
	for fd := firstDescriptor; fd < firstDescriptor+n; fd++ {
		if err := unix.SetNonblock(fd, true); err != nil { // os.NewFile looks, and so polls it
			return nil, false, fmt.Errorf("descriptor %d: passed by LISTEN_FDS: %w", fd, err)
		}
	}
	return activation.Files(true), false, nil
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

func readState(f *os.File) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxState {
		return nil, errors.New("state: not a file of memory, or too long")
	}
	return io.ReadAll(io.NewSectionReader(f, 0, info.Size()))
}

// handoverVariable tells the program that Exec runs what it has inherited: the
// process id it is meant for, then the number and the name of each descriptor.
// All parts are separated by colons, which no name holds (systemd.socket(5)).
const handoverVariable = "UCSPID_HANDOVER"

func handoverText(passed []Listener) (string, error) {
	parts := []string{strconv.Itoa(os.Getpid())}
	for _, l := range passed {
		err := control(l.File, func(fd int) error {
			parts = append(parts, strconv.Itoa(fd), l.Name)
			return nil
		})
		if err != nil {
			return "", err
		}
	}
	return strings.Join(parts, ":"), nil
}

// handedOver returns the descriptors of Exec, if there was one.
func handedOver() (files []*os.File, continued bool, err error) {
	parts := strings.Split(os.Getenv(handoverVariable), ":")
	os.Unsetenv(handoverVariable)
	if parts[0] != strconv.Itoa(os.Getpid()) {
		return nil, false, nil
	}
	for i := 1; i+1 < len(parts); i += 2 {
		fd, err := strconv.Atoi(parts[i])
		if err != nil || fd <= unix.Stderr {
			return nil, true, fmt.Errorf("%s: %q is no descriptor", handoverVariable, parts[i])
		}
		if err := unix.SetNonblock(fd, true); err != nil {
			return nil, true, fmt.Errorf("%s: descriptor %d: %w", handoverVariable, fd, err)
		}
		unix.CloseOnExec(fd)
		files = append(files, os.NewFile(uintptr(fd), parts[i+1]))
	}
	return files, true, nil
}
