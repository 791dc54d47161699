package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// Tests are named after their row: a function such as TestRFC9568_T1_Source, or a
// subtest such as T4_TTL of a function such as TestRFC9568OnWire.
var (
	functionPattern = regexp.MustCompile(`^TestRFC(\d+)_([A-Z]\d+)_\w+$`)
	parentPattern   = regexp.MustCompile(`^TestRFC(\d+)[A-Z]\w*$`)
	subtestPattern  = regexp.MustCompile(`^([A-Z]\d+)_\w+$`)
)

// test is where the test of a row is.
type test struct {
	id, rfc string
	dir     string // below the root, with slashes
}

// findTests reads the tests of rows below root, by name.
func findTests(root string) (map[string]test, error) {
	found := map[string]test{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != root && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(d.Name(), "_test.go") {
			return nil
		}
		dir, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		return testsIn(file, filepath.ToSlash(dir), found)
	})
	return found, err
}

func testsIn(file *ast.File, dir string, found map[string]test) error {
	for _, decl := range file.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Recv != nil {
			continue
		}
		name := f.Name.Name
		if m := functionPattern.FindStringSubmatch(name); m != nil {
			if err := add(found, name, test{id: m[2], rfc: m[1], dir: dir}); err != nil {
				return err
			}
		} else if m := parentPattern.FindStringSubmatch(name); m != nil {
			for _, sub := range subtests(f) {
				id := subtestPattern.FindStringSubmatch(sub)[1]
				if err := add(found, name+"/"+sub, test{id: id, rfc: m[1], dir: dir}); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func add(found map[string]test, name string, t test) error {
	if other, twice := found[name]; twice {
		return fmt.Errorf("%s is in %s and in %s", name, other.dir, t.dir)
	}
	found[name] = t
	return nil
}

// subtests lists the names of rows that a function calls something with.
func subtests(f *ast.FuncDecl) (names []string) {
	ast.Inspect(f, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok || len(call.Args) == 0 {
			return true
		}
		if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
			if name, err := strconv.Unquote(lit.Value); err == nil && subtestPattern.MatchString(name) {
				names = append(names, name)
			}
		}
		return true
	})
	return names
}

// agree says where table and tests differ: every row names a test that is there
// and is called after it, and every test is named by its row.
func agree(rows []row, tests map[string]test) (problems []string) {
	named := map[string]bool{}
	for _, r := range rows {
		if r.test == "" {
			continue
		}
		named[r.test] = true
		rfc := "9568"
		if strings.HasPrefix(r.id, "V") {
			rfc = "3768"
		}
		switch t, ok := tests[r.test]; {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s: there is no test %s", r.id, r.test))
		case t.id != r.id || t.rfc != rfc:
			problems = append(problems, fmt.Sprintf("%s: the test %s is called after another row", r.id, r.test))
		}
	}
	for name, t := range tests {
		if !named[name] {
			problems = append(problems, fmt.Sprintf("%s: the row does not name the test %s of %s", t.id, name, t.dir))
		}
	}
	return problems
}
