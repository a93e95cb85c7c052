package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/policy"
)

func newCompile() *cobra.Command {
	var out string
	cmd := &cobra.Command{
		Use:   "compile [-o FILE.cdb] FILE",
		Short: "Compile a text of rules into a cdb",
		Long: `Compile a text of rules into the cdb that ucspid reads. The new cdb replaces
the old one at once and whole; it counts from the next connection on. When a
line is wrong, its number is said and the old cdb stays as it is.`,
		Example:               "  ucspidctl rules compile /etc/tcp.smtp",
		Args:                  oneArgument("FILE"),
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			if out == "" {
				out = args[0] + ".cdb"
			}
			return compile(args[0], out)
		},
	}
	cmd.Flags().StringVarP(&out, "output", "o", "", "write the cdb to `FILE.cdb` (the name of the text, and .cdb)")
	return cmd
}

func compile(text, out string) error {
	rules, err := readRules(text)
	if err != nil {
		return err
	}
	tmp := fmt.Sprintf("%s.tmp%d", out, os.Getpid()) // beside it: rename works on one file system only
	if err := policy.WriteFile(out, tmp, rules); err != nil {
		return exit.Retry(err)
	}
	return nil
}
