package main

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"ucspid/internal/exit"
	"ucspid/policy"
)

// eachStart translates each of migrate's own inputs into a directory.
func eachStart(t *testing.T, test func(t *testing.T, dir string)) {
	t.Helper()
	paths, err := filepath.Glob("../../internal/migrate/testdata/*.in")
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata: %v", err)
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			dir := t.TempDir()
			if err := translate(io.Discard, []string{path}, dir); err != nil && !errors.Is(err, exit.AnswerNo()) {
				t.Fatal(err)
			}
			test(t, dir)
		})
	}
}

// tool skips a test without a program, or fails it where nothing may be
// missing.
func tool(t *testing.T, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	} else if err != nil {
		t.Skip(err)
	}
}

// systemd finds nothing wrong with what is printed, put beside the shipped
// units.
func TestMigratedUnitsAreSound(t *testing.T) {
	tool(t, "systemd-analyze")
	eachStart(t, func(t *testing.T, dir string) {
		units := t.TempDir()
		must(t, os.CopyFS(units, os.DirFS("../../units")))
		var names []string
		dropIns, _ := filepath.Glob(dir + "/etc/systemd/system/*.d")
		for _, dropIn := range dropIns {
			// systemd-analyze takes what is behind a colon for an alias
			name := regexp.MustCompile(`@.*:`).ReplaceAllString(filepath.Base(dropIn), "@")
			must(t, os.CopyFS(filepath.Join(units, name), os.DirFS(dropIn)))
			names = append(names, strings.TrimSuffix(name, ".d"))
		}
		if len(names) == 0 {
			return
		}
		cmd := exec.Command("systemd-analyze", append([]string{"verify", "--man=no"}, names...)...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+units+":")
		said, _ := cmd.CombinedOutput() // it fails where a program is not installed
		for line := range strings.Lines(string(said)) {
			if !strings.Contains(line, "is not executable: No such file") {
				t.Error(line)
			}
		}
	})
}

// ucspid takes each line that is printed: what it complains of, if anything, is
// a program that is not installed here.
func TestMigratedLinesAreUcspids(t *testing.T) {
	here := t.TempDir()
	must(t, os.WriteFile(here+"/line", []byte("20\n"), 0o600))
	rules, err := policy.Parse(strings.NewReader(""))
	must(t, err)
	must(t, policy.WriteFile(here+"/cdb", here+"/tmp", rules))
	if out, err := exec.Command("go", "build", "-o", here+"/ucspid", "../ucspid").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	eachStart(t, func(t *testing.T, dir string) {
		for _, args := range printedLines(t, dir) {
			for i, arg := range args {
				if i > 0 && args[i-1] == "-x" {
					args[i] = here + "/cdb"
				} else if strings.HasPrefix(arg, "@/") {
					args[i] = "@" + here + "/line"
				}
			}
			said, err := exec.Command(here+"/ucspid", append([]string{"--check"}, args...)...).CombinedOutput()
			missing := regexp.MustCompile(`^ucspid: program "[^-"][^"]*": `)
			if err != nil && !missing.Match(said) {
				t.Errorf("%q: %v: %s", args, err, said)
			}
		}
	})
}

// printedLines returns the arguments of ucspid in all files below a directory.
func printedLines(t *testing.T, dir string) [][]string {
	t.Helper()
	var lines [][]string
	units, _ := filepath.Glob(dir + "/etc/systemd/system/qmail-smtp.service.d/*")
	confs, _ := filepath.Glob(dir + "/etc/ucspid/*")
	for _, path := range append(units, confs...) {
		text, err := os.ReadFile(path)
		must(t, err)
		var whole string
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSuffix(line, "\n")
			if _, args, is := strings.Cut(line, " ucspid "); is && strings.HasPrefix(line, "ExecStart=!") {
				whole = strings.NewReplacer("$$", "$", "%%", "%").Replace(args)
			} else if name, value, _ := strings.Cut(line, "="); name == "UCSPID_OPTIONS" || name == "UCSPID_PROGRAM" {
				if strings.HasPrefix(value, `"`) {
					value = strings.Join(asSystemd(value), "")
				}
				whole += value + " "
			}
		}
		if whole != "" {
			lines = append(lines, asSystemd(whole))
		}
	}
	return lines
}

// asSystemd splits a line at blanks, but not between quotes, and takes quotes
// and backslashes away.
func asSystemd(line string) []string {
	var words []string
	var word strings.Builder
	begun, quote := false, byte(0)
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && i+1 < len(line):
			i++
			word.WriteByte(line[i])
			begun = true
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote, begun = c, true
		case quote == 0 && c == ' ':
			if begun {
				words = append(words, word.String())
			}
			word.Reset()
			begun = false
		default:
			word.WriteByte(c)
			begun = true
		}
	}
	if begun {
		words = append(words, word.String())
	}
	return words
}
