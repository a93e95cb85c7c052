package ucspi

import (
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/policy"
)

// Refusals say what a peer gets that is not let in. The zero Refusals give it
// a message that somebody wrote for it, and otherwise nothing.
type Refusals struct {
	SMTP   bool // a reply of SMTP, to whom a limit refuses
	Denied bool // and to whom a rule denies
}

// replies are those of SMTP that a refused client gets. All ask it to come
// again later.
var replies = [policy.Reasons]string{
	policy.PerHost:         "421 4.7.0 Too many connections from your address",
	policy.PerNetwork:      "421 4.7.0 Too many connections from your network",
	policy.HostTooOften:    "421 4.7.0 You connect too often",
	policy.NetworkTooOften: "421 4.7.0 Your network connects too often",
	policy.Overload:        "421 4.3.2 Too busy",
	policy.Reserved:        "421 4.3.2 Too many connections",
	policy.Full:            "421 4.3.2 Too many connections",
	policy.Judging:         "421 4.3.2 Too many connections",
}

// deniedReply is the reply of SMTP to a peer that a rule denies. With 554 in
// the place of a greeting a client need not come again.
const deniedReply = "554 5.7.1 Access denied"

// refusal returns the line for whom a limit refuses.
func (r Refusals) refusal(reason policy.Reason, message policy.Name) string {
	if !r.SMTP {
		return line("", message)
	}
	return line(replies[reason], message)
}

// denial returns the line for whom a rule denies.
func (r Refusals) denial(message policy.Name) string {
	if !r.Denied {
		return line("", message)
	}
	return line(deniedReply, message)
}

// maxReply is how long a line of SMTP may be, without its end.
const maxReply = 510

// line returns a message, or where nobody wrote one the reply, as one line.
// Where there is a reply, and so the peer speaks SMTP, a message without a
// code gets that of the reply. Whatever is in the message, it stays one line.
func line(reply string, message policy.Name) string {
	text, written := message.Text()
	switch {
	case !written:
		text = reply
	case text != "" && reply != "" && !hasCode(text):
		text = reply[:len("421 4.7.0 ")] + text
	}
	if text == "" {
		return ""
	}
	printable := func(c rune) rune {
		if c < ' ' || c > '~' {
			return '?'
		}
		return c
	}
	text = strings.Map(printable, text)
	return text[:min(len(text), maxReply)] + "\r\n"
}

// hasCode tells whether a text begins as a reply of SMTP that refuses.
func hasCode(text string) bool {
	digit := func(i int) bool { return '0' <= text[i] && text[i] <= '9' }
	return len(text) >= 4 && (text[0] == '4' || text[0] == '5') && digit(1) && digit(2) && text[3] == ' '
}

// showOut closes a connection that became no session, after a line if there
// is one. It waits for nobody: the socket has room for the line, or not.
func (s *Server) showOut(c *connection, line string) {
	s.slots.leave(c.visit)
	if line == "" {
		unix.Close(c.fd)
		return
	}
	// The line waits for the end of the connection, and they go in one packet.
	_, err := unix.SendmsgN(c.fd, []byte(line), nil, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL|unix.MSG_MORE)
	if err != nil || !s.lingering.add(c.fd, time.Now()) {
		unix.Close(c.fd)
	}
}
