package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// difference is a row of the table in docs/migrating.md: something that is
// kept on purpose.
type difference struct {
	row string // by its first cell

	// visit makes of what tcpserver did with a peer what ucspid is to do, and
	// tells whether that is something else.
	visit func(*pair, character, *visit) bool

	// where tells who tests it, where that is no test of tcpserver and ucspid
	// side by side.
	where string
}

// differences are the rows of the table, in its order, and all exceptions that
// the tests beside tcpserver make. Those without a visit and a where are made
// by the tests that call use.
var differences = []difference{
	{row: "ident (`-r`)", visit: noIdent},
	{row: "a denied peer", visit: denied},
	{row: "its log", visit: deniedLine},
	{row: "its names in that line", visit: deniedNames},
	{row: "a source that is denied often"},
	{row: "a connection that is dropped", visit: dropped},
	{row: "`status` and `pid` of an allowed one"},
	{row: "a program that cannot be run, except on amd64", visit: cannotRun, where: "the tests on other processors"},
	{row: "what a program writes to stderr"},
	{row: "the program"},
	{row: "PATH without a value; `.` in PATH"},
	{row: "numbers"},
	{row: "host and port"},
	{row: "words of an error that ends it"},
	{row: "an error that ends it, with `-q`"},
	{row: "`-u -g -U -b`"},
	{row: "`-x` and an empty name"},
	{row: "`-O`, on Linux", visit: killOptions},
	{row: "DNS", where: "test/02-names: tcpserver takes a minute"},
	{row: "`-p`, and an address as name", visit: addressAsName},
	{row: "a long answer to ident", visit: longIdent},
	{row: "IPv6 and CIDR in rules", where: "policy: it is tcprules that refuses them"},
	{row: "`!NAME` in rules", where: "policy: it is tcprules that refuses them"},
	{row: "limits", where: "TestLimitsPatch: Debian's tcpserver is without that patch"},
	{row: "`MAXCONNIP` and the like in the server's environment, but no number", where: "testdata/script/check.txt: likewise"},
	{row: "`MAXLOAD`, in the log", where: "TestLimitsPatch: likewise"},
	{row: "IPv6", where: "TestIPv6PeerFindsBothNames: there is nothing beside it"},
	{row: "the socket of an IPv4 peer", where: "TestIPv4PeerOfADualStackSocketIsIPv4: tcpserver has none for both families"},
	{row: "stale variables", visit: staleVariables},
	{row: "descriptors above 2", visit: openDescriptors},
	{row: "the rules file", visit: unseenDamage},
	{row: "rules at the start"},
	{row: "a directory as rules file", visit: directory},
	{row: "words about a damaged cdb", visit: damagedWords},
	{row: "accept fails, for want of descriptors"},
	{row: "SIGTERM"},
	{row: "SIGHUP in a service", where: "test/09-nobody-dropped: tcpserver is no service"},
	{row: "SIGINT"},
	{row: "SIGALRM, SIGUSR1, SIGUSR2 and the like"},
	{row: "SIGQUIT, SIGABRT, SIGSEGV"},
	{row: "signals that were ignored at the start"},
	{row: "a log that is read too slowly", where: "TestLogReaderThatStalls: tcpserver stands still"},
	{row: "`-l @x`, `-c @x`"},
	{row: "`-l=x`, `-B=x`"},
	{row: "`--x`"},
}

// kept tells which differences were met.
type kept struct {
	mu  sync.Mutex
	met map[string]bool
}

// use makes an exception for a row of the table.
func (k *kept) use(row string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.met == nil {
		k.met = make(map[string]bool)
	}
	k.met[row] = true
}

// except makes all exceptions that apply to a visit.
func (k *kept) except(p *pair, c character, v *visit) {
	for _, d := range differences {
		if d.visit != nil && d.visit(p, c, v) {
			k.use(d.row)
		}
	}
}

