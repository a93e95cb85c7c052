package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// original returns the path of a program of a Debian package, unpacked by
// test/originals: ucspi-tcp is that of 1998, ucspi-tcp-ipv6 its patched heir.
func original(t *testing.T, pkg, program string) string {
	t.Helper()
	var complaint bytes.Buffer
	cmd := exec.Command("../test/originals", pkg)
	cmd.Stderr = &complaint
	dir, err := cmd.Output()
	if err != nil {
		reason := fmt.Sprintf("no original %s to compare with: test/originals: %v\n%s", program, err, &complaint)
		if os.Getenv("CI") == "true" {
			t.Fatal(reason)
		}
		t.Skip(reason)
	}
	return filepath.Join(strings.TrimSpace(string(dir)), "usr/bin", program)
}

// built returns the path of ucspidctl, built as it is shipped, under a name by
// which it is another program.
func built(t *testing.T, name string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	cmd := exec.Command("go", "build", "-o", path, "../cmd/ucspidctl")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// shell runs a command for each of the lists of variables, in dir and with
// nothing else in the environment, and returns what each printed and its exit
// code. One shell is much quicker than many children of ours. A command that
// never ends does end after ten seconds of the processor's time.
func shell(t *testing.T, dir, command string, variables ...[]string) (printed []string, codes []int) {
	t.Helper()
	script := "ulimit -t 10\n"
	for _, list := range variables {
		for _, variable := range list {
			name, value, _ := strings.Cut(variable, "=")
			script += name + "='" + strings.ReplaceAll(value, "'", `'\''`) + "' "
		}
		script += command + " 2>&1; printf '\\0%d\\0' $?\n"
	}
	cmd := exec.Cmd{Path: "/bin/sh", Args: []string{"sh"}, Env: []string{}, Dir: dir, Stdin: strings.NewReader(script)}
	out, err := cmd.Output()
	check(t, err)
	fields := strings.Split(string(out), "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		code, err := strconv.Atoi(fields[i+1])
		check(t, err)
		printed, codes = append(printed, fields[i]), append(codes, code)
	}
	if len(codes) != len(variables) {
		t.Fatalf("%d answers of %s, want %d", len(codes), command, len(variables))
	}
	return printed, codes
}

// share calls do for the numbers below n, on all processors. Each has a
// directory to itself.
func share(t *testing.T, n int, do func(dir string, i int)) {
	t.Helper()
	var next atomic.Int64
	var wait sync.WaitGroup
	for range 2 * runtime.GOMAXPROCS(0) {
		dir := ramDir(t)
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				do(dir, i)
			}
		})
	}
	wait.Wait()
}

// outcome is what becomes of a text.
type outcome struct {
	cdb     string
	refused string // the line, up to a NUL
}

// String tells what happened, the header and tables of a cdb in hexadecimal.
func (o outcome) String() string {
	if o.cdb == "" {
		return fmt.Sprintf("refused: %q\n", o.refused)
	}
	var b strings.Builder
	for _, e := range entriesOf([]byte(o.cdb)) {
		fmt.Fprintf(&b, "%q -> %q\n", e.key, e.value)
	}
	fmt.Fprintf(&b, "%x\n", o.cdb)
	return b.String()
}

func TestTcprulesMakesTheSameOfAnyText(t *testing.T) {
	const texts, batch = 10000, 50
	tcprules := original(t, "ucspi-tcp", "tcprules")
	ourTcprules := built(t, "tcprules")
	var refused atomic.Int64
	var seen differences
	share(t, texts/batch, func(dir string, i int) {
		var some []string
		for n := range batch {
			some = append(some, thrown(batch*i+n).text())
		}
		ours := compiledBy(t, ourTcprules, dir, some...)
		for n, want := range compiledBy(t, tcprules, dir, some...) {
			text := some[n]
			got := ours[n]
			if got != want {
				text = seen.without(t, tcprules, ourTcprules, dir, text)
				want, got = compiledBy(t, tcprules, dir, text)[0], compiledBy(t, ourTcprules, dir, text)[0]
			}
			if got != want {
				t.Errorf("text %d (-tcprules +ours)\n%s\n%q", batch*i+n, cmp.Diff(want.String(), got.String()), text)
			}
			if want.refused != "" {
				refused.Add(1)
			}
		}
	})
	t.Logf("%d of %d texts were refused", refused.Load(), texts)
	if n := refused.Load(); !t.Failed() && (n < texts/10 || n > texts*9/10) {
		t.Error("that is too few or too many to tell")
	}
	for kind := range seen {
		n := seen[kind].Load()
		t.Logf("%d lines were %s", n, difference(kind))
		if n == 0 {
			t.Error("that exception is not needed")
		}
	}
}

