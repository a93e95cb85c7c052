package ucspi

import (
	"time"

	"ucspid/policy"
)

// judge decides about a connection before there is any process: first by the
// rules, then by the limits. One that is not let in is closed, in one line of
// the log.
func (s *Server) judge(c *connection, rules *policy.Database) (policy.Decision, bool) {
	decision, err := policy.Decide(c.peer(), rules)
	if err != nil {
		s.drop(c, s.unreadable(err))
		return policy.Decision{}, false
	}
	terms := s.Terms.For(decision)
	if decision.Verdict != policy.Allow {
		s.deny(c, decision, terms)
		return policy.Decision{}, false
	}
	load := 0
	if _, limited := terms.Load.N(); limited {
		load = s.load.average(time.Now())
	}
	if refusal := c.visit.Admit(terms, time.Now(), load); refusal != nil {
		s.refuse(c, decision, terms, refusal)
		return policy.Decision{}, false
	}
	s.slots.announce()
	return decision, true
}

// await tells whether a connection may wait for its names. What counts until
// they are known is what the rules say of its address.
func (s *Server) await(c *connection, rules *policy.Database) bool {
	decision, err := policy.Decide(c.peer(), rules)
	if err != nil {
		s.drop(c, s.unreadable(err))
		return false
	}
	terms := s.Terms.For(decision)
	if refusal := c.visit.Await(terms); refusal != nil {
		s.refuse(c, decision, terms, refusal)
		return false
	}
	return true
}

// deny shows out a connection that a rule denies.
func (s *Server) deny(c *connection, d policy.Decision, terms policy.Terms) {
	s.showOut(c, s.Refusals.denial(terms.Message(nil)))
	s.denied.Add(1)
	s.countsChanged()
	s.log.deny(c, d)
	s.pause.succeeded()
}

// refuse shows out a connection that a limit refuses.
func (s *Server) refuse(c *connection, d policy.Decision, terms policy.Terms, refusal *policy.Refusal) {
	s.showOut(c, s.Refusals.refusal(refusal.Reason, terms.Message(refusal)))
	s.refused[refusal.Reason].Add(1)
	s.countsChanged()
	s.log.refuse(c, d, refusal)
	s.pause.succeeded()
}