// check compares the exceptions with the table, and finds those that nothing
// needs.
func (k *kept) check(t *testing.T) {
	text, err := os.ReadFile("../../docs/migrating.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "\n| what | tcpserver | ucspid | reason |\n")
	var rows, named []string
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, " | "); strings.HasPrefix(line, "| ") {
			rows = append(rows, strings.TrimPrefix(cells[0], "| "))
		}
	}
	for _, d := range differences {
		named = append(named, d.row)
		if met := k.met[d.row]; met != (d.where == "") {
			t.Errorf("%q: met %t, and elsewhere: %q", d.row, met, d.where)
		}
	}
	if diff := cmp.Diff(rows, named); diff != "" {
		t.Errorf("the rows (-docs/migrating.md +exceptions)\n%s", diff)
	}
}

// noIdent: without -r, and without a rule that depends on it, nobody is asked.
func noIdent(p *pair, c character, v *visit) bool {
	return p.last("rR") == 0 && !p.hasRule(infoAddress) && c.infoSaid && v.forgetInfo(c.info)
}

// longIdent: more than RFC 1413 allows is not read.
func longIdent(_ *pair, c character, v *visit) bool {
	return c.info == "wordy" && v.forgetInfo(c.info)
}

// addressAsName: it confirms itself, which proves nothing.
func addressAsName(p *pair, c character, v *visit) bool {
	if p.last("pP") != 'p' || c.host != p.ip(c.number) {
		return false
	}
	return v.forget("TCPREMOTEHOST="+c.host, func(e *ends) { e.remoteHost = "" })
}

func (v *visit) forgetInfo(info string) bool {
	return v.forget("TCPREMOTEINFO="+info, func(e *ends) { e.info = "" })
}

// forget makes unknown what tcpserver learned of a peer, but not what a rule
// says.
func (v *visit) forget(variable string, inLog func(*ends)) bool {
	changed := v.changeEnds(inLog)
	if v.Report != nil {
		before := len(v.Report.Env)
		v.Report.Env = slices.DeleteFunc(v.Report.Env, func(found string) bool { return found == legible(variable) })
		changed = changed || len(v.Report.Env) < before
	}
	return changed
}

// denied: there is no process, and nothing is said of one.
func denied(_ *pair, _ character, v *visit) bool {
	line := slices.IndexFunc(v.Log, prefixed("deny "))
	if line < 0 {
		return false
	}
	v.Log = v.Log[line : line+1]
	return true
}

// deniedLine: in the place of the process stands the rule.
func deniedLine(p *pair, c character, v *visit) bool {
	return v.changeEnds(func(e *ends) {
		if e.verdict == "deny" {
			e.pid, e.rule = "0", " RULE:"+p.ruleOf(c)
		}
	})
}

// deniedNames: the names are known only where a rule depends on one.
func deniedNames(p *pair, _ character, v *visit) bool {
	if p.hasRule(hostAddress) && p.last("hH") != 'H' || p.hasRule(infoAddress) && p.last("rR") != 'R' {
		return false
	}
	return v.changeEnds(func(e *ends) {
		if e.verdict == "deny" {
			e.remoteHost, e.info = "", ""
			if p.last("l") == 0 {
				e.localHost = ""
			}
		}
	})
}

// dropped: there is no process, and nothing is said of one.
func dropped(p *pair, _ character, v *visit) bool {
	return onlyWarning(v, "warning: dropping connection, unable to read ")
}

// cannotRun: likewise.
func cannotRun(p *pair, _ character, v *visit) bool {
	return runtime.GOARCH != "amd64" && onlyWarning(v, "warning: dropping connection, unable to run ")
}

func onlyWarning(v *visit, warning string) bool {
	line := slices.IndexFunc(v.Log, prefixed(warning))
	if line < 0 || !prefixed("status: ")(v.Log[0]) {
		return false
	}
	v.Log = v.Log[line : line+1]
	return true
}

// staleNames are variables that say something of another process.
var staleNames = []string{
	"TCP6LOCALIP", "TCP6REMOTEIP", "TCP6REMOTEHOST", "TCP6INTERFACE", "LISTEN_FDNAMES", "INVOCATION_ID",
	"MAINPID", "STATE_DIRECTORY", "TRIGGER_UNIT", "UCSPID_GROUP",
}