// compiledBy returns what tcprules makes of each text.
func compiledBy(t *testing.T, tcprules, dir string, texts ...string) []outcome {
	t.Helper()
	var variables [][]string
	for i, text := range texts {
		check(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.text", i)), []byte(text), 0o644))
		variables = append(variables, []string{fmt.Sprintf("n=%d", i)})
	}
	printed, codes := shell(t, dir, "; "+tcprules+" $n.cdb $n.tmp <$n.text", variables...)
	var outcomes []outcome
	for i, code := range codes {
		if code != 0 {
			line, found := strings.CutPrefix(printed[i], "tcprules: fatal: unable to parse this line: ")
			if code != 100 || !found {
				t.Errorf("tcprules: exit %d: %s\n%q", code, printed[i], texts[i])
			}
			outcomes = append(outcomes, outcome{refused: strings.TrimSuffix(line, "\n")})
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.cdb", i)))
		check(t, err)
		outcomes = append(outcomes, outcome{cdb: string(data)})
	}
	return outcomes
}

// difference is a way in which we differ from tcprules of set purpose. There
// is no other.
type difference int

const (
	// tcprules stores the text of an IPv4 prefix as the address, which no peer
	// has: nobody can rely on what such a line does. We store the prefix.
	aPrefix difference = iota

	// It stores 10.0.0.0/33 and 256.0.0.0/8 just so. Whoever writes these wants
	// a prefix, and is told that it is none.
	noPrefix

	// It refuses an IPv6 address at the first colon. We take it: no text that
	// tcprules takes has another meaning for that.
	anIPv6Address

	// It refuses !NAME, but where another variable follows: then it stores one
	// with the name "!NAME,OTHER", which nobody wants. We unset NAME, as
	// indimail's tcprules has it.
	anUnset
)

func (d difference) String() string {
	return [...]string{"an IPv4 prefix", "a wrong IPv4 prefix", "an IPv6 address or prefix", "!NAME"}[d]
}

// differences counts them.
type differences [4]atomic.Int64

// without returns the text without the lines, taken for themselves, on which we
// may differ. That we differ on no others, and on these only as we should, is
// made sure of.
func (seen *differences) without(t *testing.T, tcprules, ourTcprules, dir, text string) string {
	t.Helper()
	var classic string
	lines := strings.SplitAfter(text, "\n")
	all := compiledBy(t, ourTcprules, dir, lines...)
	for i, theirs := range compiledBy(t, tcprules, dir, lines...) {
		ours := all[i]
		if ours == theirs {
			classic += lines[i]
			continue
		}
		d, ok := differ(lines[i], theirs, ours)
		if !ok {
			t.Errorf("of one line (-tcprules +ours)\n%s\n%q", cmp.Diff(theirs.String(), ours.String()), lines[i])
			continue
		}
		seen[d].Add(1)
	}
	return classic
}

// differ tells which difference a line is, if the two made of it what they
// should.
func differ(line string, theirs, ours outcome) (difference, bool) {
	address, _, _ := strings.Cut(line, ":")
	if unsetting.MatchString(line) {
		return anUnset, ours.is(address, unsetValue(line))
	}
	text, _, slash := strings.Cut(address, "/")
	if theirs.refused == "" {
		prefix, err := dottedPrefix(address)
		switch {
		case !slash || strings.Trim(text, "0123456789.") != "":
			return 0, false
		case err != nil:
			return noPrefix, ours.refused != ""
		}
		return aPrefix, ours.is(prefix.String(), theirs.value())
	}
	head, _, _ := strings.Cut(line, ",")
	colon := strings.LastIndexByte(head, ':')
	if colon <= len(address) {
		return 0, false
	}
	want, err := ip6Rule(line[:colon])
	like, wrong := policy.Parse(strings.NewReader("x" + line[colon:])) // a classic line that says the same
	if err != nil || wrong != nil {
		return 0, false
	}
	value, _, _ := like.Find([]byte("x"))
	return anIPv6Address, ours.is(want, string(value))
}

var unsetting = regexp.MustCompile(`,!(\w+)(,|\s*$)`)

// unsetValue returns the value of a rule that unsets variables: that of one
// that sets them to a mark, with the items changed.
func unsetValue(line string) string {
	_, rest, _ := strings.Cut(line, ":")
	var names []string
	for m := unsetting.FindStringSubmatch(rest); m != nil; m = unsetting.FindStringSubmatch(rest) {
		rest = strings.Replace(rest, m[0], ","+m[1]+"=/mark/"+m[2], 1)
		names = append(names, m[1])
	}
	marked, err := policy.Parse(strings.NewReader("x:" + rest))
	if err != nil {
		return err.Error()
	}
	value, _, _ := marked.Find([]byte("x"))
	for _, name := range names {
		value = bytes.ReplaceAll(value, []byte("+"+name+"=mark\x00"), []byte("-"+name+"\x00"))
	}
	return string(value)
}

// dottedPrefix reads an IPv4 prefix of which the last octets may be missing.
func dottedPrefix(address string) (netip.Prefix, error) {
	text, length, _ := strings.Cut(address, "/")
	text = strings.TrimSuffix(text, ".")
	for strings.Count(text, ".") < 3 {
		text += ".0"
	}
	prefix, err := netip.ParsePrefix(text + "/" + length)
	if err == nil && prefix.Bits() == 0 {
		err = errors.New("everybody")
	}
	return prefix.Masked(), err
}

// ip6Rule reads an IPv6 prefix or address, the latter perhaps behind an info,
// and returns its short form.
func ip6Rule(address string) (string, error) {
	if prefix, err := netip.ParsePrefix(address); err == nil && prefix.Addr().Is6() {
		return prefix.Masked().String(), nil
	}
	at := strings.LastIndexByte(address, '@') + 1
	ip, err := netip.ParseAddr(address[at:])
	if err == nil && !ip.Is6() {
		err = errors.New("IPv4")
	}
	return address[:at] + ip.Unmap().String(), err
}

// is tells whether the cdb holds one rule, and this.
func (o outcome) is(address, value string) bool {
	if o.cdb == "" {
		return false
	}
	entries := entriesOf([]byte(o.cdb))
	return len(entries) == 1 && policy.AddressOf(entries[0].key) == address && entries[0].value == value
}

// value returns the value of the first rule.
func (o outcome) value() string { return entriesOf([]byte(o.cdb))[0].value }

// text returns a rules file as people write them, with their mistakes.
func (d dice) text() string {
	var b strings.Builder
	for range d(9) {
		line := d.classicLine()
		switch d(8) {
		case 0:
			line = d.noRule()
		case 1:
			line = d.mistake(line)
		case 2:
			line = d.one(line+" ", line+"\t \t", "  "+line, strings.Replace(line, ":", " :", 1))
		}
		b.WriteString(line + d.one("\n", "\n", "\n", "\n", "\n", "\n", " \n", "\n\n"))
	}
	switch text := b.String(); d(60) {
	case 0:
		return strings.ReplaceAll(text, "\n", "\r\n")
	case 1:
		return text + ":allow,LONG=\"" + strings.Repeat("x", 1000*d(100)) + d.one("\"\n", "\n", "\",\n")
	case 2:
		return text + strings.Repeat("1.2.3.0-255:deny\n", d(20))
	case 3, 4, 5:
		return strings.TrimSuffix(text, "\n")
	default:
		return text
	}
}

// noRule returns a line that is, or looks, skipped.
func (d dice) noRule() string {
	return d.one("", "# comment", "#127.:perhaps", "#", " ", "\t", " # comment", " # note: this", "127.", "\r", "\x00", "\x00:allow")
}

// mistake returns a line with a mistake in it, or what may be one.
func (d dice) mistake(line string) string {
	at := d(len(line) + 1)
	switch d(5) {
	case 0: // something too much
		return line[:at] + d.one(",", ":", "=", `"`, " ", "-", ".", "@", "\x00", "\r", "#", "0", "\xff", "\\", "allow", "99999999999999999999") + line[at:]
	case 1: // something missing
		return line[:at] + line[min(at+1+d(3), len(line)):]
	case 2: // the end missing
		return line[:at]
	case 3: // anything
		b := make([]byte, d(30))
		for i := range b {
			b[i] = byte(d(256))
		}
		return strings.ReplaceAll(string(b), "\n", "")
	default:
		return d.one(
			"::1:allow", "mail-1.example.org:deny", "10.0.0.0/8:deny", "1.2.3.4:", "1.2.3.4 allow", "1.2.3.4:Allow",
			"1.2.3.4:allow # why", "1.2.3.4:allow, A=\"x\"", "1.2.3.4:allow,A", "1.2.3.4:allow,A=", "1.2.3.4:allow,A=\"",
			"1.2.3.4:allow,A= x ", "1.2.3.4:deny,", "1.2.3.4:denyx", "1-2-3:allow", "-:allow", "--:allow", "1.-.2:allow",
			"1.2.3.53-37:deny", "18446744073709551617-3:deny", "1.2.3.1-18446744073709551618:deny",
			"1.2.3.4-1.2.3.9:deny", "1.2.3.1-1.2.3.9:deny", ".1-2:deny", "1-2.3-4:deny", "1.2.+1-3:deny", "1.2.1-0x3:deny",
			"1.0/8:deny", "10.1-3.0.0/16:deny", "10.0.0.0/33:deny", "256.0.0.0/8:deny", "10.0.0.0/:allow", "10.0.0.0/0:deny",
			"2001:db8::/32:allow,A=\"x:y\"", "joe@2001:DB8::1:deny", "2001:db8::deny", "2001:db8::/129:deny", "::1:Allow",
			"1.2.3.4:allow,!A", "1.2.3.4:allow,!A,!B", "1.2.3.4:allow,!A,B=\"x\"", "1.2.3.4:deny,B=\"x\",!A",
			"1.2.3.4:allow,!A=\"x\"", "1.2.3.4:allow,!", "1.2.3.4:allow,!,A=\"x\"", "1.2.3.4:allow,!A # why",
		)
	}
}

func TestTcprulescheckDecidesTheSame(t *testing.T) {
	const files, questions = 500, 20
	tcprulescheck, ours := original(t, "ucspi-tcp", "tcprulescheck"), built(t, "tcprulescheck")
	var matched atomic.Int64
	share(t, files, func(dir string, i int) {
		d := thrown(i)
		data := compile(t, dir, parse(t, d.askable()))
		if i%2 == 1 {
			data = d.odd(data)
		}
		var peers []policy.Peer
		for range questions {
			peers = append(peers, d.classicPeer())
		}
		matched.Add(answeredAlike(t, tcprulescheck, dir, data, peers))
		if diff := cmp.Diff(answersOf(t, tcprulescheck, dir, peers), answersOf(t, ours, dir, peers)); diff != "" {
			t.Errorf("-tcprulescheck +ours\n%s\n%q", diff, entriesOf(data))
		}
	})
	t.Logf("%d of %d questions had a rule", matched.Load(), files*questions)
	if n := matched.Load(); !t.Failed() && n < files*questions/5 {
		t.Error("that is too few to tell")
	}
}

// answeredAlike asks tcprulescheck and us about the peers, by the rules of a
// cdb. It returns how many had a rule.
func answeredAlike(t *testing.T, tcprulescheck, dir string, data []byte, peers []policy.Peer) (matched int64) {
	t.Helper()
	check(t, os.WriteFile(filepath.Join(dir, "asked.cdb"), data, 0o644))
	rules := database(t, data)
	answers := answersOf(t, tcprulescheck, dir, peers)
	for i, p := range peers {
		decision := decide(t, p, rules)
		if diff := cmp.Diff(answers[i], words(decision)); diff != "" {
			t.Errorf("%+v (-tcprulescheck +ours)\n%s\n%q", p, diff, entriesOf(data))
		}
		if decision.Matched {
			matched++
		}
	}
	return matched
}

// askable returns a text with rules for a good part of the peers.
func (d dice) askable() string {
	var text string
	for range 3 + d(40) {
		text += d.classicLine() + "\n"
	}
	return text
}

// odd returns a cdb with its keys, but with records that tcprules does not
// write. Sometimes a key that hashes to 0 is among them.
func (d dice) odd(data []byte) []byte {
	entries := entriesOf(data)
	for i := range entries {
		value := ""
		for range d(4) {
			value += d.one("D", "+A=x", "+B=y=z", "+=", "+A", "+", "", "X", "xD", "Dx", "d", "+A=\xff") + "\x00"
		}
		entries[i].value = value + d.one("", "", "D", "+A=tail", "x")
	}
	if d(2) == 0 {
		entries = append(entries, entry{zeroKey, "D\x00"}, entry{zeroHost, "+A=zero\x00"})
	}
	return cdbmake(entries, 1+d(3))
}

// answersOf returns what tcprulescheck says of each peer by the rules in
// asked.cdb, line by line. Left out are variables without a =, which tcpserver
// does not set, and those of a denied connection, of which tcprulescheck names
// only what stands before the D.
func answersOf(t *testing.T, tcprulescheck, dir string, peers []policy.Peer) [][]string {
	t.Helper()
	var variables [][]string
	for _, p := range peers {
		list := []string{"TCPREMOTEIP=" + remoteIP(p.IP)}
		if host, known := p.Host.Text(); known {
			list = append(list, "TCPREMOTEHOST="+host)
		}
		if info, known := p.Info.Text(); known {
			list = append(list, "TCPREMOTEINFO="+info)
		}
		variables = append(variables, list)
	}
	printed, codes := shell(t, dir, tcprulescheck+" asked.cdb", variables...)
	var answers [][]string
	for i, code := range codes {
		if code != 0 {
			t.Errorf("tcprulescheck: exit %d: %s", code, printed[i])
		}
		denied := strings.HasSuffix(printed[i], "\ndeny connection\n")
		var lines []string
		for line := range strings.Lines(printed[i]) {
			variable, set := strings.CutPrefix(line, setting)
			if !set || !denied && strings.Contains(variable, "=") {
				lines = append(lines, line)
			}
		}
		answers = append(answers, lines)
	}
	return answers
}

const setting = "set environment variable "

// words returns a decision in the words of answer.
func words(decision policy.Decision) []string {
	said := "default:\n"
	if decision.Matched {
		said = "rule " + decision.Rule + ":\n"
	}
	if decision.Verdict == policy.Allow {
		for _, variable := range decision.Env {
			said += setting + variable + "\n"
		}
	}
	said += decision.Verdict.String() + " connection\n"
	var lines []string
	for line := range strings.Lines(said) {
		lines = append(lines, line)
	}
	return lines
}

// A key that hashes to 0 is written as the original writes it, whatever else
// is in its table and wherever it stands, and is read.
func TestAnAddressThatHashesTo0IsThatOfTheOriginal(t *testing.T) {
	dir := ramDir(t)
	crowd := ""
	for _, e := range brute(40, func(h uint32) bool { return h%256 == 0 }) {
		crowd += e.key + ":deny\n"
	}
	for _, text := range []string{
		zeroKey + ":deny\n",
		"39.160.226.0-255:deny\n:allow\n" + zeroHost + ":allow\n",
		zeroKey + ":allow\n" + crowd + zeroKey + ":deny\n",
		crowd + zeroHost + ":allow\n" + crowd + zeroKey + ":deny\n",
	} {
		data := []byte(compiledBy(t, original(t, "ucspi-tcp", "tcprules"), dir, text)[0].cdb)
		path := filepath.Join(dir, "ours.cdb")
		check(t, policy.WriteFile(path, path+".tmp", parse(t, text)))
		ours, err := os.ReadFile(path)
		check(t, err)
		if !bytes.Equal(ours, data) {
			t.Errorf("another file than the original's of %.60q", text)
		}
		findsWhatIsThere(t, database(t, data), data)
	}
}

func TestTheCDBInTestdataIsOfTheOriginal(t *testing.T) {
	text, err := os.ReadFile("testdata/tcp.smtp")
	check(t, err)
	got := compiledBy(t, original(t, "ucspi-tcp", "tcprules"), ramDir(t), string(text))[0]
	if got.cdb != string(mailServer(t)) {
		t.Errorf("tcprules makes another file of testdata/tcp.smtp: %+q", got)
	}
}
