package main

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// besideStarts compares how starts end that are wrong, and those that only one
// of the two takes for wrong.
func besideStarts(t *testing.T, b *both) {
	taken, err := net.Listen("tcp", b.ip(hereNumber)+":0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	words := func(line string) []string {
		words := strings.Fields(strings.NewReplacer("HERE", b.ip(hereNumber), "TAKEN", port(taken.Addr())).Replace(line))
		for i := range words {
			words[i] = strings.TrimPrefix(words[i], "''")
		}
		return words
	}
	for _, test := range []struct{ theirs, outcome, ours, ourOutcome, row string }{
		{"HERE 0 true", "serves", "--listen HERE:0 true", "serves", ""},
		{"-c4194304 HERE 0 true", "serves", "-c4194304 --listen HERE:0 true", "serves", ""},
		{"-t0 HERE 0 true", "serves", "-t0 --listen HERE:0 true", "serves", ""},

		{"", "100", "", "100", ""},
		{"-v HERE 0", "100", "-v --listen HERE:0", "100", ""},
		{"-Z HERE 0 true", "100", "-Z --listen HERE:0 true", "100", ""},
		{"-vZ HERE 0 true", "100", "-vZ --listen HERE:0 true", "100", ""},
		{"-v- HERE 0 true", "100", "-v- --listen HERE:0 true", "100", ""},
		{"-v -c", "100", "-v -c", "100", ""},
		{"-l", "100", "-l", "100", ""},
		{"HERE TAKEN true", "111", "--listen HERE:TAKEN true", "111", ""},
		{"192.0.2.1 0 true", "111", "--listen 192.0.2.1:0 true", "111", ""},

		{"HERE nosuchport true", "111", "--listen HERE:nosuchport true", "100", "host and port"},
		{"nosuch.example 0 true", "111", "--listen nosuch.example:0 true", "100", "host and port"},
		{"-cabc HERE 0 true", "serves", "-cabc --listen HERE:0 true", "100", "numbers"},
		{"-c 0 HERE 0 true", "serves", "-c 0 --listen HERE:0 true", "100", "numbers"},
		{"-c 40x HERE 0 true", "serves", "-c 40x --listen HERE:0 true", "100", "numbers"},
		{"-c -1 HERE 0 true", "serves", "-c -1 --listen HERE:0 true", "100", "numbers"},
		{"-c 99999999999999999999 HERE 0 true", "serves", "-c 99999999999999999999 --listen HERE:0 true", "100", "numbers"},
		{"-t soon HERE 0 true", "serves", "-t soon --listen HERE:0 true", "100", "numbers"},
		{"-u0 HERE 0 true", "serves", "-u0 --listen HERE:0 true", "100", "`-u -g -U -b`"},
		{"-g 0 HERE 0 true", "serves", "-g 0 --listen HERE:0 true", "100", "`-u -g -U -b`"},
		{"-U HERE 0 true", "serves", "-U --listen HERE:0 true", "100", "`-u -g -U -b`"},
		{"-b 5 HERE 0 true", "serves", "-b 5 --listen HERE:0 true", "100", "`-u -g -U -b`"},
		{"-x '' HERE 0 true", "serves", "-x '' --listen HERE:0 true", "100", "`-x` and an empty name"},
		{"-c@nowhere HERE 0 true", "serves", "-c@nowhere --listen HERE:0 true", "100", "`-l @x`, `-c @x`"},
		{"--x HERE 0 true", "serves", "--x --listen HERE:0 true", "100", "`--x`"},
		{"HERE 0 nosuchprogram", "serves", "--listen HERE:0 nosuchprogram", "100", "the program"},
		{"HERE 0 ./nosuchprogram", "serves", "--listen HERE:0 ./nosuchprogram", "100", "the program"},
		{"HERE 0 /etc/passwd", "serves", "--listen HERE:0 /etc/passwd", "100", "the program"},
		{"HERE 0 testdata", "serves", "--listen HERE:0 testdata", "100", "the program"},
	} {
		t.Run(test.theirs, func(t *testing.T) {
			theirs, said := b.outcome(t, "", nil, append([]string{b.tcpserver, "-1"}, words(test.theirs)...))
			ours, weSaid := b.outcome(t, "", nil, append([]string{"ucspid", "-1"}, words(test.ours)...))
			if theirs != test.outcome || ours != test.ourOutcome {
				t.Errorf("tcpserver: %s, ucspid: %s\n%s%s", theirs, ours, said, weSaid)
			}
			if test.row != "" {
				b.use(test.row)
			}
			if ours != "serves" && weSaid != said {
				b.use("words of an error that ends it")
			}
		})
	}
	t.Run("quiet", func(t *testing.T) {
		b.use("an error that ends it, with `-q`")
		_, said := b.outcome(t, "", nil, append([]string{b.tcpserver}, words("-q 192.0.2.1 0 true")...))
		_, weSaid := b.outcome(t, "", nil, append([]string{"ucspid"}, words("-q --listen 192.0.2.1:0 true")...))
		if said != "" || weSaid == "" {
			t.Errorf("tcpserver says %q, ucspid %q", said, weSaid)
		}
	})
	t.Run("PATH", func(t *testing.T) {
		b.use("PATH without a value; `.` in PATH")
		ucspid, err := exec.LookPath("ucspid")
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := os.Symlink("/bin/true", filepath.Join(dir, "program")); err != nil {
			t.Fatal(err)
		}
		for env, program := range map[string]string{"A=b": "true", "PATH=.:/bin": "program", "PATH=:/bin": "program"} {
			theirs, _ := b.outcome(t, dir, []string{env}, []string{b.tcpserver, "-1", b.ip(hereNumber), "0", program})
			ours, said := b.outcome(t, dir, []string{env}, []string{ucspid, "-1", "--listen", b.ip(hereNumber) + ":0", program})
			if theirs != "serves" || ours != "100" {
				t.Errorf("%q: tcpserver: %s, ucspid: %s: %s", env, theirs, ours, said)
			}
		}
	})
}

