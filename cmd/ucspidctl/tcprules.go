package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"ucspid/internal/errno"
	"ucspid/internal/exit"
	"ucspid/policy"
)

// tcprules is the program of that name of ucspi-tcp 0.88, with its arguments,
// words and exit codes:
//
//	tcprules rules.cdb rules.tmp < rules
func tcprules(args []string, stdin io.Reader, stderr io.Writer) int {
	if len(args) < 2 {
		fmt.Fprintln(stderr, "tcprules: usage: tcprules rules.cdb rules.tmp")
		return exit.Usage
	}
	path, tmp := args[0], args[1]
	die := func(code int, what string) int {
		fmt.Fprintf(stderr, "tcprules: fatal: %s\n", what)
		return code
	}
	if err := create(tmp); err != nil {
		return die(exit.Temporary, fmt.Sprintf("unable to create %s: %s", tmp, errno.Text(err)))
	}
	rules, err := policy.Parse(stdin)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		line, _, _ := strings.Cut(syntax.Text, "\x00")
		return die(exit.Usage, "unable to parse this line: "+line)
	}
	if err != nil {
		return die(exit.Temporary, "unable to read input: "+errno.Text(err))
	}
	err = policy.WriteFile(path, tmp, rules)
	if _, ok := errors.AsType[*os.LinkError](err); ok {
		return die(exit.Temporary, fmt.Sprintf("unable to move %s to %s: %s", tmp, path, errno.Text(err)))
	}
	if err != nil {
		return die(exit.Temporary, fmt.Sprintf("unable to write to %s: %s", tmp, errno.Text(err)))
	}
	return exit.OK
}

// create makes an empty file, before anything is read: when both the text and
// the file are wrong, the file is said to be.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}
