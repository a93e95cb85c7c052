// Checkpassword stands in for the real one in the scenarios, of which there are many, with one
// interface: a login name, a password and a timestamp come on descriptor 3, and where they are
// right the arguments are run as that user, in the user's home. /etc/checkpassword has a
// login:password in each line; like /etc/shadow it is closed to everybody but root.
package main

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The exit codes of the interface.
const (
	exitWrong     = 1
	exitMisused   = 2
	exitTemporary = 111
)

func main() {
	os.Exit(run(os.Args[1:]))
}

func run(program []string) int {
	said, err := io.ReadAll(io.LimitReader(os.NewFile(3, "login"), 512))
	fields := bytes.Split(said, []byte{0})
	if err != nil || len(fields) < 3 || len(program) == 0 {
		return exitMisused
	}
	known, err := os.ReadFile("/etc/checkpassword")
	if err != nil {
		return exitTemporary
	}
	name := string(fields[0])
	if !slices.Contains(strings.Split(string(known), "\n"), name+":"+string(fields[1])) {
		return exitWrong
	}
	if become(name) != nil {
		return exitTemporary
	}
	path, err := exec.LookPath(program[0])
	if err != nil {
		return exitTemporary
	}
	_ = syscall.Exec(path, program, os.Environ())
	return exitTemporary
}

// become gives up what this process is for that user's name, groups and home.
func become(name string) error {
	account, err := user.Lookup(name)
	if err != nil {
		return err
	}
	uid, uidErr := strconv.Atoi(account.Uid)
	gid, gidErr := strconv.Atoi(account.Gid)
	if err := errors.Join(uidErr, gidErr); err != nil {
		return err
	}
	for _, step := range []func() error{
		func() error { return syscall.Setgroups([]int{gid}) },
		func() error { return syscall.Setgid(gid) },
		func() error { return syscall.Setuid(uid) },
		func() error { return os.Chdir(account.HomeDir) },
		func() error { return os.Setenv("USER", name) },
		func() error { return os.Setenv("HOME", account.HomeDir) },
		func() error { return os.Setenv("SHELL", "/bin/sh") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}
