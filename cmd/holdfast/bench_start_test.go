package main

// How long it takes to start, to validate a file, and to reload one instance
// among thousands; and that such a reload touches nothing else.

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// startSizes are the numbers of instances, and how soon after exec Holdfast is to be
// ready, where that was asked.
var startSizes = [...]struct {
	instances int
	most      time.Duration
}{{1, 0}, {255, 300 * time.Millisecond}, {4080, 0}}

const (
	checkMost  = 200 * time.Millisecond // of a file of manyInstances
	reloadMost = 50 * time.Millisecond  // of one among manyInstances
	// programMost is the size of the program, stripped, in millions of bytes.
	programMost = 12
	// manyInstances are 255 on each of 16 interfaces.
	manyInstances = 4080
)

// BenchmarkStart measures it START_ROUNDS times (5) and prints a table.
func BenchmarkStart(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	rounds := roundsFrom(b, "START_ROUNDS", 5)
	builtProgram(b)
	var ready [len(startSizes)][]float64
	var check, answered, there, command, widest []float64
	others, missing := 0, 0
	for b.Loop() { // once
		for range rounds {
			for n, size := range startSizes {
				ready[n] = append(ready[n], millis(measureReady(b, size.instances)))
			}
			check = append(check, millis(measureCheck(b)))
			r := measureReload(b)
			answered, there, command = append(answered, millis(r.answered)), append(there, millis(r.there)), append(command, millis(r.command))
			widest, others, missing = append(widest, millis(r.widest)), others+r.others, missing+manyInstances-r.heard
		}
	}
	b.ReportMetric(0, "ns/op")
	lines := [][]string{{"", "median (least–most), ms", "goal"}}
	for n, size := range startSizes {
		line := []string{fmt.Sprintf("exec to ready, instances: %d", size.instances), spreadOf(ready[n]).String(), ""}
		if size.most > 0 {
			line[2] = met(spreadOf(ready[n]).median, millis(size.most))
		}
		lines = append(lines, line)
	}
	lines = append(
		lines,
		[]string{fmt.Sprintf("`holdfast check` of %d instances", manyInstances), spreadOf(check).String(), met(spreadOf(check).median, millis(checkMost))},
		[]string{fmt.Sprintf("reload of one among %d: request to answer", manyInstances), spreadOf(answered).String(), met(spreadOf(answered).median, millis(reloadMost))},
		[]string{"the same, until its new address is there", spreadOf(there).String(), ""},
		[]string{"the longest time between two adverts of any, due each 1000", spreadOf(widest).String(), ""},
		[]string{"`holdfast reload` without a change, exec to exit", spreadOf(command).String(), ""},
	)
	info, err := os.Stat(builtProgram(b))
	if err != nil {
		b.Fatal(err)
	}
	size := float64(info.Size()) / 1e6
	lines = append(lines, []string{"the program, MB", fmt.Sprintf("%.1f", size), met(size, programMost)})
	var text strings.Builder
	markdown(&text, lines)
	fmt.Printf("\n%s\nIn all reloads %d addresses of other instances came or went, and %d other instances were not heard.\n", &text, others, missing)
}

// measureReady is the time from exec until the daemon told systemd that it is
// ready.
func measureReady(b *testing.B, instances int) time.Duration {
	b.Helper()
	l := newLab(b)
	defer l.Close()
	s := each(time.Second)
	s.instances = instances
	bd := newCostBed(b, l, &s, programs[0])
	bd.first.configure(bd.program.render(&s, firstPriority))
	path := filepath.Join(b.TempDir(), "notify") // a host sees it, too
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		b.Fatal(err)
	}
	defer systemd.Close()
	c := bd.first.Command(context.Background(), builtProgram(b), "run", "--config", "/run/holdfast.toml")
	c.Env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	began := time.Now()
	if bd.first.daemon, err = bd.first.StartCommand(c); err != nil {
		b.Fatal(err)
	}
	if err := systemd.SetReadDeadline(began.Add(time.Minute)); err != nil {
		b.Fatal(err)
	}
	buf := make([]byte, 4096)
	for {
		n, err := systemd.Read(buf)
		if err != nil {
			b.Fatalf("%d instances: not ready: %v; it wrote:\n%s", instances, err, bd.first.daemon.Output())
		}
		if strings.Contains(string(buf[:n]), "READY=1") {
			return time.Since(began)
		}
	}
}

// measureCheck is the time to validate a file.
func measureCheck(b *testing.B) time.Duration {
	b.Helper()
	s := each(time.Second)
	s.instances = manyInstances
	path := filepath.Join(b.TempDir(), "holdfast.toml")
	if err := os.WriteFile(path, []byte(holdfastScene(&s, firstPriority)), 0o644); err != nil {
		b.Fatal(err)
	}
	c := exec.Command(builtProgram(b), "check", "--config", path)
	began := time.Now()
	out, err := c.CombinedOutput()
	took := time.Since(began)
	if err != nil {
		b.Fatalf("holdfast check: %v: %s", err, out)
	}
	return took
}
