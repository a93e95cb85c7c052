package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"ucspid/internal/ucspi"
	"ucspid/policy"
)

// explanation is an entry of packaging/ucspid.catalog.
type explanation struct {
	header map[string]string
	text   string
}

var catalogID = regexp.MustCompile(`(?m)^-- ([0-9a-f]{32})\n`)

// catalog returns the explanations, by id.
func catalog(t *testing.T) map[string]explanation {
	t.Helper()
	text, err := os.ReadFile("../../packaging/ucspid.catalog")
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]explanation)
	ids := catalogID.FindAllStringSubmatch(string(text), -1)
	for i, entry := range catalogID.Split(string(text), -1)[1:] {
		id := ids[i][1]
		if _, twice := all[id]; twice {
			t.Errorf("%s is explained twice", id)
		}
		header, text, _ := strings.Cut(entry, "\n\n")
		e := explanation{make(map[string]string), text}
		for line := range strings.Lines(header) {
			name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
			e.header[name] = value
		}
		all[id] = e
	}
	return all
}

func TestCatalogExplainsEveryMessage(t *testing.T) {
	explained := catalog(t)
	var events []string
	for _, m := range messageIDs {
		events = append(events, m.event)
		e, found := explained[m.id]
		if !found {
			t.Errorf("%s is not explained", m.event)
			continue
		}
		delete(explained, m.id)
		if e.header["Subject"] == "" || e.header["Defined-By"] != "ucspid" || e.header["Documentation"] == "" || e.text == "" {
			t.Errorf("%s is not explained in full", m.event)
		}
		for _, name := range fieldsIn(e) {
			if _, found := journalFields(typical[m.event])[name]; !found && name != "_SYSTEMD_UNIT" {
				t.Errorf("the explanation of %s uses %s, which it may not have", m.event, name)
			}
		}
	}
	for id := range explained {
		t.Errorf("%s is explained, but never said", id)
	}
	slices.Sort(events)
	if diff := cmp.Diff(eventsSaid(t), events); diff != "" {
		t.Errorf("the events (-said +with an id)\n%s", diff)
	}
}

var catalogField = regexp.MustCompile(`@(\w+)@`)

func fieldsIn(e explanation) []string {
	var names []string
	for _, m := range catalogField.FindAllStringSubmatch(e.header["Subject"]+e.text, -1) {
		names = append(names, m[1])
	}
	return names
}

// typical are the events with what each of them always has.
var typical = map[string]ucspi.Event{
	"status":  {Name: "status", Limit: 40},
	"pid":     {Name: "pid", PID: 1, Local: here, Remote: there},
	"ok":      {Name: "ok", PID: 1, Local: here, Remote: there},
	"deny":    {Name: "deny", Local: here, Remote: there, Reason: "rule"},
	"refuse":  {Name: "refuse", Local: here, Remote: there, Reason: "per-host"},
	"flood":   {Name: "flood", Count: 1, Duration: time.Minute},
	"end":     {Name: "end", PID: 1, Remote: there, Duration: time.Second},
	"drop":    {Name: "drop", Remote: there, Reason: "x"},
	"drops":   {Name: "drops", Reason: "x", Count: 1, Duration: time.Minute},
	"accept":  {Name: "accept", Reason: "x"},
	"start":   {Name: "start", Reason: "x"},
	"sandbox": {Name: "sandbox", Reason: "x"},
	"reload":  {Name: "reload", Reason: "x"},
	"adopt":   {Name: "adopt", Reason: "x"},
	"lost":    {Name: "lost", Count: 1},
}

var here, there = netip.MustParseAddrPort("192.0.2.25:25"), netip.MustParseAddrPort("192.0.2.1:1234")

