package migrate

import (
	"regexp"
	"slices"
	"strings"
)

// isXinetd tells whether a text is for xinetd.
func isXinetd(text string) bool {
	return regexp.MustCompile(`(?m)^[ \t]*service[ \t]+\S+[ \t]*\{?[ \t]*$`).MatchString(text) &&
		regexp.MustCompile(`(?m)^[ \t]*(server|socket_type|disable)[ \t]*=`).MatchString(text)
}

// attribute is a line of a stanza.
type attribute struct {
	line   int
	name   string
	values []word
	source string
}

// stanza is a service of xinetd.
type stanza struct {
	line       int
	name       string
	attributes []attribute
}

func readXinetd(text string) reading {
	var r reading
	var at *stanza
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(line, " ")
		switch {
		case line == "" || line[0] == '#' || line == "{":
		case name == "service" && at == nil:
			at = &stanza{line: n, name: strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "{"))}
		case strings.TrimSpace(strings.TrimSuffix(line, "{")) == "defaults":
			at = &stanza{line: n}
		case line == "}" && at != nil:
			r.stanza(at)
			at = nil
		case at != nil && strings.Contains(line, "="):
			at.attributes = append(at.attributes, newAttribute(n, line))
		default:
			r.remarks = append(r.remarks, remark{line: n, words: []string{line}, what: "not translated", hand: true})
		}
	}
	if at != nil {
		r.remarks = append(r.remarks, remark{line: at.line, words: []string{"service " + at.name}, what: "not translated, for it has no end", hand: true})
	}
	return r
}

func newAttribute(n int, line string) attribute {
	name, values, _ := strings.Cut(line, "=")
	a := attribute{line: n, name: strings.TrimSpace(strings.TrimRight(strings.TrimSpace(name), "+-")), source: strings.Join(strings.Fields(line), " ")}
	for _, field := range strings.Fields(values) {
		a.values = append(a.values, word{value: checked(known(field)), source: field})
	}
	return a
}

// text returns the values of an attribute, "" where it is not there.
func (s *stanza) text(name string) string {
	i := slices.IndexFunc(s.attributes, func(a attribute) bool { return a.name == name })
	if i < 0 {
		return ""
	}
	var all []string
	for _, w := range s.attributes[i].values {
		all = append(all, w.text)
	}
	return strings.Join(all, " ")
}

// stanza makes a service of a stanza, if it is one.
func (r *reading) stanza(s *stanza) {
	whole := func(what string, hand bool) {
		words := []string{"service " + s.name}
		for _, a := range s.attributes {
			words = append(words, a.source)
		}
		r.remarks = append(r.remarks, remark{line: s.line, words: words, what: what, hand: hand})
	}
	switch {
	case s.name == "":
		r.defaults(s)
	case s.text("disable") == "yes":
		whole("nothing, it is disabled", false)
	case s.text("wait") != "no" || s.text("protocol") != "" && !strings.HasPrefix(s.text("protocol"), "tcp") || s.text("redirect") != "" || s.text("server") == "":
		whole("not translated: no program that is run for each connection of TCP", true)
	default:
		r.services = append(r.services, s.service())
	}
}

// defaults says what is to be looked at in every service.
func (r *reading) defaults(s *stanza) {
	for _, a := range s.attributes {
		r.remarks = append(r.remarks, remark{line: a.line, words: []string{a.source}, what: "of all services: not translated", hand: true})
	}
}

func (s *stanza) service() *service {
	e := newEntry(s.line)
	e.port = word{value: known(s.name)}
	for _, a := range s.attributes {
		if what, hand := e.attribute(a); what != "" {
			e.line.service.note(a.line, what, hand, a.source)
		}
	}
	if !strings.Contains(s.text("flags"), "NAMEINARGS") {
		e.arguments = slices.Insert(slices.Clone(e.arguments), 0, word{value: known(e.server.base())})
	}
	return e.read()
}

// attribute reads a line of a stanza and says what became of it, or nothing
// where that is said later.
func (e *entry) attribute(a attribute) (what string, hand bool) {
	var first word
	if len(a.values) > 0 {
		first = word{value: a.values[0].value, source: a.source}
	}
	switch a.name {
	case "port":
		e.port = first
	case "bind", "interface":
		e.host = first
	case "user":
		e.user = first
	case "group":
		e.group = first
	case "server":
		e.server = first
	case "server_args":
		e.arguments = a.values
	case "env":
		for _, w := range a.values {
			name, text, _ := strings.Cut(w.text, "=")
			e.line.environ(name, known(text), a.source)
		}
	case "instances":
		return e.limit("-c", first)
	case "per_source":
		return e.limit("-C", first)
	case "umask":
		return "UMask= of the service", !e.line.service.setUmask(first.text)
	case "nice":
		return "Nice= of the service", !e.line.service.setNice(first.text)
	case "socket_type", "protocol", "wait", "disable", "type", "id", "flags":
		return "nothing, the socket is that", false
	case "log_type", "log_on_success", "log_on_failure":
		return "nothing, the journal has it", false
	case "cps":
		return "left out: it switched the service off for all; --rate is for each host", false
	case "only_from", "no_access":
		e.line.service.closed = true
		return "write rules, see tcp.smtp(5)" + untilRules, true
	default:
		return "not translated", true
	}
	return "", false
}

// limit makes an option of a number of connections.
func (e *entry) limit(option string, most word) (what string, hand bool) {
	s := e.line.service
	switch {
	case most.text == "UNLIMITED":
		return option + " is left out, which is 40 at once, and any number of one host", option == "-c"
	case !between(most.text, 1, maxSessions):
		return option + " is left out: " + most.why(), true
	}
	s.options = append(s.options, option, most.text)
	return option, false
}
