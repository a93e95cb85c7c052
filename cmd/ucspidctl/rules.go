package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/policy"
)

// defaultCDB is where the shipped unit reads its rules.
const defaultCDB = "/etc/tcp.smtp.cdb"

func newRules() *cobra.Command {
	rules := &cobra.Command{
		Use:   "rules",
		Short: "Compile, explain, check and dump rules in the form of tcprules",
		Args:  needCommand,
		RunE:  func(*cobra.Command, []string) error { return nil },
	}
	rules.AddCommand(newCompile(), newExplain(), newLint(), newDump())
	return rules
}

// readRules reads a text of rules. A line that is wrong is named with file
// and number.
func readRules(path string) (*policy.Ruleset, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, exit.Retry(unreadable(path, err))
	}
	defer f.Close()
	rules, err := policy.Parse(f)
	if syntax, ok := errors.AsType[*policy.SyntaxError](err); ok {
		return nil, fmt.Errorf("%s:%d: %s: %s", path, syntax.Line, syntax.Reason, printable(syntax.Text))
	}
	if err != nil {
		return nil, exit.Retry(unreadable(path, err))
	}
	return rules, nil
}

// readDatabase reads compiled rules.
func readDatabase(path string) (*policy.Database, error) {
	rules, err := (&policy.File{Path: path}).Database(time.Now())
	if err != nil {
		return nil, exit.Retry(unreadable(path, err))
	}
	return rules, nil
}

// unreadable returns an error that names the file once.
func unreadable(path string, err error) error {
	if at, ok := errors.AsType[*fs.PathError](err); ok {
		err = at.Err
	}
	return fmt.Errorf("%s: %w", path, err)
}

// printable returns text as it is, or quoted where a terminal would take it
// for something else.
func printable(text string) string {
	unsafe := func(r rune) bool { return !strconv.IsPrint(r) }
	if strings.ContainsFunc(text, unsafe) || !utf8.ValidString(text) {
		return strconv.Quote(text)
	}
	return text
}
