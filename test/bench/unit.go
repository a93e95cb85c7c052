package main

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Servers in the guest are units there: copies of the shipped ones, in which
// only the command and the port are others.

// inGuest runs a command in the guest.
func (b *bench) inGuest(words ...string) (string, error) {
	enter := []string{"--target", b.guest, "--all", "--", "env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	out, err := exec.Command("nsenter", append(enter, words...)...).CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, bytes.TrimSpace(out))
	}
	return strings.TrimSpace(string(out)), err
}

// guestFile returns where a file of the guest is.
func (b *bench) guestFile(path string) string {
	return filepath.Join("/proc", b.guest, "root", path)
}

// What the units speak of.
const (
	guestProgram = "/usr/local/bin/program" // test/bench/run puts it there
	guestRules   = "/etc/bench.cdb"
)

// place puts the rules into the guest.
func (b *bench) place(rules string) error {
	data, err := os.ReadFile(rules)
	if err != nil {
		return err
	}
	return os.WriteFile(b.guestFile(guestRules), data, 0o644)
}

// units are the texts of a server's units, by the suffix. PORT in them becomes
// a free port.
type units map[string]string

// cagedUcspid starts ucspid by the shipped units.
func (b *bench) cagedUcspid(name, unit, options string) (*server, error) {
	socket, err := b.shipped(".socket")
	if err != nil {
		return nil, err
	}
	service, err := b.shipped(".service")
	if err != nil {
		return nil, err
	}
	command := fmt.Sprintf("ucspid -RH -l 0 -c %d -x %s %s %s", sessions, guestRules, options, guestProgram)
	return b.startUnits(name, unit, units{
		".socket":  strings.ReplaceAll(socket, "ListenStream=25\n", "ListenStream=127.0.0.1:PORT\n"),
		".service": strings.ReplaceAll(withCommand(service, command), "qmail-smtp.socket", unit+".socket"),
	})
}

// cagedTCPServer starts tcpserver in the same cage. It opens its port itself,
// and has nothing to tell systemd.
func (b *bench) cagedTCPServer(name, unit, options string) (*server, error) {
	service, err := b.shipped(".service")
	if err != nil {
		return nil, err
	}
	command := fmt.Sprintf("tcpserver -RH -l 0 -c %d -b 512 -x %s %s 127.0.0.1 PORT %s", sessions, guestRules, options, guestProgram)
	service = without(service, "Requires=", "After=", "JoinsNamespaceOf=", "Type=", "WatchdogSec=", "Also=")
	return b.startUnits(name, unit, units{".service": withCommand(service, command)})
}

// startAcceptYes has systemd start the program for each connection, without a cage.
func (b *bench) startAcceptYes(name, unit, settings string) (*server, error) {
	return b.startUnits(name, unit, units{
		".socket":   "[Socket]\nListenStream=127.0.0.1:PORT\nBacklog=512\nAccept=yes\n" + settings,
		"@.service": "[Unit]\nCollectMode=inactive-or-failed\n[Service]\nUser=qmaild\nStandardInput=socket\nStandardError=journal\nExecStart=" + guestProgram + "\n",
	})
}

// shipped returns the text of one of our units.
func (b *bench) shipped(suffix string) (string, error) {
	text, err := os.ReadFile(b.guestFile("usr/lib/systemd/system/qmail-smtp" + suffix))
	return string(text), err
}

// withCommand has a unit run another command, in the cage that it has.
func withCommand(unit, command string) string {
	var lines []string
	for _, line := range strings.Split(unit, "\n") {
		if cage, _, found := strings.Cut(line, " ucspid "); found && strings.HasPrefix(line, "ExecStart=") {
			line = cage + " " + command
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// without leaves settings out of a unit.
func without(unit string, settings ...string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(unit, "\n"), func(line string) bool {
		return slices.ContainsFunc(settings, func(s string) bool { return strings.HasPrefix(line, s) })
	}), "\n")
}

// startUnits makes the units and starts them; they are gone when the part
// ends.
func (b *bench) startUnits(name, unit string, texts units) (*server, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	var start []string // what can be started: not a template
	for suffix, text := range texts {
		text = strings.ReplaceAll(text, "PORT", fmt.Sprint(port.Port()))
		if err := os.WriteFile(b.guestFile("run/systemd/system/"+unit+suffix), []byte(text), 0o644); err != nil {
			return nil, err
		}
		if !strings.HasPrefix(suffix, "@") {
			start = append(start, unit+suffix)
		}
	}
	b.atEnd(func() { _, _ = b.inGuest(append([]string{"systemctl", "stop"}, start...)...) })
	if _, err := b.inGuest("systemctl", "daemon-reload"); err != nil {
		return nil, err
	}
	if _, err := b.inGuest(append([]string{"systemctl", "start"}, start...)...); err != nil {
		return nil, err
	}
	s := &server{name: name, at: []netip.AddrPort{port}, proc: filepath.Join("/proc", b.guest)}
	if err := s.await(nil); err != nil {
		return nil, err
	}
	if slices.Contains(start, unit+".service") {
		pid, err := b.inGuest("systemctl", "show", "--property=MainPID", "--value", unit+".service")
		if err != nil {
			return nil, err
		}
		s.proc = b.guestFile(filepath.Join("proc", pid))
	}
	return s, nil
}
