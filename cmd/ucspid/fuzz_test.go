package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"ucspid/activation"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// FuzzOptions: a command line, an argument a line, is one that can be served
// with, or each line of the error names the option that is wrong.
func FuzzOptions(f *testing.F) {
	for _, line := range []string{
		"-vRHl0 -c40 -x tcp.smtp.cdb qmail-smtpd", "-c abc cat", "-c @missing cat", "-u 505 -g 511 cat", "--no-such cat", "-vZ", "-c",
		"-C 5:421 enough -c 40 --per-network 9 --reserve 2 -x a --trust RELAYCLIENT --rate 3/1m --network-rate 9/1m cat",
		"--host-bits 24:48 --network-bits 25:49 --refuse-denied cat", "--proxy-from 192.0.2.25,2001:db8::/64 --listen 127.0.0.1:0 -- cat",
		"--help", "-v=x cat", "-t 9 --lookup-timeout 2 -l @/dev/null cat",
	} {
		f.Add(strings.ReplaceAll(line, " ", "\n"))
	}
	names := regexp.MustCompile(`^program: .|(^| )-.`)
	f.Fuzz(func(t *testing.T, lines string) {
		args := strings.Split(lines, "\n")
		o, err := parseOptions(args)
		if err != nil {
			for _, line := range strings.Split(err.Error(), "\n") {
				if !names.MatchString(line) {
					t.Fatalf("%q: %s", args, line)
				}
			}
			if code := exit.Report(io.Discard, "ucspid", err); code != exit.Usage {
				t.Fatalf("%q: exit code %d", args, code)
			}
			return
		}
		name, _ := o.localName.Text()
		if o.maxSessions < 1 || o.maxSessions > maxMaxSessions || o.limits.reserve >= o.maxSessions ||
			o.infoTimeout < 0 || o.lookupTimeout <= 0 || o.infoTimeout > maxTimeout*time.Second || o.lookupTimeout > maxTimeout*time.Second ||
			strings.Contains(name, "\x00") || slices.ContainsFunc(o.proxyFrom, func(n netip.Prefix) bool { return !n.IsValid() || n.Addr().Is4In6() }) {
			t.Fatalf("%q: %+v", args, o)
		}
		if rest := args[len(args)-len(o.program):]; !slices.Equal(o.program, rest) || len(rest) == 0 && !o.help && !o.version {
			t.Fatalf("%q: the program is %q", args, o.program)
		}
	})
}

// FuzzVariables: what the environment says of limits and name servers is taken
// as it is meant, or the error names the variable.
func FuzzVariables(f *testing.F) {
	for _, value := range []string{"40", "-1", "30/1m", "127.0.0.1", "127.0.0.1.192.0.2.53.", "1.2.3", "", "é"} {
		f.Add(value)
	}
	numbers, rates := []string{"MAXCONNIP", "MAXPERIP", "MAXCONNC", "MAXLOAD"}, []string{"MAXRATEIP", "MAXRATEC"}
	f.Fuzz(func(t *testing.T, value string) {
		if strings.Contains(value, "\x00") {
			t.Skip("no variable holds it")
		}
		var want []string
		for _, name := range numbers {
			t.Setenv(name, value)
			if n, err := strconv.ParseUint(value, 10, 32); err != nil || n > maxMaxSessions {
				want = append(want, name)
			}
		}
		for _, name := range rates {
			t.Setenv(name, value)
			if _, err := policy.ParseRate(value); err != nil {
				want = append(want, name)
			}
		}
		limits := defaultLimits()
		_, err := limits.serverTerms()
		var named []string
		for _, found := range regexp.MustCompile(`(?m)^variable ([A-Z]+): .`).FindAllStringSubmatch(fmt.Sprint(err), -1) {
			named = append(named, found[1])
		}
		if !slices.Equal(named, want) {
			t.Fatalf("%q is an error in %q, not in %q: %v", value, named, want, err)
		}
		servers := dnsCacheIP(value)
		if len(servers) > maxServers {
			t.Fatalf("%d name servers", len(servers))
		}
		octets := regexp.MustCompile(`\.+`).ReplaceAllString(value, ".")
		for _, server := range servers {
			address, err := netip.ParseAddrPort(server)
			if err != nil || address.Port() != 53 || !strings.Contains(octets, address.Addr().String()) {
				t.Fatalf("%q names the server %q", value, server)
			}
		}
	})
}