// outcome runs a server and returns its exit code, or that it serves, and what
// it says.
func (b *both) outcome(t *testing.T, dir string, env, command []string) (outcome, said string) {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	if cmd.Env = env; env == nil {
		cmd.Env = b.environ()
	}
	var stderr strings.Builder
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	port, _ := io.ReadAll(stdout)
	if len(port) > 0 {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return "serves", stderr.String()
	}
	_ = cmd.Wait()
	return strconv.Itoa(cmd.ProcessState.ExitCode()), stderr.String()
}

// besideValues gives options a meaning that they did not have.
func besideValues(t *testing.T, b *both) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("first\nsecond\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ option, theirs, ours, row string }{
		{"-l@" + path, "TCPLOCALHOST=@" + path, "TCPLOCALHOST=first", "`-l @x`, `-c @x`"},
		{"-l=x", "TCPLOCALHOST==x", "TCPLOCALHOST=x", "`-l=x`, `-B=x`"},
		{"-lB=x", "TCPLOCALHOST=B=x", "TCPLOCALHOST=B=x", ""},
		{"-HlB=x", "TCPLOCALHOST=B=x", "TCPLOCALHOST=B=x", ""},
	} {
		p := b.start(t, setting{}, []string{"-qRH", test.option}, "probe")
		theirs, ours := p.meet(p.theirs, p.from(10)), p.meet(p.ours, p.from(10))
		if !slices.Contains(theirs.Report.Env, test.theirs) || !slices.Contains(ours.Report.Env, test.ours) {
			t.Errorf("%s: tcpserver: %q, ucspid: %q", test.option, theirs.Report.Env, ours.Report.Env)
		}
		if test.row != "" {
			p.use(test.row)
		}
		p.stop()
	}
	p := b.start(t, setting{}, []string{"-qRHl0", "-B=x"}, "true")
	if theirs, ours := p.meet(p.theirs, p.from(10)).Got, p.meet(p.ours, p.from(10)).Got; theirs != "=x" || ours != "x" {
		t.Errorf("-B=x: tcpserver: %q, ucspid: %q", theirs, ours)
	}
	p.stop()
}

// besideSignals sends each signal to both servers.
func besideSignals(t *testing.T, b *both) {
	const ends, serves = "signal", "serves"
	for _, test := range []struct {
		signals      []unix.Signal
		theirs, ours string
		row          string
		ignored      bool // at the start
	}{
		{[]unix.Signal{unix.SIGHUP, unix.SIGKILL}, ends, ends, "", false},
		{[]unix.Signal{unix.SIGPIPE, unix.SIGCHLD, unix.SIGURG, unix.SIGWINCH, unix.SIGCONT}, serves, serves, "", false},
		{[]unix.Signal{unix.SIGTERM}, "0", "0", "", false},
		{[]unix.Signal{unix.SIGINT}, ends, "0", "SIGINT", false},
		{[]unix.Signal{
			unix.SIGALRM, unix.SIGUSR1, unix.SIGUSR2, unix.SIGVTALRM, unix.SIGPROF, unix.SIGIO, unix.SIGPWR, unix.SIGXCPU, unix.SIGXFSZ,
		}, ends, serves, "SIGALRM, SIGUSR1, SIGUSR2 and the like", false},
		{[]unix.Signal{
			unix.SIGQUIT, unix.SIGABRT, unix.SIGSEGV, unix.SIGBUS, unix.SIGFPE, unix.SIGILL, unix.SIGTRAP, unix.SIGSYS, unix.SIGSTKFLT,
		}, ends, "2", "SIGQUIT, SIGABRT, SIGSEGV", false},
		{[]unix.Signal{unix.SIGHUP, unix.SIGUSR1}, serves, serves, "", true},
		{[]unix.Signal{unix.SIGTERM}, "0", "0", "", true},
		{[]unix.Signal{unix.SIGINT}, serves, "0", "signals that were ignored at the start", true},
		{[]unix.Signal{unix.SIGQUIT}, serves, "2", "signals that were ignored at the start", true},
	} {
		for _, signal := range test.signals {
			t.Run(fmt.Sprint(unix.SignalName(signal), test.ignored), func(t *testing.T) {
				t.Parallel()
				script := `ulimit -c 0; exec "$@"`
				if test.ignored {
					script = `trap "" ` + strings.TrimPrefix(unix.SignalName(signal), "SIG") + "; " + script
				}
				p := b.start(t, setting{wrapper: []string{"sh", "-c", script, "sh"}}, []string{"-qRHl0"}, "echo", "served")
				if theirs := p.after(p.theirs, signal, test.theirs == serves); theirs != test.theirs {
					t.Errorf("tcpserver: %s", theirs)
				}
				if ours := p.after(p.ours, signal, test.ours == serves); ours != test.ours {
					t.Errorf("ucspid: %s", ours)
				}
				if test.row != "" {
					p.use(test.row)
				}
			})
		}
	}
}

// after returns what becomes of a server that gets a signal: it serves, or how
// it ends.
func (p *pair) after(s *server, signal unix.Signal, served bool) string {
	p.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	if served {
		if got := p.meet(s, p.from(10)).Got; got != "served\n" {
			return fmt.Sprintf("%q", got)
		}
		return "serves"
	}
	timer := time.AfterFunc(patience, func() { _ = s.cmd.Process.Kill() })
	defer timer.Stop()
	_ = s.cmd.Wait()
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() == signal {
		return "signal"
	}
	return strconv.Itoa(s.cmd.ProcessState.ExitCode())
}
