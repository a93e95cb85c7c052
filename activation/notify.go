package activation

import (
	"os"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// Ready tells systemd that connections are being served. Like the other
// states it does nothing where no systemd listens.
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

// KeepAlive answers the watchdog.
func KeepAlive() error { return notify(daemon.SdNotifyWatchdog) }

// WatchdogInterval returns how much time may pass between two KeepAlive, 0
// when nobody waits for them (WatchdogSec= is not set).
func WatchdogInterval() (time.Duration, error) { return daemon.SdWatchdogEnabled(false) }

func notify(state string) error {
	_, err := daemon.SdNotify(false, state)
	return err
}
