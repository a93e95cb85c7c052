// The command ucspid serves the sockets that systemd passes: it accepts,
// judges each peer by the rules of a cdb, and runs a UCSPI program such as
// qmail-smtpd on the connection. Its manual is ucspid(8).
package main

import (
	"fmt"
	"io"
	"os"

	"ucspid/internal/exit"
	"ucspid/internal/version"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program. It returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	o, err := parseOptions(args)
	switch {
	case err != nil:
	case o.help:
		fmt.Fprint(stdout, usage)
	case o.version:
		fmt.Fprintln(stdout, "ucspid "+version.Number)
	case o.check:
		err = check(o)
	default:
		err = serve(o, stdout, stderr)
	}
	return exit.Report(stderr, "ucspid", err)
}
