package migrate

import (
	"slices"
	"strconv"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// line is a command that starts a server, while it is read from its first
// word to its last.
type line struct {
	scope
	words   []word // those that are not yet read
	number  int    // of the line in the file
	service *service
}

// serverAt returns where in a command the server stands, or -1.
func serverAt(words []word) int {
	return slices.IndexFunc(words, func(w word) bool {
		switch w.base() {
		case "tcpserver", "sslserver", "tcpsvd", "sslsvd", "s6-tcpserver", "s6-tcpserver4", "s6-tcpserver6", "s6-tlsserver", "couriertcpd":
			return true
		}
		return false
	})
}

// take reads the next n words, as far as there are so many.
func (l *line) take(n int) []word {
	n = min(n, len(l.words))
	taken := l.words[:n:n] // whoever appends to it gets a copy
	l.words = l.words[n:]
	return taken
}

// note says what became of words.
func (l *line) note(words []word, what string) {
	l.service.note(l.number, what, false, sources(words)...)
}

// todo says what somebody has to do about words.
func (l *line) todo(words []word, what string) {
	l.service.note(l.number, what, true, sources(words)...)
}

// next returns the next word, or one that is empty.
func (l *line) next() word {
	if len(l.words) == 0 {
		return word{}
	}
	return l.words[0]
}

// read makes the line a service, unless it has a server that is not known.
func (l *line) read() bool {
	for serverAt(l.words) > 0 {
		if !l.wrapper() {
			l.todo(l.take(serverAt(l.words)), "not known here; what it does for the server has to be written by hand")
		}
	}
	if serverAt(l.words) != 0 {
		l.todo(l.take(len(l.words)), "the server is an argument of what stands before it")
		return false
	}
	server := l.take(1)
	switch server[0].base() {
	case "tcpserver":
		l.note(server, "ucspid")
		l.options(tcpserver)
	case "tcpsvd":
		l.note(server, "ucspid")
		l.options(tcpsvd)
	case "sslserver":
		l.service.tls = true
		l.note(server, "ucspid, without TLS: see below")
		l.options(sslserver)
	default:
		l.todo(append(server, l.take(len(l.words))...), "a server with other options than tcpserver's: write this line by hand, after ucspid(8)")
		return false
	}
	l.hostAndPort()
	l.program()
	return true
}

// wrapper reads a program that prepares something and then runs the next
// words.
func (l *line) wrapper() bool {
	switch name := strings.TrimPrefix(l.next().base(), "s6-"); name {
	case "exec", "nohup", "setsid", "pgrphack", "fghack", "time", "fdmove":
		words := l.take(1)
		for strings.HasPrefix(l.next().text, "-") || name == "fdmove" && number(l.next().text) {
			words = append(words, l.take(1)...)
		}
		l.note(words, "nothing, systemd starts the server")
	case "setlock":
		words := append(l.take(1), l.flags("")...)
		l.note(append(words, l.take(1)...), "nothing, a service runs once")
	case "softlimit":
		l.softlimit()
	case "envdir":
		l.envdir()
	case "setuidgid":
		l.account(l.take(2), false)
	case "envuidgid":
		l.account(l.take(2), true)
	case "env":
		l.env()
	case "nice":
		l.nice()
	case "chpst":
		l.chpst()
	case "daemon":
		l.daemon()
	case "start-stop-daemon":
		l.startStopDaemon()
	default:
		return false
	}
	return true
}

// flags reads options of a program. The letters are those with an argument.
func (l *line) flags(withArgument string) []word {
	var words []word
	for {
		text := l.next().text
		if !strings.HasPrefix(text, "-") && !strings.HasPrefix(text, "+") || l.next().kind != literal {
			return words
		}
		words = append(words, l.take(1)...)
		if text == "--" {
			return words
		}
		if len(text) == 2 && strings.Contains(withArgument, text[1:]) {
			words = append(words, l.take(1)...)
		}
	}
}

// softlimit stays, before the program: LimitAS= would bind ucspid, too.
func (l *line) softlimit() {
	words := append(l.take(1), l.flags("acdflmoprst")...)
	l.service.before = append(l.service.before, words...)
	l.note(words, "stays, before the program; not LimitAS=, which binds ucspid, too")
	for i := range words {
		l.inProgram(&words[i])
	}
}

// inProgram asks about a word of the program that is not known.
func (l *line) inProgram(w *word) {
	if w.kind == unknown || w.kind == userID || w.kind == groupID {
		l.todo([]word{*w}, "stands as TODO in the program: "+w.why())
	}
}

func (l *line) envdir() {
	words := append(l.take(1), l.flags("")...)
	words = append(words, l.take(1)...)
	l.directory(words, []string{words[0].text}, words[len(words)-1])
}

// directory has a program read a directory of variables. It does so as root
// and before ucspid, as it always did, so what a rule sets still wins.
func (l *line) directory(words []word, program []string, directory word) {
	whole := l.absolute(directory.text)
	if directory.kind != literal || whole == "" {
		l.todo(words, "which directory that is, is not known here: write "+strings.Join(program, " ")+" and its path before ucspid in ExecStart=")
		return
	}
	l.service.outside = slices.Concat(l.service.outside, program, []string{whole})
	l.note(words, "the same, before all else: what a rule sets still wins")
}

// account reads setuidgid or envuidgid.
func (l *line) account(words []word, onlyVariables bool) {
	what, hand := l.user(append(slices.Clone(words), word{})[1].value, onlyVariables)
	l.service.note(l.number, what, hand, sources(words)...)
}

// user makes an account, or one with a group behind a colon, that of the
// server, or only that of its variables.
func (l *line) user(account value, onlyVariables bool) (what string, hand bool) {
	name, group, hasGroup := strings.Cut(account.text, ":")
	user, of := value{kind: userID, text: name}, value{kind: groupID, text: name}
	if hasGroup {
		of = known(group)
	}
	switch {
	case account.kind != literal || !isAccount(name):
		return "which user that is, is not known here: User= and Group= of the service", true
	case onlyVariables:
		l.vars["UID"], l.vars["GID"] = user, of
		return "for -U", false
	}
	l.service.user, l.service.group = user, of
	return "User=" + name + " and its group", false
}

// env reads env(1) and its assignments.
func (l *line) env() {
	words := append(l.take(1), l.flags("u")...)
	l.note(words, "nothing, a service has systemd's few variables, and the program none of them")
	for {
		w := l.next()
		name, value, is := strings.Cut(w.text, "=")
		switch {
		case w.kind == unknown && strings.Contains(w.source, "="):
			l.todo(l.take(1), "not a variable of the service: "+w.text)
		case w.kind == literal && is:
			l.environ(name, known(value), l.take(1)[0].source)
		default:
			return
		}
	}
}

// environ adds a variable of the server, and says how it is written.
func (l *line) environ(name string, v value, as string) {
	s := l.service
	s.env = slices.DeleteFunc(s.env, func(before variable) bool { return before.name == name })
	what, hand := "a variable of the service", false
	switch {
	case isOurs(name):
		what, hand = "left out, for the units use this name: a rule can set it", true
	case v.kind != literal:
		what, hand = "is left out of the variables of the service: "+v.why(), true
	case name == "PATH":
		v.text = withOurs(v.text)
	case name == "QMAILQUEUE":
		what += "; what a scanner writes elsewhere than in the queue needs ReadWritePaths="
	}
	if !hand {
		s.env = append(s.env, variable{name, v.text})
	}
	s.note(l.number, what, hand, as)
}

// isOurs tells whether a variable is one that the units and ucspid use
// themselves, or none at all.
func isOurs(name string) bool {
	return !syntax.ValidName(name) || name == "USER" || name == "MAINPID" || name == "NOTIFY_SOCKET" ||
		strings.HasPrefix(name, "UCSPID_") || strings.HasPrefix(name, "LISTEN_")
}

// withOurs adds to PATH where ucspid and the programs of the system are.
func withOurs(path string) string {
	all := strings.Split(path, ":")
	for _, directory := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		if !slices.Contains(all, directory) {
			all = append(all, directory)
		}
	}
	return strings.Join(slices.DeleteFunc(all, func(d string) bool { return !strings.HasPrefix(d, "/") }), ":")
}

