package spawn

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// limit is that of descriptors. Go raises the soft one of its process at the
// start, and gives what it starts the one that it found; nobody else can ask
// for that.
type limit struct {
	born, raised unix.Rlimit
}

// raiseLimit learns the limit that the process was born with: an exec brings
// it back, even one that fails. What Go raised and has forgotten by that is
// raised again.
func raiseLimit() (*limit, error) {
	_ = syscall.Exec("", nil, nil) // ENOENT
	var born unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &born); err != nil {
		return nil, os.NewSyscallError("getrlimit", err)
	}
	l := &limit{born: born, raised: born}
	if born.Cur < born.Max {
		l.raised.Cur = born.Max - 1 // so that it is told from one that somebody set
	}
	return l, l.set(l.raised)
}

func (l *limit) set(now unix.Rlimit) error {
	return os.NewSyscallError("setrlimit", unix.Setrlimit(unix.RLIMIT_NOFILE, &now))
}

// ofChild returns the limit for a child, nil if it is to inherit ours: somebody
// has set it, with prlimit(1), for those to come.
func (l *limit) ofChild() *unix.Rlimit {
	var now unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil || now != l.raised {
		return nil
	}
	return &l.born
}
