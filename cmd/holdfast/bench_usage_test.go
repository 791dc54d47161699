package main

// What processes use, and what else the machine has to do.

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// cost is what all processes of a daemon have used, and what they hold.
type cost struct {
	cpu    time.Duration
	wakes  int // times that a thread went on after it had waited
	memory int // resident, in bytes
}

// used adds up what the threads of all processes of the daemon have used.
func (n *node) used() (c cost) {
	n.t.Helper()
	var files int
	for _, pid := range tree(n.t, n.daemon.PID()) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			n.t.Fatal(err)
		}
		for _, th := range threads {
			dir := fmt.Sprintf("/proc/%d/task/%s/", pid, th.Name())
			// The time of user and system together, here in nanoseconds.
			text, err := os.ReadFile(dir + "schedstat")
			var ns int64
			if err == nil {
				_, err = fmt.Sscan(string(text), &ns)
			}
			if err != nil {
				n.t.Fatal(err)
			}
			c.cpu += time.Duration(ns)
			c.wakes += named(n.t, dir+"status")["voluntary_ctxt_switches"]
		}
		// What one forked from the other they share, and so each counts its part.
		// Of files they map the same pages.
		m := named(n.t, fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		c.memory += m["Pss_Anon"] * 1024
		files = max(files, (m["Rss"]-m["Anonymous"])*1024)
	}
	c.memory += files
	return c
}

// named reads the numbers of a file of /proc that has a name before each.
func named(t testing.TB, path string) map[string]int {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	m := map[string]int{}
	for lines := bufio.NewScanner(file); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), ":")
		var number int
		if _, err := fmt.Sscan(value, &number); ok && err == nil {
			m[name] = number
		}
	}
	return m
}

// machineTime is how long the machine's processors have worked, and how long they were
// kept from it by the machines beside this one.
func machineTime(t testing.TB) (worked, stolen time.Duration) {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	var user, nice, system, idle, iowait, irq, softirq, steal int64
	if _, err := fmt.Sscanf(string(text), "cpu %d %d %d %d %d %d %d %d", &user, &nice, &system, &idle, &iowait, &irq, &softirq, &steal); err != nil {
		t.Fatalf("/proc/stat: %v", err)
	}
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every Linux
	return time.Duration(user+nice+system+irq+softirq) * tick, time.Duration(steal) * tick
}

// buildDir is where what testDir's users build is, until the end.
var buildDir string

var testDir = sync.OnceValues(func() (dir string, err error) {
	buildDir, err = os.MkdirTemp("", "holdfast-built-")
	return buildDir, err
})

var build = sync.OnceValues(func() (path string, err error) {
	dir, err := testDir()
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "holdfast")
	c := exec.Command("make", "-s", "-C", "../..", "build", "PROGRAM="+path)
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w: %s", err, out)
	}
	return path, nil
})

// builtProgram is the program as make build makes it, for a benchmark: the test
// binary does the same, but it is larger. A test, which asks whether measuring
// works at all, need not wait for it.
func builtProgram(t testing.TB) string {
	t.Helper()
	if _, ok := t.(*testing.B); !ok {
		return selfPath()
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}
