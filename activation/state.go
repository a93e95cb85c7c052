package activation

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A state is what one process leaves to the next: bytes in memory that has a
// descriptor and no name in the file system (memfd_create(2)).

// newState returns a state. The caller owns the file.
func newState(content []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(stateName, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	f := os.NewFile(uintptr(fd), stateName)
	if _, err := f.Write(content); err != nil {
		f.Close()
		return nil, fmt.Errorf("state: %w", err)
	}
	return f, nil
}

// Keep leaves a state with systemd for the process that it starts in place of
// this one, and returns when systemd has it. It is for the end: PID 1 handles
// each message itself. Where no systemd listens it does nothing.
func Keep(content []byte) error {
	f, err := newState(content)
	if err != nil {
		return err
	}
	defer f.Close()
	return store(f)
}

// storePatience bounds how long store waits for systemd.
const storePatience = 5 * time.Second

// store puts a state into systemd's store (FileDescriptorStoreMax= of the
// unit) and returns when it is there.
func store(f *os.File) error {
	if !IsService() {
		return nil
	}
	if err := notify("FDSTORE=1\nFDNAME="+stateName, f); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return barrier(storePatience)
}

// unstore takes all states out of the store.
func unstore() error { return notify("FDSTOREREMOVE=1\nFDNAME=" + stateName) }

// barrier waits until systemd has handled all that was sent before
// (sd_notify_barrier(3)).
func barrier(patience time.Duration) error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	err = notify("BARRIER=1", theirs)
	theirs.Close()
	if err != nil {
		return err
	}
	if err := ours.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if _, err := ours.Read(make([]byte, 1)); errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("systemd: no answer for %v", patience)
	}
	return nil
}
