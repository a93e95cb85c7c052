package migrate

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// dialect is the options of a server that have an argument, those of its forks
// among them.
type dialect string

const (
	tcpserver dialect = "xtuglbBcCI"
	sslserver dialect = "xtuglbBcCwT"
	tcpsvd    dialect = "cCbulixt"
)

// options reads those of the server.
func (l *line) options(d dialect) {
	defer l.defaults(d)
	for len(l.words) > 0 {
		w := l.next()
		switch {
		case w.kind == unknown && !l.isHost():
			l.todo(l.take(1), "options that are not known here: "+w.text+untilRules)
			l.service.closed = true
		case w.kind != literal, !strings.HasPrefix(w.text, "-"), w.text == "-":
			return
		case w.text == "--":
			l.note(l.take(1), "nothing, the options end with the program")
			return
		default:
			l.bundle(d)
		}
	}
}

// isHost tells whether a word that is not known stands before a port, or what
// is as unknown, and a program.
func (l *line) isHost() bool {
	if len(l.words) < 3 {
		return false
	}
	port, program := l.words[1], l.words[2]
	return port.kind == literal && portNumber(port.text) != "" ||
		port.kind != literal && program.kind == literal && !strings.HasPrefix(program.text, "-") && portNumber(program.text) == ""
}

// bundle reads a word of options, such as -vRHl0 or -c 40.
func (l *line) bundle(d dialect) {
	words := l.take(1)
	letters := words[0].text[1:]
	fates := new(fates)
	for letters != "" {
		_, n := utf8.DecodeRuneInString(letters)
		letter := letters[:n]
		letters = letters[n:]
		var arg value
		if strings.Contains(string(d), letter) {
			arg, letters = known(letters), ""
			if arg.text == "" {
				arg = l.next().value
				words = append(words, l.take(1)...)
			}
		}
		what, hand := l.option(d, letter, arg)
		if what == same && !strings.Contains(strings.Join(sources(words), " "), arg.text) {
			what = "-" + letter + " " + arg.text
		}
		fates.add("-"+letter, what, hand)
	}
	l.service.note(l.number, fates.String(), fates.hand, sources(words)...)
}

// fates is what became of the options in one word.
type fates struct {
	names, texts []string
	hand         bool
}

func (f *fates) add(name, text string, hand bool) {
	f.names, f.texts = append(f.names, name), append(f.texts, text)
	f.hand = f.hand || hand
}

func (f *fates) String() string {
	if len(slices.Compact(slices.Clone(f.texts))) == 1 {
		return f.texts[0]
	}
	var all []string
	for i, name := range f.names {
		all = append(all, name+" "+f.texts[i])
	}
	return strings.Join(all, "; ")
}

const same = "the same"

// option translates one option and says how.
func (l *line) option(d dialect, letter string, arg value) (what string, hand bool) {
	s := l.service
	switch {
	case d == tcpsvd && strings.Contains("uxitE", letter):
		return l.tcpsvdOption(letter, arg)
	case d == sslserver && strings.Contains("eEsSnNaAiIzZm3wTV", letter):
		return l.tlsOption(letter)
	case strings.Contains("qQv1XdDoOhHpPR", letter):
		s.options = append(s.options, "-"+letter)
		return same, false
	case letter == "r":
		s.options = append(s.options, "-r")
		return "the same, but advised against: it asks each client for ident, which next to none answers, and the greeting waits; -R", false
	case strings.Contains("ugUb", letter):
		return l.systemds(letter, arg)
	case letter == "4":
		s.only4 = true
		return "ListenStream= has 0.0.0.0", false
	case letter == "6":
		return "nothing, both families are served", false
	case strings.Contains("xlBctC", letter):
		return l.withArgument(letter, arg)
	}
	return "an option that is not known here", true
}

// tcpsvdOption is one that tcpserver has in another way.
func (l *line) tcpsvdOption(letter string, arg value) (what string, hand bool) {
	switch letter {
	case "u":
		return l.user(arg, false)
	case "E":
		return "the program has the variables of UCSPI all the same", false
	}
	l.service.closed = true
	return "ipsvd's instructions are not tcprules: write them anew, see tcp.smtp(5)" + untilRules, true
}

// tlsOption is one that only a server with TLS has.
func (l *line) tlsOption(letter string) (what string, hand bool) {
	switch letter {
	case "e", "E", "s", "S", "V", "w", "T":
		return "nothing, it is about TLS", false
	case "n":
		l.service.tls = false
		return "no TLS in ucspid, so the program has to do STARTTLS by itself", true
	}
	return "it is about TLS, and belongs to who does that now", true
}

