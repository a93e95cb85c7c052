package ucspi

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
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
	pid, ended, err := s.startTrial(program, theirs)
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
	case status := <-ended:
		_ = ours.SetReadDeadline(time.Now().Add(time.Second)) // somebody else may hold the other end
		return verdictOf(program, status, <-said)
	case <-ctx.Done():
		_ = unix.Kill(pid, unix.SIGKILL)
		<-ended
		return fmt.Errorf("%s: %w", program.Path, context.Cause(ctx))
	}
}

func verdictOf(program Program, status unix.WaitStatus, said string) error {
	switch {
	case status.Exited() && status.ExitStatus() == 0:
		return nil
	case said != "":
		return fmt.Errorf("%s", said)
	case status.Signaled():
		return fmt.Errorf("%s: %s", program.Path, status.Signal())
	}
	return fmt.Errorf("%s: exit code %d", program.Path, status.ExitStatus())
}

// startTrial starts the program with nothing to read, and output as what it
// writes to.
func (s *Server) startTrial(program Program, output *os.File) (pid int, ended chan unix.WaitStatus, err error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return 0, nil, err
	}
	defer null.Close()
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	pid, err = program.spawn(program.Env, int(null.Fd()), int(output.Fd()), int(output.Fd()))
	if err != nil {
		return 0, nil, err
	}
	ended = make(chan unix.WaitStatus, 1)
	s.sessions.trials[pid] = ended
	return pid, ended, nil
}
