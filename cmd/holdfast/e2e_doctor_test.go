package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// diagnosis is what holdfast doctor --json says, as far as the tests look at it.
type diagnosis struct {
	Version  int       `json:"version"`
	Daemon   bool      `json:"daemon"`
	Worst    string    `json:"worst"`
	Findings []finding `json:"findings"`
}

type finding struct {
	Severity string `json:"severity"`
	ID       string `json:"id"`
	On       string `json:"on"`
	Title    string `json:"title"`
	Why      string `json:"why"`
	Fix      string `json:"fix"`
}

// bad lists what is not all right, without what is only worth knowing.
func (d *diagnosis) bad() (list []finding) {
	for _, f := range d.Findings {
		if f.Severity != "ok" && f.Severity != "info" {
			list = append(list, f)
		}
	}
	return list
}

// of lists what was found of a kind.
func (d *diagnosis) of(id string) (list []finding) {
	for _, f := range d.Findings {
		if f.ID == id {
			list = append(list, f)
		}
	}
	return list
}

// patient is a node to be examined, on which firewalls can be set.
type patient struct {
	*node
	env []string
}

// newPatient lets the programs on a node find those of firewalls, which the
// tests have in a place of their own.
func newPatient(n *node) *patient {
	n.t.Helper()
	p := &patient{node: n}
	path := []string{"/run/bin"}
	var libs []string
	if err := n.MkdirAll("/run/bin"); err != nil {
		n.t.Fatal(err)
	}
	for _, name := range []string{"nft", "iptables-nft", "ip", "sysctl"} {
		prog, err := lab.FindPeer(name)
		require(n.t, err == nil, name+", which .ci/peers fetches")
		dir := filepath.Dir(prog.Path)
		path = append(path, dir)
		for _, e := range prog.Env {
			libs = append(libs, strings.TrimPrefix(e, "LD_LIBRARY_PATH="))
			if found, _ := filepath.Glob(filepath.Join(dir, "../lib/*/xtables")); len(found) > 0 {
				p.env = append(p.env, "XTABLES_LIBDIR="+found[0])
			}
		}
	}
	p.env = append(append(os.Environ(), p.env...), "PATH="+strings.Join(append(path, os.Getenv("PATH")), ":"), "LD_LIBRARY_PATH="+strings.Join(libs, ":"))
	// What is pasted must not reach the files of this machine.
	p.sh("mkdir /run/etc; cp -a /etc/. /run/etc; mount --bind /run/etc /etc; mkdir -p /etc/sysctl.d /etc/network; ln -s " + selfPath() + " /run/bin/holdfast")
	return p
}

// sh runs a script on the node, as a person pastes it.
func (p *patient) sh(script string) {
	p.t.Helper()
	p.says(script)
}

// says is what a script on the node prints.
func (p *patient) says(script string) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 20*time.Second)
	defer cancel()
	c := p.Command(ctx, "/bin/sh", "-ec", script)
	c.Env = p.env
	out, err := c.CombinedOutput()
	if err != nil {
		p.t.Fatalf("on %s: %v\n%s\n%s", p.Name(), err, script, out)
	}
	return string(out)
}

// examine runs holdfast doctor and wants the exit status that its answer means.
func (p *patient) examine(args ...string) *diagnosis {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), 30*time.Second)
	defer cancel()
	c := p.Command(ctx, selfPath(), append([]string{"doctor", "--json", "--config", "/run/holdfast.toml"}, args...)...)
	c.Env = p.env
	out, err := c.Output()
	d := &diagnosis{}
	if json.Unmarshal(out, d) != nil || d.Version != 1 {
		p.t.Fatalf("doctor on %s: %v\n%s", p.Name(), err, out)
	}
	want := 0
	if d.Worst == "error" || d.Worst == "warning" {
		want = 1
	}
	if got := c.ProcessState.ExitCode(); got != want {
		p.t.Errorf("doctor on %s ended with %d, want %d, as its worst is %s", p.Name(), got, want, d.Worst)
	}
	return d
}

// finds wants something found once, and returns it.
func (p *patient) finds(d *diagnosis, severity, id, on string) finding {
	p.t.Helper()
	list := d.of(id)
	i := slices.IndexFunc(list, func(f finding) bool { return f.Severity == severity && f.On == on })
	if i < 0 {
		p.t.Fatalf("doctor on %s does not find %s on %s as %s, but\n%s", p.Name(), id, on, severity, d.text())
	}
	f := list[i]
	if told := f.Why != "" && f.Fix != ""; f.Title == "" || !told && severity != "info" && severity != "ok" {
		p.t.Errorf("%s is told without what comes of it, or what to do:\n%+v", id, f)
	}
	return f
}

// lacks wants something not found.
func (p *patient) lacks(d *diagnosis, id string) {
	p.t.Helper()
	if list := d.of(id); len(list) > 0 {
		p.t.Errorf("doctor on %s still finds\n%s", p.Name(), d.text())
	}
}

func (d *diagnosis) text() string {
	var b strings.Builder
	for _, f := range d.Findings {
		fmt.Fprintf(&b, "%s %s on %q: %s\n%s\n", f.Severity, f.ID, f.On, f.Title, f.Fix)
	}
	return b.String()
}

// ill is a way to make a host ill, and what is found then.
type ill struct {
	name         string
	make         string // a script
	severity, id string
	on           string
	then         func() bool // what comes of it, if that can be seen
	healed       func() bool
	undo         string
}

// heal makes the host ill in each way, finds that, pastes the fix, and in the end
// wants none of it found any more.
func (p *patient) heal(list []ill) {
	p.t.Helper()
	before := p.examine("--wait", "0s")
	for _, c := range list {
		p.lacks(before, c.id)
		p.sh(c.make)
		if c.then != nil {
			eventually(p.t, patience, c.name+": it shows", c.then)
		}
		f := p.finds(p.examine("--wait", "0s"), c.severity, c.id, c.on)
		p.sh(f.Fix)
		if c.healed != nil {
			eventually(p.t, patience, c.name+": the fix helps", c.healed)
		}
		p.sh(c.undo)
	}
	after := p.examine("--wait", "0s")
	for _, c := range list {
		p.lacks(after, c.id)
	}
}

// healTogether is heal for what can be wrong at the same time.
func (p *patient) healTogether(list []ill) {
	p.t.Helper()
	before := p.examine("--wait", "0s")
	for _, c := range list {
		p.lacks(before, c.id)
		p.sh(c.make)
	}
	during := p.examine("--wait", "0s")
	for _, c := range list {
		if c.then != nil {
			eventually(p.t, patience, c.name+": it shows", c.then)
		}
		p.sh(p.finds(during, c.severity, c.id, c.on).Fix)
		if c.healed != nil {
			eventually(p.t, patience, c.name+": the fix helps", c.healed)
		}
	}
	after := p.examine("--wait", "0s")
	for _, c := range list {
		p.lacks(after, c.id)
	}
}
