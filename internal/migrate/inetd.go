package migrate

import (
	"path"
	"slices"
	"strings"
)

// entry is what inetd and xinetd know of a service.
type entry struct {
	line        line
	host, port  word
	user, group word
	server      word
	arguments   []word // the name of the program first
}

// inetdFields are the least that a line of inetd.conf has.
const inetdFields = 6

// isInetd tells whether a text is an inetd.conf: its first line that counts
// is a service.
func isInetd(text string) bool {
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) == 0 || fields[0][0] == '#' && !strings.HasPrefix(line, "#!") {
			continue
		}
		return len(fields) >= inetdFields && slices.Contains([]string{"stream", "dgram", "seqpacket", "raw"}, fields[1])
	}
	return false
}

func readInetd(text string) reading {
	var r reading
	n := 0
	for line := range strings.Lines(text) {
		n++
		fields := strings.Fields(line)
		switch {
		case len(fields) == 0 || fields[0][0] == '#':
		case len(fields) < inetdFields:
			r.remarks = append(r.remarks, remark{line: n, words: fields, what: "not a line of inetd.conf", hand: true})
		default:
			r.inetd(n, fields)
		}
	}
	return r
}

// inetd reads a line of inetd.conf.
func (r *reading) inetd(n int, fields []string) {
	words := make([]word, len(fields))
	for i, field := range fields {
		words[i] = word{value: checked(known(field)), source: field}
	}
	wait, most, limited := strings.Cut(strings.ReplaceAll(fields[3], "/", "."), ".")
	e := newEntry(n)
	e.port, e.server, e.arguments = words[0], words[5], words[6:]
	user, group, _ := cutAny(fields[4], ".:/")
	e.user, e.group = word{value: known(user), source: fields[4]}, word{value: known(group)}
	if host, port, has := cutLast(fields[0], ":"); has {
		e.host, e.port = word{value: known(strings.Trim(strings.ReplaceAll(host, "*", "0"), "[]"))}, word{value: known(port), source: fields[0]}
	}
	if fields[1] != "stream" || !strings.HasPrefix(fields[2], "tcp") || wait != "nowait" || fields[5] == "internal" {
		r.remarks = append(r.remarks, remark{line: n, words: fields, what: "not translated: no program that is run for each connection of TCP", hand: true})
		return
	}
	e.line.note(words[1:3], "nothing, the socket is that")
	if fields[2] == "tcp4" {
		e.line.service.only4 = true
	}
	e.line.note(words[3:4], "ucspid runs the program for each connection; 40 at once, and -c is for more")
	if limited {
		e.line.service.note(n, "not "+most+" a minute, which switched the service off for all: --rate is for each host", false)
	}
	r.services = append(r.services, e.read())
}

// cutLast cuts a text around the last separator.
func cutLast(text, separator string) (before, after string, found bool) {
	i := strings.LastIndex(text, separator)
	if i < 0 {
		return "", text, false
	}
	return text[:i], text[i+len(separator):], true
}

func newEntry(n int) *entry {
	return &entry{
		line: line{scope: newScope(""), number: n, service: &service{line: n}},
		host: word{value: known("0")},
	}
}

// read makes a service of what is known.
func (e *entry) read() *service {
	l := &e.line
	l.host(e.host)
	l.port(e.port)
	l.service.user, l.service.group = e.user.value, e.group.value
	what, hand := lineOf("User", e.user.value)
	l.service.note(l.number, what, hand, sources([]word{e.user})...)
	if e.group.source != "" {
		what, hand := lineOf("Group", e.group.value)
		l.service.note(l.number, what, hand, e.group.source)
	}
	e.command()
	l.service.options = append([]string{"-v", "-R"}, l.service.options...)
	asked := !slices.ContainsFunc(slices.Concat([]word{e.server}, e.arguments), func(w word) bool { return w.base() == "tcp-env" })
	if asked {
		l.service.options = append(l.service.options, "-H", "-l", "0")
		l.service.note(l.number, "-R -H -l 0: no names are asked for, as before; -v: each session is in the journal", false)
	} else {
		l.service.note(l.number, "names are asked for, as tcp-env did, but no ident; -v: each session is in the journal", false)
	}
	l.program()
	return l.service
}

// cutAny cuts a text around the first of several separators.
func cutAny(text, separators string) (before, after string, found bool) {
	if i := strings.IndexAny(text, separators); i >= 0 {
		return text[:i], text[i+1:], true
	}
	return text, "", false
}

// command turns the server and its arguments, whose first is its own name,
// into the words of a command.
func (e *entry) command() {
	l := &e.line
	if e.server.base() == "tcpd" {
		l.todo([]word{e.server}, "hosts.allow and hosts.deny become rules, see tcp.smtp(5)"+untilRules)
		l.service.closed = true
		l.words = slices.DeleteFunc(slices.Clone(e.arguments), func(w word) bool { return w.source == "" })
		return
	}
	l.words = []word{e.server}
	if len(e.arguments) == 0 {
		return
	}
	switch name := e.arguments[0]; {
	case name.source == "": // xinetd has none
	case path.Base(name.text) == e.server.base():
		l.note([]word{name}, "nothing, it is the program's name")
	default:
		l.todo([]word{name}, "not the program's name: argv0(1) before the program, if it needs that")
	}
	l.words = append(l.words, e.arguments[1:]...)
}