// FuzzInherited: whatever systemd's variables and those of an exec say of the
// descriptors, the program serves the listening socket among them, or says
// what is wrong and ends. It is the program itself that is run.
func FuzzInherited(f *testing.F) {
	f.Add("1", "smtp", "")
	f.Add("2", "smtp:ucspid-state", "")
	f.Add("4", "smtp:ucspid-state:file:nothing", "")
	f.Add("99999999999", "", "")
	f.Add("", "", "4:ucspid-state:3:smtp")
	f.Add("1", "smtp", "3:a:3:b")
	f.Add("", "", "0:smtp")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { l.Close() })
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	passed := []*os.File{fileOf(f, l.(*net.TCPListener)), state(f, `{"Sessions":[]}`), state(f, "")}
	f.Fuzz(func(t *testing.T, fds, names, handover string) {
		if strings.Contains(fds+names+handover, "\x00") {
			t.Skip("no variable holds it")
		}
		cmd := exec.Command("sh", "-c", `LISTEN_PID=$$ UCSPID_HANDOVER=$$:$HANDOVER exec ucspid -1RHl0 true`)
		cmd.Env = append(os.Environ(), "LISTEN_FDS="+fds, "LISTEN_FDNAMES="+names, "HANDOVER="+handover)
		cmd.ExtraFiles = passed
		var said bytes.Buffer
		cmd.Stderr = &said
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		impatient := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
		defer impatient.Stop()
		ports, _ := io.ReadAll(stdout) // it lets go of stdout before it serves
		if len(ports) > 0 {
			_ = cmd.Process.Kill()
		}
		_ = cmd.Wait()
		if len(ports) > 0 && strings.ReplaceAll(string(ports), port+"\n", "") != "" {
			t.Fatalf("it serves port %q, not %s", ports, port)
		}
		if len(ports) == 0 && (cmd.ProcessState.ExitCode() != exit.Usage || !strings.HasPrefix(said.String(), "ucspid: ")) {
			t.Fatalf("%v, and it said %q", cmd.ProcessState, said.String())
		}
	})
}

// FuzzLegacy: whatever the process before left, only a process that is there,
// and is the one that was meant, is counted; what is left to the next one is
// taken by it as it is. The word CHILD stands for the id of a child of ours,
// which needs no start time.
func FuzzLegacy(f *testing.F) {
	child, _ := running(f)
	for _, text := range []string{
		`{"Sessions":[{"PID":CHILD,"Born":1,"Remote":"192.0.2.7:1024","Trusted":true,"Started":"2026-01-02T03:04:05Z"},{"PID":CHILD}]}`,
		`{"Sessions":[{"PID":2,"Born":7,"Remote":"[2001:db8::1%eth0]:25"},{"PID":-1},{"PID":4194305}]}`,
		`{"Sessions":[{"PID":CHILD,"Remote":"::ffff:192.0.2.7"}],"Unknown":{}}`,
		`{"Sessions":7}`, `[]`, `null`, "", "\x1b[2J",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.ReplaceAll(text, []byte("CHILD"), []byte(strconv.Itoa(child.Process.Pid)))
		d := adopting(t, text)
		sessions := d.server.Sessions()
		for _, one := range sessions {
			stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", one.PID))
			_, fields, _ := bytes.Cut(stat, []byte(") "))
			if born := strconv.FormatUint(one.Born, 10); one.PID != child.Process.Pid && (err != nil || strings.Fields(string(fields))[19] != born) {
				t.Fatalf("%q makes the session %+v, whose process is %q", text, one, stat)
			}
		}
		left, err := d.leaving()
		if err != nil {
			t.Fatal(err)
		}
		same := cmpopts.EquateComparable(netip.AddrPort{}, policy.Name{})
		inOrder := cmpopts.SortSlices(func(a, b ucspi.Session) bool { return a.PID < b.PID })
		if diff := cmp.Diff(sessions, adopting(t, left).server.Sessions(), same, inOrder); diff != "" {
			t.Fatalf("the next one adopts others (-before +after)\n%s", diff)
		}
	})
}

// adopting returns a daemon that was left a state, and that says of it what
// harms no log.
func adopting(t *testing.T, state []byte) *daemon {
	t.Helper()
	var said bytes.Buffer
	d := &daemon{voice: newVoice(&said, ucspi.Verbose)}
	var err error
	if d.server, err = newServer(&options{maxSessions: defaultMaxSessions, limits: defaultLimits()}, ucspi.Program{}, policy.Terms{}, nil, nil, d.voice); err != nil {
		t.Fatal(err)
	}
	d.adopt(activation.Inheritance{State: state, Continued: true})
	d.voice.close()
	if !regexp.MustCompile(`^(ucspid: [^\pC]+\n)*$`).Match(said.Bytes()) {
		t.Fatalf("left %q it says %q", state, said.Bytes())
	}
	return d
}
