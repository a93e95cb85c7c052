// Qmail-queue stands in for qmail's own in the scenarios. It reads a message from descriptor 0
// and its envelope from descriptor 1, as qmail-queue(8) does, and keeps both in
// /var/qmail/queue, where only its own user may write. So a message found there proves that
// the set-uid bit still works. As with the real one, a file is written in pid, brought to the disk
// and linked to where it belongs, which here is mess for both.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

const queue = "/var/qmail/queue"

// Exit codes of qmail-queue(8).
const (
	exitWrite    = 53
	exitRead     = 54
	exitQueue    = 62
	exitEnvelope = 91
)

func main() {
	os.Exit(run())
}

func run() int {
	message, err := io.ReadAll(os.Stdin)
	if err != nil {
		return exitRead
	}
	envelope, err := io.ReadAll(os.NewFile(1, "envelope"))
	if err != nil {
		return exitRead
	}
	if !wellFormed(envelope) {
		return exitEnvelope
	}
	if err := os.Chdir(queue); err != nil {
		return exitQueue
	}
	name := fmt.Sprint(os.Getpid())
	if keep(name+".message", message) != nil || keep(name+".envelope", envelope) != nil {
		return exitWrite
	}
	return 0
}

// wellFormed reports whether an envelope is F, sender, NUL, then T, recipient, NUL for each
// recipient, then a NUL.
func wellFormed(envelope []byte) bool {
	if !bytes.HasSuffix(envelope, []byte("\x00\x00")) {
		return false
	}
	fields := bytes.Split(envelope[:len(envelope)-2], []byte{0})
	for i, field := range fields {
		kind := byte('T')
		if i == 0 {
			kind = 'F'
		}
		if len(field) == 0 || field[0] != kind {
			return false
		}
	}
	return len(fields) > 1
}

// keep writes one file so that it is there whole or not at all.
func keep(name string, content []byte) error {
	f, err := os.OpenFile(filepath.Join("pid", name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Link(f.Name(), filepath.Join("mess", name))
}
