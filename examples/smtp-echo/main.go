// The command smtp-echo is an SMTP server for trying ucspid where there is no
// mail system: it takes a message on its standard input, throws it away, and
// says on stderr what its environment told it of the client.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/textproto"
	"os"
	"slices"
	"strings"
)

// maxInput bounds what a client may say, in bytes.
const maxInput = 10 << 20

func main() {
	tellEnvironment()
	in := textproto.NewReader(bufio.NewReader(io.LimitReader(os.Stdin, maxInput)))
	reply := func(line string) { fmt.Print(line + "\r\n") }
	reply("220 smtp-echo ESMTP")
	for {
		line, err := in.ReadLine()
		if err != nil {
			return
		}
		verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
		switch verb {
		case "HELO", "EHLO", "MAIL", "RCPT", "RSET", "NOOP":
			reply("250 ok")
		case "DATA":
			reply("354 go ahead")
			n, err := io.Copy(io.Discard, in.DotReader())
			if err != nil {
				return
			}
			say("message: %d bytes, thrown away", n)
			reply(fmt.Sprintf("250 ok, %d bytes thrown away", n))
		case "QUIT":
			reply("221 bye")
			return
		default:
			reply("502 unimplemented")
		}
	}
}

// tellEnvironment says what a UCSPI server told this program.
func tellEnvironment() {
	env := slices.Sorted(slices.Values(os.Environ()))
	for _, variable := range env {
		for _, prefix := range []string{"PROTO=", "TCP", "RELAYCLIENT="} {
			if strings.HasPrefix(variable, prefix) {
				say("%q", variable)
			}
		}
	}
}

func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "smtp-echo: "+format+"\n", args...)
}
