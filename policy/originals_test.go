package policy_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

// original returns the path of a program of Debian's ucspi-tcp, unpacked by
// test/originals.
func original(t *testing.T, program string) string {
	t.Helper()
	var complaint bytes.Buffer
	cmd := exec.Command("../test/originals", "ucspi-tcp")
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
	const texts = 10000
	tcprules := original(t, "tcprules")
	var refused atomic.Int64
	share(t, texts, func(dir string, i int) {
		text := thrown(i).text()
		want, got := compiledBy(t, tcprules, dir, text), compiledByUs(t, dir, text)
		if got != want {
			t.Errorf("text %d (-tcprules +ours)\n%s\n%q", i, cmp.Diff(want.String(), got.String()), text)
		}
		if want.refused != "" {
			refused.Add(1)
		}
	})
	t.Logf("%d of %d texts were refused", refused.Load(), texts)
	if n := refused.Load(); !t.Failed() && (n < texts/10 || n > texts*9/10) {
		t.Error("that is too few or too many to tell")
	}
}

// compiledBy returns what tcprules makes of a text.
func compiledBy(t *testing.T, tcprules, dir, text string) outcome {
	source, path, complaint := filepath.Join(dir, "text"), filepath.Join(dir, "original.cdb"), bytes.Buffer{}
	check(t, os.WriteFile(source, []byte(text), 0o644))
	in, err := os.Open(source)
	check(t, err)
	defer in.Close()
	cmd := exec.Cmd{Path: tcprules, Args: []string{"tcprules", path, path + ".tmp"}, Stdin: in, Stderr: &complaint}
	if err := cmd.Run(); err != nil {
		line, found := strings.CutPrefix(complaint.String(), "tcprules: fatal: unable to parse this line: ")
		if cmd.ProcessState.ExitCode() != 100 || !found {
			t.Errorf("tcprules: %v: %s", err, &complaint)
		}
		return outcome{refused: strings.TrimSuffix(line, "\n")}
	}
	data, err := os.ReadFile(path)
	check(t, err)
	return outcome{cdb: string(data)}
}

// compiledByUs returns what Parse and WriteFile make of a text.
func compiledByUs(t *testing.T, dir, text string) outcome {
	rules, err := policy.Parse(strings.NewReader(text))
	var syntax *policy.SyntaxError
	if errors.As(err, &syntax) {
		line, _, _ := strings.Cut(syntax.Text, "\x00") // as a C string
		return outcome{refused: line}
	}
	check(t, err)
	return outcome{cdb: string(compile(t, dir, rules))}
}

// text returns a rules file as people write them, with their mistakes.
func (d dice) text() string {
	var b strings.Builder
	for range d(9) {
		line := d.line()
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
		)
	}
}

func TestTcprulescheckDecidesTheSame(t *testing.T) {
	const files, questions = 500, 20
	tcprulescheck := original(t, "tcprulescheck")
	var matched atomic.Int64
	share(t, files, func(dir string, i int) {
		d := thrown(i)
		data := compile(t, dir, parse(t, d.askable()))
		if i%2 == 1 {
			data = d.odd(data)
		}
		path := filepath.Join(dir, "asked.cdb")
		check(t, os.WriteFile(path, data, 0o644))
		rules := database(t, data)
		for range questions {
			p := d.peer()
			want := answer(t, tcprulescheck, path, p)
			decision := decide(t, p, rules)
			if diff := cmp.Diff(want, words(decision)); diff != "" {
				t.Errorf("file %d: %+v (-tcprulescheck +ours)\n%s\n%q", i, p, diff, entriesOf(data))
			}
			if decision.Matched {
				matched.Add(1)
			}
		}
	})
	t.Logf("%d of %d questions had a rule", matched.Load(), files*questions)
	if n := matched.Load(); !t.Failed() && n < files*questions/5 {
		t.Error("that is too few to tell")
	}
}

// askable returns a text with rules for a good part of the peers.
func (d dice) askable() string {
	var text string
	for range 3 + d(40) {
		text += d.line() + "\n"
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

// answer returns what tcprulescheck says, line by line. Left out are variables
// without a =, which tcpserver does not set, and those of a denied connection,
// of which tcprulescheck names only what stands before the D.
func answer(t *testing.T, tcprulescheck, path string, p policy.Peer) []string {
	cmd := exec.Cmd{Path: tcprulescheck, Args: []string{"tcprulescheck", path}, Env: []string{"TCPREMOTEIP=" + p.IP.String()}}
	if host, known := p.Host.Text(); known {
		cmd.Env = append(cmd.Env, "TCPREMOTEHOST="+host)
	}
	if info, known := p.Info.Text(); known {
		cmd.Env = append(cmd.Env, "TCPREMOTEINFO="+info)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("tcprulescheck: %v", err)
	}
	denied := bytes.HasSuffix(out, []byte("\ndeny connection\n"))
	var lines []string
	for line := range strings.Lines(string(out)) {
		variable, set := strings.CutPrefix(line, setting)
		if !set || !denied && strings.Contains(variable, "=") {
			lines = append(lines, line)
		}
	}
	return lines
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
		data := []byte(compiledBy(t, original(t, "tcprules"), dir, text).cdb)
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
	got := compiledBy(t, original(t, "tcprules"), ramDir(t), string(text))
	if got.cdb != string(mailServer(t)) {
		t.Errorf("tcprules makes another file of testdata/tcp.smtp: %+q", got)
	}
}
