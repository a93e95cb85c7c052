package migrate

import (
	"maps"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// simpleCommand reads a command without any structure.
func (s *script) simpleCommand(stmt *syntax.Stmt, call *syntax.CallExpr) {
	if len(call.Args) == 0 {
		for _, assign := range call.Assigns {
			s.assign(assign)
		}
		return
	}
	var explained []remark
	words := s.words(call.Args, func(r remark) { explained = append(explained, r) })
	if len(words) == 0 {
		return
	}
	name := words[0].base()
	switch f, isFunction := s.functions[name]; {
	case isNeedless(words):
		s.skip(name)
	case isFunction:
		s.call(f)
	case serverAt(words) >= 0:
		s.serve(call, words, explained)
	case !s.builtin(name, words[1:], stmt) && !s.inner(words, call) && !s.qmail(words, stmt):
		s.remark(stmt, "not translated; where the service needs it, ExecStartPre= of its unit can have it", true)
	}
}

// isNeedless tells whether a command does nothing for a server that systemd
// starts.
func isNeedless(words []word) bool {
	name := words[0].base()
	if name == "start-stop-daemon" {
		return slices.ContainsFunc(words, func(w word) bool { return w.text == "--stop" || w.text == "-K" })
	}
	return slices.Contains([]string{
		"echo", "printf", "test", "[", "exit", "return", "true", "false", ":", "sleep", "touch", "rm", "shift", "wait",
		"trap", "success", "failure", "action", "log_begin_msg", "log_daemon_msg", "log_progress_msg", "log_end_msg",
		"killall", "kill", "pkill", "killproc", "pidof", "pgrep", "ps", "grep", "svc", "svok", "svstat", "svscan",
		"svscanboot", "supervise", "status", "cat", "hash", "type", "command", "which",
	}, name)
}

// skip notes that a command is left out.
func (s *script) skip(name string) {
	const what = "left out, for systemd starts, stops and watches the service"
	for i := range s.needless {
		if s.needless[i].what == what {
			if !slices.Contains(s.needless[i].words, name) {
				s.needless[i].words = append(s.needless[i].words, name)
			}
			return
		}
	}
	s.needless = append(s.needless, remark{words: []string{name}, what: what})
}

// serve reads a line that starts a server.
func (s *script) serve(call *syntax.CallExpr, words []word, explained []remark) {
	service := &service{line: s.line(call)}
	for _, r := range explained {
		service.note(r.line, r.what, r.hand, r.words...)
	}
	l := &line{words: words, number: s.line(call), scope: s.scope.clone(), service: service}
	for _, name := range slices.Sorted(maps.Keys(s.exported)) {
		if v, set := s.vars[name]; set {
			l.environ(name, v, "export "+name)
		}
	}
	for _, assign := range call.Assigns {
		l.environ(assign.Name.Value, s.assigned(assign), s.source(assign))
	}
	if s.umask != "" && !service.setUmask(s.umask) {
		service.note(l.number, "UMask= of the service", true, "umask "+s.umask)
	}
	if s.moved && s.cwd != "/" {
		service.moveTo(s.cwd)
	}
	if !l.read() {
		for _, r := range l.service.remarks {
			r.line = l.number
			s.remarks = append(s.remarks, r)
		}
		return
	}
	s.services = append(s.services, l.service)
}

// builtin does what a command of the shell does to the rest of the script.
func (s *script) builtin(name string, args []word, stmt *syntax.Stmt) bool {
	texts, allKnown := literals(args)
	switch name {
	case "exec":
		return len(args) == 0 // redirections
	case "cd", "chdir":
		s.changeDirectory(args)
	case "set":
	case "unset":
		for _, variable := range texts {
			s.vars[variable] = known("")
		}
	case "umask":
		if !allKnown || len(texts) != 1 {
			return false
		}
		s.umask = texts[0]
	case "ulimit":
		s.ulimit(strings.Join(texts, " "), stmt)
	case ".", "source", "eval":
		s.include(texts, stmt)
	case "read":
		for _, variable := range texts {
			s.vars[variable] = notKnown("$" + variable + " is read while the script runs")
		}
	default:
		return false
	}
	return true
}

func (s *script) changeDirectory(args []word) {
	s.moved = true
	if len(args) != 1 || args[0].kind != literal {
		s.cwd = ""
		return
	}
	s.cwd = s.absolute(args[0].text)
}

func (s *script) ulimit(args string, stmt *syntax.Stmt) {
	if strings.HasPrefix(args, "-c") || strings.HasPrefix(args, "-n") {
		s.remark(stmt, "nothing, the shipped units have such limits", false)
		return
	}
	s.remark(stmt, "write softlimit before the program (ulimit counts in KiB, softlimit -m in bytes); not LimitAS=, which binds ucspid, too", true)
}

// include notes that another file is run here.
func (s *script) include(files []string, stmt *syntax.Stmt) {
	file := strings.Join(files, " ")
	switch file {
	case "/etc/init.d/functions", "/etc/rc.d/init.d/functions", "/lib/lsb/init-functions", "/etc/rc.subr", "/etc/rc.status":
		s.remark(stmt, "nothing, these are functions for init scripts", false)
		return
	}
	s.remark(stmt, "what it sets is not known here; if it is for the server, Environment= of the service has its place", true)
	s.forget(s.source(stmt))
}

// maxDepth is how many scripts may be within each other.
const maxDepth = 4

// inner walks through what a shell is given with -c, perhaps by a program that
// prepares something. Such a text is taken as it is written: its variables are
// those of this script.
func (s *script) inner(words []word, call *syntax.CallExpr) bool {
	at := len(words) - 3
	if at < 0 || len(call.Args) != len(words) || s.depth == maxDepth || !strings.HasSuffix(words[at].base(), "sh") {
		return false
	}
	if !slices.Contains([]string{"-c", "-cf", "-fc", "-ec", "-ce"}, words[at+1].text) {
		return false
	}
	arg := call.Args[at+2]
	if len(arg.Parts) != 1 {
		return false
	}
	text, made := s.source(arg), len(s.services)
	switch part := arg.Parts[0].(type) {
	case *syntax.SglQuoted:
		text = part.Value
	case *syntax.DblQuoted:
		text = inQuotes(s.text[part.Pos().Offset()+1 : part.End().Offset()-1])
	}
	var err error
	s.depth++
	s.within(text, s.line(arg)-1, func() { err = s.parse(text) })
	s.depth--
	for _, started := range s.services[made:] {
		s.prepared(started, words[:at], words[at:at+2])
	}
	return err == nil
}

// prepared reads the programs before a shell that starts a server.
func (s *script) prepared(started *service, words, shell []word) {
	l := &line{scope: s.scope, words: words, number: started.line, service: started}
	remarks, before := started.remarks, started.before
	started.remarks, started.before = nil, nil
	for len(l.words) > 0 {
		if !l.wrapper() {
			l.todo(l.take(len(l.words)), "not known here; what it does for the server has to be written by hand")
		}
	}
	l.note(shell, "nothing, systemd starts the server")
	started.remarks = slices.Concat(started.remarks, remarks)
	started.before = slices.Concat(started.before, before)
}

// qmail recognizes what starts the other parts of qmail, and what is done by
// hand to files of ours.
func (s *script) qmail(words []word, stmt *syntax.Stmt) bool {
	for _, w := range words {
		switch name := w.base(); {
		case w.text == "/var/qmail/rc" && w.kind == literal:
			s.remark(stmt, "qmail-rc.service runs it: systemctl enable --now qmail-rc.service; let it end in exec", false)
		case name == "qmail-start":
			s.remark(stmt, "belongs into /var/qmail/rc, after exec; qmail-rc.service runs that", true)
		case isLogger(name):
			s.remark(stmt, "nothing, the journal keeps what is logged; how much of it is SystemMaxUse= in journald.conf", false)
		case name == "tcprules":
			s.remark(stmt, "ucspidctl rules compile; qmail-smtp-rules.path does it whenever /etc/tcp.smtp is saved", false)
		case name == "chmod":
			return s.chmod(words, stmt)
		default:
			continue
		}
		return true
	}
	return false
}

// chmod looks for rules that everybody may write.
func (s *script) chmod(words []word, stmt *syntax.Stmt) bool {
	if len(words) < 3 || !strings.HasSuffix(words[len(words)-1].text, ".cdb") {
		return false
	}
	mode := words[len(words)-2].text
	if strings.HasSuffix(mode, "7") || strings.HasSuffix(mode, "6") || strings.HasSuffix(mode, "2") || strings.Contains(mode, "w") {
		s.remark(stmt, "left out and advised against: whoever may write the rules lets himself relay; chmod 0644 that file", false)
		return true
	}
	s.remark(stmt, "left out; ucspidctl rules compile writes the rules with mode 0644", false)
	return true
}

// isLogger tells whether a program keeps a log.
func isLogger(name string) bool {
	return slices.Contains([]string{"multilog", "splogger", "svlogd", "s6-log", "cyclog", "tai64n", "logger", "accustamp", "usually"}, name)
}

// logger accounts for a log program at the end of a server's pipe.
func (s *script) logger(server *service, stmt *syntax.Stmt) {
	if pipe, ok := stmt.Cmd.(*syntax.BinaryCmd); ok && pipe.Op == syntax.Pipe {
		s.logger(server, pipe.X)
		s.logger(server, pipe.Y)
		return
	}
	source := s.source(stmt)
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	if !ok {
		server.note(s.line(stmt), "nothing but the journal gets the log now", true, "|", source)
		return
	}
	words := s.words(call.Args, nil)
	named := slices.IndexFunc(words, func(w word) bool { return isLogger(w.base()) })
	if named < 0 {
		server.note(s.line(stmt), "nothing but the journal gets the log now; journalctl -f can feed another program", true, "|", source)
		return
	}
	what := "nothing, the journal has it"
	if words[named].base() == "splogger" {
		what = server.splogger(words[named+1:])
	}
	server.note(s.line(stmt), what, false, "|", source)
}
