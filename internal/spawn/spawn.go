// Package spawn starts programs without waiting for them to begin.
//
// syscall.ForkExec stops the thread that calls it until the new program has
// begun, and spends a pipe for each on hearing of an exec that fails. fork(2),
// as tcpserver uses it, does not stop, but copies the page tables. Here, on
// amd64, the child has the memory of its parent and both run on: while the
// child executes its program on one processor, the parent is at work on the
// next one. Why that is safe is told in child_amd64.s, which is all that the
// child runs. Elsewhere programs are started with syscall.ForkExec.
package spawn

// Command is a program to be started.
type Command struct {
	Path string   // of the file to execute
	Args []string // with the name in Args[0]
	Env  []string // NAME=VALUE

	// Files become the descriptors 0, 1 and 2 of the program, and it gets no
	// other that is close-on-exec. Each is above 2, or in its place already.
	// They stay the caller's.
	Files [3]int
}

// ExitCode is that of a process whose program could not be executed.
const ExitCode = 111
