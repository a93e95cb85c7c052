package spawn

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// disposition is what a process does on a signal: struct sigaction, as the
// kernel has it (rt_sigaction(2)).
type disposition struct {
	handler  uintptr // or one of the next two
	flags    uint64
	restorer uintptr
	mask     uint64
}

const (
	sigDefault = 0
	sigIgnore  = 1
)

// signals is how many there are, and size that of a set of them in bytes.
const (
	signals    = 64
	sigsetSize = signals / 8
)

// setDefault has the kernel do what it does on a signal by default.
func setDefault(signal unix.Signal) error {
	return sigaction(signal, &disposition{handler: sigDefault}, nil)
}

// caughtSignals returns the signals that have a handler.
func caughtSignals() (caught uint64, err error) {
	for signal := range unix.Signal(signals) {
		var d disposition
		if err := sigaction(signal+1, nil, &d); err != nil {
			return 0, err
		}
		if d.handler != sigDefault && d.handler != sigIgnore {
			caught |= 1 << signal
		}
	}
	return caught, nil
}

// sigaction goes past package signal, which would not tell.
func sigaction(signal unix.Signal, now, before *disposition) error {
	_, _, err := unix.RawSyscall6(unix.SYS_RT_SIGACTION, uintptr(signal),
		uintptr(unsafe.Pointer(now)), uintptr(unsafe.Pointer(before)), sigsetSize, 0, 0)
	if err != 0 {
		return os.NewSyscallError("rt_sigaction", err)
	}
	return nil
}
