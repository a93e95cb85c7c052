package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// outcome is what a program did.
type outcome struct {
	Code           int
	Stdout, Stderr string
	CDB            string // the bytes that it left, "" for none
	Mode           os.FileMode
}

// originals returns where test/originals has unpacked Debian's ucspi-tcp.
func originals(t *testing.T) string {
	t.Helper()
	var said bytes.Buffer
	cmd := exec.Command("../../test/originals")
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		what := fmt.Sprintf("the originals cannot be had: %v: %s", err, said.String())
		if os.Getenv("CI") == "true" {
			t.Fatal(what)
		}
		t.Skip(what)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "usr/bin")
}

// inBoth runs a program of ucspi-tcp twice, the original and ours, each in a
// directory of its own that prepare has filled, and compares.
func inBoth(t *testing.T, program string, prepare func(dir string) (args, env []string, stdin *os.File)) {
	t.Helper()
	var got [2]outcome
	for i, path := range []string{filepath.Join(originals(t), program), program} {
		dir := t.TempDir()
		args, env, stdin := prepare(dir)
		cmd := exec.Command(path, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), env...)
		cmd.Stdin = stdin
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		_ = cmd.Run()
		got[i] = outcome{Code: cmd.ProcessState.ExitCode(), Stdout: stdout.String(), Stderr: stderr.String()}
		if info, err := os.Stat(filepath.Join(dir, "rules.cdb")); err == nil && info.Mode().IsRegular() {
			data, err := os.ReadFile(filepath.Join(dir, "rules.cdb"))
			if err != nil {
				t.Fatal(err)
			}
			got[i].CDB, got[i].Mode = string(data), info.Mode()
		}
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		t.Errorf("%s (-original +ours):\n%s", program, diff)
	}
}

// text returns an open file with that text.
func text(t *testing.T, text string) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestTcprulesFailsInTheSameWords(t *testing.T) {
	const good = "127.:allow,RELAYCLIENT=\"\"\n"
	long := strings.Repeat("x", 300)
	for name, test := range map[string]struct {
		args  []string
		place func(dir string) error
	}{
		"no argument":                  {nil, nil},
		"one argument":                 {[]string{"rules.cdb"}, nil},
		"more arguments than it needs": {[]string{"rules.cdb", "tmp", "more"}, nil},
		"no directory for tmp":         {[]string{"rules.cdb", "nowhere/tmp"}, nil},
		"a file for a directory":       {[]string{"rules.cdb", "/dev/null/tmp"}, nil},
		"a name too long":              {[]string{"rules.cdb", long}, nil},
		"a full disk":                  {[]string{"rules.cdb", "/dev/full"}, nil},
		"no directory for the cdb":     {[]string{"nowhere/rules.cdb", "tmp"}, nil},
		"another file system":          {[]string{"/dev/shm/nowhere/rules.cdb", "tmp"}, nil},
		"tmp is a directory":           {[]string{"rules.cdb", "tmp"}, func(dir string) error { return os.Mkdir(dir+"/tmp", 0o700) }},
		"the cdb is a directory":       {[]string{"rules.cdb", "tmp"}, func(dir string) error { return os.Mkdir(dir+"/rules.cdb", 0o700) }},
		"tmp is a link to itself":      {[]string{"rules.cdb", "tmp"}, func(dir string) error { return os.Symlink("tmp", dir+"/tmp") }},
		"tmp is there already": {[]string{"rules.cdb", "tmp"}, func(dir string) error {
			return os.WriteFile(dir+"/tmp", []byte(long), 0o640)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, "tcprules", func(dir string) ([]string, []string, *os.File) {
				if test.place != nil {
					must(t, test.place(dir))
				}
				return test.args, nil, text(t, good)
			})
		})
	}
	t.Run("input is a directory", func(t *testing.T) {
		inBoth(t, "tcprules", func(dir string) ([]string, []string, *os.File) {
			stdin, err := os.Open(dir)
			must(t, err)
			t.Cleanup(func() { stdin.Close() })
			return []string{"rules.cdb", "tmp"}, nil, stdin
		})
	})
}

func TestTcprulesRefusesTheSameLines(t *testing.T) {
	for _, line := range []string{
		"1.2.3.4:", "1.2.3.4:Allow", "1.2.3.4: allow", "1.2.3.4:allowed", "1.2.3.4:allow,", "1.2.3.4:allow,A",
		"1.2.3.4:allow,A=", "1.2.3.4:allow,A=\"x", "1.2.3.4:allow,A=\"x\" # why", "1.2.3.4:allow\r", "a-b:allow",
		"mail-1.example.org:deny", "1.2.3.4:alow\x00hidden  ", "1.2.3.4:deny\t ,A=\"x\"", strings.Repeat("9", 5000) + ":x",
	} {
		inBoth(t, "tcprules", func(dir string) ([]string, []string, *os.File) {
			must(t, os.WriteFile(dir+"/rules.cdb", []byte("as before"), 0o600))
			return []string{"rules.cdb", "tmp"}, nil, text(t, "127.:allow\n"+line+"\n:deny\n")
		})
	}
}

func TestTcprulescheckSaysTheSame(t *testing.T) {
	const rules = `joe@1.2.3.4:allow,A="joe",B="at 4"
joe@=host.example:deny
1.2.3.:allow,RELAYCLIENT=""
=.example:allow,C="suffix"
=:allow,C="named"
9.:deny,D="not shown"
`
	for name, env := range map[string][]string{
		"nobody":              nil,
		"a prefix":            {"TCPREMOTEIP=1.2.3.9"},
		"an info":             {"TCPREMOTEIP=1.2.3.4", "TCPREMOTEINFO=joe"},
		"an info at a host":   {"TCPREMOTEIP=8.8.8.8", "TCPREMOTEINFO=joe", "TCPREMOTEHOST=host.example"},
		"a suffix":            {"TCPREMOTEIP=8.8.8.8", "TCPREMOTEHOST=a.b.example"},
		"any host":            {"TCPREMOTEIP=8.8.8.8", "TCPREMOTEHOST=org"},
		"an empty host":       {"TCPREMOTEIP=8.8.8.8", "TCPREMOTEHOST="},
		"a denied peer":       {"TCPREMOTEIP=9.9.9.9"},
		"nobody's rule":       {"TCPREMOTEIP=8.8.8.8"},
		"an empty info":       {"TCPREMOTEIP=1.2.3.4", "TCPREMOTEINFO="},
		"a host in odd bytes": {"TCPREMOTEIP=8.8.8.8", "TCPREMOTEHOST=\x1b[31m"},
	} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, "tcprulescheck", func(dir string) ([]string, []string, *os.File) {
				recompiled(t, dir+"/rules.cdb", rules)
				return []string{"rules.cdb"}, env, nil
			})
		})
	}
	for name, args := range map[string][]string{"no argument": nil, "no file": {"nowhere"}} {
		t.Run(name, func(t *testing.T) {
			inBoth(t, "tcprulescheck", func(string) ([]string, []string, *os.File) { return args, nil, nil })
		})
	}
}

func recompiled(t *testing.T, path, rules string) {
	t.Helper()
	source := filepath.Join(t.TempDir(), "rules")
	must(t, os.WriteFile(source, []byte(rules), 0o600))
	must(t, compile(source, path))
}
