// Package internal_test checks what holds for the source tree as a whole: which
// package imports which, what package vrrp may use, and what lies at the top.
package internal_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	module = "github.com/holdfast-vrrp/holdfast"
	root   = "../.."
)

// libraries are the packages that must not know each other.
var libraries = []string{"vrrp", "vip", "healthcheck", "notify"}

// assemblies may import several libraries: here they meet, in configuration, in
// the daemon, in what examines a host for both, and in the program.
var assemblies = []string{"cmd/internal/config", "cmd/internal/daemon", "cmd/internal/doctor", "cmd/holdfast"}

// reserved are modules that one package alone may import, or only tests.
var reserved = map[string]string{
	"github.com/BurntSushi/toml":    "cmd/internal/config",
	"github.com/hashicorp/go-hclog": "cmd/internal/logbook",
	"github.com/prometheus/":        "tests",
}

// breaches says which rules imports breaks. Packages of this module are named
// by their folder.
func breaches(imports map[string][]string) []string {
	var found []string
	report := func(pkg, format string, args ...any) {
		found = append(found, pkg+" "+fmt.Sprintf(format, args...))
	}
	for _, pkg := range slices.Sorted(maps.Keys(imports)) {
		own := library(pkg)
		met := map[string]bool{}
		for _, imp := range imports[pkg] {
			if pkg == "vrrp" && !standard(imp) {
				report(pkg, "imports %s, which is not in the standard library", imp)
			}
			if other := library(imp); other != "" {
				met[other] = true
				if own != "" && other != own {
					report(pkg, "imports %s, another library", imp)
				}
			}
			if own != "" && strings.HasPrefix(imp, "cmd/") {
				report(pkg, "imports %s upwards", imp)
			}
			for mod, holder := range reserved {
				if strings.HasPrefix(imp, mod) && pkg != holder {
					report(pkg, "imports %s, which is for %s alone", imp, holder)
				}
			}
		}
		if len(met) > 1 && own == "" && !slices.Contains(assemblies, pkg) {
			report(pkg, "imports several libraries: %s", strings.Join(slices.Sorted(maps.Keys(met)), ", "))
		}
	}
	return found
}

// library is the library to which a folder belongs, or "".
func library(dir string) string {
	first, _, _ := strings.Cut(dir, "/")
	if slices.Contains(libraries, first) {
		return first
	}
	return ""
}

// standard tells whether an import path is of the standard library.
func standard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".") && first != "cmd" && library(path) == ""
}

func TestBreaches(t *testing.T) {
	tests := []struct {
		name    string
		imports map[string][]string
		want    []string
	}{
		{"as designed", map[string][]string{
			"vrrp":                {"net/netip", "time"},
			"vrrp/transport":      {"vrrp", "golang.org/x/sys/unix"},
			"vip":                 {"github.com/vishvananda/netlink"},
			"cmd/internal/daemon": {"vrrp", "vrrp/transport", "vip", "healthcheck", "notify", "cmd/internal/config"},
			"cmd/internal/config": {"vrrp", "vip", "github.com/BurntSushi/toml"},
		}, nil},
		{"vrrp is not pure", map[string][]string{"vrrp": {"golang.org/x/sys/unix"}}, []string{
			"vrrp imports golang.org/x/sys/unix, which is not in the standard library",
		}},
		{"vrrp looks down", map[string][]string{"vrrp": {"vrrp/transport"}}, []string{
			"vrrp imports vrrp/transport, which is not in the standard library",
		}},
		{"libraries know each other", map[string][]string{"vip": {"vrrp"}, "notify": {"healthcheck"}}, []string{
			"notify imports healthcheck, another library",
			"vip imports vrrp, another library",
		}},
		{"part of a library", map[string][]string{"vrrp/sim": {"vrrp", "vip"}}, []string{"vrrp/sim imports vip, another library"}},
		{"upwards", map[string][]string{"healthcheck": {"cmd/internal/config"}}, []string{"healthcheck imports cmd/internal/config upwards"}},
		{"reserved", map[string][]string{"vip": {"github.com/hashicorp/go-hclog"}}, []string{
			"vip imports github.com/hashicorp/go-hclog, which is for cmd/internal/logbook alone",
		}},
		{"meeting elsewhere", map[string][]string{"cmd/internal/control": {"vrrp", "vip"}}, []string{
			"cmd/internal/control imports several libraries: vip, vrrp",
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, breaches(tt.imports)); diff != "" {
				t.Errorf("breaches (-want +got):\n%s", diff)
			}
		})
	}
}

func TestImports(t *testing.T) {
	imports := sourceImports(t)
	for _, pkg := range append(slices.Clone(libraries), "cmd/holdfast") {
		if len(imports[pkg]) == 0 {
			t.Errorf("no imports found in %s: is this the source tree?", pkg)
		}
	}
	for _, b := range breaches(imports) {
		t.Error(b)
	}
}

