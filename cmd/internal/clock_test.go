package internal_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// wallClock are the methods and functions of package time that read or keep the
// wall clock alone: a time that went through one of them jumps when somebody sets
// the clock. Round and Truncate do so to times, and not to durations.
var wallClock = map[string]bool{
	"Unix": true, "UnixMilli": true, "UnixMicro": true, "UnixNano": true, "UTC": true, "Local": true, "In": true,
	"AddDate": true, "Date": true, "Clock": true, "YearDay": true, "Weekday": true,
	"GobEncode": true, "ParseInLocation": true, "CLOCK_REALTIME": true,
}

// wallAllowed are the places that do so and decide nothing by it.
var wallAllowed = map[string]string{
	"vip/watch_linux.go: Unix":                  "a deadline in the past, to wake a read",
	"cmd/internal/daemon/boottime.go: UnixNano": "a hint that the machine may have slept, for which the kernel is asked",
	"healthcheck/http.go: Unix":                 "a deadline in the past, to end a probe",
	"healthcheck/tcp.go: Unix":                  "a deadline in the past, to end a probe",
}

// TestNothingDecidesByTheWallClock looks through the code that decides, and what
// carries its decisions out, for anything that a set clock could disturb. Times
// keep their monotonic reading there from time.Now to each comparison.
func TestNothingDecidesByTheWallClock(t *testing.T) {
	used := map[string]bool{}
	for _, dir := range []string{"vrrp", "vrrp/transport", "vip", "cmd/internal/daemon", "healthcheck", "notify"} {
		err := filepath.WalkDir(filepath.Join("../..", dir), func(path string, e fs.DirEntry, err error) error {
			if err == nil && e.IsDir() && e.Name() == "sim" {
				return fs.SkipDir // it makes a time of its own
			}
			if err != nil || e.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			fset := token.NewFileSet()
			file, err := parser.ParseFile(fset, path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				s, ok := n.(*ast.SelectorExpr)
				if !ok || !wallClock[s.Sel.Name] {
					return true
				}
				place := strings.TrimPrefix(filepath.ToSlash(path), "../../") + ": " + s.Sel.Name
				used[place] = true
				if wallAllowed[place] == "" {
					t.Errorf("%v: %s reads the wall clock, which anybody may set", fset.Position(n.Pos()), s.Sel.Name)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for place := range wallAllowed {
		if !used[place] {
			t.Errorf("%s is not there any more", place)
		}
	}
}