func (l *line) nice() {
	words := append(l.take(1), l.flags("n")...)
	by := "10"
	switch n := len(words); {
	case n == 2:
		by = strings.TrimPrefix(strings.TrimPrefix(words[1].text, "-"), "n")
	case n > 2:
		by = words[n-1].text
	}
	if !l.service.setNice(by) {
		l.todo(words, "Nice= of the service")
		return
	}
	l.note(words, "Nice="+by)
}

// chpst reads the options of runit's program for all of these.
func (l *line) chpst() {
	chpst := l.take(1)
	l.note(chpst, "each of its options by itself")
	var limits []word
	for strings.HasPrefix(l.next().text, "-") && l.next().kind == literal {
		w := l.take(1)
		letter, arg := w[0].text[1:], word{}
		if letter != "" && strings.Contains("uUbe/nlLmdopfctr", letter[:1]) {
			if arg.text, letter = letter[1:], letter[:1]; arg.text == "" {
				arg = l.next()
				w = append(w, l.take(1)...)
			}
		}
		switch letter {
		case "u", "U":
			l.account([]word{{source: strings.Join(sources(w), " ")}, {value: arg.value}}, letter == "U")
		case "e":
			l.directory(w, []string{chpst[0].text, "-e"}, arg)
		case "m", "d", "o", "p", "f", "c", "t", "r":
			limits = append(limits, word{value: known("-" + letter)}, arg)
			l.note(w, "chpst stays, before the program, with this option; not LimitAS=, which binds ucspid, too")
			l.inProgram(&arg)
		case "P", "v", "0", "1", "2", "l", "L":
			l.note(w, "nothing, systemd starts the server")
		default:
			l.todo(w, "not translated")
		}
	}
	if len(limits) > 0 {
		l.service.before = slices.Concat(l.service.before, chpst, limits)
	}
}

