package spawn

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// asParent makes the test binary a process that starts the program of its
// arguments and waits for it.
const asParent = "SPAWN_AS_PARENT"

func TestMain(m *testing.M) {
	spawner, err := New()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if os.Getenv(asParent) != "" {
		os.Unsetenv(asParent)
		os.Exit(parent(spawner, os.Args[1:]))
	}
	theSpawner = spawner
	os.Exit(m.Run())
}

// theSpawner is that of the process.
var theSpawner *Spawner

func parent(s *Spawner, words []string) int {
	p, err := s.Start(Command{Path: words[0], Args: words, Env: os.Environ(), Files: [3]int{0, 1, 2}})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return status(p).ExitStatus()
}

// status waits for the end of a process.
func status(p Process) unix.WaitStatus {
	defer unix.Close(p.PIDFD)
	var status unix.WaitStatus
	for {
		if pid, err := unix.Wait4(p.PID, &status, 0, nil); err == nil && pid == p.PID {
			return status
		} else if err != unix.EINTR {
			panic(err)
		}
	}
}

// start starts a program that reads and says nothing.
func start(t *testing.T, path string, args ...string) Process {
	t.Helper()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := int(null.Fd())
	p, err := theSpawner.Start(Command{Path: path, Args: append([]string{path}, args...), Files: [3]int{fd, fd, fd}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What the program is born with is what it gets when nobody stands between it
// and whoever started the process.
func TestProgramIsBornAsTheProcessWas(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, born := range []string{
		"true",
		"trap '' HUP INT", // of others Go forgets it
		"ulimit -Sn 200",
		"ulimit -n 200",
		"umask 027; cd /tmp; ulimit -Sc 0",
	} {
		const look = `exec "$@" /bin/sh -c 'grep -h -E "^(Sig(Blk|Ign|Cgt)|Umask|NoNewPrivs|Cap)|open files|core file" /proc/self/status /proc/self/limits; pwd; ls -l /proc/self/fd | grep -c /; env'`
		show := func(words ...string) string {
			cmd := exec.Command("/bin/sh", append([]string{"-c", born + "; " + look, "sh"}, words...)...)
			cmd.Env = []string{"PATH=/usr/bin:/bin", "A=b c"}
			if len(words) > 0 {
				cmd.Env = append(cmd.Env, asParent+"=1")
			}
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v: %s", born, err, out)
			}
			return string(out)
		}
		if got, want := show(self), show(); got != want {
			t.Errorf("%s: the program sees\n%s, and without us\n%s", born, got, want)
		}
	}
}

func TestWhyAProgramWasNotExecuted(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	plain := filepath.Join(dir, "plain")
	for name, mode := range map[string]os.FileMode{text: 0o755, plain: 0o644} {
		if err := os.WriteFile(name, []byte("nothing\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	for path, want := range map[string]error{
		"":                               unix.ENOENT,
		filepath.Join(dir, "none"):       unix.ENOENT,
		filepath.Join(text, "none"):      unix.ENOTDIR,
		plain:                            unix.EACCES,
		dir:                              unix.EACCES,
		text:                             unix.ENOEXEC,
		dir + strings.Repeat("/x", 4096): unix.ENAMETOOLONG,
	} {
		if p, err := theSpawner.Start(Command{Path: path, Args: []string{"x"}, Files: [3]int{0, 1, 2}}); err != nil {
			if err != want { // as syscall.ForkExec tells it
				t.Errorf("%.40q: %v, not %v", path, err, want)
			}
		} else if s := status(p); s.ExitStatus() != ExitCode || p.Failed() != want {
			t.Errorf("%.40q: exit code %d, %v, not %v", path, s.ExitStatus(), p.Failed(), want)
		}
	}
	p := start(t, "/bin/sh", "-c", "exit 111")
	if s := status(p); s.ExitStatus() != 111 || p.Failed() != nil {
		t.Errorf("a program that exits with 111: exit code %d, %v", s.ExitStatus(), p.Failed())
	}
}

func TestWordsWithNULAreRefused(t *testing.T) {
	for _, c := range []Command{
		{Path: "/bin/tr\x00ue", Args: []string{"true"}},
		{Path: "/bin/true", Args: []string{"tr\x00ue"}},
		{Path: "/bin/true", Args: []string{"true"}, Env: []string{"A=\x00"}},
	} {
		if _, err := theSpawner.Start(c); err != syscall.EINVAL {
			t.Errorf("%+q: %v, not %v", c.Args, err, syscall.EINVAL)
		}
	}
}

// Where there is no room for a process there is none, and nothing is left.
func TestNoRoomForAProcess(t *testing.T) {
	before := descriptors(t)
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	full := limit
	full.Cur = 3 // 0 to 2 are open
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &full); err != nil {
		t.Fatal(err)
	}
	_, err := theSpawner.Start(Command{Path: "/bin/true", Args: []string{"true"}, Files: [3]int{0, 1, 2}})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if err != unix.EMFILE {
		t.Errorf("no descriptor for a pidfd: %v", err)
	}
	if s := status(start(t, "/bin/true")); s != 0 {
		t.Errorf("afterwards: status %d", s)
	}
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

func descriptors(t *testing.T) int {
	t.Helper()
	open, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(open)
}

// The limit is that of birth while the program is replaced, and afterwards, if
// it was not, as before.
func TestLimitWhileTheProgramIsReplaced(t *testing.T) {
	limit := func() (now unix.Rlimit) {
		if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &now); err != nil {
			t.Fatal(err)
		}
		return now
	}
	before := limit()
	if err := theSpawner.AsBorn(func() error { return syscall.Exec("/none", []string{"none"}, nil) }); err != unix.ENOENT {
		t.Error(err)
	}
	if after := limit(); runtime.GOARCH == "amd64" && after != before {
		t.Errorf("the limit is %v, and was %v", after, before)
	}
}

// spawns is how many programs the next test starts: a million take a while.
func spawns() int {
	if n, err := strconv.Atoi(os.Getenv("SPAWNS")); err == nil {
		return n
	}
	return 2000
}

// Programs are started from many goroutines at once while signals rain on all
// processes, the collector never rests, and goroutines are preempted: each gets
// its own words, and nothing happens to us.
func TestStorm(t *testing.T) {
	before := descriptors(t)
	rain := make(chan os.Signal, 1)
	signal.Notify(rain, unix.SIGWINCH)
	defer signal.Stop(rain)
	var over atomic.Bool
	var weather, spawning sync.WaitGroup
	storm := func(do func()) {
		weather.Go(func() {
			for !over.Load() {
				do()
			}
		})
	}
	storm(func() { _ = unix.Kill(0, unix.SIGWINCH); _ = unix.Kill(0, unix.SIGURG) })
	storm(runtime.GC)
	storm(func() { _ = bytes.Repeat([]byte("garbage"), 1<<12) })

	const spawners = 4
	for i := range spawners {
		spawning.Go(func() {
			for n := range spawns() / spawners {
				word := strings.Repeat(fmt.Sprintf("%d.%d ", i, n), 20)
				p := start(t, "/usr/bin/test", word, "=", strings.Clone(word))
				if s := status(p); s != 0 {
					t.Errorf("program %d of %d: status %d, %v", n, i, s, p.Failed())
					return
				}
			}
		})
	}
	spawning.Wait()
	over.Store(true)
	weather.Wait()
	if after := descriptors(t); after != before {
		t.Errorf("%d descriptors, %d before", after, before)
	}
}

// What a program says comes from the descriptor that it was given.
func TestDescriptors(t *testing.T) {
	var pipes [3][2]int
	for i := range pipes {
		if err := unix.Pipe2(pipes[i][:], unix.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
	}
	in, out, complaints := pipes[0], pipes[1], pipes[2]
	p, err := theSpawner.Start(Command{
		Path: "/bin/sh", Args: []string{"sh", "-c", `read a; echo "$a"; echo no >&2`},
		Files: [3]int{in[0], out[1], complaints[1]},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range []int{in[0], out[1], complaints[1]} {
		unix.Close(fd)
	}
	ends := func(fd int) *os.File { return os.NewFile(uintptr(fd), "pipe") }
	fmt.Fprintln(ends(in[1]), "yes")
	said, _ := io.ReadAll(ends(out[0]))
	complained, _ := io.ReadAll(ends(complaints[0]))
	if s := status(p); s != 0 || string(said) != "yes\n" || string(complained) != "no\n" {
		t.Errorf("status %d, said %q and %q", s, said, complained)
	}
}

// BenchmarkStart starts programs that cannot be executed: what it takes is ours
// and the kernel's.
func BenchmarkStart(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		p, err := theSpawner.Start(Command{Path: "/none", Args: []string{"none"}, Files: [3]int{0, 1, 2}})
		if err == nil {
			status(p)
		}
	}
}
