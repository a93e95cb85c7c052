package policy

import (
	"errors"
	"iter"
	"os"
	"syscall"
)

// WriteFile compiles the rules into a cdb: it writes tmp, brings it to the
// disk and renames it to path. The two must be different names on one file
// system. Until the rename path stays as it was; when something fails, tmp is
// removed. The bytes are those that tcprules(1) writes.
func WriteFile(path, tmp string, s *Ruleset) error {
	if tmp == path {
		return errors.New(tmp + ": the temporary file must have another name")
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := writeAndRename(f, path, s); err != nil {
		return errors.Join(err, discard(tmp))
	}
	return nil
}

// discard removes a temporary file, but not a device that somebody named.
func discard(tmp string) error {
	info, err := os.Lstat(tmp)
	if err != nil || info.Mode()&(os.ModeDevice|os.ModeNamedPipe) != 0 {
		return err
	}
	return os.Remove(tmp)
}

func writeAndRename(f *os.File, path string, s *Ruleset) error {
	if err := writeCDB(f, s.entries()); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := syscall.Rename(f.Name(), path); err != nil { // os.Rename has its own idea of directories
		return &os.LinkError{Op: "rename", Old: f.Name(), New: path, Err: err}
	}
	return nil
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
