package main

// The README's first ten minutes, command by command.

import (
	"context"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	readmePath = "../../README.md"
	// reprintReadme is set to a file that gets the README with today's outputs.
	reprintReadme = "HOLDFAST_README"
	// lookAgain is how long a person waits for what a command is to show.
	lookAgain = 15 * time.Second
)

// tourHost is a host of the README with its files, nginx and daemon.
type tourHost struct {
	*node
	nginx *lab.Process
}

// newTourHost makes a host whose /etc is its own, where the program is
// installed.
func newTourHost(t *testing.T, l *lab.Lab, name, addr string) *tourHost {
	t.Helper()
	h := &tourHost{node: newNode(t, l, name, addr)}
	h.shell(`mkdir -p /run/bin /run/etc/upper /run/etc/work &&
		mount -t overlay overlay -o lowerdir=/etc,upperdir=/run/etc/upper,workdir=/run/etc/work /etc &&
		mkdir -p /etc/holdfast`)
	programs := map[string]string{
		"holdfast": fmt.Sprintf("%s=1 exec '%s' \"$@\"", beHoldfast, selfPath()),
		"sudo":     `exec "$@"`,
	}
	for program, script := range programs {
		must(t, h.WriteFile("/run/bin/"+program, "#!/bin/sh\n"+script+"\n", 0o755))
	}
	h.service("nginx", "start")
	return h
}

// shell runs a command line and returns what it printed.
func (h *tourHost) shell(line string) string {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(h.t.Context(), 60*time.Second)
	defer cancel()
	c := h.Command(ctx, "sh", "-c", line)
	c.Env = append(os.Environ(), "PATH=/run/bin:"+os.Getenv("PATH"), "TZ=UTC", "COLUMNS=80")
	out, err := c.CombinedOutput()
	if c.ProcessState == nil || c.ProcessState.ExitCode() < 0 {
		h.t.Fatalf("%s$ %s: %v\n%s", h.Name(), line, err, out)
	}
	return string(out)
}

// service does what systemctl would. TestUnitUnderSystemd and the package's tests
// have the real one do it.
func (h *tourHost) service(name, verb string) {
	h.t.Helper()
	var err error
	switch name + " " + verb {
	case "nginx start":
		h.nginx, err = h.StartNginx()
	case "nginx stop":
		err = h.nginx.Stop()
	case "holdfast enable --now":
		c := h.Command(context.Background(), "/run/bin/holdfast", "run")
		c.SharePIDs = true // doctor looks at the process
		if h.daemon, err = h.StartCommand(c); err == nil {
			err = h.daemon.WaitOutput(h.t.Context(), "starting")
		}
	case "holdfast restart": // the unit's RestartKillSignal
		if err = h.daemon.Signal(syscall.SIGUSR2); err == nil {
			<-h.daemon.Done()
			h.service("holdfast", "enable --now")
		}
	default:
		err = fmt.Errorf("no such service")
	}
	if err != nil {
		h.t.Fatalf("%s$ systemctl %s %s: %v", h.Name(), verb, name, err)
	}
}

var (
	systemctlLine = regexp.MustCompile(`^sudo systemctl (.+) (\S+)$`)
	// onlyLooks are the commands that may be given again until they show what is
	// to come.
	onlyLooks = regexp.MustCompile(`^(sudo )?holdfast (status|explain|events|check|doctor|version)\b`)
	installs  = regexp.MustCompile(`^(make|sudo make|sudo apt) `)
)

// do carries a command out and returns what it printed and whether it may be
// repeated.
func (h *tourHost) do(line string) (out string, again bool) {
	h.t.Helper()
	line, _, _ = strings.Cut(line, "  #")
	line = strings.TrimSpace(line)
	if m := systemctlLine.FindStringSubmatch(line); m != nil {
		h.service(m[2], m[1])
		return "", false
	}
	if installs.MatchString(line) {
		return "", false // what make and apt do is seen in tests of their own
	}
	return h.shell(line), onlyLooks.MatchString(line)
}

