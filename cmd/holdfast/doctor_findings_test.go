package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDoctorFindings wants each finding that the source of doctor can tell of, by
// its ID, provoked by a test in namespaces: with finds, says, or in a table of what
// is made ill.
func TestDoctorFindings(t *testing.T) {
	t.Parallel()
	// A finding that a test has nothing to tell of has the test's own ID.
	told := idsIn(t, "../internal/doctor/*.go", false, func(n ast.Node) bool {
		f, ok := n.(*ast.FuncDecl)
		return ok && f.Name.Name != "hostTests" && f.Name.Name != "wireTests"
	})
	provoked := idsIn(t, "e2e_doctor*.go", true, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.CallExpr:
			f, ok := n.Fun.(*ast.SelectorExpr)
			return ok && (f.Sel.Name == "finds" || f.Sel.Name == "says")
		case *ast.CompositeLit:
			list, ok := n.Type.(*ast.ArrayType)
			if !ok {
				return false
			}
			of, ok := list.Elt.(*ast.Ident)
			return ok && (of.Name == "ill" || of.Name == "before")
		}
		return false
	})
	const fewest = 50 // or the source is not read as it is written
	if len(told) < fewest {
		t.Errorf("it finds %d IDs alone: %q", len(told), slices.Sorted(maps.Keys(told)))
	}
	for _, id := range slices.Sorted(maps.Keys(told)) {
		if !provoked[id] {
			t.Errorf("doctor can find %q, and no test in namespaces provokes that", id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(provoked)) {
		if !told[id] {
			t.Errorf("a test wants %q, which doctor cannot find", id)
		}
	}
	t.Logf("measured: %d findings, each provoked", len(told))
}

// anID is how the ID of a finding looks, and no other text in doctor's source.
var anID = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)+$`)

// idsIn collects the IDs in the parts within of files, which are tests or are not.
func idsIn(t *testing.T, pattern string, tests bool, within func(ast.Node) bool) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	ids := map[string]bool{}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") != tests {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if !within(n) {
				return true
			}
			ast.Inspect(n, func(n ast.Node) bool {
				if l, ok := n.(*ast.BasicLit); ok && l.Kind == token.STRING {
					if text, err := strconv.Unquote(l.Value); err == nil && anID.MatchString(text) {
						ids[text] = true
					}
				}
				return true
			})
			return false
		})
	}
	return ids
}
