package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

func TestBadRulesDropTheConnectionAndTheServerLives(t *testing.T) {
	good, err := os.ReadFile(compiled(t, "127.:allow,A=\"1\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	write := func(data []byte) func(string) error {
		return func(path string) error { return os.WriteFile(path, data, 0o600) }
	}
	for name, test := range map[string]struct {
		place func(path string) error
		why   string
	}{
		"missing":   {func(string) error { return nil }, "file does not exist"},
		"empty":     {write(nil), "corrupt cdb: "},
		"truncated": {write(good[:len(good)-1]), "corrupt cdb: "},
		"garbage":   {write([]byte("#!/bin/sh\n")), "corrupt cdb: "},
		"directory": {func(path string) error { return os.Mkdir(path, 0o700) }, "is a directory"},
		"loop":      {func(path string) error { return os.Symlink(path, path) }, "symbolic link loop"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "tcp.smtp.cdb")
			if err := test.place(path); err != nil {
				t.Fatal(err)
			}
			s := start(t, "-RHl0", "-x", path, "echo", "let in")
			for range 2 {
				if got := s.answer("127.0.0.1"); got != "" {
					t.Errorf("the peer got %q", got)
				}
			}
			line := `^ucspid: warning: dropping connection, unable to read ` + regexp.QuoteMeta(path+": "+test.why)
			s.await(line + `.*` + line)

			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
			recompile(t, path, "127.:allow\n")
			if got := s.answer("127.0.0.1"); got != "let in\n" {
				t.Errorf("the peer got %q when the rules were good again", got)
			}
		})
	}
}

func TestOptionalRulesMayBeMissingAndNothingElse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tcp.smtp.cdb")
	s := start(t, "-XRHl0", "-x", path, "echo", "let in")
	if got := s.answer("127.0.0.1"); got != "let in\n" {
		t.Errorf("without the file the peer got %q", got)
	}
	recompile(t, path, ":deny\n")
	if got := s.answer("127.0.0.1"); got != "" {
		t.Errorf("with a file that denies the peer got %q", got)
	}
	if err := os.WriteFile(path, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := s.answer("127.0.0.1"); got != "" {
		t.Errorf("with a file of garbage the peer got %q", got)
	}
}

func TestReplacedRulesCountFromTheNextConnection(t *testing.T) {
	path := compiled(t, "127.:allow\n")
	s := start(t, "-RHl0", "-x", path, "echo", "let in")
	for range 20 {
		recompile(t, path, "127.:deny\n")
		if got := s.answer("127.0.0.1"); got != "" {
			t.Fatalf("denied, the peer got %q", got)
		}
		recompile(t, path, "127.:allow\n")
		if got := s.answer("127.0.0.1"); got != "let in\n" {
			t.Fatalf("allowed, the peer got %q", got)
		}
	}
}
