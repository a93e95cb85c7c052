//go:build !amd64

package spawn

import "syscall"

// Spawner starts programs.
type Spawner struct{}

// New returns a Spawner.
func New() (*Spawner, error) { return &Spawner{}, nil }

// Process is a program that was started.
type Process struct {
	PID   int
	PIDFD int // the caller's
}

// Failed returns nil: who has a Process has a program that ran.
func (Process) Failed() error { return nil }

// Start starts a program. The process is to be waited for.
func (*Spawner) Start(c Command) (p Process, err error) {
	p.PID, err = syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{
		Env:   c.Env,
		Files: []uintptr{uintptr(c.Files[0]), uintptr(c.Files[1]), uintptr(c.Files[2])},
		Sys:   &syscall.SysProcAttr{PidFD: &p.PIDFD},
	})
	return p, err
}

// AsBorn calls exec, which is to replace this program. syscall.Exec does what
// there is to do.
func (*Spawner) AsBorn(exec func() error) error { return exec() }
