package main

import (
	"fmt"
	"io"
	"net/netip"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"ucspid/activation"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// What the program says while it serves goes through here: to the journal as
// native entries where stderr is connected to it, else to stderr, one line an
// event with the program's name before it. Whoever has something to say never
// waits: when the reader is too slow, lines are left out, counted, and the
// count is said.

const (
	voiceQueue    = 4096            // events
	voicePatience = 2 * time.Second // for the last events at the end
)

// voice says events in the order in which they come.
type voice struct {
	quiet bool
	queue chan utterance
	lost  atomic.Uint64
	done  chan struct{}
}

// utterance is an event to say, or with said, which is then closed, nothing.
type utterance struct {
	event ucspi.Event
	said  chan<- struct{}
}

func newVoice(stderr io.Writer, verbosity ucspi.Verbosity) *voice {
	v := &voice{
		quiet: verbosity == ucspi.Quiet,
		queue: make(chan utterance, voiceQueue),
		done:  make(chan struct{}),
	}
	say := sayText(stderr)
	if activation.StderrIsJournal() {
		say = sayJournal
	}
	go v.run(say)
	return v
}

// send never waits.
func (v *voice) send(e ucspi.Event) {
	select {
	case v.queue <- utterance{event: e}:
	default:
		v.lost.Add(1)
	}
}

func (v *voice) run(say func(ucspi.Event)) {
	defer close(v.done)
	for u := range v.queue {
		if u.said != nil {
			close(u.said)
			continue
		}
		say(u.event)
		if n := v.lost.Swap(0); n > 0 {
			say(ucspi.Event{Name: "lost", Warning: true, Line: fmt.Sprintf("warning: %d lines left out: the log is read too slowly", n)})
		}
	}
}

// warn says what concerns no connection, in one line.
func (v *voice) warn(name string, err error) {
	if v.quiet {
		return
	}
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	v.send(ucspi.Event{Name: name, Warning: true, Reason: line, Line: "warning: " + line})
}

// flush returns when all that was sent so far is said, as long as that does
// not take too long.
func (v *voice) flush() {
	timeout := time.After(voicePatience)
	said := make(chan struct{})
	select {
	case v.queue <- utterance{said: said}:
	case <-timeout:
		return
	}
	select {
	case <-said:
	case <-timeout:
	}
}

// close says what was sent so far, as long as that does not take too long.
// Nothing may be sent any more.
func (v *voice) close() {
	close(v.queue)
	select {
	case <-v.done:
	case <-time.After(voicePatience):
	}
}

func sayText(w io.Writer) func(ucspi.Event) {
	return func(e ucspi.Event) { _, _ = io.WriteString(w, "ucspid: "+e.Line+"\n") }
}

func sayJournal(e ucspi.Event) {
	priority := activation.Info
	if e.Warning {
		priority = activation.Warning
	}
	_ = activation.Journal(e.Line, priority, journalFields(e))
}

// journalFields returns what an event tells beside its line.
func journalFields(e ucspi.Event) map[string]string {
	fields := map[string]string{"SYSLOG_IDENTIFIER": "ucspid", "UCSPI_EVENT": e.Name}
	addEnd(fields, "UCSPI_LOCAL", e.Local)
	addEnd(fields, "UCSPI_REMOTE", e.Remote)
	addName(fields, "UCSPI_REMOTE_HOST", e.Host)
	addName(fields, "UCSPI_REMOTE_INFO", e.Info)
	addName(fields, "UCSPI_RULE", e.Rule)
	if e.Reason != "" {
		fields["UCSPI_REASON"] = e.Reason
	}
	if e.PID != 0 {
		fields["UCSPI_SESSION_PID"] = strconv.Itoa(e.PID)
	}
	if e.Adopted {
		fields["UCSPI_ADOPTED"] = "yes"
	}
	if e.Name == "end" {
		fields["UCSPI_STATUS"] = strconv.Itoa(e.Status)
		fields["UCSPI_DURATION_USEC"] = strconv.FormatInt(e.Duration.Microseconds(), 10)
	}
	return fields
}

func addEnd(fields map[string]string, name string, end netip.AddrPort) {
	if end.IsValid() {
		fields[name+"_IP"] = end.Addr().String()
		fields[name+"_PORT"] = strconv.Itoa(int(end.Port()))
	}
}

func addName(fields map[string]string, field string, name policy.Name) {
	if text, known := name.Text(); known {
		fields[field] = text
	}
}
