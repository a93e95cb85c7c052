// Package house holds the fences of the house: who may import whom, and what
// is kept out of everywhere. See docs/architecture.md.
package house

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// room is a package of ours.
type room struct {
	Dir        string
	ImportPath string
	GoFiles    []string
	CgoFiles   []string
	Imports    []string
}

// rooms returns the packages that are shipped, by their path in the house.
func rooms(t *testing.T) map[string]room {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,GoFiles,CgoFiles,Imports",
		"./activation/...", "./cmd/...", "./internal/...", "./policy/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	all := make(map[string]room)
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var r room
		if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimPrefix(r.ImportPath, "ucspid/")] = r
	}
}

// within tells whether an import is path or below it.
func within(imported, path string) bool {
	return imported == path || strings.HasPrefix(imported, path+"/")
}

func TestRoomsImportOnlyWhatTheyMay(t *testing.T) {
	all := rooms(t)
	forbidden := map[string][]string{
		"policy":           {"net", "os/exec", "log", "ucspid"},
		"activation":       {"ucspid", "os/exec", "log"},
		"internal/ucspi":   {"github.com/coreos/go-systemd/v22", "github.com/colinmarc/cdb", "flag", "github.com/spf13", "ucspid/activation"},
		"internal/proxy":   {"ucspid/activation", "ucspid/policy", "ucspid/internal/ucspi", "os/exec", "log"},
		"internal/spawn":   {"ucspid", "os/exec", "log"},
		"internal/status":  {"ucspid/activation", "ucspid/internal/ucspi", "os/exec", "log"},
		"internal/exit":    {"ucspid", "os"},
		"internal/migrate": {"ucspid", "net", "os", "log"},
		"cmd/ucspid":       {"net/http"},
		"cmd/ucspidctl":    {"ucspid/activation", "ucspid/internal/ucspi", "net/http"},
	}
	allowed := []string{"net/netip"}
	for name, paths := range forbidden {
		r, found := all[name]
		if !found {
			t.Errorf("%s: no such room", name)
		}
		for _, imported := range r.Imports {
			for _, path := range paths {
				if within(imported, path) && !slices.Contains(allowed, imported) {
					t.Errorf("%s imports %s", name, imported)
				}
			}
		}
	}
}

func TestEachDependencyHasOneDoor(t *testing.T) {
	doors := map[string]string{
		"github.com/coreos/go-systemd/v22": "activation",
		"github.com/colinmarc/cdb":         "policy",
		"github.com/miekg/dns":             "internal/ucspi",
		"github.com/pires/go-proxyproto":   "internal/proxy",
		"github.com/spf13/pflag":           "cmd/ucspid",
		"github.com/spf13/cobra":           "cmd/ucspidctl",
		"mvdan.cc/sh/v3":                   "internal/migrate",
		"github.com/vishvananda/netlink":   "cmd/ucspidctl",
	}
	for name, r := range rooms(t) {
		for _, imported := range r.Imports {
			for dependency, door := range doors {
				if within(imported, dependency) && name != door {
					t.Errorf("%s imports %s, whose door is %s", name, imported, door)
				}
			}
		}
	}
}

// eachFile parses every file that ends up in a program.
func eachFile(t *testing.T, visit func(room, path string, file *ast.File)) {
	t.Helper()
	for name, r := range rooms(t) {
		if len(r.CgoFiles) > 0 {
			t.Errorf("%s uses cgo", name)
		}
		for _, base := range r.GoFiles {
			path := filepath.Join(r.Dir, base)
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			visit(name, name+"/"+base, file)
		}
	}
}

// calls yields the package functions that a file names, as pkg.Name.
func calls(file *ast.File) []string {
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if selector, ok := n.(*ast.SelectorExpr); ok {
			if pkg, ok := selector.X.(*ast.Ident); ok {
				names = append(names, pkg.Name+"."+selector.Sel.Name)
			}
		}
		return true
	})
	return names
}

func TestPolicyHasNoClock(t *testing.T) {
	clocks := []string{"time.Now", "time.Since", "time.Until", "time.Sleep", "time.After", "time.NewTimer", "time.NewTicker", "time.Tick"}
	eachFile(t, func(room, path string, file *ast.File) {
		for _, call := range calls(file) {
			if room == "policy" && slices.Contains(clocks, call) {
				t.Errorf("%s calls %s", path, call)
			}
		}
	})
}

func TestProcessesBeginAndEndInOnePlace(t *testing.T) {
	doors := map[string][]string{
		"spawn.New":            {"internal/ucspi/server.go"},
		"syscall.ForkExec":     {"internal/spawn/spawner_other.go"},
		"syscall.StartProcess": nil,
		"os.StartProcess":      nil,
		"exec.Command":         nil,
		"os.Exit":              {"cmd/ucspid/main.go", "cmd/ucspidctl/main.go"},
		"log.Fatal":            nil,
		"cdb.New":              {"policy/cdb.go"},
		"cdb.NewWriter":        {"policy/cdb.go"},
	}
	met := make(map[string]bool)
	seen := make(map[string]bool) // files, of those for this processor
	eachFile(t, func(_, path string, file *ast.File) {
		seen[path] = true
		for _, call := range calls(file) {
			door, guarded := doors[call]
			if guarded && !slices.Contains(door, path) {
				t.Errorf("%s calls %s, which only %v may", path, call, door)
			}
			met[call] = true
		}
	})
	for call, door := range doors {
		if slices.ContainsFunc(door, func(path string) bool { return seen[path] }) && !met[call] {
			t.Errorf("nobody calls %s: the fence guards nothing", call)
		}
	}
}

func TestNothingHappensOnImport(t *testing.T) {
	eachFile(t, func(_, path string, file *ast.File) {
		for _, declaration := range file.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s has an init function", path)
				}
			case *ast.GenDecl:
				if d.Tok == token.VAR {
					checkVariables(t, path, d)
				}
			}
		}
	})
}

// checkVariables allows two kinds of package-level variables, which nobody
// changes: errors and arrays.
func checkVariables(t *testing.T, path string, d *ast.GenDecl) {
	t.Helper()
	for _, spec := range d.Specs {
		v := spec.(*ast.ValueSpec)
		if len(v.Values) != 1 || !isErrorOrArray(v.Values[0]) {
			t.Errorf("%s has a package-level variable %s", path, v.Names[0])
		}
	}
}

func isErrorOrArray(value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.CallExpr:
		function, ok := value.Fun.(*ast.SelectorExpr)
		return ok && function.Sel.Name == "New" && function.X.(*ast.Ident).Name == "errors"
	case *ast.CompositeLit:
		array, ok := value.Type.(*ast.ArrayType)
		return ok && array.Len != nil
	}
	return false
}
