// Scanner stands in for a virus or spam scanner that is run in the place of qmail-queue and
// compiles its patterns while it runs: it must be allowed memory that is written and then run.
// Whatever is in the mail, it goes on to qmail-queue.
package main

import (
	"os"
	"syscall"
)

const (
	queue         = "/var/qmail/bin/qmail-queue"
	exitTemporary = 81 // an error of qmail-queue(8) itself
)

func main() {
	if _, err := syscall.Mmap(-1, 0, os.Getpagesize(), syscall.PROT_READ|syscall.PROT_WRITE|syscall.PROT_EXEC,
		syscall.MAP_ANON|syscall.MAP_PRIVATE); err != nil {
		os.Exit(exitTemporary)
	}
	_ = syscall.Exec(queue, []string{queue}, os.Environ())
	os.Exit(exitTemporary)
}
