package policy_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"ucspid/policy"
)

func TestACDBIsByteForByteTheOriginals(t *testing.T) {
	text, err := os.ReadFile("testdata/tcp.smtp")
	check(t, err)
	got := compile(t, t.TempDir(), parse(t, string(text)))
	if !bytes.Equal(got, mailServer(t)) {
		t.Error("the cdb of testdata/tcp.smtp is not testdata/tcp.smtp.cdb")
	}
}

func TestWhatACDBHolds(t *testing.T) {
	tests := []struct {
		name, text string
		want       []entry
	}{
		{"no rules", "", nil},
		{"an address", "127.:allow\n", []entry{{"127.", ""}}},
		{"a denied address", "127.:deny\n", []entry{{"127.", "D\x00"}}},
		{"everybody", ":allow\n", []entry{{"", ""}}},
		{"a variable", "127.:allow,RELAYCLIENT=\"\"\n", []entry{{"127.", "+RELAYCLIENT=\x00"}}},
		{"variables", "127.:deny,A=\"x\",B=\"y\"\n", []entry{{"127.", "D\x00+A=x\x00+B=y\x00"}}},
		{"an address twice", ":allow\n:deny\n", []entry{{"", ""}, {"", "D\x00"}}},
		{"a range", "1.8-10.:deny\n", []entry{{"1.8.", "D\x00"}, {"1.9.", "D\x00"}, {"1.10.", "D\x00"}}},
		{"an empty range", "1.10-8.:deny\n", nil},
		{
			"lines in their order",
			"z:allow\na:deny\n# comment\nm:allow\n",
			[]entry{{"z", ""}, {"a", "D\x00"}, {"m", ""}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := compile(t, t.TempDir(), parse(t, tt.text))
			if diff := cmp.Diff(tt.want, entriesOf(got), cmp.AllowUnexported(entry{})); diff != "" {
				t.Errorf("records (-want +got)\n%s", diff)
			}
			if !bytes.Equal(got, cdbmake(tt.want, 2)) {
				t.Error("the file is not the one that cdbmake makes of them")
			}
		})
	}
}

func TestAnyoneMayReadACDBThatTheUmaskLeavesReadable(t *testing.T) {
	for umask, want := range map[int]fs.FileMode{0: 0o644, 0o022: 0o644, 0o027: 0o640, 0o077: 0o600} {
		path := rulesFile(t)
		before := syscall.Umask(umask)
		err := policy.WriteFile(path, path+".tmp", parse(t, ":allow\n"))
		syscall.Umask(before)
		check(t, err)
		info, err := os.Stat(path)
		check(t, err)
		if got := info.Mode(); got != want {
			t.Errorf("with umask %03o the mode is %v, want %v", umask, got, want)
		}
	}
}

func TestANewCDBTakesThePlaceOfTheOldOne(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path, mailServer(t))
	old, err := os.Open(path)
	check(t, err)
	defer old.Close()

	check(t, policy.WriteFile(path, path+".tmp", parse(t, ":deny\n")))
	now, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(now, denyAll()) {
		t.Error("the file does not hold the new rules")
	}
	// Who had it open goes on with the whole old file.
	was := make([]byte, len(mailServer(t))+1)
	if n, _ := old.ReadAt(was, 0); !bytes.Equal(was[:n], mailServer(t)) {
		t.Error("the old file was written to")
	}
	onlyFile(t, path)
}

func TestALeftoverTmpIsWrittenOver(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path+".tmp", bytes.Repeat([]byte("leftover"), 1000))
	check(t, policy.WriteFile(path, path+".tmp", parse(t, ":deny\n")))
	now, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(now, denyAll()) {
		t.Error("the file holds something of the leftover")
	}
	onlyFile(t, path)
}

