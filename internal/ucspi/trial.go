package ucspi

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/spawn"
)

// maxComplaint is how much is heard of a program on trial.
const maxComplaint = 4096

// Try runs a program that serves nobody, beside the sessions, and returns nil
// when it exits with 0; else the error is what it said. When ctx ends first it
// is killed. Try works only while Serve does: there is one reaper.
func (s *Server) Try(ctx context.Context, program Program) error {
	ours, theirs, err := os.Pipe()
	if err != nil {
		return err
	}
	defer ours.Close()
	one, err := s.startTrial(program, theirs)
	theirs.Close()
	if err != nil {
		return fmt.Errorf("%s: %w", program.Path, err)
	}
	said := make(chan string, 1)
	go func() {
		text, _ := io.ReadAll(io.LimitReader(ours, maxComplaint))
		said <- strings.TrimSpace(string(text))
	}()
	select {
	case status := <-one.ended:
		_ = ours.SetReadDeadline(time.Now().Add(time.Second)) // somebody else may hold the other end
		return verdictOf(program, status, one.process.Failed(), <-said)
	case <-ctx.Done():
		s.kill(one)
		<-one.ended
		return fmt.Errorf("%s: %w", program.Path, context.Cause(ctx))
	}
}

func verdictOf(program Program, status unix.WaitStatus, failed error, said string) error {
	switch {
	case failed != nil:
		return fmt.Errorf("%s: %w", program.Path, failed)
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case said != "":
		return fmt.Errorf("%s", said)
	case status.Signaled():
		return fmt.Errorf("%s: %s", program.Path, status.Signal())
	}
	return fmt.Errorf("%s: exit code %d", program.Path, status.ExitStatus())
}

// trial is a program that serves nobody.
type trial struct {
	process spawn.Process
	ended   chan unix.WaitStatus
}

// kill ends a trial, unless that has ended.
func (s *Server) kill(one trial) {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	if _, runs := s.sessions.trials[one.process.PID]; runs {
		_ = unix.PidfdSendSignal(one.process.PIDFD, unix.SIGKILL, nil, 0)
	}
}

// startTrial starts the program with nothing to read, and output as what it
// writes to.
func (s *Server) startTrial(program Program, output *os.File) (one trial, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return trial{}, err
	}
	defer null.Close()
	files := [3]int{int(null.Fd()), int(output.Fd()), int(output.Fd())}
	err = s.run(program, program.Env, files, func(p spawn.Process) {
		one = trial{p, make(chan unix.WaitStatus, 1)}
		s.sessions.trials[p.PID] = one
	})
	return one, err
}
