package main

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/policy"
)

func newDump() *cobra.Command {
	return &cobra.Command{
		Use:   "dump FILE.cdb",
		Short: "Write a cdb as text that compiles to it",
		Long: `Write the rules in a cdb as text: a rule for each record, in the order of the
file. Compiled, the text becomes the same file, byte for byte. Where that cannot
be, it is said, and what cannot be written as a rule is a comment.

Exit codes: 0 the text becomes the same file, 1 it does not, 100 wrong usage,
111 unreadable.`,
		Example:               "  ucspidctl rules dump /etc/tcp.smtp.cdb >tcp.smtp",
		Args:                  oneArgument("FILE.cdb"),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			rules, err := readDatabase(args[0])
			if err != nil {
				return err
			}
			text, lost := rules.Text()
			if _, err := cmd.OutOrStdout().Write(text); err != nil {
				return exit.Retry(err)
			}
			if err := incomplete(rules, text, lost); err != nil {
				exit.Report(cmd.ErrOrStderr(), "ucspidctl", fmt.Errorf("%s: %w", args[0], err))
				return exit.AnswerNo()
			}
			return nil
		},
	}
}

// incomplete tells why a text does not compile to the rules that it was
// written from. It returns nil when it does.
func incomplete(rules *policy.Database, text []byte, lost int) error {
	if lost > 0 {
		return fmt.Errorf("text incomplete: no rule gives %d of the records, and comments stand for them", lost)
	}
	again, err := policy.Parse(bytes.NewReader(text))
	if err != nil {
		return fmt.Errorf("text wrong: %w", err)
	}
	same, err := rules.Is(again)
	if err == nil && !same {
		return errors.New("text complete, but it compiles to another file: this one was not written by tcprules")
	}
	return err
}
