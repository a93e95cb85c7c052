package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/activation"
)

// original returns the path of a program of Debian's ucspi-tcp, unpacked by
// test/originals.
func original(t *testing.T, program string) string {
	t.Helper()
	var complaint bytes.Buffer
	cmd := exec.Command("../../test/originals", "ucspi-tcp")
	cmd.Stderr = &complaint
	dir, err := cmd.Output()
	if err != nil {
		missing(t, fmt.Sprintf("no original %s to compare with: test/originals: %v\n%s", program, err, &complaint))
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "usr/bin", program)
}

// both are Debian's programs, and the world in which they and ours run.
type both struct {
	*world
	*kept
	tcpserver, tcprules, tcprulescheck string
	visits                             atomic.Int64 // that were compared
}

func newBoth(t *testing.T) *both {
	t.Helper()
	if err := activation.Seal(); err != nil { // or both servers inherit what we have
		t.Fatal(err)
	}
	return &both{
		world: newWorld(t), kept: new(kept),
		tcpserver: original(t, "tcpserver"), tcprules: original(t, "tcprules"), tcprulescheck: original(t, "tcprulescheck"),
	}
}

// pair is a tcpserver and a ucspid that serve the same.
type pair struct {
	*both
	t            *testing.T
	letters      string // of the options
	cdb          string // what CDB means in the options
	rules        string // its text
	bad          bool   // it was none at the start
	damaged      bool   // it is, where tcpserver does not look
	theirs, ours *server
	said         map[*server]int   // lines of the logs that were looked at
	ports        map[string]string // of the clients, and how to call them
}

// setting is what a pair is started in.
type setting struct {
	env     []string         // more variables
	wrapper []string         // a command that runs the server
	rules   string           // what CDB in the options means
	files   []*os.File       // descriptors from 3 on
	place   func(cdb string) // puts something else there, or nothing
}

// start runs both servers with the same options and program.
func (b *both) start(t *testing.T, in setting, options []string, program ...string) *pair {
	t.Helper()
	p := &pair{both: b, t: t, letters: letters(options), cdb: filepath.Join(t.TempDir(), "rules.cdb"), said: make(map[*server]int)}
	if in.place == nil {
		p.judgeBy(in.rules)
	} else {
		p.bad = true
		in.place(p.cdb)
	}
	var words []string
	for _, word := range options {
		words = append(words, strings.ReplaceAll(word, "CDB", p.cdb))
	}
	launched := func(args ...string) *server {
		args = append(slices.Concat(in.wrapper, args), program...)
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Env = append(b.environ(), in.env...)
		cmd.ExtraFiles = in.files
		return launch(t, cmd, b.ip(hereNumber))
	}
	p.theirs = launched(slices.Concat([]string{b.tcpserver, "-1"}, words, []string{b.ip(hereNumber), "0"})...)
	p.ours = launched(slices.Concat([]string{"ucspid", "-1", "--listen", b.ip(hereNumber) + ":0"}, words)...)
	p.use("host and port")
	want, got := visit{Log: p.look(p.theirs, toStatus)}, visit{Log: p.look(p.ours, toStatus)}
	if p.verbose() {
		want.Log = append(p.complaint(), want.Log...)
	}
	p.compare(want, got)
	return p
}

// toStatus is enough when the log says that all is over.
func toStatus(lines []string) int {
	return 1 + slices.IndexFunc(lines, prefixed("status: 0/"))
}

// complaint is what ucspid says at the start of rules that are no good.
func (p *pair) complaint() []string {
	if _, err := os.Stat(p.cdb); !p.bad || errors.Is(err, fs.ErrNotExist) && p.last("X") != 0 {
		return nil
	}
	p.use("rules at the start")
	return []string{"rules " + p.cdb + ": WHY", "hint: compile them: ucspidctl rules compile -o " + p.cdb + " FILE"}
}

// letters returns the options among words, without their arguments.
func letters(words []string) string {
	var found strings.Builder
	argument := false
	for _, word := range words {
		if argument {
			argument = false
			continue
		}
		for i := 1; i < len(word); i++ {
			found.WriteByte(word[i])
			if strings.IndexByte("cxBlt", word[i]) >= 0 {
				argument = i == len(word)-1
				break
			}
		}
	}
	return found.String()
}

