package migrate

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// service is one server, as systemd and ucspid(8) are to run it.
type service struct {
	origin  string
	line    int
	remarks []remark

	host    netip.Addr // the zero value: all addresses
	noHost  bool       // it is not known
	port    string     // "PORT": it is not known
	only4   bool
	backlog string
	tls     bool

	outside []string // what runs ucspid
	options []string
	closed  bool   // the rules are not known: nobody is to be let in
	before  []word // what runs the program
	program []word

	user, group value
	env         []variable
	writable    []string // below ProtectSystem=
	checker     bool     // the program runs a set-uid-root checkpassword
	tag         string
	facility    string
	umask       string
	directory   string // where the script went
	nice        string

	second   bool // qmail-smtp is another
	template template
}

type variable struct{ name, value string }

// template is the unit that a service is an instance of.
type template string

const (
	qmailSMTP template = "qmail-smtp"
	setuid    template = "ucspid-setuid@"
	login     template = "ucspid-login@"
	plain     template = "ucspid@"
)

func (s *service) note(line int, what string, hand bool, words ...string) {
	if line == s.line {
		line = 0 // it stands in the heading
	}
	s.remarks = append(s.remarks, remark{line: line, words: words, what: what, hand: hand})
}

// unit returns the name of the unit, without .service.
func (s *service) unit() string {
	if s.template == qmailSMTP {
		return string(qmailSMTP)
	}
	return string(s.template) + s.instance()
}

// instance returns what stands behind the @: the port, perhaps with an address.
func (s *service) instance() string {
	switch {
	case s.tls && s.port != noPort:
		return "127.0.0.1:" + s.inner()
	case s.host.Is4():
		return s.host.String() + ":" + s.port
	}
	return s.port
}

// inner returns the port on which who does TLS finds ucspid.
func (s *service) inner() string {
	n, _ := strconv.Atoi(s.port)
	return strconv.Itoa(10000 + n%10000)
}

// noPort stands for a port that is not known.
const noPort = "PORT"

// host reads tcpserver's first argument.
func (l *line) host(w word) {
	s := l.service
	ip, err := netip.ParseAddr(w.text)
	switch {
	case s.tls:
		l.note([]word{w}, "for who does TLS")
	case w.kind == literal && (w.text == "0" || w.text == "" || w.text == ":0" || err == nil && ip.IsUnspecified()):
		what := "all addresses, those of IPv6 among them: a rule for an IPv4 network says nothing of IPv6 peers"
		if s.only4 {
			what = "all addresses of IPv4"
		}
		l.note([]word{w}, what)
	case w.kind == literal && err == nil && ip.Zone() == "":
		s.host = ip.Unmap()
		l.note([]word{w}, "ListenStream= has the address")
	case w.kind == literal:
		s.noHost = true
		l.todo([]word{w}, "ListenStream= of the socket needs the address of this name; until then only this machine is served")
	default:
		s.noHost = true
		l.todo([]word{w}, "the address for ListenStream= of the socket: "+w.why()+"; until then only this machine is served")
	}
}

// port reads tcpserver's second argument.
func (l *line) port(w word) {
	s := l.service
	s.port = portNumber(w.text)
	switch {
	case w.kind != literal:
		s.port = noPort
		l.todo([]word{w}, "stands as "+noPort+": "+w.why())
	case s.port == "":
		s.port = noPort
		l.todo([]word{w}, "stands as "+noPort+": getent services tells the number, if there is one")
	case s.tls:
		l.note([]word{w}, "for who does TLS")
	default:
		l.note([]word{w}, "ListenStream="+s.port)
	}
}

// splogger reads the arguments of splogger and says what became of them.
func (s *service) splogger(args []word) string {
	texts, _ := literals(args)
	facility := 2 // as qmail's splogger has it
	if len(texts) > 1 {
		if n, err := strconv.Atoi(texts[1]); err == nil {
			facility = n
		}
	}
	if len(texts) > 0 && isAccount(texts[0]) {
		s.tag = texts[0]
	}
	names := strings.Fields("kern user mail daemon auth syslog lpr news uucp cron authpriv ftp")
	if facility >= 16 && facility < 24 {
		s.facility = "local" + strconv.Itoa(facility-16)
	} else if facility >= 0 && facility < len(names) {
		s.facility = names[facility]
	}
	return "nothing, the journal has it"
}

