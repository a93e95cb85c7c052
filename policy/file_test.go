package policy_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"ucspid/policy"
)

// ask returns what the rules in the file say of a peer now.
func ask(f *policy.File) (policy.Verdict, error) {
	d, err := f.Database(time.Now())
	if err != nil {
		return policy.Deny, err
	}
	decision, err := policy.Decide(peer("192.0.2.1"), d)
	return decision.Verdict, err
}

// says makes sure that the rules in the file can be had and say this.
func says(t failer, f *policy.File, want policy.Verdict) {
	t.Helper()
	if got, err := ask(f); got != want || err != nil {
		t.Fatalf("the file says %v, %v, want %v", got, err, want)
	}
}

// fails makes sure that there are no rules to be had, and returns why.
func fails(t failer, f *policy.File) error {
	t.Helper()
	d, err := f.Database(time.Now())
	if d != nil || err == nil {
		t.Fatalf("Database = %v, %v, want nil and an error", d, err)
	}
	return err
}

// rulesFile returns the path of a rules file that is yet to be made.
func rulesFile(t testing.TB) string { return filepath.Join(t.TempDir(), "tcp.smtp.cdb") }

// replace puts data at path as tcprules does, by renaming.
func replace(t failer, path string, data []byte) {
	t.Helper()
	check(t, os.WriteFile(path+".tmp", data, 0o644))
	check(t, os.Rename(path+".tmp", path))
}

// overwrite puts data in the file that is at path, or makes one.
func overwrite(t failer, path string, data []byte) {
	t.Helper()
	check(t, os.WriteFile(path, data, 0o644))
}

func allowAll() []byte { return cdbmake([]entry{{"", "+A=x\x00"}}, 2) }
func denyAll() []byte  { return cdbmake([]entry{{"", "D\x00"}}, 2) }

func TestFilesWithoutRulesInThem(t *testing.T) {
	tests := []struct {
		name string
		make func(t *testing.T, path string)
		want func(error) bool
	}{
		{
			name: "a file that does not exist",
			make: func(*testing.T, string) {},
			want: func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		},
		{
			name: "a symlink to a file that does not exist",
			make: func(t *testing.T, path string) { check(t, os.Symlink("nowhere", path)) },
			want: func(err error) bool { return errors.Is(err, fs.ErrNotExist) },
		},
		{
			name: "an empty file",
			make: func(t *testing.T, path string) { overwrite(t, path, nil) },
			want: isCorruptError,
		},
		{
			name: "the first half of a file",
			make: func(t *testing.T, path string) { overwrite(t, path, mailServer(t)[:1400]) },
			want: isCorruptError,
		},
		{
			name: "all but the last byte",
			make: func(t *testing.T, path string) {
				data := mailServer(t)
				overwrite(t, path, data[:len(data)-1])
			},
			want: isCorruptError,
		},
		{
			name: "the text that was not compiled",
			make: func(t *testing.T, path string) {
				overwrite(t, path, []byte(strings.Repeat("127.:allow,RELAYCLIENT=\"\"\n", 200)))
			},
			want: isCorruptError,
		},
		{
			name: "garbage",
			make: func(t *testing.T, path string) { overwrite(t, path, []byte(strings.Repeat("\x7f\x00\x08", 3000))) },
			want: isCorruptError,
		},
		{
			name: "a directory",
			make: func(t *testing.T, path string) { check(t, os.Mkdir(path, 0o755)) },
			want: func(err error) bool { return errors.Is(err, syscall.EISDIR) },
		},
		{
			name: "a fifo that nobody writes to",
			make: func(t *testing.T, path string) { check(t, syscall.Mkfifo(path, 0o644)) },
			want: func(err error) bool { return strings.Contains(err.Error(), "not a regular file") },
		},
		{
			name: "a device",
			make: func(t *testing.T, path string) { check(t, os.Symlink("/dev/null", path)) },
			want: func(err error) bool { return strings.Contains(err.Error(), "not a regular file") },
		},
		{
			name: "a file that is too large for the memory",
			make: func(t *testing.T, path string) {
				overwrite(t, path, mailServer(t))
				check(t, os.Truncate(path, 256<<20+1))
			},
			want: func(err error) bool { return err.Error() == "268435457 bytes, more than 268435456" },
		},
		{
			name: "a file of 4 TiB",
			make: func(t *testing.T, path string) {
				overwrite(t, path, mailServer(t))
				check(t, os.Truncate(path, 4<<40))
			},
			want: func(err error) bool { return strings.Contains(err.Error(), "more than 268435456") },
		},
		{
			name: "a path below a file",
			make: func(t *testing.T, path string) {
				check(t, os.Remove(filepath.Dir(path)))
				overwrite(t, filepath.Dir(path), nil)
			},
			want: func(err error) bool { return errors.Is(err, syscall.ENOTDIR) },
		},
		{
			name: "a symlink to itself",
			make: func(t *testing.T, path string) { check(t, os.Symlink(path, path)) },
			want: func(err error) bool { return errors.Is(err, syscall.ELOOP) },
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "dir", "tcp.smtp.cdb")
			check(t, os.Mkdir(filepath.Dir(path), 0o755))
			tt.make(t, path)
			f := &policy.File{Path: path}
			if err := fails(t, f); !tt.want(err) {
				t.Errorf("error %v", err)
			}
			if err := fails(t, f); !tt.want(err) {
				t.Errorf("the second time: error %v", err)
			}

			optional := &policy.File{Path: path, Optional: true}
			if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
				says(t, optional, policy.Allow)
			} else if err := fails(t, optional); !tt.want(err) {
				t.Errorf("when it is optional: error %v", err)
			}
		})
	}
}

