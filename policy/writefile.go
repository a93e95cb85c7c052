package policy

import (
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"

	"github.com/colinmarc/cdb"
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
		return errors.Join(err, os.Remove(tmp))
	}
	return nil
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

// output is what a cdb can be written to.
type output interface {
	io.WriteSeeker
	io.ReaderAt
	io.WriterAt
}

// writeCDB writes the entries to w as cdbmake does, byte for byte. A key that
// hashes to 0 (39.160.226.88 does) takes a detour, for the library would lose
// it: it is written under a hash with the same way through table 0, and that
// is set to 0 afterwards.
func writeCDB(w output, entries iter.Seq2[string, []byte]) error {
	stand := standIn(entries)
	out, err := cdb.NewWriter(w, func(key []byte) uint32 {
		if h := hash(key); h != 0 {
			return h
		}
		return stand
	})
	if err != nil {
		return err
	}
	for key, record := range entries {
		if err := out.Put([]byte(key), record); err != nil {
			return err
		}
	}
	if _, err := out.Freeze(); err != nil || stand == 0 {
		return err
	}
	return resetHash(w, stand)
}

// standIn returns a hash that no key has, and that leads a search to the
// first slot of table 0 as the hash 0 does. It is 0 when no key needs it.
func standIn(entries iter.Seq2[string, []byte]) uint32 {
	inTable0 := make(map[uint32]bool)
	slots := uint32(0)
	for key := range entries {
		if h := hash([]byte(key)); h%tables == 0 {
			inTable0[h] = true
			slots += 2
		}
	}
	if !inTable0[0] {
		return 0
	}
	stand := slots * tables
	for inTable0[stand] {
		stand += slots * tables
	}
	return stand
}

// resetHash sets the hash to 0 in the slots of table 0 that have it.
func resetHash(w output, hash uint32) error {
	header := make([]byte, pairSize)
	if _, err := w.ReadAt(header, 0); err != nil {
		return err
	}
	pos := int64(binary.LittleEndian.Uint32(header))
	slots := make([]byte, pairSize*int64(binary.LittleEndian.Uint32(header[4:])))
	if _, err := w.ReadAt(slots, pos); err != nil {
		return err
	}
	for i := 0; i < len(slots); i += pairSize {
		if binary.LittleEndian.Uint32(slots[i:]) == hash {
			binary.LittleEndian.PutUint32(slots[i:], 0)
		}
	}
	_, err := w.WriteAt(slots, pos)
	return err
}
