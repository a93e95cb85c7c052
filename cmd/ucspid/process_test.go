package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// besideProcess compares what proc(5) knows of a program whose server was
// started in a cage of its own.
func besideProcess(t *testing.T, b *both) {
	cage := []string{"sh", "-c", `umask 027; ulimit -Sn 64; ulimit -Hn 256; ulimit -c 0; trap "" HUP INT USR2; exec "$@"`, "sh",
		"nice", "-n", "3", "env", "--block-signal=USR1"}
	if err := exec.Command("env", "--block-signal=USR1", "true").Run(); err != nil {
		missing(t, "this env(1) blocks no signals")
	}
	program := []string{"cat"}
	for _, file := range []string{"status", "limits", "oom_score_adj", "coredump_filter", "personality", "cgroup"} {
		if _, err := os.Stat("/proc/self/" + file); err == nil {
			program = append(program, "/proc/self/"+file)
		}
	}
	for _, wrapper := range [][]string{nil, cage} {
		p := b.start(t, setting{wrapper: wrapper}, []string{"-vRHl0"}, program...)
		want, got := p.see(p.theirs, p.from(10)), p.see(p.ours, p.from(10))
		want.Got, got.Got = withoutInternal(want.Got), withoutInternal(got.Got)
		if wrapper != nil {
			for _, set := range []string{"SigBlk:\t0000000000000200", "SigIgn:\t0000000000000803", "Umask:\t0027", "Max open files            64                   256 "} {
				if !strings.Contains(want.Got, set) {
					t.Errorf("the cage does not hold: no %q", set)
				}
			}
			p.use("signals that were ignored at the start")
		}
		want.Got = ignored.ReplaceAllStringFunc(want.Got, func(line string) string {
			hangup, _ := strconv.ParseUint(line[len(line)-1:], 16, 64)
			return fmt.Sprintf("SigIgn:\t%016x", hangup&1)
		})
		want.Got, got.Got = ofAnyProcess(p.theirs, want.Got), ofAnyProcess(p.ours, got.Got)
		p.compare(want, got)
		p.stop()
	}
}

// withoutInternal takes the signals 32 and 33 from those that are ignored. They
// are the C library's own, and it leaves them so in what make starts.
func withoutInternal(status string) string {
	return ignored.ReplaceAllStringFunc(status, func(line string) string {
		set, _ := strconv.ParseUint(strings.TrimPrefix(line, "SigIgn:\t"), 16, 64)
		return fmt.Sprintf("SigIgn:\t%016x", set&^(1<<31|1<<32))
	})
}

var ignored = regexp.MustCompile(`(?m)^SigIgn:.*$`)

// ownNumbers are the lines of /proc/PID/status that differ from one process to
// the next.
var ownNumbers = regexp.MustCompile(`(?m)^(Pid|Tgid|NStgid|NSpid|SigQ|Vm\w+|Rss\w+|\w*ctxt_switches|Cpus_allowed\w*):.*\n`)

func ofAnyProcess(s *server, status string) string {
	status = strings.Replace(status, fmt.Sprintf("PPid:\t%d\n", s.cmd.Process.Pid), "PPid:\tSERVER\n", 1)
	return ownNumbers.ReplaceAllString(status, "")
}