func isCorruptError(err error) bool {
	var reason *policy.CorruptError
	return errors.As(err, &reason)
}

func TestAFileThatMayNotBeReadDeniesEvenWhenItIsOptional(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path, allowAll())
	check(t, os.Chmod(path, 0))
	asNobody(t, func() {
		for _, f := range []*policy.File{{Path: path}, {Path: path, Optional: true}} {
			if d, err := f.Database(time.Now()); d != nil || !errors.Is(err, fs.ErrPermission) {
				t.Errorf("Optional %v: Database = %v, %v, want permission denied", f.Optional, d, err)
			}
		}
	})
}

func TestRulesThatMayNoLongerBeReadNoLongerCount(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path, allowAll())
	f := &policy.File{Path: path}
	says(t, f, policy.Allow)

	check(t, os.Chmod(path, 0))
	asNobody(t, func() {
		if d, err := f.Database(time.Now()); d != nil || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Database = %v, %v, want permission denied", d, err)
		}
	})

	check(t, os.Chmod(path, 0o644))
	says(t, f, policy.Allow)
}

func TestADirectoryThatMayNotBeSearchedDenies(t *testing.T) {
	path := filepath.Join(t.TempDir(), "closed", "tcp.smtp.cdb")
	check(t, os.Mkdir(filepath.Dir(path), 0))
	t.Cleanup(func() { os.Chmod(filepath.Dir(path), 0o755) })
	asNobody(t, func() {
		f := &policy.File{Path: path, Optional: true}
		if d, err := f.Database(time.Now()); d != nil || !errors.Is(err, fs.ErrPermission) {
			t.Errorf("Database = %v, %v, want permission denied", d, err)
		}
	})
}

// asNobody calls do, which for root means: on a thread that has another user's
// rights to files. The thread ends with it.
func asNobody(t *testing.T, do func()) {
	t.Helper()
	result := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := unix.Setfsuid(65534); err != nil {
				result <- err
				return
			}
		}
		do()
		result <- nil
	}()
	check(t, <-result)
}

func TestAnOptionalFileCountsAsSoonAsItIsThere(t *testing.T) {
	f := &policy.File{Path: rulesFile(t), Optional: true}
	says(t, f, policy.Allow)
	replace(t, f.Path, denyAll())
	says(t, f, policy.Deny)
	check(t, os.Remove(f.Path))
	says(t, f, policy.Allow)
	replace(t, f.Path, denyAll())
	says(t, f, policy.Deny)
}

