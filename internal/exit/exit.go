// Package exit is how a program of the house ends: what it says of an error,
// and its exit code. The codes are those of tcpserver(1) and its family.
package exit

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// The exit codes.
const (
	OK        = 0   // done, or asked to stop
	No        = 1   // the answer to a question: the peer is denied, the rules have warnings
	Usage     = 100 // wrong usage or set-up: somebody has to change something
	Temporary = 111 // may go better another time
)

// advised is an error that says what to do about it.
type advised struct {
	error
	hint string
}

func (a *advised) Unwrap() error { return a.error }

// Advise adds to err a line that says what to do.
func Advise(err error, hint string) error { return &advised{err, hint} }

// temporary is an error that may not come again.
type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }

// Retry marks err as one that may not come again: its exit code is Temporary.
func Retry(err error) error { return temporary{err} }

// errNo is no failure: it carries the exit code.
var errNo = errors.New("no")

// AnswerNo returns an error of which nothing is said: its exit code is No.
func AnswerNo() error { return errNo }

// Lines returns what there is to say of an error: each error in one line, and
// then the hint.
func Lines(err error) []string {
	lines := strings.Split(err.Error(), "\n")
	if a, ok := errors.AsType[*advised](err); ok {
		lines = append(lines, "hint: "+a.hint)
	}
	return lines
}

// Report says on w what is wrong, in lines that begin with the program's name.
// It returns the exit code: OK without an error, Usage unless the error says
// otherwise.
func Report(w io.Writer, program string, err error) int {
	switch {
	case err == nil:
		return OK
	case errors.Is(err, errNo):
		return No
	}
	for _, line := range Lines(err) {
		fmt.Fprintf(w, "%s: %s\n", program, line)
	}
	if _, ok := errors.AsType[temporary](err); ok {
		return Temporary
	}
	return Usage
}
