package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/policy"
)

func newLint() *cobra.Command {
	var unasked policy.Unasked
	cmd := &cobra.Command{
		Use:   "lint [-H] [-R] FILE",
		Short: "Warn of rules that hardly do what was meant",
		Long: `Warn of what is no error in a text of rules, and yet hardly meant, and of each
line that cannot be compiled: what becomes of it, and what was probably meant.
An open relay comes first.

Exit codes: 0 nothing to say, 1 warnings, 100 wrong usage or unreadable.`,
		Example: `  ucspidctl rules lint /etc/tcp.smtp
  ucspidctl rules lint -HR /etc/tcp.smtp`,
		Args:                  oneArgument("FILE"),
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return lint(cmd.OutOrStdout(), args[0], unasked)
		},
	}
	cmd.Flags().BoolVarP(&unasked.Host, "no-remote-host", "H", false, "ucspid runs with -H: no host names")
	cmd.Flags().BoolVarP(&unasked.Info, "no-remote-info", "R", false, "ucspid runs with -R: no ident")
	return cmd
}

// lint writes a line for each finding in a text of rules.
func lint(w io.Writer, path string, unasked policy.Unasked) error {
	f, err := os.Open(path)
	if err != nil {
		return unreadable(path, err)
	}
	defer f.Close()
	findings, err := policy.Lint(f, unasked)
	if err != nil {
		return unreadable(path, err)
	}
	var out strings.Builder
	for _, finding := range findings {
		fmt.Fprintf(&out, "%s:%d: %s\n", path, finding.Line, printable(finding.String()))
	}
	if _, err := io.WriteString(w, out.String()); err != nil {
		return exit.Retry(err)
	}
	if len(findings) > 0 {
		return exit.AnswerNo()
	}
	return nil
}