// systemds translates the options that are lines of the units now.
func (l *line) systemds(letter string, arg value) (what string, hand bool) {
	s := l.service
	switch letter {
	case "u":
		s.user = arg
		return lineOf("User", arg)
	case "g":
		s.group = arg
		return lineOf("Group", arg)
	case "U":
		s.user, s.group = l.lookup("UID"), l.lookup("GID")
		what, hand = lineOf("User", s.user)
		return what + " and its group", hand
	}
	if arg.kind != literal || !between(arg.text, 1, 1<<31-1) {
		return "Backlog= of the socket: " + arg.why(), true
	}
	s.backlog = arg.text
	return "Backlog=" + arg.text + " of the socket", false
}

// lineOf says which line an option became, if its value is known.
func lineOf(name string, v value) (what string, hand bool) {
	switch account := v.account(); {
	case account != "":
		return name + "=" + account, false
	case v.kind == groupID:
		return name + "= of the service, see below", false
	}
	return name + "= of the service: " + v.why(), true
}

// isAccount tells whether a text can be the name or number of an account.
func isAccount(text string) bool {
	strange := func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("_.-", r)
	}
	return text != "" && !strings.ContainsFunc(text, strange)
}

// withArgument translates an option that ucspid has, too.
func (l *line) withArgument(letter string, arg value) (what string, hand bool) {
	add := func(text, what string) (string, bool) {
		l.service.options = append(l.service.options, "-"+letter, text)
		return what, false
	}
	switch {
	case letter == "x":
		return l.rules(arg)
	case arg.kind == firstLine && (letter == "c" || letter == "l"):
		return add("@"+arg.text, "-"+letter+" @"+arg.text+", which reads its first line")
	case letter == "c" && arg.kind == literal && strings.Contains(arg.text, "/") && l.absolute(arg.text) != "":
		return add("@"+l.absolute(arg.text), "-c @"+l.absolute(arg.text)+", as indimail has it")
	case arg.kind != literal || strings.HasPrefix(arg.text, "@"):
		return "left out: " + arg.why(), true
	case letter == "t" && !between(arg.text, 0, 24*60*60),
		letter == "c" && !between(arg.text, 1, maxSessions),
		letter == "C" && !between(strings.SplitN(arg.text, ":", 2)[0], 1, maxSessions):
		return fmt.Sprintf("left out: %q is no number of that kind", arg.text), true
	}
	return add(arg.text, same)
}

// maxSessions is as many as ucspid takes for a number of sessions.
const maxSessions = 1 << 22

// nobody is a file of rules that does not exist: with it nobody is let in.
const nobody = "/TODO"

// untilRules says so.
const untilRules = "; until the cdb stands in place of " + nobody + ", nobody is let in"

// rules translates the name of the rules.
func (l *line) rules(arg value) (what string, hand bool) {
	if whole := l.absolute(arg.text); arg.kind == literal && whole != "" {
		l.service.options = append(l.service.options, "-x", whole)
		if whole != arg.text {
			return "-x " + whole, false
		}
		return same, false
	}
	l.service.closed = true
	if arg.kind == literal {
		return "in which directory that is, is not known here" + untilRules, true
	}
	return arg.why() + untilRules, true
}

// defaults says what the server did where no option says it.
func (l *line) defaults(d dialect) {
	s := l.service
	has := func(letter string) bool { return slices.Contains(s.options, "-"+letter) }
	if d == tcpsvd {
		s.options = append(s.options, "-R")
		if !has("h") && !has("p") {
			s.options = append(s.options, "-H")
		}
		s.note(0, "tcpsvd asks for no ident, which is -R, and for the client's name only with -h, else it is -H", false)
	}
	if d == tcpserver && !has("r") && !has("R") {
		s.note(0, "neither -r nor -R: tcpserver asked each client for ident, up to 26 s; ucspid asks where a rule needs it", false)
	}
	if !has("H") && !has("h") {
		s.note(0, "without -H the greeting waits for the client's name, now for 5 s at most: add -H, if no rule and no program needs names", false)
	}
	if !has("l") {
		s.note(0, "without -l the greeting waits for our own name: -l 0 saves that", false)
	}
	if has("X") {
		s.note(0, "-X lets everybody in while the rules are missing; better without", false)
	}
}
