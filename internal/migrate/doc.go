// Package migrate reads how qmail's servers were started before systemd - an
// init script, the run scripts of daemontools, runit and s6, inetd.conf and
// xinetd's files - and returns the files that start ucspid(8) to the same
// effect:
//
//	files, whole := migrate.Translate([]migrate.Input{{Name: path, Text: text}})
//
// Nothing is run and nothing is looked up: what a script comes to is found
// from its text alone. Each word of a line that starts a server is accounted
// for in a comment. What cannot be known is marked TODO there, and then the
// translation is not whole.
package migrate
