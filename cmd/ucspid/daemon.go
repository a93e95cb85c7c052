package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"ucspid/activation"
	"ucspid/internal/exit"
	"ucspid/internal/ucspi"
)

// daemon is a server that ends without ending its sessions, and goes on where
// the process before it ended: the same process after an exec (systemctl
// reload), or another one (restart, crash).
type daemon struct {
	server    *ucspi.Server
	listeners []activation.Listener
	voice     *voice
	status    *statusLine

	end, again chan os.Signal // that end the server, or begin it anew
}

// newDaemon returns a daemon that hears of signals from now on.
func newDaemon() *daemon {
	d := &daemon{status: newStatusLine(), end: make(chan os.Signal, 1), again: make(chan os.Signal, 1)}
	d.listen()
	return d
}

// listen has the signals sent to the daemon. Only in a service SIGHUP begins it
// anew; elsewhere it ends it, as it ends tcpserver(1).
func (d *daemon) listen() {
	signal.Notify(d.end, syscall.SIGTERM, syscall.SIGINT)
	if activation.IsService() {
		signal.Notify(d.again, syscall.SIGHUP)
	}
}

// hush lets no signal come any more, and returns errEnd if one has come that
// ends the server. From here until the new program listens, SIGTERM simply
// ends the process: whoever is started next has the sessions from systemd.
func (d *daemon) hush() error {
	signal.Ignore(syscall.SIGHUP)
	signal.Stop(d.end)
	select {
	case <-d.end:
		return errEnd
	default:
		return nil
	}
}

// run serves until a signal ends it.
func (d *daemon) run() error {
	for d.serve() {
		err := d.reload()
		if err == errEnd {
			break
		}
		d.refuse(err)
		d.listen()
	}
	_ = activation.Stopping()
	return d.leave()
}

// serve serves until a signal, and tells whether that is to begin anew. Then
// there is nothing any more between accepting and running.
func (d *daemon) serve() (again bool) {
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() {
		defer close(served)
		d.server.Serve(ctx)
	}()
	again = d.await()
	stop()
	<-served
	return again
}

// errEnd says that the server is to end.
var errEnd = errors.New("told to end")

// await waits for a signal that ends the server, or for one that begins it
// anew and a program that can.
func (d *daemon) await() (again bool) {
	for {
		select {
		case <-d.end:
			return false
		case <-d.again:
		}
		_ = activation.Reloading()
		switch err := d.try(); err {
		case nil:
			return true
		case errEnd:
			return false
		default:
			d.refuse(err)
		}
	}
}

// tryPatience is how long a new program may take to find out that all is well.
const tryPatience = 10 * time.Second

// try has the file that this program was started from, which may have changed
// since, check our own command line. A signal to end the server cuts it short.
func (d *daemon) try() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeoutCause(context.Background(), tryPatience, errors.New("--check takes too long"))
	defer stop()
	tried := make(chan error, 1)
	go func() {
		tried <- d.server.Try(ctx, ucspi.Program{
			Path: path,
			Args: append([]string{os.Args[0], "--check"}, os.Args[1:]...),
			Env:  activation.Environ(),
		})
	}()
	select {
	case err := <-tried:
		return err
	case <-d.end:
		stop()
		<-tried
		return errEnd
	}
}

// reload begins anew in this process. It returns only when that fails, with
// errEnd when a signal to end the server came first.
func (d *daemon) reload() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	left, err := d.leaving()
	if err != nil {
		return err
	}
	d.voice.flush()
	return d.server.AsBorn(func() error { return activation.Exec(path, d.listeners, left, d.hush) })
}

// refuse says why the old program goes on.
func (d *daemon) refuse(err error) {
	_ = activation.Ready()
	d.voice.warn("reload", fmt.Errorf("reload refused, the old program goes on: %w", err))
	reason, _, _ := strings.Cut(err.Error(), "\n")
	d.status.note("reload refused: " + reason)
}

// legacy is what one process leaves to the next. Readers pass over what they
// do not know: the next one may be older.
type legacy struct {
	Sessions []ucspi.Session
}

func (d *daemon) leaving() ([]byte, error) {
	return json.Marshal(legacy{Sessions: d.server.Sessions()})
}

// errState does not say what was found there: it goes to the log.
var errState = errors.New("state: not as a process leaves it")

// leave leaves the sessions to the next process.
func (d *daemon) leave() error {
	left, err := d.leaving()
	if err == nil {
		err = activation.Keep(left)
	}
	if err != nil {
		return exit.Retry(fmt.Errorf("sessions: %w", err))
	}
	return nil
}

// adopt takes over what the process before left, and where it could leave
// nothing what is found. An error costs only the count.
func (d *daemon) adopt(inherited activation.Inheritance) {
	var left legacy
	err := inherited.Lost
	if inherited.State != nil && json.Unmarshal(inherited.State, &left) != nil {
		err = errState
	}
	sessions := left.Sessions
	if activation.IsService() && !inherited.Continued {
		found, findErr := ucspi.Survivors(sessions)
		err = errors.Join(err, findErr)
		sessions = append(sessions, found...)
	}
	if err := errors.Join(err, d.server.Adopt(sessions)); err != nil {
		d.voice.warn("adopt", fmt.Errorf("sessions that are not counted: %w", err))
	}
}
