// Intruder plays a program that somebody has taken over: it tries what he would
// like to do, and says to the client what it could, a line for each.
package main

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

func main() {
	say("write to files in", strings.Join(writable(), " "))
	try("read /etc/shadow", readable("/etc/shadow"))
	try("have a set-uid-root program read it", exec.Command("root-cat", "/etc/shadow").Run())
	try("see the processes of others", readable("/proc/1/stat"))
	try("send signals to ucspid", unix.Kill(os.Getppid(), 0))
	try("trace ucspid", unix.PtraceAttach(os.Getppid()))
	try("open the memory of ucspid", overwrite(fmt.Sprintf("/proc/%d/mem", os.Getppid())))
	try("listen on a port", listen("127.0.0.1:0"))
	try("listen on a port below 1024", listen("127.0.0.1:1023"))
	try("send packets of its own making", socket(unix.AF_INET, unix.SOCK_RAW))
	try("talk to the kernel by netlink", socket(unix.AF_NETLINK, unix.SOCK_RAW))
	try("make a user namespace", unix.Unshare(unix.CLONE_NEWUSER))
	try("mount", unix.Mount("tmpfs", "/tmp", "tmpfs", 0, ""))
	try("run code that it wrote into memory", code())
	try("make a set-uid file", setuid())
	try("become root", unix.Setresuid(0, 0, 0))
	try("become another user", unix.Setresuid(12345, 12345, 12345))
}

func say(what, result string) { fmt.Printf("%s: %s\n", what, result) }

// try says whether something could be done.
func try(what string, err error) {
	if err != nil {
		say(what, "no")
		return
	}
	say(what, "yes")
}

// writable returns the directories in which a file can be made or written to;
// not those within one of them, and not /proc, which is its reader's own. By
// memory.pressure one asks to be told of a lack of memory, no more; systemd
// gives it to every service from 254 on.
func writable() []string {
	var found []string
	_ = filepath.WalkDir("/", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case path == "/proc":
			return fs.SkipDir
		case err != nil, entry.Name() == "memory.pressure":
			return nil
		case entry.IsDir() && create(path) == nil:
			found = append(found, path)
			return fs.SkipDir
		case entry.Type().IsRegular() && overwrite(path) == nil:
			found = append(found, filepath.Dir(path))
			return fs.SkipDir
		}
		return nil
	})
	return found
}

func create(dir string) error {
	f, err := os.CreateTemp(dir, "intruder")
	if err != nil {
		return err
	}
	f.Close()
	return os.Remove(f.Name())
}

func overwrite(path string) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

func readable(path string) error {
	_, err := os.ReadFile(path)
	return err
}

func listen(address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	return l.Close()
}

func socket(family, kind int) error {
	fd, err := unix.Socket(family, kind, 0)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}

// code has memory that is written to and run.
func code() error {
	memory, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_WRITE|unix.PROT_EXEC, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return err
	}
	return unix.Munmap(memory)
}

// setuid makes a set-uid file in /tmp.
func setuid() error {
	f, err := os.CreateTemp("/tmp", "intruder")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	return unix.Fchmod(int(f.Fd()), unix.S_ISUID|0o700)
}
