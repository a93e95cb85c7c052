package migrate

import (
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// program reads what the server runs for a client.
func (l *line) program() {
	for len(l.words) > 0 {
		switch l.next().base() {
		case "setuidgid", "s6-setuidgid":
			l.account(l.take(2), false)
			continue
		case "tcp-env":
			words := append(l.take(1), l.flags("t")...)
			l.note(words, "left out and advised against: ucspid sets these variables, and tcp-env spoils those of an IPv6 peer")
			continue
		case "softlimit", "s6-softlimit":
			l.softlimit()
			continue
		}
		break
	}
	l.programPath()
	for i := range l.words {
		l.programWord(l.words[i], l.words[:i])
	}
	l.service.program = append(l.service.program, l.words...)
	l.words = nil
}

// programPath makes the path of the program one from the root.
func (l *line) programPath() {
	if text := l.next().text; l.next().kind == literal && strings.Contains(text, "/") {
		whole := l.absolute(text)
		if whole == "" {
			l.words[0].value = notKnown("in which directory that is, is not known here")
			return
		}
		l.words[0].value = known(whole)
	}
}

// programWord says what is to be said of a word of the program, behind those
// before it.
func (l *line) programWord(w word, before []word) {
	if w.kind == firstLine {
		l.note([]word{w}, "a shell reads it for each session; the name itself in its place would save that")
		return
	}
	if w.kind != literal {
		l.inProgram(&w)
		return
	}
	what := same
	if !strings.Contains(w.source, w.text) {
		what = w.text
	}
	switch name := w.base(); {
	case name == "fixcrio":
		what = "the same, but advised against: it makes a bare newline end a line, and so lets in mail within mail (SMTP smuggling); better without"
	case name == "recordio":
		what = "the same, but advised against: it logs all mail and all passwords, now to the journal; better without"
	case name == "rblsmtpd":
		what = "the same; of IPv6 peers it asks nothing useful"
	case isDead(w.text) && slices.ContainsFunc(before, func(w word) bool { return w.base() == "rblsmtpd" }):
		what = "the same, but advised against: this list is no more"
	case isChecker(name) && slices.ContainsFunc(before, func(w word) bool { return takesMail(w.base()) }):
		what = l.service.authentication(w.text)
	case isChecker(name):
		l.service.home(w.text)
	}
	l.note([]word{w}, what)
}

// isDead tells whether a list of rblsmtpd's has gone for good. Some of these
// listed everybody at their end.
func isDead(list string) bool {
	list, _, _ = strings.Cut(list, ":")
	return slices.Contains([]string{
		"rbl.maps.vix.com", "relays.ordb.org", "list.dsbl.org", "dnsbl.njabl.org", "combined.njabl.org",
		"opm.blitzed.org", "relays.osirusoft.com",
	}, list) || strings.HasSuffix(list, "dnsbl.sorbs.net")
}

// takesMail tells whether a program hands mail to set-uid qmail-queue.
func takesMail(name string) bool {
	switch name {
	case "qmail-smtpd", "qmail-qmtpd", "qmail-qmqpd", "qmail-ofmipd", "ofmipd", "mailfront", "spamdyke":
		return true
	}
	return strings.HasPrefix(name, "smtpfront-") || strings.HasPrefix(name, "qmtpfront-") || strings.HasPrefix(name, "qmqpfront-")
}

// logsIn tells whether a program becomes the user who logs in.
func logsIn(name string) bool {
	switch name {
	case "qmail-popup", "qmail-pop3d", "pop3front-auth", "imapfront-auth", "imaplogin", "imapd", "bincimap-up",
		"auth_pop", "auth_imap":
		return true
	}
	return isChecker(name)
}

// isChecker tells whether a program has the interface of checkpassword.
func isChecker(name string) bool {
	return strings.Contains(name, "checkp") || strings.Contains(name, "chkpw") || strings.Contains(name, "checkvpw")
}

// authentication lets a program that takes mail check passwords, as the
// drop-ins vpopmail.conf and auth.conf do.
func (s *service) authentication(checker string) string {
	if path.Base(checker) == "vchkpw" {
		s.home(checker)
		return "the same; the home of vpopmail can be written, as by the drop-in vpopmail.conf"
	}
	s.checker = true
	return "the same; if it is set-uid root it needs what the drop-in auth.conf has, which is below"
}

// home lets vpopmail write where it keeps everything.
func (s *service) home(checker string) {
	home := path.Dir(path.Dir(checker))
	if path.Base(checker) == "vchkpw" && path.IsAbs(checker) && home != "/" && home != "/usr" && home != "/usr/local" {
		s.writable = []string{home}
	}
}

// command returns the words that ucspid runs. Where one is in a control file
// it is a shell that reads it.
func (s *service) command() []string {
	words := slices.Concat(s.before, s.program)
	if texts, all := literals(words); all {
		return texts
	}
	if slices.ContainsFunc(words, func(w word) bool { return w.kind == firstLine }) {
		return []string{"sh", "-c", "exec " + shellCommand(words)}
	}
	var texts []string
	for _, w := range words {
		if w.kind != literal {
			w.text = "TODO"
		}
		texts = append(texts, w.text)
	}
	return texts
}

// shellCommand returns words as a shell reads them.
func shellCommand(words []word) string {
	var all []string
	for _, w := range words {
		text, err := syntax.Quote(w.text, syntax.LangPOSIX)
		switch {
		case w.kind == firstLine && err == nil:
			text = printing(w, text)
		case w.kind != literal || err != nil:
			text = "TODO"
		}
		all = append(all, text)
	}
	return strings.Join(all, " ")
}

// printing returns what has a shell put a file in the place of a word.
func printing(w word, file string) string {
	command := "$(head -n 1 " + file + ")"
	if w.all {
		command = "$(cat " + file + ")"
	}
	if w.split {
		return command
	}
	return `"` + command + `"`
}
