package policy

import (
	"errors"
	"iter"
	"os"
	"path/filepath"
)

// WriteFile compiles the rules into a cdb: it writes tmp, brings it to the
// disk and renames it to path. The two must be on one file system. Until the
// rename path stays as it was; when something fails, tmp is removed. The
// bytes are those that tcprules(1) writes.
func WriteFile(path, tmp string, s *Ruleset) error {
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeAndRename(f, path, s); err != nil {
		return errors.Join(err, os.Remove(tmp))
	}
	return syncDir(filepath.Dir(path))
}

func writeAndRename(f *os.File, path string, s *Ruleset) error {
	if err := writeCDB(f, s.entries()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// syncDir makes a rename in dir last over a power failure.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// entries yields the keys and records in the order of the text.
func (s *Ruleset) entries() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for i := range s.rules {
			record := appendRecord(nil, &s.rules[i])
			for key := range s.rules[i].Keys() {
				if !yield(key, record) {
					return
				}
			}
		}
	}
}