func TestWhenWritingFailsTheOldRulesStay(t *testing.T) {
	tests := []struct {
		name string
		text string
		make func(t *testing.T, path, tmp string)
		want func(error) bool

		stays bool // what was made is no file, and is left there
	}{
		{
			name: "the disk is full",
			text: strings.Repeat("127.:allow\n", 10000),
			make: func(t *testing.T, path, tmp string) { check(t, os.Symlink("/dev/full", tmp)) },
			want: func(err error) bool { return errors.Is(err, syscall.ENOSPC) },
		},
		{
			name: "the disk is full from the first byte on",
			make: func(t *testing.T, path, tmp string) { check(t, os.Symlink("/dev/full", tmp)) },
			want: func(err error) bool { return errors.Is(err, syscall.ENOSPC) },
		},
		{
			name: "a fifo in the place of tmp",
			make: func(t *testing.T, path, tmp string) { check(t, syscall.Mkfifo(tmp, 0o644)) },
			want: func(err error) bool { return errors.Is(err, syscall.ESPIPE) },

			stays: true,
		},
		{
			name: "a device in the place of tmp",
			make: func(t *testing.T, path, tmp string) {
				if err := syscall.Mknod(tmp, syscall.S_IFCHR|0o666, 1<<8|7); err != nil { // as /dev/full is
					t.Skipf("mknod: %v", err)
				}
				f, err := os.OpenFile(tmp, os.O_RDWR, 0)
				if err != nil {
					t.Skipf("devices do not work here: %v", err)
				}
				f.Close()
			},
			want: func(err error) bool { return errors.Is(err, syscall.ENOSPC) },

			stays: true,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := rulesFile(t)
			tmp := path + ".tmp"
			overwrite(t, path, mailServer(t))
			before, err := os.Stat(path)
			check(t, err)
			if tt.make != nil {
				tt.make(t, path, tmp)
			}

			err = policy.WriteFile(path, tmp, parse(t, tt.text))
			if err == nil || !tt.want(err) {
				t.Errorf("error %v", err)
			}

			after, err := os.Stat(path)
			check(t, err)
			data, err := os.ReadFile(path)
			check(t, err)
			if !os.SameFile(before, after) || !before.ModTime().Equal(after.ModTime()) || !bytes.Equal(data, mailServer(t)) {
				t.Error("the old file was touched")
			}
			if tt.stays {
				check(t, os.Remove(tmp))
			}
			onlyFile(t, path)
		})
	}
}

func TestWhenRenamingFailsTmpIsGone(t *testing.T) {
	path := rulesFile(t)
	check(t, os.Mkdir(path, 0o755))
	err := policy.WriteFile(path, path+".tmp", parse(t, ":deny\n"))
	if !errors.Is(err, syscall.EEXIST) && !errors.Is(err, syscall.EISDIR) {
		t.Errorf("error %v, want that a directory is there", err)
	}
	onlyFile(t, path)
}

func TestATmpThatCannotBeMadeIsAnError(t *testing.T) {
	path := rulesFile(t)
	overwrite(t, path, mailServer(t))
	for tmp, want := range map[string]error{
		filepath.Join(t.TempDir(), "no", "such", "directory"): fs.ErrNotExist,
		t.TempDir():                     syscall.EISDIR,
		filepath.Join(path, "tmp"):      syscall.ENOTDIR,
		"":                              fs.ErrNotExist,
		strings.Repeat("long", 1<<10):   syscall.ENAMETOOLONG,
		"/proc/self/does-not-exist":     fs.ErrNotExist,
		"tmp\x00with a NUL in its name": syscall.EINVAL,
	} {
		if err := policy.WriteFile(path, tmp, parse(t, ":deny\n")); !errors.Is(err, want) {
			t.Errorf("tmp %q: error %v, want %v", tmp, err, want)
		}
	}
	data, err := os.ReadFile(path)
	check(t, err)
	if !bytes.Equal(data, mailServer(t)) {
		t.Error("the old file was touched")
	}
	onlyFile(t, path)
}

// onlyFile makes sure that nothing was left beside a file.
func onlyFile(t *testing.T, path string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(path))
	check(t, err)
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	if diff := cmp.Diff([]string{filepath.Base(path)}, got); diff != "" {
		t.Errorf("the directory (-want +got)\n%s", diff)
	}
}
