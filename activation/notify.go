package activation

import (
	"net"
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"
)

// Ready tells systemd that connections are being served. Like the other
// states it does nothing where no systemd listens, and ends in
// os.ErrDeadlineExceeded where it listens, but does not read.
func Ready() error { return notify(daemon.SdNotifyReady) }

// Reloading tells systemd that the process begins anew, until it is Ready.
func Reloading() error {
	return notify(daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec())
}

// Stopping tells systemd that the process is about to exit.
func Stopping() error { return notify(daemon.SdNotifyStopping) }

// Status sets the line that systemctl status shows. Callers send no more than
// one a second: PID 1 handles each message itself.
func Status(line string) error { return notify("STATUS=" + line) }

// IsService tells whether systemd waits to hear from this process: it is the
// main process of a service with Type=notify.
func IsService() bool { return os.Getenv("NOTIFY_SOCKET") != "" }

// KeepAlive answers the watchdog. It waits as long as systemd does not read: an
// answer must be there when systemd looks for it.
func KeepAlive() error { return notifyBy(time.Time{}, daemon.SdNotifyWatchdog) }

// WatchdogInterval returns how much time may pass between two KeepAlive, 0
// when nobody waits for them (WatchdogSec= is not set).
func WatchdogInterval() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }

// notifyPatience bounds how long a message waits for room in systemd's socket.
const notifyPatience = 2 * time.Second

// notify sends a message to systemd (sd_notify(3)), and descriptors with it.
func notify(message string, passed ...*os.File) error {
	return notifyBy(time.Now().Add(notifyPatience), message, passed...)
}

// notifyBy does so until a deadline, the zero one being none. Package daemon can
// neither pass descriptors nor give up.
func notifyBy(deadline time.Time, message string, passed ...*os.File) error {
	if !IsService() {
		return nil
	}
	// A name that begins with @ is an abstract one, here as there.
	address := &net.UnixAddr{Name: os.Getenv("NOTIFY_SOCKET"), Net: "unixgram"}
	conn, err := net.DialUnix("unixgram", nil, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	var rights []byte
	for _, f := range passed {
		rights = append(rights, unix.UnixRights(int(f.Fd()))...)
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendmsg(int(fd), []byte(message), rights, nil, unix.MSG_NOSIGNAL)
		return sent != unix.EAGAIN
	})
	if err != nil {
		return err
	}
	return sent
}