// varies are the parts of an output that differ from run to run.
var varies = []struct {
	what *regexp.Regexp
	as   string
}{
	{regexp.MustCompile(`\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun) \d+ [A-Z][a-z]{2} \d{4}\b`), "DATE"},
	{regexp.MustCompile(`\b\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\b`), "DATE TIME"},
	{regexp.MustCompile(`\b\d\d:\d\d:\d\d(\.\d+)?\b`), "TIME"},
	{regexp.MustCompile(`(\b\d+(\.\d+)?|\.\d+)(ns|µs|ms|s|m|h)((\d+(\.\d+)?)(ms|s|m))*(\W|$)`), "DURATION$8"},
	{regexp.MustCompile(`\bpid \d+\b`), "PID"},
	{regexp.MustCompile(`\b\d+ things looked at\b`), "MANY things looked at"}, // it learns to look at more
	{regexp.MustCompile(`(\S)\n  (\S)`), "$1 $2"},                             // sentences are broken where their numbers let them
	{regexp.MustCompile(` {2,}`), "  "},
}

func whatStays(out string) string {
	for _, v := range varies {
		out = v.what.ReplaceAllString(out, v.as)
	}
	return out
}

// tourStep is a command of the README with the output that it shows.
type tourStep struct{ host, line, output string }

var prompt = regexp.MustCompile(`^(lb[12])\$ (.*)$`)

// readTour splits a block into its steps.
func readTour(block string) (steps []tourStep) {
	for line := range strings.Lines(block) {
		if m := prompt.FindStringSubmatch(strings.TrimSuffix(line, "\n")); m != nil {
			steps = append(steps, tourStep{host: m[1], line: m[2]})
		} else if len(steps) > 0 {
			steps[len(steps)-1].output += line
		}
	}
	return steps
}

// tourSection is the README's second section.
func tourSection(t *testing.T, readme string) string {
	t.Helper()
	_, section, found := strings.Cut(readme, "\n## The first ten minutes\n")
	section, _, ends := strings.Cut(section, "\n## ")
	if !found || !ends {
		t.Fatal("the README has no first ten minutes")
	}
	return section
}

// TestReadmeTour gives the commands of the README's first ten minutes on two hosts, and
// sees that each prints what the README shows, but for times and process
// numbers. With HOLDFAST_README=FILE it writes the README with what was printed.
func TestReadmeTour(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(readmePath)
	must(t, err)
	section := tourSection(t, string(text))
	l := newLab(t)
	_, err = lab.FindPeer("nginx")
	require(t, err == nil, "nginx")
	hosts := map[string]*tourHost{
		"lb1": newTourHost(t, l, "lb1", "192.0.2.1/24"),
		"lb2": newTourHost(t, l, "lb2", "192.0.2.2/24"),
	}
	reprint := os.Getenv(reprintReadme)
	printed, commands := section, 0
	for _, block := range regexp.MustCompile("(?s)```(toml)?\n(.*?)```").FindAllStringSubmatch(section, -1) {
		if block[1] == "toml" {
			for name, priority := range map[string]string{"lb1": "150", "lb2": "100"} {
				config := strings.Replace(block[2], "priority = 150", "priority = "+priority, 1)
				must(t, hosts[name].WriteFile("/etc/holdfast/holdfast.toml", config, 0o640))
			}
			continue
		}
		steps := readTour(block[2])
		if len(steps) == 0 {
			t.Errorf("a block without a command:\n%s", block[2])
		}
		var anew strings.Builder
		for _, s := range steps {
			out := take(t, hosts[s.host], s, reprint != "")
			fmt.Fprintf(&anew, "%s$ %s\n%s", s.host, s.line, out)
			commands++
		}
		printed = strings.Replace(printed, block[0], "```\n"+anew.String()+"```", 1)
	}
	t.Logf("measured: %d commands", commands)
	if reprint != "" {
		must(t, os.WriteFile(reprint, []byte(strings.Replace(string(text), section, printed, 1)), 0o644))
	}
}

// take takes one step. One that only looks is taken until it shows what it is to.
func take(t *testing.T, h *tourHost, s tourStep, reprint bool) string {
	t.Helper()
	if reprint { // what came before has had its effect, as when a person reads and types
		time.Sleep(6 * time.Second)
	}
	for began := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		out, again := h.do(s.line)
		diff := cmp.Diff(whatStays(s.output), whatStays(out))
		if diff == "" || reprint {
			return out
		}
		if !again || time.Since(began) > lookAgain {
			t.Errorf("%s$ %s\nprints something else than the README says (-README +printed):\n%s", h.Name(), s.line, diff)
			return out
		}
	}
}