// killOptions: they are killed. What tcpserver sets is IP_TOS, by a number that
// means IP_OPTIONS elsewhere.
func killOptions(p *pair, _ character, v *visit) bool {
	if v.Report == nil || v.Report.IPOptions == 0 || p.last("oO") == 'o' {
		return false
	}
	v.Report.IPOptions, v.Report.Socket[ipOptions] = 0, 0
	return true
}

var ipOptions = fmt.Sprintf("%d/%d", unix.IPPROTO_IP, unix.IP_OPTIONS)

// staleVariables: none is left that tells of another connection or server.
func staleVariables(_ *pair, _ character, v *visit) bool {
	if v.Report == nil {
		return false
	}
	before := len(v.Report.Env)
	v.Report.Env = slices.DeleteFunc(v.Report.Env, func(variable string) bool {
		name, value, _ := strings.Cut(variable, "=")
		return value == "stale" && slices.Contains(staleNames, name)
	})
	return len(v.Report.Env) < before
}

// openDescriptors: there is none beside the connection and stderr.
func openDescriptors(_ *pair, _ character, v *visit) bool {
	if v.Report == nil || len(v.Report.Descriptors) <= 3 {
		return false
	}
	v.Report.Descriptors, v.Report.Files = v.Report.Descriptors[:3], v.Report.Files[:3]
	return true
}

// unseenDamage: a cdb is right in all its parts, or nobody gets in.
func unseenDamage(p *pair, _ character, v *visit) bool {
	if !p.damaged || v.Report == nil {
		return false
	}
	v.Report, v.Log = nil, []string{p.unreadable("corrupt cdb: HOW")}
	return true
}

// directory: it does not end in a crash.
func directory(p *pair, _ character, v *visit) bool {
	crash := func(line string) bool { return line == "end PID1 status 11" || line == "end PID1 status 139" }
	if info, err := os.Stat(p.cdb); err != nil || !info.IsDir() || !slices.ContainsFunc(v.Log, crash) {
		return false
	}
	v.Log = []string{p.unreadable("is a directory")}
	return true
}

// damagedWords: they say what is wrong.
func damagedWords(p *pair, _ character, v *visit) bool {
	why := "corrupt cdb: HOW"
	if info, err := os.Stat(p.cdb); err == nil && !info.Mode().IsRegular() {
		why = "not a regular file"
	}
	changed := false
	for i, line := range v.Log {
		if line == p.unreadable("protocol error") || line == p.unreadable("invalid argument") {
			v.Log[i] = p.unreadable(why)
			changed = true
		}
	}
	return changed
}

func (p *pair) unreadable(why string) string {
	return "warning: dropping connection, unable to read " + p.cdb + ": " + why
}

func prefixed(prefix string) func(string) bool {
	return func(line string) bool { return strings.HasPrefix(line, prefix) }
}

// ends are the parts of an ok or deny line.
type ends struct{ verdict, pid, localHost, local, remoteHost, remoteIP, info, port, rule string }

var endsParts = regexp.MustCompile(`^(ok|deny) (\S+) ([^:]*)(:[^:]*:\S*) ([^:]*)(:[^:]*:)([^:]*)(:\S*)( RULE:.*)?$`)

// changeEnds changes the ok and deny lines, and tells whether that made a
// difference.
func (v *visit) changeEnds(change func(*ends)) bool {
	changed := false
	for i, line := range v.Log {
		if m := endsParts.FindStringSubmatch(line); m != nil {
			e := ends{m[1], m[2], m[3], m[4], m[5], m[6], m[7], m[8], m[9]}
			change(&e)
			v.Log[i] = e.verdict + " " + e.pid + " " + e.localHost + e.local + " " + e.remoteHost + e.remoteIP + e.info + e.port + e.rule
			changed = changed || v.Log[i] != line
		}
	}
	return changed
}

var (
	hostAddress = regexp.MustCompile(`(?m)^[^#:\n]*=`)
	infoAddress = regexp.MustCompile(`(?m)^[^#:\n]*@`)
)

func (p *pair) hasRule(address *regexp.Regexp) bool {
	return p.last("x") != 0 && address.MatchString(p.rules)
}
