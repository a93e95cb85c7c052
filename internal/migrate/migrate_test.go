package migrate_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"mvdan.cc/sh/v3/syntax"

	"ucspid/internal/migrate"
)

var update = flag.Bool("update", false, "write what comes out to testdata/*.out")

// installed returns where a file of testdata would stand on a machine.
func installed(base string) string {
	name := strings.TrimSuffix(base, ".in")
	switch {
	case strings.HasSuffix(name, ".run"):
		return "/service/" + strings.TrimSuffix(name, ".run") + "/run"
	case strings.HasSuffix(name, ".init"):
		return "/etc/init.d/" + strings.TrimSuffix(name, ".init")
	case strings.HasSuffix(name, ".xinetd"):
		return "/etc/xinetd.d/" + strings.TrimSuffix(name, ".xinetd")
	}
	return "/etc/inetd.conf"
}

// eachInput runs a test for each file of testdata.
func eachInput(t *testing.T, test func(t *testing.T, path string, input migrate.Input)) {
	t.Helper()
	paths, err := filepath.Glob("testdata/*.in")
	if err != nil || len(paths) == 0 {
		t.Fatalf("testdata: %v", err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(path)
		t.Run(strings.TrimSuffix(base, ".in"), func(t *testing.T) {
			test(t, path, migrate.Input{Name: installed(base), Text: text})
		})
	}
}

// printed is what is shown of a translation.
func printed(files []migrate.File, whole bool) string {
	var out strings.Builder
	for _, file := range files {
		fmt.Fprintf(&out, "== %s\n%s\n", file.Path, file.Text)
	}
	fmt.Fprintf(&out, "whole: %t\n", whole)
	return out.String()
}

func TestTranslationsAreAsLookedAt(t *testing.T) {
	eachInput(t, func(t *testing.T, path string, input migrate.Input) {
		files, whole := migrate.Translate([]migrate.Input{input})
		got := printed(files, whole)
		out := strings.TrimSuffix(path, ".in") + ".out"
		if *update {
			if err := os.WriteFile(out, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", out, diff)
		}
	})
}

// No word of a line that starts a server is dropped without a word: each one
// stands in a comment, as it is written.
func TestEachWordIsAccountedFor(t *testing.T) {
	lines := 0
	eachInput(t, func(t *testing.T, _ string, input migrate.Input) {
		files, _ := migrate.Translate([]migrate.Input{input})
		remarks := comments(files)
		for _, words := range serverLines(t, string(input.Text)) {
			lines++
			for word, times := range words {
				if n := count(remarks, word); n < times {
					t.Errorf("%s stands %d times in the line, and %d times in the comments", word, times, n)
				}
			}
		}
	})
	if lines < 35 {
		t.Errorf("only %d lines were looked at", lines)
	}
}

// comments returns all comments, in one line.
func comments(files []migrate.File) string {
	var out strings.Builder
	for _, file := range files {
		for line := range strings.Lines(file.Text) {
			if rest, is := strings.CutPrefix(line, "#"); is {
				out.WriteString(" " + strings.TrimPrefix(strings.TrimSpace(rest), "TODO "))
			}
		}
	}
	return strings.Join(strings.Fields(out.String()), " ") + " "
}

// count returns how often a word stands in a text, alone, before a colon, or
// at the end of a text that is quoted as a whole.
func count(text, word string) int {
	return strings.Count(text, " "+word+" ") + strings.Count(text, " "+word+": ") + strings.Count(text, " "+word+`"`)
}

// serverLines returns for each line that starts a server how often it has
// which word.
func serverLines(t *testing.T, text string) []map[string]int {
	t.Helper()
	if strings.HasPrefix(text, "service") || strings.HasPrefix(text, "# default") {
		return fieldsOf(text, "server", "#", "{", "}", "=", "+=", "service")
	}
	if !strings.HasPrefix(text, "#!") {
		return fieldsOf(text, "stream", "#")
	}
	file, err := syntax.NewParser().Parse(strings.NewReader(text), "")
	if err != nil {
		return nil // a script that cannot be read, or of execline
	}
	var lines []map[string]int
	syntax.Walk(file, func(n syntax.Node) bool {
		if call, ok := n.(*syntax.CallExpr); ok {
			lines = append(lines, callOf(t, text, call)...)
		}
		return true
	})
	return lines
}

// callOf returns the words of a command that starts a server, by itself or as
// the text that a shell is given.
func callOf(t *testing.T, text string, call *syntax.CallExpr) []map[string]int {
	t.Helper()
	words, serves := make(map[string]int), false
	for _, arg := range call.Args {
		source := text[arg.Pos().Offset():arg.End().Offset()]
		if inner := strings.Trim(source, `'"`); inner != source && strings.Contains(inner, "tcpserver") {
			return serverLines(t, "#!\n"+inner)
		}
		serves = serves || slices.Contains([]string{"tcpserver", "sslserver", "tcpsvd"}, filepath.Base(source))
		words[strings.Join(strings.Fields(source), " ")]++
	}
	if !serves || words["--stop"] > 0 || words["killall"] > 0 {
		return nil
	}
	return []map[string]int{words}
}

// fieldsOf returns the fields of each line that has a word.
func fieldsOf(text, with string, without ...string) []map[string]int {
	var lines []map[string]int
	for line := range strings.Lines(text) {
		if !strings.Contains(line, with) || strings.HasPrefix(line, "#") {
			continue
		}
		words := make(map[string]int)
		for _, field := range strings.Fields(line) {
			if !slices.Contains(without, field) && !strings.HasPrefix(field, "server") {
				words[field]++
			}
		}
		lines = append(lines, words)
	}
	return lines
}
