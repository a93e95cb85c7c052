package migrate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// setpriv is what gives root away in qmail-smtp.service and
// ucspid-setuid@.service, inside the sandbox.
const setpriv = "/usr/bin/setpriv --reuid=${USER} --regid=${UCSPID_GROUP} --clear-groups --inh-caps=-all " +
	"--ambient-caps=-all --bounding-set=${UCSPID_BOUNDING_SET}"

// files returns what makes the service. The first one has the remarks.
func (s *service) files() []File {
	files := []File{s.override("service", s.serviceLines()), s.override("socket", s.socketLines())}
	if s.template != qmailSMTP {
		files = slices.Insert(files, 0, File{"/etc/ucspid/" + s.instance() + ".conf", s.variables()})
	}
	files = slices.DeleteFunc(files, func(f File) bool { return f.Text == "" })
	for i := range files {
		heading := "# As " + files[0].Path + " says.\n"
		if i == 0 {
			heading = s.heading(len(files) > 1 || s.template == qmailSMTP)
		}
		files[i].Text = heading + "\n" + files[i].Text
	}
	return files
}

// heading has all remarks, and how the service is begun.
func (s *service) heading(units bool) string {
	text := comment(s.origin, s.remarks) + "#\n# Then: "
	if units {
		text += "systemctl daemon-reload; "
	}
	return text + "systemctl enable --now " + s.unit() + ".socket\n"
}

// override is a file as systemctl edit writes it, without text if it has
// nothing to say.
func (s *service) override(kind string, lines []string) File {
	file := File{Path: "/etc/systemd/system/" + s.unit() + "." + kind + ".d/override.conf"}
	if len(lines) > 0 {
		file.Text = fmt.Sprintf("[%s]\n%s\n", map[string]string{"service": "Service", "socket": "Socket"}[kind], strings.Join(lines, "\n"))
	}
	return file
}

// socketLines are those of the port that the shipped socket does not have.
func (s *service) socketLines() []string {
	var lines []string
	if listen := s.listen(); listen != "" {
		lines = append(lines, "ListenStream=", "ListenStream="+listen)
	}
	if s.backlog != "" {
		lines = append(lines, "Backlog="+s.backlog)
	}
	return lines
}

// listen returns the address of the socket, "" where the shipped one has it.
func (s *service) listen() string {
	ip := s.host
	switch {
	case s.tls, s.port == noPort, s.host.Is4() && s.template != qmailSMTP:
		return ""
	case s.noHost:
		ip = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	case !ip.IsValid() && s.only4:
		ip = netip.IPv4Unspecified()
	case !ip.IsValid():
		return ""
	}
	if ip.Is6() {
		return "[" + ip.String() + "]:" + s.port
	}
	return ip.String() + ":" + s.port
}

// serviceLines are those of the service that the shipped one does not have.
func (s *service) serviceLines() []string {
	lines := s.accountLines()
	for _, directory := range s.writable {
		if s.template == login && strings.HasPrefix(directory, "/home/") {
			continue // it is in the unit
		}
		lines = append(lines, "ReadWritePaths="+unitPath(directory))
	}
	if s.checker {
		lines = append(lines,
			"Environment=UCSPID_BOUNDING_SET=-all,+setuid,+setgid,+dac_read_search",
			"CapabilityBoundingSet=CAP_DAC_READ_SEARCH")
	}
	tag := ""
	if s.template == qmailSMTP {
		tag = "smtpd"
	}
	for _, line := range []struct{ name, value, shipped string }{
		{"WorkingDirectory", s.directory, ""},
		{"SyslogIdentifier", s.tag, tag},
		{"SyslogFacility", s.facility, "daemon"},
		{"UMask", s.umask, "077"},
		{"Nice", s.nice, ""},
	} {
		if line.value != line.shipped && line.value != "" {
			lines = append(lines, line.name+"="+line.value)
		}
	}
	if s.template == qmailSMTP {
		for _, v := range s.env {
			lines = append(lines, "Environment="+unitVariable(v.name, v.value))
		}
	}
	return append(lines, s.execLines()...)
}

// accountLines name the user, where the unit has another.
func (s *service) accountLines() []string {
	var lines []string
	user, group := s.user.text, s.group.text
	shipped := s.template == qmailSMTP || s.template == setuid
	if user != "" && (!shipped || user != "qmaild") {
		if s.template == plain {
			lines = append(lines, "DynamicUser=no")
		}
		lines = append(lines, "User="+user)
	}
	if group != "" && (!shipped || group != "nofiles") {
		lines = append(lines, "Group="+group)
		if shipped {
			lines = append(lines, "Environment=UCSPID_GROUP="+group)
		}
	}
	return lines
}

// execLines are ExecStart=, where it is not the shipped one.
func (s *service) execLines() []string {
	var words []string
	switch s.template {
	case qmailSMTP:
		words = append(words, setpriv, "ucspid", joined(s.options, unitWord), joined(s.command(), unitWord))
	case setuid:
		words = append(words, setpriv, "ucspid $UCSPID_OPTIONS $UCSPID_PROGRAM")
	default:
		words = append(words, "ucspid $UCSPID_OPTIONS $UCSPID_PROGRAM")
	}
	if len(s.outside) > 0 {
		words = slices.Insert(words, 0, joined(s.outside, unitWord))
	} else if s.template != qmailSMTP {
		return nil
	}
	mark := ""
	if s.template == qmailSMTP || s.template == setuid {
		mark = "!"
	}
	return []string{"ExecStart=", "ExecStart=" + mark + strings.Join(slices.DeleteFunc(words, func(w string) bool { return w == "" }), " ")}
}

// variables returns the environment file of an instance.
func (s *service) variables() string {
	lines := []string{
		fileVariable("UCSPID_OPTIONS", joined(s.options, quoted)),
		fileVariable("UCSPID_PROGRAM", joined(s.command(), quoted)),
	}
	for _, v := range s.env {
		lines = append(lines, fileVariable(v.name, v.value))
	}
	return strings.Join(lines, "\n") + "\n"
}

// unitPath returns a path for a list of paths; one that is not there is no
// matter.
func unitPath(path string) string { return "-" + quoted(strings.ReplaceAll(path, "%", "%%")) }
