package policy_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"ucspid/policy"
)

// failer is what a test, a benchmark and a property have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// parse returns the rules of a text that has no error.
func parse(t failer, text string) *policy.Ruleset {
	t.Helper()
	rules, err := policy.Parse(strings.NewReader(text))
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return rules
}

// compile returns the cdb that WriteFile makes of the rules, by way of dir.
func compile(t failer, dir string, rules *policy.Ruleset) []byte {
	t.Helper()
	path := filepath.Join(dir, "compiled.cdb")
	if err := policy.WriteFile(path, path+".tmp", rules); err != nil {
		t.Fatalf("WriteFile: %v", err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("read what WriteFile wrote: %v", err)
	}
	return data
}

// database returns the database in data, which must be whole.
func database(t failer, data []byte) *policy.Database {
	t.Helper()
	d, err := policy.NewDatabase(data)
	if err != nil {
		t.Fatalf("NewDatabase: %v", err)
	}
	return d
}

// decide returns the decision of rules that do not fail.
func decide(t failer, p policy.Peer, f policy.Finder) policy.Decision {
	t.Helper()
	decision, err := policy.Decide(p, f)
	if err != nil {
		t.Fatalf("Decide(%+v): %v", p, err)
	}
	return decision
}

// peer returns the peer at an address of which nothing else is known.
func peer(ip string) policy.Peer { return policy.Peer{IP: netip.MustParseAddr(ip)} }

// ramDir returns a directory of the test's own, in memory where the system
// has one there: WriteFile and tcprules wait for the disk each time.
func ramDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "ucspid-policy-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// check fails the test for good unless err is nil.
func check(t failer, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%v", err)
	}
}
