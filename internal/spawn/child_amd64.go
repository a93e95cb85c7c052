package spawn

import (
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// child is what a child is told, in memory that it shares with us until its
// program is executed or it has ended. child_amd64.s knows the fields by name.
type child struct {
	path       *byte
	argv, envv **byte
	files      [3]int
	nofile     *unix.Rlimit // nil leaves it
	caught     uint64       // signals

	pidfd  int32
	shares int32  // our memory: 1, and 0 when it no longer does (CLONE_CHILD_CLEARTID)
	errno  *int32 // of what failed

	//lint:ignore U1000 it is for child_amd64.s alone
	blocked   uint64      // signals of the thread that starts it, as they were
	all       uint64      // signals
	unhandled disposition // by default
}

// clone starts a child. It returns its process id, or a negative error number.
func clone(c *child) (pid int)

// newChild puts the words of a command into one piece of memory, as execve(2)
// wants them. Words with a NUL it refuses.
func newChild(c Command) (*child, error) {
	words := slices.Concat([]string{c.Path}, c.Args, c.Env)
	size := len(words)
	for _, word := range words {
		if strings.IndexByte(word, 0) >= 0 {
			return nil, syscall.EINVAL
		}
		size += len(word)
	}
	text := make([]byte, 0, size)
	put := func(word string) *byte {
		at := len(text)
		text = append(append(text, word...), 0)
		return &text[at]
	}
	pointers := make([]*byte, len(c.Args)+1+len(c.Env)+1)
	argv, envv := pointers[:len(c.Args)], pointers[len(c.Args)+1:]
	one := &child{
		path: put(c.Path), argv: &pointers[0], envv: &envv[0],
		files: c.Files, shares: 1, errno: new(int32), all: ^uint64(0), unhandled: disposition{handler: sigDefault},
	}
	for i, word := range c.Args {
		argv[i] = put(word)
	}
	for i, word := range c.Env {
		envv[i] = put(word)
	}
	return one, nil
}
