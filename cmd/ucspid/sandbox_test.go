package main

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestWarnsOfASandbox starts the server where set-uid programs do not work.
func TestWarnsOfASandbox(t *testing.T) {
	const noNewPrivs, group = "NoNewPrivs is set", "is not daemon"
	for _, test := range []struct {
		name    string
		sandbox []string
		env     string
		option  string
		want    string // "" is no warning
	}{
		{"none", nil, "A=b", "-v", ""},
		{"no new privileges", []string{"setpriv", "--no-new-privs"}, "A=b", "-v", noNewPrivs},
		{"and only errors are said", []string{"setpriv", "--no-new-privs"}, "A=b", "-Q", noNewPrivs},
		{"and nothing is said", []string{"setpriv", "--no-new-privs"}, "A=b", "-q", ""},
		{"and it is meant so", []string{"setpriv", "--no-new-privs"}, "UCSPID_SETUID=no", "-v", ""},
		{"another group", nil, "UCSPID_GROUP=daemon", "-v", group},
		{"a group that nobody knows", nil, "UCSPID_GROUP=no such group", "-v", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			args := append(test.sandbox, "ucspid", "-1", "--listen", "127.0.0.1:0", "-RHl0", test.option, "echo", "served")
			cmd := exec.Command(args[0], args[1:]...)
			cmd.Env = append(os.Environ(), test.env)
			s := launch(t, cmd, "127.0.0.1")
			if got := s.answer("127.0.0.1"); got != "served\n" {
				t.Errorf("served %q", got)
			}
			s.stop()
			log := s.whole()
			if warned := strings.Contains(log, "ucspid: hint: "); warned != (test.want != "") || !strings.Contains(log, test.want) {
				t.Errorf("want %q, said:\n%s", test.want, log)
			}
		})
	}
}

func TestMountedPart(t *testing.T) {
	for name, test := range map[string]struct{ mounts, want string }{
		"one mount":      {"61 60 8:1 / / ro - ext4 d rw\n99 61 8:1 /q /var/qmail/queue rw shared:1 - ext4 d rw\n", ""},
		"a part":         {"98 61 8:1 /q/mess /var/qmail/queue/mess rw - ext4 d rw\n", "/var/qmail/queue/mess"},
		"of a part":      {"98 61 8:1 /q/todo/3 /var/qmail/queue/todo/3 rw - ext4 d rw\n", "/var/qmail/queue/todo/3"},
		"nothing linked": {"98 61 8:1 /q/lock /var/qmail/queue/lock rw - ext4 d rw\n", ""},
		"another queue":  {"98 61 8:1 /q/mess /var/qmail/queue2/mess rw - ext4 d rw\n", ""},
		"no mountinfo":   {"\n1 2 3\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := mountedPart(strings.NewReader(test.mounts)); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