// sourceImports lists what each package of the tree imports, tests aside.
func sourceImports(t *testing.T) map[string][]string {
	t.Helper()
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !isSource(d.Name()) {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, imp := range file.Imports {
			imports[dir] = append(imports[dir], strings.TrimPrefix(importPath(imp), module+"/"))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, list := range imports {
		slices.Sort(list)
		imports[dir] = slices.Compact(list)
	}
	return imports
}

func isSource(name string) bool {
	return strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go")
}

func importPath(spec *ast.ImportSpec) string {
	path, err := strconv.Unquote(spec.Path.Value)
	if err != nil {
		panic(err) // the parser has accepted it
	}
	return path
}

// impure are the packages and the names in them by which code reads a clock,
// waits, shares memory, talks or depends on chance. "*" is all of a package.
var impure = map[string][]string{
	"time":         {"Now", "Since", "Until", "After", "AfterFunc", "Sleep", "Tick", "NewTimer", "NewTicker"},
	"net":          {"*"},
	"os":           {"*"},
	"log":          {"*"},
	"log/slog":     {"*"},
	"sync":         {"*"},
	"sync/atomic":  {"*"},
	"syscall":      {"*"},
	"runtime":      {"*"},
	"context":      {"*"},
	"unsafe":       {"*"},
	"math/rand":    {"*"},
	"math/rand/v2": {"*"},
	"crypto/rand":  {"*"},
}

// impurities lists what a file has that a pure state machine must not have.
func impurities(file *ast.File, fset *token.FileSet) []string {
	var found []string
	report := func(n ast.Node, what string) {
		found = append(found, fmt.Sprintf("line %d: %s", fset.Position(n.Pos()).Line, what))
	}
	names := map[string]string{} // of packages in this file
	for _, imp := range file.Imports {
		path := importPath(imp)
		name := path[strings.LastIndex(path, "/")+1:]
		if imp.Name != nil {
			name = imp.Name.Name
		}
		names[name] = path
		if slices.Contains(impure[path], "*") || name == "." {
			report(imp, "import of "+path)
		}
	}
	ast.Inspect(file, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			report(n, "go statement")
		case *ast.SelectStmt:
			report(n, "select statement")
		case *ast.ChanType:
			report(n, "channel")
		case *ast.SelectorExpr:
			if id, ok := n.X.(*ast.Ident); ok && slices.Contains(impure[names[id.Name]], n.Sel.Name) {
				report(n, names[id.Name]+"."+n.Sel.Name)
			}
		case *ast.CallExpr:
			if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "print" || id.Name == "println") {
				report(n, id.Name)
			}
		}
		return true
	})
	return found
}

func TestImpurities(t *testing.T) {
	tests := []struct {
		name, source string
		want         []string
	}{
		{"pure", "import \"time\"\nfunc f(now time.Time) time.Time { return now.Add(time.Second) }", nil},
		{"clock", "import \"time\"\nvar t = time.Now()", []string{"line 3: time.Now"}},
		{"clock by another name", "import clock \"time\"\nvar sleep = clock.Sleep", []string{"line 3: time.Sleep"}},
		{"dot import", "import . \"time\"", []string{"line 2: import of time"}},
		{"mutex", "import \"sync\"\nvar mu sync.Mutex", []string{"line 2: import of sync"}},
		{"socket", "import \"net\"", []string{"line 2: import of net"}},
		{"addresses are no sockets", "import \"net/netip\"\nvar a netip.Addr", nil},
		{"goroutine", "func f() { go f() }", []string{"line 2: go statement"}},
		{"channel", "func f(c chan int) { select { case <-c: } }", []string{"line 2: channel", "line 2: select statement"}},
		{"print", "func f() { println(1) }", []string{"line 2: println"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, "x.go", "package x\n"+tt.source, parser.SkipObjectResolution)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, impurities(file, fset)); diff != "" {
				t.Errorf("impurities (-want +got):\n%s", diff)
			}
		})
	}
}

func TestPackageVRRPIsPure(t *testing.T) {
	entries, err := os.ReadDir(filepath.Join(root, "vrrp"))
	if err != nil {
		t.Fatal(err)
	}
	files := 0
	for _, e := range entries {
		if !isSource(e.Name()) {
			continue
		}
		files++
		fset := token.NewFileSet()
		file, err := parser.ParseFile(fset, filepath.Join(root, "vrrp", e.Name()), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range impurities(file, fset) {
			t.Errorf("vrrp/%s: %s", e.Name(), what)
		}
	}
	if files == 0 {
		t.Error("no files found in vrrp")
	}
}

func TestTopLevel(t *testing.T) {
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		name := e.Name()
		built := name == "bin" || slices.Contains([]string{".test", ".out", ".pcap"}, filepath.Ext(name))
		if !strings.HasPrefix(name, ".") && !built {
			got = append(got, name)
		}
	}
	want := []string{"LICENSE", "Makefile", "README.md", "cmd", "examples", "go.mod", "go.sum", "healthcheck", "notify", "vip", "vrrp"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("top level (-want +got):\n%s", diff)
	}
}
