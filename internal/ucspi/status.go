package ucspi

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"ucspid/internal/errno"
	"ucspid/internal/status"
	"ucspid/internal/version"
	"ucspid/policy"
)

// Summary returns what an operator is told of the server as it is now.
func (s *Server) Summary() status.Summary {
	return status.Summary{
		Version: version.Number,
		PID:     os.Getpid(),
		Since:   s.began,
		Counts:  s.reportedCounts(),
		Limits:  s.reportedLimits(),
		Rules:   s.reportedRules(),
	}
}

func (s *Server) reportedCounts() status.Counts {
	refused := make(map[string]uint64)
	for reason := range s.refused {
		if n := s.refused[reason].Load(); n > 0 {
			refused[policy.Reason(reason).String()] = n
		}
	}
	return status.Counts{Begun: s.begun.Load(), Denied: s.denied.Load(), Refused: refused, Dropped: s.dropped.Load()}
}

func (s *Server) reportedLimits() status.Limits {
	return status.Limits{
		Sessions:    s.Limits.Sessions,
		Reserve:     s.Limits.Reserve,
		PerHost:     reportedMax(s.Terms.Host),
		PerNetwork:  reportedMax(s.Terms.Network),
		Rate:        reportedRate(s.Terms.HostRate),
		NetworkRate: reportedRate(s.Terms.NetworkRate),
		HostBits:    status.Bits(s.Limits.Host),
		NetworkBits: status.Bits(s.Limits.Network),
	}
}

func reportedMax(m policy.Max) *int {
	n, set := m.N()
	if !set {
		return nil
	}
	return &n
}

func reportedRate(r policy.Rate) string {
	if r == (policy.Rate{}) {
		return ""
	}
	return r.String()
}

// reportedRules looks at the rules as the next connection will.
func (s *Server) reportedRules() *status.Rules {
	if s.Rules == nil {
		return nil
	}
	rules := &status.Rules{File: s.Rules.Path}
	if info, err := os.Stat(s.Rules.Path); err == nil {
		rules.Modified = info.ModTime()
	}
	if _, err := s.Rules.Database(time.Now()); err != nil {
		rules.Error = errno.Text(err)
	}
	return rules
}

// Each yields the sessions that run, in no order. Sessions begin and end
// meanwhile: nobody waits for whoever asks.
func (s *Server) Each() iter.Seq[status.Session] {
	return func(yield func(status.Session) bool) {
		for _, id := range s.sessions.ids() {
			one, found := s.sessions.find(id)
			if found && !yield(reported(id, one)) {
				return
			}
		}
	}
}

func (t *sessions) ids() []int {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := make([]int, 0, len(t.table))
	for id := range t.table {
		all = append(all, id)
	}
	return all
}

func (t *sessions) find(id int) (one session, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if running := t.table[id]; running != nil {
		return *running, true
	}
	return session{}, false
}

func reported(id int, one session) status.Session {
	return status.Session{
		ID: id, Peer: one.remote, Name: shown(one.host), Rule: shown(one.rule),
		Trusted: one.visit.Trusted(), Adopted: one.orphan, Started: one.started,
	}
}

// shown returns a name as the log shows it.
func shown(name policy.Name) policy.Name {
	text, known := name.Text()
	if !known {
		return name
	}
	return policy.Known(safeAddress(text))
}

// Kill asks the program of a session to end (SIGTERM). The id is that of its
// process.
func (s *Server) Kill(id int) error {
	s.sessions.mu.Lock()
	defer s.sessions.mu.Unlock()
	one, found := s.sessions.table[id]
	if !found {
		return fmt.Errorf("session %d: there is none", id)
	}
	var err error
	if one.process.PIDFD < 0 { // a child that nobody has waited for: the id is its own
		err = unix.Kill(id, unix.SIGTERM)
	} else {
		err = unix.PidfdSendSignal(one.process.PIDFD, unix.SIGTERM, nil, 0)
	}
	if err != nil && !errors.Is(err, unix.ESRCH) { // else it has ended just now
		return fmt.Errorf("session %d: %s", id, errno.Text(err))
	}
	return nil
}
