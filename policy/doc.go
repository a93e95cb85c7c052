// Package policy judges a peer by the rules of tcprules: a peer goes in, a
// decision comes out.
//
// The rules are written as text (Parse), compiled into a cdb (WriteFile) and
// read from there for every connection (File). To judge, call Decide with the
// peer and what holds the rules:
//
//	file := policy.File{Path: "/etc/tcp.smtp.cdb"}
//	...
//	rules, err := file.Database(time.Now())
//	...
//	decision, err := policy.Decide(policy.Peer{IP: ip}, rules)
//
// Whom the rules allow is let in where the limits allow it, too. Those for one
// peer are Terms, which its rule may change; an Admission counts who is in:
//
//	terms = terms.For(decision)
//	if refusal := visit.Admit(terms, now, load); refusal != nil {
//
// The order of the search, the first line that wins, the first hit that ends
// the search and the variables that a rule sets are those of tcprules(1) and
// tcpserver(1) of ucspi-tcp 0.88; so is the format of the cdb.
//
// The package does no I/O but the rules file, asks no clock, no DNS and writes
// no log. The zero Decision denies: whatever goes wrong, nobody is let in by
// an oversight.
package policy