// eventsSaid returns the names of the events that the source makes.
func eventsSaid(t *testing.T) []string {
	t.Helper()
	var names []string
	add := func(e ast.Expr) {
		if literal, ok := e.(*ast.BasicLit); ok && literal.Kind == token.STRING {
			name, _ := strconv.Unquote(literal.Value)
			names = append(names, name)
		}
	}
	for _, pattern := range []string{"*.go", "../../internal/ucspi/*.go"} {
		paths, _ := filepath.Glob(pattern)
		for _, path := range paths {
			if strings.HasSuffix(path, "_test.go") {
				continue
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(file, func(n ast.Node) bool {
				switch n := n.(type) {
				case *ast.CompositeLit:
					for _, element := range n.Elts {
						if field, ok := element.(*ast.KeyValueExpr); ok && isEvent(n.Type) && fmt.Sprint(field.Key) == "Name" {
							add(field.Value)
						}
					}
				case *ast.CallExpr:
					if f, ok := n.Fun.(*ast.SelectorExpr); ok && (f.Sel.Name == "event" || f.Sel.Name == "warn") {
						add(n.Args[0])
					}
				}
				return true
			})
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// isEvent recognizes the type of an event, in its package and elsewhere.
func isEvent(kind ast.Expr) bool {
	if selector, ok := kind.(*ast.SelectorExpr); ok {
		kind = selector.Sel
	}
	name, ok := kind.(*ast.Ident)
	return ok && name.Name == "Event"
}

func TestFieldsOfAnEntry(t *testing.T) {
	for _, test := range []struct {
		event ucspi.Event
		want  map[string]string
	}{
		{
			ucspi.Event{Name: "status", Limit: 40, Line: "status: 0/40"},
			map[string]string{"UCSPI_SESSIONS": "0", "UCSPI_LIMIT": "40"},
		}, {
			ucspi.Event{Name: "ok", PID: 7, Local: here, Remote: there, Host: policy.Known("a.example"), Info: policy.Known(""), Rule: policy.Known("")},
			map[string]string{
				"UCSPI_SESSION_PID": "7", "UCSPI_LOCAL_IP": "192.0.2.25", "UCSPI_LOCAL_PORT": "25",
				"UCSPI_REMOTE_IP": "192.0.2.1", "UCSPI_REMOTE_PORT": "1234",
				"UCSPI_REMOTE_HOST": "a.example", "UCSPI_REMOTE_INFO": "", "UCSPI_RULE": "",
			},
		}, {
			ucspi.Event{Name: "end", PID: 7, Remote: there, Duration: 1500 * time.Microsecond},
			map[string]string{
				"UCSPI_SESSION_PID": "7", "UCSPI_REMOTE_IP": "192.0.2.1", "UCSPI_REMOTE_PORT": "1234",
				"UCSPI_STATUS": "0", "UCSPI_DURATION_USEC": "1500",
			},
		}, {
			ucspi.Event{Name: "end", PID: 7, Remote: there, Duration: time.Second, Adopted: true},
			map[string]string{
				"UCSPI_SESSION_PID": "7", "UCSPI_REMOTE_IP": "192.0.2.1", "UCSPI_REMOTE_PORT": "1234",
				"UCSPI_STATUS": "0", "UCSPI_DURATION_USEC": "1000000", "UCSPI_ADOPTED": "yes",
			},
		}, {
			ucspi.Event{Name: "flood", Count: 5, Duration: time.Minute, Source: netip.MustParsePrefix("192.0.2.1/32")},
			map[string]string{"UCSPI_COUNT": "5", "UCSPI_DURATION_USEC": "60000000", "UCSPI_REMOTE_IP": "192.0.2.1"},
		}, {
			ucspi.Event{Name: "flood", Count: 5, Duration: time.Minute, Source: netip.MustParsePrefix("2001:db8::/64")},
			map[string]string{"UCSPI_COUNT": "5", "UCSPI_DURATION_USEC": "60000000", "UCSPI_REMOTE_IP": "2001:db8::/64"},
		}, {
			ucspi.Event{Name: "flood", Count: 5, Duration: time.Minute},
			map[string]string{"UCSPI_COUNT": "5", "UCSPI_DURATION_USEC": "60000000"},
		},
	} {
		test.want["SYSLOG_IDENTIFIER"] = "ucspid"
		test.want["UCSPI_EVENT"] = test.event.Name
		test.want["MESSAGE_ID"] = messageID(test.event.Name)
		if diff := cmp.Diff(test.want, journalFields(test.event)); diff != "" {
			t.Errorf("%s (-want +got)\n%s", test.event.Name, diff)
		}
	}
}

// brokenLog is a log that takes nothing until it is mended.
type brokenLog struct {
	text   strings.Builder
	mended bool
}

func (l *brokenLog) Write(p []byte) (int, error) {
	if !l.mended {
		return 0, syscall.EIO
	}
	return l.text.Write(p)
}

func TestLinesThatTheLogDidNotTakeAreCounted(t *testing.T) {
	var log brokenLog
	v := newVoice(&log, ucspi.Verbose)
	for range 3 {
		v.send(ucspi.Event{Name: "status", Line: "status: 0/40"})
	}
	v.flush()
	log.mended = true
	v.send(ucspi.Event{Name: "status", Line: "status: 1/40"})
	v.close()
	want := "ucspid: status: 1/40\nucspid: warning: 3 lines left out: the log did not take them\n"
	if diff := cmp.Diff(want, log.text.String()); diff != "" {
		t.Errorf("the log (-want +got)\n%s", diff)
	}
}

// TestDropsAreCounted has the rules be broken for long: what is not said one by
// one is said as a number, at the latest when the server stops.
func TestDropsAreCounted(t *testing.T) {
	path := compiled(t, "")
	s := start(t, "-RHl0", "-x", path, "true")
	if err := os.Truncate(path, 1); err != nil {
		t.Fatal(err)
	}
	for i := range 17 {
		s.answer(fmt.Sprintf("127.0.0.%d", i+1))
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := s.whole()
	if n := strings.Count(log, "ucspid: warning: dropping connection, unable to read "); n != 10 {
		t.Errorf("%d connections have a line", n)
	}
	if line := regexp.MustCompile(`(?m)^ucspid: warning: dropped 7 more connections in [0-9]+ s, unable to read .*: corrupt cdb: .*$`); !line.MatchString(log) {
		t.Errorf("the others are not counted:\n%s", log)
	}
}

// TestFloodIsCounted has a peer be denied again and again: what is not said
// one by one is said as a number, at the latest when the server stops.
func TestFloodIsCounted(t *testing.T) {
	s := start(t, "-vRHl0", "-x", compiled(t, "127.0.0.9:deny\n"), "true")
	for range 17 {
		s.answer("127.0.0.9")
	}
	if code := s.stop(); code != 0 {
		t.Errorf("exit code %d", code)
	}
	log := s.whole()
	if n := strings.Count(log, "ucspid: deny 0 "); n != 10 {
		t.Errorf("%d denials are said one by one", n)
	}
	if line := regexp.MustCompile(`(?m)^ucspid: flood: 7 more from 127\.0\.0\.9 denied in [0-9]+ s$`); !line.MatchString(log) {
		t.Errorf("the others are not counted:\n%s", log)
	}
}
