// Program conformance runs the tests that vrrp/CONFORMANCE.md names and prints its
// rows with their results. It fails when a test does not pass: the table says what
// is not true then. Run it in the root of the source tree, as root.
package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// tablePath is where the table is, below the root of the source tree.
const tablePath = "vrrp/CONFORMANCE.md"

func main() {
	ok, err := conformance(".", os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	if !ok || err != nil {
		os.Exit(1)
	}
}

// conformance runs the tests and prints the table.
func conformance(root string, w io.Writer) (ok bool, err error) {
	rows, tests, err := load(root)
	if err != nil {
		return false, err
	}
	o, err := runTests(root, tests)
	if err != nil {
		return false, err
	}
	return report(w, rows, o), nil
}

// load reads the table and the tests, and checks that they agree.
func load(root string) ([]row, map[string]test, error) {
	text, err := os.ReadFile(filepath.Join(root, tablePath))
	if err != nil {
		return nil, nil, err
	}
	rows, err := readTable(string(text))
	if err == nil {
		err = complete(rows)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", tablePath, err)
	}
	if s := summary(rows); !strings.Contains(string(text), "\n"+s+"\n") {
		return nil, nil, fmt.Errorf("%s does not say: %s", tablePath, s)
	}
	tests, err := findTests(root)
	if err != nil {
		return nil, nil, err
	}
	if problems := agree(rows, tests); len(problems) > 0 {
		return nil, nil, fmt.Errorf("%s and the tests differ:\n%s", tablePath, strings.Join(problems, "\n"))
	}
	return rows, tests, nil
}

// report prints the rows with the outcomes of their tests, and tells whether all
// is as the table says.
func report(w io.Writer, rows []row, o *outcomes) bool {
	var failed []row
	tested := 0
	for _, r := range rows {
		outcome := none
		if r.test != "" {
			tested++
			if outcome = o.worst(r.test); outcome != "pass" {
				failed = append(failed, r)
			}
		}
		rfc := "RFC 9568"
		if strings.HasPrefix(r.id, "V") {
			rfc = "RFC 3768"
		}
		fmt.Fprintf(w, "%-4s %s %-9s  %-10s  %-14s  %-4s  %s\n", r.id, rfc, r.section, r.level, r.result, outcome, r.requirement)
		if r.note != "" {
			fmt.Fprintf(w, "     %s: %s\n", r.result, r.note)
		}
	}
	fmt.Fprintf(w, "\n%s\n", summary(rows))
	for _, r := range failed {
		fmt.Fprintf(w, "\n%s: %s: %s\n%s", r.id, r.test, o.worst(r.test), o.outputOf(r.test))
	}
	if len(failed) > 0 {
		fmt.Fprintf(w, "\n%d of %d tests did not pass: the table is not true.\n%s", len(failed), tested, o.other)
		return false
	}
	fmt.Fprintf(w, "All %d tests passed: what is met holds, and what is not met is as described.\n", tested)
	return true
}

// outputOf is what a test that did not pass wrote, with its parent and subtests.
func (o *outcomes) outputOf(name string) string {
	var b strings.Builder
	parent, _, _ := strings.Cut(name, "/")
	for other, text := range o.output {
		if other == name || other == parent || strings.HasPrefix(other, name+"/") {
			b.WriteString(text)
		}
	}
	return b.String()
}
