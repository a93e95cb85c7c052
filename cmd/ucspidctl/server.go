package main

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/spf13/cobra"

	"ucspid/internal/exit"
	"ucspid/internal/status"
)

// defaultSocket is where qmail-smtp-status.socket has the service of port 25
// asked.
const defaultSocket = "/run/ucspid/qmail-smtp"

// addSocket defines the option that names the server to ask.
func addSocket(cmd *cobra.Command, socket *string) {
	cmd.Flags().StringVarP(socket, "socket", "s", defaultSocket, "ask the server behind this socket, `FILE`")
}

// unanswered returns the error of a question, and what to do about it.
func unanswered(socket string, err error) error {
	if refusal, ok := errors.AsType[status.Refusal](err); ok {
		return refusal
	}
	if errno, ok := errors.AsType[syscall.Errno](err); ok {
		err = errno
	}
	err = fmt.Errorf("%s: %w", socket, err)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return exit.Advise(err, "systemctl enable qmail-smtp-status.socket && systemctl restart qmail-smtp.service; no session ends")
	case errors.Is(err, fs.ErrPermission):
		return exit.Advise(err, "be root, or in the group ucspid-status: usermod -aG ucspid-status NAME")
	}
	return exit.Retry(err)
}
