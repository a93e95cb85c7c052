package activation

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Exec replaces the program of this process by the file at path, with the same
// arguments. The new one gets the listeners, a status socket among them, and the
// state from Inherit; the process keeps its id, its children and its cage. When
// systemd has the state, for whoever is started next should this process end,
// last is called; it may forbid what follows by an error. Exec returns only when
// it fails; then everything is as it was.
func Exec(path string, listeners []Listener, state []byte, last func() error) error {
	memory, err := newState(state)
	if err != nil {
		return err
	}
	defer memory.Close()
	defer unstore()
	if err := store(memory); err != nil {
		return err
	}
	passed := append([]Listener{{stateName, memory}}, listeners...)
	handover, err := handoverText(passed)
	if err != nil {
		return err
	}
	env := append(os.Environ(), handoverVariable+"="+handover)

	// The numbers stay as they are: what was not moved need not be moved back.
	defer setCloseOnExec(passed, unix.FD_CLOEXEC)
	if err := setCloseOnExec(passed, 0); err != nil {
		return err
	}
	if err := last(); err != nil {
		return err
	}
	return fmt.Errorf("%s: %w", path, syscall.Exec(path, os.Args, env))
}

func setCloseOnExec(passed []Listener, flag int) error {
	for _, l := range passed {
		err := control(l.File, func(fd int) error {
			_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFD, flag)
			return err
		})
		if err != nil {
			return fmt.Errorf("socket %q: %w", l.Name, err)
		}
	}
	return nil
}