// last returns the one of these options that was given last, 0 for none: that
// is the one that counts.
func (p *pair) last(of string) byte {
	if i := strings.LastIndexAny(p.letters, of); i >= 0 {
		return p.letters[i]
	}
	return 0
}

func (p *pair) verbose() bool { return p.last("vqQ") == 'v' }

// judgeBy lets tcprules make the rules file, of which both read the same.
func (p *pair) judgeBy(rules string) {
	p.t.Helper()
	p.rules = rules
	cmd := exec.Command(p.tcprules, p.cdb, p.cdb+".tmp")
	cmd.Stdin = strings.NewReader(rules)
	if out, err := cmd.CombinedOutput(); err != nil {
		p.t.Fatalf("tcprules: %v: %s: %q", err, out, rules)
	}
}

// spoil puts something in the place of the rules, "" removes them.
func (p *pair) spoil(with string) {
	p.t.Helper()
	p.rules = ""
	err := os.Remove(p.cdb)
	if with != "" {
		err = errors.Join(os.WriteFile(p.cdb+".tmp", []byte(with), 0o600), os.Rename(p.cdb+".tmp", p.cdb))
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		p.t.Fatal(err)
	}
}

// visit is what becomes of one connection.
type visit struct {
	Got    string  // by the client, before the report
	Report *report // of the program
	Log    []string
}

// dialer opens a connection to a server.
type dialer func(s *server) net.Conn

// from returns a dialer for a peer of the world.
func (p *pair) from(number int) dialer {
	return func(s *server) net.Conn { return s.connect(p.ip(number)) }
}

// visit connects to both servers, one after the other, and compares what
// happened.
func (p *pair) visit(number int) { p.visitBy(number, p.from(number)) }

func (p *pair) visitBy(number int, dial dialer) {
	p.t.Helper()
	want := p.see(p.theirs, dial)
	p.except(p, p.peer(number), &want)
	got := p.meet(p.ours, dial)
	got.Log = p.look(p.ours, func(lines []string) int {
		if len(lines) < len(want.Log) {
			return 0
		}
		return len(want.Log)
	})
	p.compare(want, got)
	p.visits.Add(1)
}

// ruleOf returns the address of the rule for a peer, as tcprulescheck has it
// and the log shows it.
func (p *pair) ruleOf(c character) string {
	p.t.Helper()
	cmd := exec.Command(p.tcprulescheck, p.cdb)
	cmd.Env = []string{"TCPREMOTEIP=" + p.ip(c.number)}
	if p.last("hH") != 'H' && c.host != "" && !(c.lies && p.last("pP") == 'p') {
		cmd.Env = append(cmd.Env, "TCPREMOTEHOST="+c.host)
	}
	if p.last("rR") != 'R' && c.infoSaid {
		cmd.Env = append(cmd.Env, "TCPREMOTEINFO="+c.info)
	}
	out, err := cmd.Output()
	rule, found := strings.CutPrefix(string(out), "rule ")
	if err != nil || !found {
		p.t.Fatalf("tcprulescheck: %v: %s", err, out)
	}
	if rule, _, _ = strings.Cut(rule, ":\n"); len(rule) >= 100 {
		rule = rule[:100] + "..."
	}
	return rule
}

func (p *pair) compare(want, got visit) {
	p.t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		p.t.Errorf("options %q, rules %q (-tcpserver +ucspid)\n%s", p.ours.cmd.Args[1:], p.rules, diff)
	}
}

// see meets a server, and waits until its log says that all is over.
func (p *pair) see(s *server, dial dialer) visit {
	p.t.Helper()
	v := p.meet(s, dial)
	v.Log = p.look(s, toStatus)
	return v
}

// meet is one client's meeting with one server.
func (p *pair) meet(s *server, dial dialer) visit {
	p.t.Helper()
	conn := dial(s)
	defer conn.Close()
	p.ports = map[string]string{port(conn.LocalAddr()): "REMOTE"}
	text := readAll(p.t, conn)
	v := visit{Got: text}
	if before, _, found := strings.Cut(text, `{"Args":`); found {
		r := parseReport(p.t, text[len(before):])
		v.Got, v.Report = before, &r
		p.normalise(s, &r)
	}
	return v
}