func TestAFileThatIsRenamedOverItCountsAtOnce(t *testing.T) {
	f := &policy.File{Path: rulesFile(t)}
	for range 50 { // faster than a file system's clock
		replace(t, f.Path, allowAll())
		says(t, f, policy.Allow)
		replace(t, f.Path, denyAll())
		says(t, f, policy.Deny)
	}
}

func TestAFileThatIsOverwrittenCountsAtOnce(t *testing.T) {
	for name, dir := range map[string]func(testing.TB) string{"tmp": testing.TB.TempDir, "ramfs": ramfs} {
		t.Run(name, func(t *testing.T) {
			f := &policy.File{Path: filepath.Join(dir(t), "tcp.smtp.cdb")}
			allow, deny := cdbmake([]entry{{"9.", ""}}, 2), denyAll()
			if len(allow) != len(deny) {
				t.Fatal("they differ in size: that may tell one from the other")
			}
			for range 50 { // faster than a file system's clock
				overwrite(t, f.Path, allow)
				says(t, f, policy.Allow)
				overwrite(t, f.Path, deny)
				says(t, f, policy.Deny)
			}
		})
	}
}

// ramfs returns the directory of a file system that has only the kernel's
// coarse clock, as all of them had before Linux 6.13. It needs no place to be
// mounted at.
func ramfs(t testing.TB) string {
	t.Helper()
	made, err := unix.Fsopen("ramfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		t.Skipf("only root may mount a ramfs: %v", err)
	}
	defer unix.Close(made)
	check(t, unix.FsconfigCreate(made))
	dir, err := unix.Fsmount(made, unix.FSMOUNT_CLOEXEC, 0)
	check(t, err)
	t.Cleanup(func() { unix.Close(dir) })
	return fmt.Sprintf("/proc/self/fd/%d", dir)
}

func TestASymlinkThatPointsElsewhereCountsAtOnce(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path+".allow", allowAll())
	overwrite(t, path+".deny", denyAll())
	f := &policy.File{Path: path}
	check(t, os.Symlink(path+".allow", path))
	says(t, f, policy.Allow)
	check(t, os.Symlink(path+".deny", path+".tmp"))
	check(t, os.Rename(path+".tmp", path))
	says(t, f, policy.Deny)
}

func TestAnOlderFileThatIsRenamedOverItCountsToo(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path+".old", denyAll())
	overwrite(t, path, allowAll())
	f := &policy.File{Path: path}
	says(t, f, policy.Allow)
	check(t, os.Rename(path+".old", path))
	says(t, f, policy.Deny)
}

func TestAFileThatGoesBadDeniesUntilItIsGoodAgain(t *testing.T) {
	f := &policy.File{Path: rulesFile(t)}
	for name, put := range map[string]func(failer, string, []byte){"renamed": replace, "overwritten": overwrite} {
		t.Run(name, func(t *testing.T) {
			put(t, f.Path, allowAll())
			says(t, f, policy.Allow)

			put(t, f.Path, allowAll()[:100])
			for range 2 {
				if err := fails(t, f); !isCorruptError(err) {
					t.Errorf("error %v", err)
				}
			}

			put(t, f.Path, allowAll())
			says(t, f, policy.Allow)

			check(t, os.Remove(f.Path))
			if err := fails(t, f); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("error %v", err)
			}

			check(t, os.Mkdir(f.Path, 0o755))
			if err := fails(t, f); !errors.Is(err, syscall.EISDIR) {
				t.Errorf("error %v", err)
			}
			check(t, os.Remove(f.Path))

			put(t, f.Path, denyAll())
			says(t, f, policy.Deny)
		})
	}
}

