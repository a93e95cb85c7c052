// The command ucspidctl does what an operator does by hand: it shows what
// ucspid(8) does, and compiles, explains and checks its rules. Its manual is
// ucspidctl(8).
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/internal/version"
)

// main is also tcprules(1) and tcprulescheck(1), when called by these names.
func main() {
	switch filepath.Base(os.Args[0]) {
	case "tcprules":
		os.Exit(tcprules(os.Args[1:], os.Stdin, os.Stderr))
	case "tcprulescheck":
		os.Exit(tcprulescheck(os.Args[1:], os.LookupEnv, os.Stdout, os.Stderr))
	}
	os.Exit(exit.Report(os.Stderr, "ucspidctl", newRoot().Execute()))
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:           "ucspidctl",
		Short:         "Show what ucspid does; compile, explain, check and dump its rules",
		Version:       version.Number,
		Args:          needCommand,
		RunE:          func(*cobra.Command, []string) error { return nil },
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.SetVersionTemplate("ucspidctl {{.Version}}\n")
	root.AddCommand(newMigrate(), newRules(), newStatus(), newKill())
	return root
}

// needCommand refuses to do nothing.
func needCommand(cmd *cobra.Command, args []string) error {
	hint := "see " + cmd.CommandPath() + " --help"
	if len(args) == 0 {
		return exit.Advise(errors.New("command: none was given"), hint)
	}
	return exit.Advise(errors.New("command "+args[0]+": there is none"), hint)
}

// oneArgument demands exactly one argument, which is called by its name.
func oneArgument(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return nil
		}
		return exit.Advise(fmt.Errorf("%s: %d were given, one is needed", name, len(args)), "see "+cmd.CommandPath()+" --help")
	}
}
