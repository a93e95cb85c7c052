package ucspi

import (
	"fmt"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/errno"
	"ucspid/policy"
)

// What is said here is said in the words of tcpserver(1), for scripts read
// them: one event, one function, one line. A line has no program's name and
// no newline; whoever sends it adds them. Bytes from outside go through
// appendSafe or safeAddress. An error that concerns one connection is a
// warning; events are said only when verbose; denials and warnings not without
// end (flood.go).

// Verbosity says how much is said.
type Verbosity uint8

// The zero Verbosity is that of tcpserver(1) without a letter.
const (
	ErrorsOnly Verbosity = iota // -Q
	Quiet                       // -q
	Verbose                     // -v
)

// Event is one thing that happened. Fields without a meaning for it are zero.
type Event struct {
	Name     string // status, pid, ok, deny, refuse, flood, end, drop, drops, accept
	Warning  bool
	Line     string
	Local    netip.AddrPort
	Remote   netip.AddrPort
	Proxy    netip.AddrPort // who connected in the name of Remote, if anybody did
	Host     policy.Name
	Info     policy.Name
	Rule     policy.Name   // the address of the rule that decided
	Reason   string        // of a denial, a refusal or a warning
	PID      int           // of a session
	Status   int           // raw wait status of an ended session
	Duration time.Duration // of a session, or in which others were counted
	Adopted  bool          // the server before began the session
	Sessions int           // programs running, of a status
	Limit    int           // of a status
	Source   netip.Prefix  // of a flood, an address or a network of IPv6
	Count    int           // of a flood's denials, or of drops
}

// log says what happens, the events of one session in their order.
type log struct {
	verbosity Verbosity
	send      func(Event)
	flood     flood

	mu         sync.Mutex
	quietUntil time.Time // of acceptFailed
}

// event says what made makes, which is not asked for in vain.
func (l *log) event(made func() Event) {
	if l.verbosity == Verbose {
		l.send(made())
	}
}

func (l *log) warn(e Event) {
	if l.verbosity != Quiet {
		e.Warning = true
		l.send(e)
	}
}

func (l *log) status(n, limit int) {
	l.event(func() Event {
		return Event{
			Name: "status", Sessions: n, Limit: limit,
			Line: fmt.Sprintf("status: %d/%d", n, limit),
		}
	})
}

func (l *log) pid(pid int, c *connection) {
	l.event(func() Event {
		return Event{
			Name: "pid", PID: pid, Local: c.local, Remote: c.remote, Proxy: c.proxy,
			Line: "pid " + strconv.Itoa(pid) + " from " + ipText(c.remote.Addr()),
		}
	})
}

func (l *log) ok(pid int, c *connection, d policy.Decision) {
	l.event(func() Event {
		e := c.event("ok", "ok", pid)
		e.Rule = ruleOf(d)
		return e
	})
}

// shownOut says what made makes of a connection that was not let in, unless it
// is one of a flood.
func (l *log) shownOut(c *connection, made func() Event) {
	if l.verbosity == Verbose && l.flood.singleDenial(c.remote.Addr(), time.Now()) {
		l.send(made())
	}
}

// deny names the rule that denied a connection. There is no process for it:
// its pid is 0.
func (l *log) deny(c *connection, d policy.Decision) {
	l.shownOut(c, func() Event {
		e := c.event("deny", "deny", 0)
		e.Line += " RULE:" + safeAddress(d.Rule)
		e.Reason = "rule"
		e.Rule = ruleOf(d)
		return e
	})
}

// refuse names the limit that refused a connection, with the word and in the
// place that tcpserver's limits patch has for it.
func (l *log) refuse(c *connection, d policy.Decision, refusal *policy.Refusal) {
	l.shownOut(c, func() Event {
		e := c.event("refuse", "deny", 0)
		e.Line += " " + refusal.Limit()
		e.Reason = refusal.Reason.String()
		e.Rule = ruleOf(d)
		return e
	})
}

func (l *log) end(pid int, status unix.WaitStatus, ended *session) {
	l.event(func() Event {
		return Event{
			Name: "end", PID: pid, Status: int(status), Remote: ended.remote,
			Duration: time.Since(ended.started), Adopted: ended.orphan,
			Line: fmt.Sprintf("end %d status %d", pid, status),
		}
	})
}

func (l *log) dropped(c *connection, err error) {
	reason := err.Error()
	if l.verbosity != Quiet && l.flood.singleDrop(reason, time.Now()) {
		l.warn(Event{
			Name: "drop", Local: c.local, Remote: c.remote, Proxy: c.proxy, Reason: reason,
			Line: "warning: dropping connection, " + reason,
		})
	}
}

// acceptFailed is silent for a second after it spoke: the error may come again
// and again.
func (l *log) acceptFailed(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	if now.Before(l.quietUntil) {
		return
	}
	l.quietUntil = now.Add(time.Second)
	reason := errno.Text(err)
	l.warn(Event{Name: "accept", Reason: reason, Line: "warning: unable to accept: " + reason})
}

// event returns an event of a connection, whose line begins with the verdict.
func (c *connection) event(name, verdict string, pid int) Event {
	localHost, _ := c.localHost.Text()
	remoteHost, _ := c.remoteHost.Text()
	remoteInfo, _ := c.remoteInfo.Text()
	b := make([]byte, 0, 128)
	b = append(b, verdict...)
	b = append(b, ' ')
	b = strconv.AppendInt(b, int64(pid), 10)
	b = append(b, ' ')
	b = appendSafe(b, localHost, ":")
	b = append(b, ipText(c.local.Addr())...)
	b = append(b, ':')
	b = strconv.AppendUint(b, uint64(c.local.Port()), 10)
	b = append(b, ' ')
	b = appendSafe(b, remoteHost, ":")
	b = append(b, ipText(c.remote.Addr())...)
	b = append(b, ':')
	b = appendSafe(b, remoteInfo, ":")
	b = strconv.AppendUint(b, uint64(c.remote.Port()), 10)
	return Event{
		Name: name, Line: string(b), PID: pid,
		Local: c.local, Remote: c.remote, Proxy: c.proxy, Host: c.remoteHost, Info: c.remoteInfo,
	}
}

// ipText returns an address as the log shows it: IPv6 in brackets.
func ipText(ip netip.Addr) string {
	if ip.Is4() {
		return ip.String()
	}
	return "[" + ip.String() + "]"
}

// maxLogField is how many bytes of a field are shown.
const maxLogField = 100

// appendSafe appends a field that somebody else wrote, and then end. A colon in
// it would part it in two.
func appendSafe(b []byte, text, end string) []byte {
	b = appendShown(b, text, func(c byte) bool { return c != ':' && safe(c) })
	return append(b, end...)
}

// safeAddress returns a rule's address for the end of a line, where it may
// hold colons.
func safeAddress(address string) string { return string(appendShown(nil, address, safe)) }

// appendShown appends text with a "?" for each byte that is not allowed. A long
// one is cut off.
func appendShown(b []byte, text string, allowed func(byte) bool) []byte {
	for i := range min(len(text), maxLogField) {
		c := text[i]
		if !allowed(c) {
			c = '?'
		}
		b = append(b, c)
	}
	if len(text) >= maxLogField {
		b = append(b, "..."...)
	}
	return b
}

// safe tells whether a byte from outside can break neither a line nor what
// reads it: no blank, control character, byte beyond ASCII, or "%".
func safe(c byte) bool { return c > ' ' && c <= '~' && c != '%' }