// normalise takes out of a report what differs from one connection to the
// next.
func (p *pair) normalise(s *server, r *report) {
	p.t.Helper()
	if r.Server != s.cmd.Process.Pid {
		p.t.Errorf("the parent of the program is %d, not the server, %d", r.Server, s.cmd.Process.Pid)
	}
	r.Server = 0
	for i, variable := range r.Env {
		name, value, _ := strings.Cut(variable, "=")
		switch {
		case name == "TCPLOCALPORT" && value == s.port():
			r.Env[i] = "TCPLOCALPORT=LOCAL"
		case name == "TCPREMOTEPORT" && p.ports[value] != "":
			r.Env[i] = "TCPREMOTEPORT=" + p.ports[value]
		}
	}
	slices.Sort(r.Env)
	names := make(map[string]string)
	for i, f := range r.Files {
		if strings.Contains(f.Target, ":[") { // a number of its own
			if names[f.Target] == "" {
				names[f.Target] = fmt.Sprintf("FILE%d", i)
			}
			r.Files[i].Target = names[f.Target]
		}
		r.Files[i].Info = fileNumber.ReplaceAllString(f.Info, "")
	}
}

// look returns the next lines of the log, as soon as enough says how many are
// to be looked at. When not verbose, nobody knows when they come.
func (p *pair) look(s *server, enough func(lines []string) int) []string {
	p.t.Helper()
	if !p.verbose() {
		return nil
	}
	var lines []string
	text, found := s.log.await(func(text string) bool {
		lines = p.lines(s, text)
		n := enough(lines)
		lines = lines[:n]
		return n > 0
	})
	if !found {
		p.t.Fatalf("%s has said only:\n%s", s.cmd.Args[0], text)
	}
	p.said[s] += len(lines)
	return lines
}

// port is that of the first address.
func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.addresses[0])
	return port
}

var (
	programName = regexp.MustCompile(`^(tcpserver|ucspid): `)
	pidLine     = regexp.MustCompile(`^(pid|end) ([0-9]+) `)
	endsLine    = regexp.MustCompile(`^(ok|deny) ([0-9]+) (.*):([0-9]+) (.*):([0-9]+)( RULE:.*)?$`)
	fileNumber  = regexp.MustCompile(`(?m)^(ino|mnt_id):.*\n`)
	damage      = regexp.MustCompile(`: corrupt cdb: .*$`)
)

// lines returns the lines of a log that were not looked at yet, without the
// program's name and what differs from one connection to the next: pids, which
// it numbers, and ports.
func (p *pair) lines(s *server, text string) []string {
	lines := strings.Split(text, "\n")
	lines = lines[p.said[s] : len(lines)-1]
	var out []string
	pids := map[string]string{"0": "0"}
	number := func(pid string) string {
		if _, known := pids[pid]; !known {
			pids[pid] = "PID" + strconv.Itoa(len(pids))
		}
		return pids[pid]
	}
	for _, line := range lines {
		line = programName.ReplaceAllString(line, "")
		if m := pidLine.FindStringSubmatch(line); m != nil {
			line = strings.Replace(line, m[2], number(m[2]), 1)
		}
		if m := endsLine.FindStringSubmatch(line); m != nil && m[4] == s.port() && p.ports[m[6]] != "" {
			line = fmt.Sprintf("%s %s %s:LOCAL %s:%s%s", m[1], number(m[2]), m[3], m[5], p.ports[m[6]], m[7])
		}
		line = damage.ReplaceAllString(line, ": corrupt cdb: HOW")
		if strings.HasPrefix(line, "rules "+p.cdb+": ") {
			line = "rules " + p.cdb + ": WHY"
		}
		out = append(out, line)
	}
	return out
}

// stop stops both servers, and compares how they end, and what was not looked
// at of their logs.
func (p *pair) stop() {
	p.t.Helper()
	if theirs, ours := p.theirs.stop(), p.ours.stop(); theirs != ours {
		p.t.Errorf("exit code %d, tcpserver's is %d", ours, theirs)
	}
	want, got := visit{Log: p.rest(p.theirs)}, visit{Log: p.rest(p.ours)}
	p.except(p, character{}, &want)
	if !p.verbose() && p.last("vqQ") != 'q' {
		want.Log = append(p.complaint(), want.Log...)
	}
	p.compare(want, got)
}

func (p *pair) rest(s *server) []string {
	p.t.Helper()
	return p.lines(s, s.whole())
}
