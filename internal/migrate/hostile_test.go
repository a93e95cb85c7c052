package migrate_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"ucspid/internal/migrate"
)

// FuzzTranslate: whatever a file says, what is made of it are files of ours,
// in the form of units and environment files, and not too many of them.
func FuzzTranslate(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.in")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		files, _ := migrate.Translate([]migrate.Input{{Name: "/service/fuzz/run", Text: text}})
		for _, file := range files {
			wellFormed(t, file)
		}
	})
}

// wellFormed checks the place of a file and its lines.
func wellFormed(t *testing.T, file migrate.File) {
	t.Helper()
	place := regexp.MustCompile(`^$|^/etc/ucspid/([0-9.]+:)?([0-9]+|PORT)\.conf$|` +
		`^/etc/systemd/system/(qmail-smtp|ucspid(-setuid|-login)?@([0-9.]+:)?([0-9]+|PORT))\.(service|socket)\.d/override\.conf$`)
	line := regexp.MustCompile(`^$|^#|^\[(Service|Socket)\]$|^[A-Za-z_][A-Za-z0-9_]*=`)
	if !place.MatchString(file.Path) {
		t.Errorf("path %q", file.Path)
	}
	for text := range strings.Lines(file.Text) {
		text = strings.TrimSuffix(text, "\n")
		if !utf8.ValidString(text) || strings.ContainsFunc(strings.ReplaceAll(text, "\t", ""), unicode.IsControl) {
			t.Errorf("%s: line %q is no text", file.Path, text)
		}
		if !line.MatchString(text) || file.Path == "" && text != "" && text[0] != '#' {
			t.Errorf("%s: line %q", file.Path, text)
		}
		if strings.HasSuffix(text, `\`) && !strings.HasPrefix(text, "#") {
			t.Errorf("%s: line %q goes on", file.Path, text)
		}
	}
}

// A file that is made to be read for ever, or with all memory, is not.
func TestHostileFilesEndSoon(t *testing.T) {
	fill := func(head, text, tail string) string {
		return head + strings.Repeat(text, (migrate.MaxSize-len(head)-len(tail))/len(text)) + tail
	}
	for name, text := range map[string]string{
		"brackets":      fill("", "(", ""),
		"substitutions": fill("", "$(", ""),
		"conditions":    fill("", "if a; then ", ""),
		"arithmetic":    fill("((", "(", ""),
		"doubling":      "a=xxxxxxxx\n" + fill("", "a=$a$a\n", "tcpserver 0 25 qmail-smtpd $a\n"),
		"words":         "a='" + strings.Repeat("x ", 500) + "'\n" + fill("tcpserver 0 25 qmail-smtpd", " $a", "\n"),
		"servers":       fill("export A=x\n", "tcpserver 0 25 x\n", ""),
		"functions":     fill("", "f() { f; f; }\n", "f\n"),
		"shells":        fill("", "sh -c 'tcpserver 0 25 x'\n", ""),
		"pipes":         fill("tcpserver 0 25 x", "|y", ""),
		"cases":         fill("", "case $1 in start) ", ""),
		"inetd":         fill("", "smtp stream tcp nowait root x\n", ""),
		"xinetd":        fill("", "service x\n{\nserver = x\nwait = no\n}\n", ""),
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan []migrate.File, 1)
			go func() {
				files, _ := migrate.Translate([]migrate.Input{{Name: name, Text: []byte(text)}})
				done <- files
			}()
			select {
			case files := <-done:
				for _, file := range files {
					wellFormed(t, file)
				}
			case <-time.After(time.Minute):
				t.Fatal("after a minute it is still being read")
			}
		})
	}
}
