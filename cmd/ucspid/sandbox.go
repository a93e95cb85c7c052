package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"ucspid/internal/exit"
)

// A sandbox may take from a set-uid qmail-queue what it lives on. systemd says
// nothing of it, the program starts and speaks, and only the client hears: "451
// qq trouble creating files in queue". So it is looked for here, at the start,
// as far as looking is free of risk.

const (
	queueProgram = "/var/qmail/bin/qmail-queue"
	queue        = "/var/qmail/queue"
)

// Variables of our units.
const (
	groupVariable  = "UCSPID_GROUP"  // the group that setpriv gives us
	setuidVariable = "UCSPID_SETUID" // "no": no program here has a set-uid helper
)

// warnOfSandbox says what the sandbox breaks. The server serves on.
func warnOfSandbox(v *voice) {
	for _, fault := range sandboxFaults() {
		v.warn("sandbox", fault)
	}
}

// sandboxFaults returns what is wrong with the sandbox.
func sandboxFaults() []error {
	faults := groupFaults(os.Getenv(groupVariable))
	if os.Getenv(setuidVariable) == "no" {
		return faults
	}
	faults = append(faults, privilegeFaults()...)
	program := os.Getenv("QMAILQUEUE")
	if program == "" {
		program = queueProgram
	}
	if info, err := os.Stat(program); err == nil && info.Mode()&fs.ModeSetuid != 0 {
		faults = append(faults, setuidFaults(program, info)...)
		faults = append(faults, queueFaults()...)
	}
	return faults
}

func fault(what, remedy string) []error { return []error{exit.Advise(errors.New(what), remedy)} }

// groupFaults compares our group with the one that the unit names for setpriv.
func groupFaults(want string) []error {
	group, err := user.LookupGroup(want)
	if err != nil || group.Gid == strconv.Itoa(os.Getegid()) { // what cannot be looked up is not ours to judge
		return nil
	}
	return fault(fmt.Sprintf("group %d is not %s", os.Getegid(), want), "Group= and "+groupVariable+"= of the unit must name the same")
}

// privilegeFaults looks for the flag that several directives of systemd set.
func privilegeFaults() []error {
	if set, err := unix.PrctlRetInt(unix.PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0); err != nil || set == 0 {
		return nil
	}
	return fault("NoNewPrivs is set: set-uid programs do not get their user, and qmail-queue fails with 451",
		`take NoNewPrivileges=yes and DynamicUser=yes out, leave "!" and setpriv in ExecStart=, or set `+setuidVariable+"=no if no program needs it")
}

// overflowID is what the kernel calls a user or group that this user namespace
// does not have.
const overflowID = 65534

// setuidFaults looks for what makes the kernel ignore the set-uid bit of a
// program.
func setuidFaults(program string, info fs.FileInfo) []error {
	var faults []error
	if owner, ok := info.Sys().(*syscall.Stat_t); ok && (owner.Uid == overflowID || owner.Gid == overflowID) {
		faults = append(faults, fault(program+": its owner does not exist here, and it fails with 451", "take PrivateUsers= out")...)
	}
	if mountHas(program, unix.ST_NOSUID) {
		faults = append(faults, fault(program+": on a file system without set-uid, and it fails with 451", "mount it without nosuid")...)
	}
	return faults
}

// queueFaults looks for what keeps qmail-queue from writing to the queue. The
// queue itself is closed to us, but what is mounted where is not.
func queueFaults() []error {
	if mounts, err := os.Open("/proc/self/mountinfo"); err == nil {
		defer mounts.Close()
		if part := mountedPart(mounts); part != "" {
			return fault(part+": a mount of its own: qmail-queue cannot link files across, and fails with 451", "let ReadWritePaths= have "+queue+" as a whole")
		}
	}
	if mountHas(queue, unix.ST_RDONLY) {
		return fault(queue+": read-only, and qmail-queue fails with 451", "add ReadWritePaths="+queue)
	}
	return nil
}

// mountedPart returns a mount point that parts the directories between which
// qmail-queue links files, as proc(5) lists it in mountinfo.
func mountedPart(mountinfo io.Reader) string {
	const mountPoint = 4 // the field
	lines := bufio.NewScanner(mountinfo)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) <= mountPoint {
			continue
		}
		rest, below := strings.CutPrefix(fields[mountPoint], queue+"/")
		part, _, _ := strings.Cut(rest, "/")
		if below && slices.Contains([]string{"pid", "mess", "intd", "todo"}, part) {
			return fields[mountPoint]
		}
	}
	return ""
}

// mountHas tells whether the file system at path is mounted with the flag.
func mountHas(path string, flag int64) bool {
	var mount unix.Statfs_t
	return unix.Statfs(path, &mount) == nil && int64(mount.Flags)&flag != 0
}
