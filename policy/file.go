package policy

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"
)

// maxFileSize bounds what a rules file may take of the memory, in bytes: room
// for some five million rules.
const maxFileSize = 256 << 20

// File is a cdb of rules on disk, such as /etc/tcp.smtp.cdb. It is read when
// it is first used and whenever it has changed since: a file that is renamed
// over it counts from the next call on. It may be used by several goroutines.
type File struct {
	Path string

	// Optional makes a file that does not exist a database without rules,
	// which allows everybody. Any other error stays one.
	Optional bool

	mu       sync.Mutex
	seen     identity // of what database and err came from
	database *Database
	err      error
}

// Database returns the rules as they are in the file now, which is the time of
// the call. An error means that nobody may be let in by this file; it does not
// repeat the path.
func (f *File) Database(now time.Time) (*Database, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	present, err := identify(f.Path)
	if errors.Is(err, fs.ErrNotExist) && f.Optional {
		return &Database{}, nil
	}
	if err != nil {
		return nil, err
	}
	if present != f.seen {
		f.seen, f.database, f.err = load(f.Path)
		if !f.seen.settled(now) {
			f.seen = identity{}
		}
	}
	return f.database, f.err
}

// identity changes whenever a file that has settled is replaced or written to.
// The zero identity belongs to no file.
type identity struct {
	dev, inode   uint64
	size         int64
	mtime, ctime syscall.Timespec
}

// clockTick is twice the longest tick of a kernel's clock (CONFIG_HZ=100), in
// which many file systems, and before Linux 6.13 all of them, stamp files.
const clockTick = 20 * time.Millisecond

// settled tells whether whoever writes to the file from now on is sure to
// change its identity, which within a tick of the last change is not so. What
// counts is ctime, for anybody can set mtime. A file from the future is never
// sure: now may lie a while back.
func (i identity) settled(now time.Time) bool {
	return now.Sub(time.Unix(i.ctime.Unix())) >= clockTick
}

func identityOf(st *syscall.Stat_t) identity {
	return identity{uint64(st.Dev), st.Ino, st.Size, st.Mtim, st.Ctim} // Dev is 32 bits on some
}

func identify(path string) (identity, error) {
	var st syscall.Stat_t
	err := syscall.Stat(path, &st)
	return identityOf(&st), err
}

// sameContent tells whether nobody wrote to the file since: that another was
// renamed over it shows in its ctime only.
func (i identity) sameContent(now identity) bool {
	now.ctime = i.ctime
	return now == i
}

// load reads and checks a file. What it found, an error too, holds as long as
// the file keeps the identity, once that has settled; it is zero when the file
// was not read to the end or was written to meanwhile, so that the next call
// tries again.
func load(path string) (identity, *Database, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a fifo must not hold us up
	if err != nil {
		return identity{}, nil, withoutPath(err)
	}
	defer f.Close()
	before, err := stat(f)
	if err != nil {
		return identity{}, nil, err
	}
	if before.size > maxFileSize {
		return before, nil, fmt.Errorf("%d bytes, more than %d", before.size, maxFileSize)
	}
	data := make([]byte, before.size)
	if _, err := io.ReadFull(f, data); err != nil {
		return identity{}, nil, withoutPath(err)
	}
	if after, err := stat(f); err != nil || !before.sameContent(after) {
		return identity{}, nil, errors.New("written to while it was read")
	}
	database, err := NewDatabase(data)
	return before, database, err
}

// withoutPath returns what is behind a *fs.PathError.
func withoutPath(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return path.Err
	}
	return err
}

// stat returns the identity of a regular file, an error for any other.
func stat(f *os.File) (identity, error) {
	info, err := f.Stat()
	if err != nil {
		return identity{}, withoutPath(err)
	}
	if info.IsDir() {
		return identity{}, syscall.EISDIR
	}
	if !info.Mode().IsRegular() {
		return identity{}, errors.New("not a regular file")
	}
	return identityOf(info.Sys().(*syscall.Stat_t)), nil
}
