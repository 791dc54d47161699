package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
)

// outcomes are the results of go test by the names of tests, as in "pass".
type outcomes struct {
	of     map[string]string
	output map[string]string // what tests that did not pass wrote
	other  string            // what belongs to no test, such as errors of the compiler
}

// runTests runs the tests that rows name. An error means that they could not be
// run; what failed is in the outcomes.
func runTests(root string, tests map[string]test) (*outcomes, error) {
	var functions, dirs []string
	for name, t := range tests {
		top, _, _ := strings.Cut(name, "/")
		functions = append(functions, regexp.QuoteMeta(top))
		dirs = append(dirs, "./"+t.dir)
	}
	for _, list := range []*[]string{&functions, &dirs} {
		slices.Sort(*list)
		*list = slices.Compact(*list)
	}
	goTool := os.Getenv("GO")
	if goTool == "" {
		goTool = "go"
	}
	args := []string{"test", "-json", "-count=1", "-p=1", "-timeout=10m", "-run=^(" + strings.Join(functions, "|") + ")$"}
	cmd := exec.Command(goTool, append(args, dirs...)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "HOLDFAST_REQUIRE=1") // nothing may be left out
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		return nil, fmt.Errorf("run go test: %w", err)
	}
	o, err := readOutcomes(&out)
	if o != nil {
		o.other += errOut.String()
	}
	return o, err
}

// readOutcomes reads what go test -json wrote.
func readOutcomes(r io.Reader) (*outcomes, error) {
	o := &outcomes{of: map[string]string{}, output: map[string]string{}}
	for d := json.NewDecoder(r); ; {
		var e struct{ Action, Test, Output string }
		switch err := d.Decode(&e); {
		case err == io.EOF:
			return o, nil
		case err != nil:
			return o, fmt.Errorf("read the output of go test: %w", err)
		}
		switch e.Action {
		case "output":
			o.output[e.Test] += e.Output
		case "build-output":
			o.other += e.Output
		case "pass":
			o.of[e.Test] = e.Action
			delete(o.output, e.Test)
		case "fail", "skip":
			o.of[e.Test] = e.Action
		}
	}
}

// worst is how a test and its subtests ended: a table must not claim more than
// all of them show.
func (o *outcomes) worst(name string) string {
	result, ran := o.of[name]
	if !ran {
		return "did not run"
	}
	for other, r := range o.of {
		if strings.HasPrefix(other, name+"/") && r != "pass" && result == "pass" {
			result = r
		}
	}
	return result
}