// daemon reads the function that Red Hat's init scripts call.
func (l *line) daemon() {
	words := append(l.take(1), l.flags("")...)
	fates := new(fates)
	fates.add(words[0].source, "nothing, systemd starts the server", false)
	for _, w := range words {
		if name, is := strings.CutPrefix(w.text, "--user="); is {
			what, hand := l.user(known(name), false)
			fates.add("--user", what, hand)
		}
	}
	l.service.note(l.number, fates.String(), fates.hand, sources(words)...)
}

// startStopDaemon reads Debian's program up to the name of the server.
func (l *line) startStopDaemon() {
	n := serverAt(l.words)
	if n < 0 {
		n = len(l.words)
	}
	words := l.take(n)
	fates := new(fates)
	fates.add(words[0].source, "nothing, systemd starts the server", false)
	for i := range words[:n-1] {
		if text := words[i].text; text == "--chuid" || text == "-c" {
			what, hand := l.user(words[i+1].value, false)
			fates.add("--chuid", what, hand)
		}
	}
	l.service.note(l.number, fates.String(), fates.hand, sources(words)...)
	if len(l.words) > 1 && l.words[1].text == "--" {
		l.note(l.words[1:2], "nothing")
		l.words = slices.Delete(slices.Clone(l.words), 1, 2)
	}
}

// hostAndPort reads the two words before the program.
func (l *line) hostAndPort() {
	words := l.take(2)
	if len(words) < 2 || len(l.words) == 0 {
		l.todo(words, "host, port and program are not all there")
	}
	words = append(slices.Clone(words), word{}, word{})
	l.host(words[0])
	l.port(words[1])
}

// number tells whether a text is a decimal number.
func number(text string) bool {
	return between(text, 0, 1<<32-1)
}

// between tells whether a text is a decimal number within bounds.
func between(text string, least, most uint64) bool {
	n, err := strconv.ParseUint(text, 10, 64)
	return err == nil && n >= least && n <= most
}

// setNice and setUmask write down what is valid, and tell whether it is.
func (s *service) setNice(text string) bool {
	valid := between(text, 0, 19)
	if valid {
		s.nice = text
	}
	return valid
}

func (s *service) setUmask(text string) bool {
	_, err := strconv.ParseUint(text, 8, 9)
	if err == nil {
		s.umask = "0" + strings.TrimLeft(text, "0")
	}
	return err == nil
}
