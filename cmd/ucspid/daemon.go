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
	status    *status
}

func newDaemon(server *ucspi.Server, listeners []activation.Listener, v *voice) *daemon {
	return &daemon{server: server, listeners: listeners, voice: v, status: newStatus()}
}

// notifySignals has the signals sent here that end a server or, in a service,
// begin it anew. Elsewhere SIGHUP ends it, as it ends tcpserver(1).
func notifySignals() chan os.Signal {
	signals := make(chan os.Signal, 8)
	listenTo(signals)
	return signals
}

func listenTo(signals chan<- os.Signal) {
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	if activation.IsService() {
		signal.Notify(signals, syscall.SIGHUP)
	}
}

// run serves until a signal ends it.
func (d *daemon) run(signals chan os.Signal) error {
	for {
		again := d.serve(signals)
		if again {
			again = !stopped(signals)
		}
		if !again {
			_ = activation.Stopping()
			return d.leave()
		}
		d.refuse(d.reload())
		listenTo(signals)
	}
}

// serve serves until a signal, and tells whether that is to begin anew. Then
// there is nothing any more between accepting and running.
func (d *daemon) serve(signals <-chan os.Signal) (again bool) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	served := make(chan struct{})
	go func() {
		defer close(served)
		d.server.Serve(ctx)
	}()
	for s := range signals {
		if s != syscall.SIGHUP {
			break
		}
		_ = activation.Reloading()
		err := d.try()
		if err == nil {
			again = true
			break
		}
		d.refuse(err)
	}
	stop()
	<-served
	return again
}

// stopped lets no signal come any more, and tells whether one has come that
// ends the server. From here until the new program listens, SIGTERM simply
// ends the process: whoever is started next finds the sessions.
func stopped(signals chan os.Signal) bool {
	signal.Ignore(syscall.SIGHUP)
	signal.Stop(signals)
	for {
		select {
		case s := <-signals:
			if s != syscall.SIGHUP {
				return true
			}
		default:
			return false
		}
	}
}

// tryPatience is how long a new program may take to find out that all is well.
const tryPatience = 10 * time.Second

// try has the file that this program was started from, which may have changed
// since, check our own command line.
func (d *daemon) try() error {
	path, err := os.Executable()
	if err != nil {
		return err
	}
	ctx, stop := context.WithTimeoutCause(context.Background(), tryPatience, errors.New("--check takes too long"))
	defer stop()
	return d.server.Try(ctx, ucspi.Program{
		Path: path,
		Args: append([]string{os.Args[0], "--check"}, os.Args[1:]...),
		Env:  activation.Environ(),
	})
}

// reload begins anew in this process. It returns only when that fails.
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
	return activation.Exec(path, d.listeners, left)
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
	if inherited.State != nil {
		err = json.Unmarshal(inherited.State, &left)
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