// moveTo makes a directory that of the service.
func (s *service) moveTo(directory string) {
	if !isAccount(strings.ReplaceAll(directory, "/", "")) {
		s.note(s.line, "WorkingDirectory= of the service, if it needs that", true, "cd")
		return
	}
	s.directory = directory
	s.note(s.line, "WorkingDirectory="+directory, false, "cd")
}

// settle decides, when all is read, which unit the service is.
func (s *service) settle() {
	s.template = s.kind()
	s.settleUser()
	if len(s.program) == 0 {
		s.program = []word{{value: notKnown("there is none")}}
	}
	if s.tls {
		s.options = append(s.options, "--proxy-from", "127.0.0.1")
		s.note(0, "TLS: HAProxy (docs/scaling.md), hitch or stunnel listens on port "+s.port+
			", and hands over to "+s.instance()+" with the PROXY protocol, which has the client's address", true)
	}
	if s.closed && !slices.Contains(s.options, "-x") {
		s.options = append(s.options, "-x", nobody)
	}
	if s.template == qmailSMTP {
		s.options = append(s.options, "--refuse-with", "smtp")
		s.note(0, "--refuse-with smtp is the shipped unit's: whom a limit refuses gets a 421", false)
	}
}

// kind finds the unit by port and program.
func (s *service) kind() template {
	queues, logs := false, false
	for _, w := range s.program {
		queues = queues || takesMail(w.base())
		logs = logs || logsIn(w.base())
	}
	switch {
	case queues && s.port == "25" && !s.tls && !(s.second && s.host.Is4()):
		return qmailSMTP
	case queues:
		return setuid
	case logs:
		return login
	}
	return plain
}

// settleUser writes the user down that the unit has, or says who it was.
func (s *service) settleUser() {
	root := s.user.kind != unknown && (s.user.text == "0" || s.user.text == "root" || s.user.text == "")
	switch {
	case root && s.template == plain:
		s.note(0, "ran as root; here it has a user made for it, no home and no set-uid: if that is not enough, see docs/units.md for another template", true)
	case root && (s.template == qmailSMTP || s.template == setuid):
		s.note(0, "ran as root; here it runs as qmaild, in the group nofiles", false)
	}
	if root {
		s.user, s.group = value{}, value{}
		return
	}
	if s.user.account() == "" {
		s.user, s.group = value{}, value{}
		return
	}
	if s.template == plain && s.user.text == "nobody" {
		s.note(0, "the user is one made for it, which is better than nobody", false)
		s.user, s.group = value{}, value{}
		return
	}
	if number(s.user.text) {
		what := "a name is better"
		if s.template == qmailSMTP || s.template == setuid {
			what = "if it is qmaild, the lines of user and group can go; else a name is better"
		}
		s.note(0, "getent passwd "+s.user.text+" says who that is: "+what, false)
	}
	s.settleGroup()
}

// settleGroup finds the group of a user that was named without.
func (s *service) settleGroup() {
	switch {
	case s.group.kind == literal && s.group.account() != "":
		return
	case s.group.kind == groupID, s.group == value{}:
		of := s.group.text
		if of == "" {
			of = s.user.text
		}
		if group := groupOf(of); group != "" {
			s.group = known(group)
			return
		}
		if s.template == plain || s.template == login {
			break // systemd takes the user's own
		}
		s.note(0, "the group of "+of+" has to be written into Group= and Environment=UCSPID_GROUP=: id -gn "+of+" says it", true)
	}
	s.group = value{}
}

// groupOf returns the group of a user that comes with qmail or vpopmail.
func groupOf(user string) string {
	switch user {
	case "qmaild", "qmaill", "qmailp", "alias":
		return "nofiles"
	case "vpopmail":
		return "vchkpw"
	}
	return ""
}
