package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a server that runs.
type server struct {
	name string
	at   []netip.AddrPort // where it listens
	says string           // in the place of what the load wants
	proc string           // the directory of its process in proc(5)
}

// call is how a server is started.
type call struct {
	name   string
	env    []string
	config string   // a file, CONFIG in the words
	words  []string // each PORT in them, or in the config, becomes a free port
}

// launch starts a server, and returns when it listens. What it writes goes to
// a file. It is stopped with the part that it is for.
func (b *bench) launch(c call) (*server, error) {
	out, err := os.CreateTemp(b.scratch, "said-")
	if err != nil {
		return nil, err
	}
	defer out.Close()
	words, at, err := b.settle(c)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = append([]string{"PATH=/usr/bin:/bin"}, c.env...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the thread, see main
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", c.name, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	b.atEnd(func() {
		_ = cmd.Process.Kill()
		<-ended
	})
	s := &server{name: c.name, at: at, proc: fmt.Sprintf("/proc/%d", cmd.Process.Pid)}
	if err := s.await(ended); err != nil {
		said, _ := os.ReadFile(out.Name())
		return nil, fmt.Errorf("%w: %s", err, bytes.TrimSpace(said))
	}
	return s, nil
}

// launchAll starts several servers.
func (b *bench) launchAll(calls ...call) ([]*server, error) {
	var servers []*server
	for _, c := range calls {
		s, err := b.launch(c)
		if err != nil {
			return nil, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

// settle puts ports and the name of the config into the words of a call.
func (b *bench) settle(c call) (words []string, at []netip.AddrPort, err error) {
	const stop = "\n\x00"
	config := filepath.Join(b.scratch, c.name+".conf")
	text := strings.ReplaceAll(strings.Join(c.words, stop), "CONFIG", config) + stop + c.config
	for strings.Contains(text, "PORT") {
		port, err := freePort()
		if err != nil {
			return nil, nil, err
		}
		at = append(at, port)
		text = strings.Replace(text, "PORT", strconv.Itoa(int(port.Port())), 1)
	}
	words = strings.Split(text, stop)
	last := len(words) - 1
	if c.config != "" {
		err = os.WriteFile(config, []byte(words[last]), 0o600)
	}
	return words[:last], at, err
}

// freePort returns a port that nobody listens on.
func freePort() (netip.AddrPort, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	defer l.Close()
	return netip.ParseAddrPort(l.Addr().String())
}

// await returns when every port is open, or when the server has ended.
func (s *server) await(ended <-chan struct{}) error {
	for _, at := range s.at {
		deadline := time.Now().Add(patience)
		for {
			conn, err := net.DialTimeout("tcp4", at.String(), patience)
			if err == nil {
				conn.Close()
				break
			}
			if time.Now().After(deadline) {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			select {
			case <-ended:
				return fmt.Errorf("%s: it has ended", s.name)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return nil
}

// userHz is how many clock ticks of proc(5) are a second on Linux.
const userHz = 100

// The fields of /proc/PID/stat, counted from 0 after the name: the time that
// the process was on a processor, and that of its children that it waited for.
const (
	statFirstTime = 11 // utime
	statLastTime  = 14 // cstime
)

// cpu returns what the server and its programs have taken of the processors.
func (s *server) cpu() (time.Duration, error) {
	text, err := os.ReadFile(s.proc + "/stat")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	ticks := 0
	for _, field := range fields[statFirstTime : statLastTime+1] {
		n, err := strconv.Atoi(field)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", s.name, err)
		}
		ticks += n
	}
	return time.Duration(ticks) * (time.Second / userHz), nil
}

// ownCPU returns what its threads have taken so far, to the nanosecond.
func (s *server) ownCPU() (time.Duration, error) {
	files, err := filepath.Glob(s.proc + "/task/*/schedstat")
	if err != nil {
		return 0, err
	}
	var sum time.Duration
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // a thread that ended
		}
		onCPU, _, _ := strings.Cut(string(text), " ")
		n, err := strconv.Atoi(onCPU)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", file, err)
		}
		sum += time.Duration(n)
	}
	return sum, nil
}

// status returns a number of /proc/PID/status, such as VmRSS (in kB).
func (s *server) status(field string) (int, error) {
	text, err := os.ReadFile(s.proc + "/status")
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	for line := range strings.Lines(string(text)) {
		if value, found := strings.CutPrefix(line, field+":"); found {
			return strconv.Atoi(strings.Fields(value)[0])
		}
	}
	return 0, errors.New("proc: no " + field)
}
