package ucspi

import "ucspid/policy"

// judge decides about a connection before there is any process. One that is
// not allowed is closed, in one line of the log.
func (s *Server) judge(c *connection, rules *policy.Database) (policy.Decision, bool) {
	decision, err := policy.Decide(c.peer(), rules)
	if err != nil {
		s.drop(c, s.unreadable(err))
		return policy.Decision{}, false
	}
	if decision.Verdict != policy.Allow {
		s.close(c)
		s.denied.Add(1)
		s.countsChanged()
		s.log.deny(c, decision)
		s.pause.succeeded()
		return policy.Decision{}, false
	}
	return decision, true
}
