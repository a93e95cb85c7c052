package ucspi

import (
	"context"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"ucspid/internal/spawn"
	"ucspid/policy"
)

// Program is what runs on each allowed connection.
type Program struct {
	Path string   // of the file to execute
	Args []string // with the name in Args[0]
	Env  []string // NAME=VALUE; the UCSPI environment is added
}

// Config is what a Server is made from. What is not spoken of as required may
// be left zero.
type Config struct {
	Listeners   []*os.File    // required: listening TCP sockets, non-blocking
	Program     Program       // required
	Limits      policy.Limits // required, but for Reserve
	Terms       policy.Terms  // for peers of which the rules say nothing else
	Refusals    Refusals
	Rules       *policy.File // nil allows everybody
	Banner      string       // written first to each connection, "" for none
	NoDelay     bool         // sets TCP_NODELAY
	KeepOptions bool         // leaves IPv4 options, such as source routes
	Names       Names
	Verbosity   Verbosity
	Send        func(Event) // required: takes what is said; it must not wait

	// ProxyFrom are the networks whose connections begin with a PROXY header.
	ProxyFrom []netip.Prefix
}

// Server serves connections.
type Server struct {
	Config
	log       log
	slots     *slots
	pause     backoff
	sessions  sessions
	spawner   *spawn.Spawner
	reaper    *reaper
	judging   sync.WaitGroup // connections with a goroutine of their own
	lingering lingering
	load      load
	busy      []atomic.Int64 // by listener: since when it handles a connection
	began     time.Time      // the server, and the counts
	begun     atomic.Uint64  // sessions
	denied    atomic.Uint64
	refused   [policy.Reasons]atomic.Uint64
	dropped   atomic.Uint64
	changed   chan struct{}
}

// NewServer returns a server that is ready for Serve, the one of the process.
// The listeners stay the caller's. No signal is to be caught or ignored from
// now on that was not before.
func NewServer(c Config) (*Server, error) {
	spawner, err := spawn.New()
	if err != nil {
		return nil, err
	}
	reaper, err := newReaper()
	if err != nil {
		return nil, err
	}
	c.Program.Env = withoutOurs(c.Program.Env)
	return &Server{
		began:    time.Now(),
		spawner:  spawner,
		reaper:   reaper,
		Config:   c,
		log:      log{verbosity: c.Verbosity, send: c.Send, flood: flood{say: c.Send}},
		slots:    newSlots(policy.NewAdmission(c.Limits, time.Now())),
		sessions: sessions{table: make(map[int]*session), trials: make(map[int]trial)},
		busy:     make([]atomic.Int64, len(c.Listeners)),
		changed:  make(chan struct{}, 1),
	}, nil
}

// Serve accepts connections on all listeners until ctx ends, then waits until
// each of them is either a session or closed. Sessions go on: their programs
// are left to run. The listeners stay open. It may be called again.
func (s *Server) Serve(ctx context.Context) {
	s.log.status(s.sessions.count(), s.Limits.Sessions)
	s.reaper.start(s.reap)
	s.serveEnds(true)
	defer func() {
		s.serveEnds(false)
		s.reaper.stop()
	}()
	for _, l := range s.Listeners {
		l.SetReadDeadline(time.Time{})
	}

	woken := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(woken)
		for _, l := range s.Listeners {
			l.SetReadDeadline(time.Unix(0, 1)) // ends accept's wait
		}
	})
	defer func() {
		if !stop() {
			<-woken // or it might set them for the next Serve
		}
	}()
	var accepting sync.WaitGroup
	for i := range s.busy {
		accepting.Go(func() { s.accept(ctx, s.Listeners[i], &s.busy[i]) })
	}
	accepting.Wait()
	s.judging.Wait()
	s.log.flood.end(time.Now())
}

// AsBorn calls exec, which is to replace this program, with the limit of
// descriptors that the process was born with. It comes after Serve.
func (s *Server) AsBorn(exec func() error) error { return s.spawner.AsBorn(exec) }

// Counts is what the server does and has done.
type Counts struct {
	Sessions int                    // programs running
	Limit    int                    // of them
	Denied   uint64                 // connections since the start, by a rule
	Refused  [policy.Reasons]uint64 // and by a limit
}

// Counts returns the numbers of this moment.
func (s *Server) Counts() Counts {
	n := Counts{Sessions: s.sessions.count(), Limit: s.Limits.Sessions, Denied: s.denied.Load()}
	for reason := range s.refused {
		n.Refused[reason] = s.refused[reason].Load()
	}
	return n
}

// Changed receives a value after Counts have changed, one for any number of
// changes.
func (s *Server) Changed() <-chan struct{} { return s.changed }

func (s *Server) countsChanged() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// BusyFor returns for how long the slowest accept loop has been at work on
// one connection: where that is long, the loop is stuck. Waiting, for a
// connection or for a slot, is not work.
func (s *Server) BusyFor(now time.Time) time.Duration {
	var longest time.Duration
	for i := range s.busy {
		if since := s.busy[i].Load(); since != 0 {
			longest = max(longest, now.Sub(time.Unix(0, since)))
		}
	}
	return longest
}

// LocalPort returns the port of a listener.
func LocalPort(listener *os.File) (uint16, error) {
	conn, err := listener.SyscallConn()
	if err != nil {
		return 0, err
	}
	var local syscall.Sockaddr
	err = control(conn, func(fd int) (err error) {
		local, err = syscall.Getsockname(fd)
		return err
	})
	return addrPort(local).Port(), err
}
