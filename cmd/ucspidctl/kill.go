package main

import (
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"ucspid/internal/status"
)

func newKill() *cobra.Command {
	var socket string
	cmd := &cobra.Command{
		Use:   "kill ID [-s FILE]",
		Short: "End a session",
		Long: `End a session of a running ucspid: its program gets SIGTERM. ID is the one that
status shows, the process of the program; unlike kill(1) this never hits a
process that has come to have the same id. It is for root.`,
		Example:               "  ucspidctl kill 2674",
		Args:                  oneArgument("ID"),
		DisableFlagsInUseLine: true,
		RunE: func(_ *cobra.Command, args []string) error {
			id, err := strconv.ParseUint(args[0], 10, 31)
			if err != nil || id == 0 {
				return fmt.Errorf("ID %s: not a number of a process", printable(args[0]))
			}
			if err := status.Kill(socket, int(id)); err != nil {
				return unanswered(socket, err)
			}
			return nil
		},
	}
	addSocket(cmd, &socket)
	return cmd
}
