package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os/exec"

	"ucspid/activation"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
)

// findProgram looks the program up in PATH, once: as with tcpserver(1), a PATH
// that a rule sets does not count.
func findProgram(args []string) (ucspi.Program, error) {
	path, err := exec.LookPath(args[0])
	if err != nil {
		if cause, ok := errors.AsType[*exec.Error](err); ok {
			err = cause.Err
		}
		err = fmt.Errorf("program %q: %w", args[0], err)
		if looksLikeHost(args) {
			err = exit.Advise(err, "tcpserver's host and port are ListenStream= of the .socket now: leave them out")
		}
		return ucspi.Program{}, err
	}
	return ucspi.Program{Path: path, Args: args, Env: activation.Environ()}, nil
}

// looksLikeHost recognizes the host that stands before tcpserver's port and
// program.
func looksLikeHost(args []string) bool {
	_, err := netip.ParseAddr(args[0])
	return len(args) > 2 && (args[0] == "0" || args[0] == "" || err == nil)
}
