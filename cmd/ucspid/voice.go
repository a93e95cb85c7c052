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
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// What the program says while it serves goes through here: to the journal as
// native entries where stderr is connected to it, else to stderr, an event a
// line with the program's name before it. Whoever has something to say never
// waits: when the reader is too slow, or gone, lines are left out, counted, and
// the count is said.

const (
	voiceQueue    = 4096            // events
	voicePatience = 2 * time.Second // for the last events at the end
)

// voice says events in the order in which they come.
type voice struct {
	quiet bool
	queue chan *utterance
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
		queue: make(chan *utterance, voiceQueue),
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
	case v.queue <- &utterance{event: e}:
	default:
		v.lost.Add(1)
	}
}

func (v *voice) run(say func(ucspi.Event) error) {
	defer close(v.done)
	for u := range v.queue {
		if u.said != nil {
			close(u.said)
			continue
		}
		if err := say(u.event); err != nil {
			v.lost.Add(1)
			continue
		}
		if n := v.lost.Swap(0); n > 0 && say(leftOut(n)) != nil {
			v.lost.Add(n)
		}
	}
}

func leftOut(n uint64) ucspi.Event {
	return ucspi.Event{
		Name: "lost", Warning: true, Count: int(n),
		Line: fmt.Sprintf("warning: %d lines left out: the log did not take them", n),
	}
}

// warn says what is wrong and does not keep us from serving: the error, and
// the hint in a line of its own.
func (v *voice) warn(event string, err error) {
	if !v.quiet {
		v.send(ucspi.Event{Name: event, Warning: true, Reason: err.Error(), Line: strings.Join(exit.Lines(err), "\n")})
	}
}

// flush returns when all that was sent so far is said, as long as that does
// not take too long.
func (v *voice) flush() {
	timeout := time.After(voicePatience)
	said := make(chan struct{})
	select {
	case v.queue <- &utterance{said: said}:
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

func sayText(w io.Writer) func(ucspi.Event) error {
	return func(e ucspi.Event) error {
		_, err := io.WriteString(w, "ucspid: "+strings.ReplaceAll(e.Line, "\n", "\nucspid: ")+"\n")
		return err
	}
}

func sayJournal(e ucspi.Event) error {
	priority := activation.Info
	if e.Warning {
		priority = activation.Warning
	}
	return activation.Journal(e.Line, priority, journalFields(e))
}

// messageIDs are what packaging/ucspid.catalog knows the events by. An id is
// never changed, and never used for another event.
var messageIDs = [...]struct{ event, id string }{
	{"status", "85fcad3a0aad4d6eb283f68d075236b2"},
	{"pid", "1a2b3423db954ce1b0583fcf26fb6bf0"},
	{"ok", "a6c68ac085d54aa79ab3a82bcafe1e2c"},
	{"deny", "7435049ed93847428c6d8476de112d58"},
	{"refuse", "085b7abe683c4d43afc81b924c01fe87"},
	{"flood", "a04fa84f775e4a42be21f1b9fa11dc0d"},
	{"end", "b119b98219584c68a58dfabf1b9d8037"},
	{"drop", "4660870890784e6e8e49a05cc4b94e9b"},
	{"drops", "6ed46e1c52ca41549f5ce929b4120e9d"},
	{"accept", "7f85cc800617468eb7742838e1ee81b4"},
	{"start", "5d1ac92ae115422f91997d4f6efbce4c"},
	{"sandbox", "5dbdf205a27343c2b1599a71bafd04e2"},
	{"reload", "8fb16e228531498193638abadac63e13"},
	{"adopt", "63e43d9ce9b14f81bf9c53e8fe9c9e3a"},
	{"lost", "87a1096a9cab4c58bff4177d505ce5d8"},
}

func messageID(event string) string {
	for _, m := range messageIDs {
		if m.event == event {
			return m.id
		}
	}
	return ""
}

// journalFields returns what an event tells beside its line.
func journalFields(e ucspi.Event) map[string]string {
	fields := map[string]string{
		"SYSLOG_IDENTIFIER": "ucspid",
		"MESSAGE_ID":        messageID(e.Name),
		"UCSPI_EVENT":       e.Name,
	}
	addEnd(fields, "UCSPI_LOCAL", e.Local)
	addEnd(fields, "UCSPI_REMOTE", e.Remote)
	addEnd(fields, "UCSPI_PROXY", e.Proxy)
	addName(fields, "UCSPI_REMOTE_HOST", e.Host)
	addName(fields, "UCSPI_REMOTE_INFO", e.Info)
	addName(fields, "UCSPI_RULE", e.Rule)
	if e.Reason != "" {
		fields["UCSPI_REASON"] = e.Reason
	}
	addNumber(fields, "UCSPI_SESSION_PID", e.PID)
	addNumber(fields, "UCSPI_LIMIT", e.Limit)
	addNumber(fields, "UCSPI_COUNT", e.Count)
	addNumber(fields, "UCSPI_DURATION_USEC", int(e.Duration.Microseconds()))
	if e.Adopted {
		fields["UCSPI_ADOPTED"] = "yes"
	}
	switch e.Name {
	case "status":
		fields["UCSPI_SESSIONS"] = strconv.Itoa(e.Sessions)
	case "end":
		fields["UCSPI_STATUS"] = strconv.Itoa(e.Status)
	case "flood":
		addSource(fields, e.Source)
	}
	return fields
}

// addSource adds the peer that all of a flood came from: its address, or in
// IPv6 its network.
func addSource(fields map[string]string, source netip.Prefix) {
	switch {
	case source.IsSingleIP():
		fields["UCSPI_REMOTE_IP"] = source.Addr().String()
	case source.IsValid():
		fields["UCSPI_REMOTE_IP"] = source.String()
	}
}

// addNumber adds a number that is never 0 where it means something.
func addNumber(fields map[string]string, name string, n int) {
	if n != 0 {
		fields[name] = strconv.Itoa(n)
	}
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