// databaseAt returns the rules in the file as they are so long after it was
// last changed.
func databaseAt(t *testing.T, f *policy.File, age time.Duration) (*policy.Database, error) {
	t.Helper()
	var st unix.Stat_t
	check(t, unix.Stat(f.Path, &st))
	return f.Database(time.Unix(st.Ctim.Unix()).Add(age))
}

func TestAFileIsReadOnceUntilItChanges(t *testing.T) {
	f := &policy.File{Path: rulesFile(t)}
	replace(t, f.Path, mailServer(t))
	first, err := databaseAt(t, f, time.Second)
	check(t, err)
	for _, age := range []time.Duration{time.Second, 0, -time.Hour} {
		if again, err := databaseAt(t, f, age); again != first || err != nil {
			t.Errorf("it was read again although nothing had changed: %v", err)
		}
	}

	replace(t, f.Path, mailServer(t))
	second, err := databaseAt(t, f, time.Second)
	check(t, err)
	if second == first {
		t.Error("it was not read again although it was replaced")
	}
	// Whoever still holds the old rules can go on with them.
	findsWhatIsThere(t, first, mailServer(t))
}

func TestAFileIsReadAgainWhileItsTimeMayBeThatOfTheNextChange(t *testing.T) {
	const tick = 10 * time.Millisecond // of the kernel's coarse clock, at 100 Hz
	for _, age := range []time.Duration{0, tick, -tick, -time.Hour} {
		f := &policy.File{Path: rulesFile(t)}
		replace(t, f.Path, mailServer(t))
		first, err := databaseAt(t, f, age)
		check(t, err)
		second, err := databaseAt(t, f, 2*tick)
		check(t, err)
		if first == second {
			t.Errorf("what was read %v after the last change was believed for ever", age)
		}
		if third, err := databaseAt(t, f, time.Hour); third != second || err != nil {
			t.Errorf("it was read again although it had settled: %v", err)
		}
	}
}

func TestToAskForAFileThatHasNotChangedIsOneAllocation(t *testing.T) {
	f := &policy.File{Path: rulesFile(t)}
	overwrite(t, f.Path, allowAll())
	later := time.Now().Add(time.Second)
	_, err := f.Database(later)
	check(t, err)
	if n := testing.AllocsPerRun(100, func() { _, _ = f.Database(later) }); n > 1 { // of the path, for stat(2)
		t.Errorf("%v allocations", n)
	}
}

func TestABadFileIsReadOnceUntilItChanges(t *testing.T) {
	f := &policy.File{Path: rulesFile(t)}
	replace(t, f.Path, mailServer(t)[:2500])
	_, first := databaseAt(t, f, time.Second)
	if _, second := databaseAt(t, f, time.Second); first == nil || first != second {
		t.Errorf("it was read again: %v, and then %v", first, second)
	}
}

func TestAFileThatIsReplacedAllTheTimeIsAlwaysThere(t *testing.T) {
	dir := ramDir(t)
	allow := parse(t, strings.Repeat("192.0.2.1:allow,A=\"x\"\n", 40))
	deny := parse(t, ":deny\n")
	f := &policy.File{Path: filepath.Join(dir, "tcp.smtp.cdb")}
	check(t, policy.WriteFile(f.Path, f.Path+".tmp", allow))

	want := map[policy.Verdict]policy.Decision{
		policy.Allow: decide(t, peer("192.0.2.1"), allow),
		policy.Deny:  decide(t, peer("192.0.2.1"), deny),
	}
	done := make(chan struct{})
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for {
				d, err := f.Database(time.Now())
				if err != nil {
					t.Errorf("Database: %v", err)
					return
				}
				got := decide(t, peer("192.0.2.1"), d)
				if diff := cmp.Diff(want[got.Verdict], got); diff != "" {
					t.Errorf("neither the old rules nor the new (-want +got)\n%s", diff)
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for range 200 {
		check(t, policy.WriteFile(f.Path, f.Path+".tmp", deny))
		check(t, policy.WriteFile(f.Path, f.Path+".tmp", allow))
	}
	close(done)
	wait.Wait()
}