// besideInherited leaves the servers variables and descriptors of others.
func besideInherited(t *testing.T, b *both) {
	env := []string{
		"PROTO=stale", "TCPLOCALIP=stale", "TCPLOCALPORT=stale", "TCPLOCALHOST=stale",
		"TCPREMOTEIP=stale", "TCPREMOTEPORT=stale", "TCPREMOTEHOST=stale", "TCPREMOTEINFO=stale",
		"EMPTY=", "KEPT=a=b", "LISTEN_X=kept", "SYSTEMD=kept",
	}
	for _, name := range staleNames {
		env = append(env, name+"=stale")
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	p := b.start(t, setting{env: env, files: []*os.File{null, null}}, strings.Fields("-vRH -x CDB"), "probe")
	p.visit(10)
	p.judgeBy(":allow,TCPREMOTEHOST=\"new\",TCP6REMOTEIP=\"new\",LISTEN_FDNAMES=\"new\"\n")
	p.visit(10)
	p.stop()
}

// besideCrowd has more clients come than may be served at once.
func besideCrowd(t *testing.T, b *both) {
	p := b.start(t, setting{}, []string{"-vRHc2", "-l0"}, "cat")
	p.ports = make(map[string]string)
	crowd := func(s *server) []string {
		join := func(name string, number int) net.Conn {
			conn := s.connect(p.ip(number))
			p.ports[port(conn.LocalAddr())] = name
			return conn
		}
		first := join("FIRST", 10)
		echoed(t, first, "first")
		second := join("SECOND", 11)
		echoed(t, second, "second")
		third := join("THIRD", 12)
		echoed(t, first, "still first")
		first.Close()
		echoed(t, third, "third")
		second.Close()
		s.await(`(^\w+: end .*){2}`)
		third.Close()
		return p.look(s, toStatus)
	}
	p.compare(visit{Log: crowd(p.theirs)}, visit{Log: crowd(p.ours)})
	p.stop()
}

// besideLookups has a peer's ident server take its time.
func besideLookups(t *testing.T, b *both) {
	const number = 100
	slow, err := net.Listen("tcp", b.ip(number)+":113")
	if err != nil {
		t.Fatal(err)
	}
	defer slow.Close()
	asked := func() net.Conn {
		query, err := slow.Accept()
		if err != nil {
			t.Fatal(err)
		}
		return query
	}
	p := b.start(t, setting{}, strings.Fields("-vrHl0 -t20"), "probe")

	// The lookup belongs to a process there, but not here.
	p.use("`status` and `pid` of an allowed one")
	theirs, ours := p.theirs.connect(p.ip(number)), p.ours.connect(p.ip(number))
	toTheirs, toOurs := asked(), asked()
	p.theirs.await(`^tcpserver: status: 1/40$.*^tcpserver: pid `)
	if strings.Contains(p.ours.log.String(), "1/40") {
		t.Error("ucspid counts a program that does not run yet")
	}

	// Both servers are told to stop, and nobody is dropped.
	p.use("SIGTERM")
	for _, s := range []*server{p.theirs, p.ours} {
		if err := s.cmd.Process.Signal(unix.SIGTERM); err != nil {
			t.Fatal(err)
		}
	}
	_ = p.theirs.cmd.Wait()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = p.ours.cmd.Wait()
	}()
	select {
	case <-ended:
		t.Error("ucspid ended during a lookup")
	default:
	}
	for _, query := range []net.Conn{toTheirs, toOurs} {
		fmt.Fprint(query, ":::slow\r\n")
		query.Close()
	}
	for _, conn := range []net.Conn{theirs, ours} {
		if r := parseReport(t, readAll(t, conn)); !slices.Contains(r.Env, "TCPREMOTEINFO=slow") {
			t.Errorf("the program finds %q", r.Env)
		}
	}
	<-ended
	for _, s := range []*server{p.theirs, p.ours} {
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("exit code %d", code)
		}
	}
	if lines := regexp.MustCompile(`(?s)status: 1/40.*pid .*ok `); !lines.MatchString(p.ours.whole()) {
		t.Error("the lines came in another order")
	}
}

// besideShortage lets no server open a descriptor for a while.
func besideShortage(t *testing.T, b *both) {
	p := b.start(t, setting{}, []string{"-vRHl0"}, "echo", "served")
	p.use("accept fails, for want of descriptors")
	for _, s := range []*server{p.theirs, p.ours} {
		var usual unix.Rlimit
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, nil, &usual); err != nil {
			t.Fatal(err)
		}
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, &unix.Rlimit{Max: usual.Max}, nil); err != nil {
			t.Fatal(err)
		}
		s.connect(p.ip(10)).Close() // tcpserver has room for one: it was waiting already
		conn := s.connect(p.ip(10))
		if s == p.ours {
			s.await(`^ucspid: warning: unable to accept: process cannot open more files$`)
		}
		if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NOFILE, &usual, nil); err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, conn); got != "served\n" {
			t.Errorf("the client that waited got %q", got)
		}
	}
	if log := p.theirs.log.String(); strings.Contains(log, "accept") {
		t.Errorf("tcpserver says %q", log)
	}
}
