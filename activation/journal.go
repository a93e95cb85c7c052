package activation

import "github.com/coreos/go-systemd/v22/journal"

// Priority is a level of syslog(3), as journald takes it.
type Priority = journal.Priority

// The levels in use.
const (
	Warning = journal.PriWarning
	Info    = journal.PriInfo
)

// StderrIsJournal tells whether what is written to stderr ends up in the
// journal, so that Journal may be used in its place.
func StderrIsJournal() bool {
	connected, err := journal.StderrIsJournalStream()
	return err == nil && connected
}

// Journal sends one native entry. It waits while journald does not read. The
// names of fields are upper-case letters, digits and underscores.
func Journal(message string, priority Priority, fields map[string]string) error {
	return journal.Send(message, priority, fields)
}
