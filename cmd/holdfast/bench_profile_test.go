package main

// Where the daemon's time goes: the profile behind a claim about its cost.

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime/pprof"
	"strings"
	"syscall"
	"testing"
	"time"
)

// profileTo names the file for the profile of a daemon that the test binary is.
const profileTo = "HOLDFAST_TEST_PROFILE"

// profiled lets USR1 begin a profile of this process and end it.
func profiled(path string) {
	toggle := make(chan os.Signal, 1)
	signal.Notify(toggle, syscall.SIGUSR1)
	go func() {
		<-toggle
		file, err := os.Create(path + ".part")
		if err == nil {
			err = pprof.StartCPUProfile(file)
		}
		if err == nil {
			<-toggle
			pprof.StopCPUProfile()
			err = file.Close()
		}
		if err == nil {
			err = os.Rename(path+".part", path) // whole now
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "profile:", err)
		}
	}()
}

// profiledHoldfast keeps the profile of a node in a folder.
func profiledHoldfast(dir string) *program {
	p := *programs[0]
	p.start = func(n *node, config string) {
		n.t.Helper()
		n.configure(config)
		c := n.Command(n.t.Context(), selfPath(), "run", "--config", "/run/holdfast.toml")
		c.Env = append(os.Environ(), profileTo+"="+profilePath(dir, n))
		var err error
		if n.daemon, err = n.StartCommand(c); err != nil {
			n.t.Fatal(err)
		}
	}
	return &p
}

func profilePath(dir string, n *node) string {
	return filepath.Join(dir, map[string]string{"a": "master", "b": "backup"}[n.Name()]+".pprof")
}

// BenchmarkProfile runs rows of BenchmarkCost once, for PROFILE_TIME (10s), and
// prints where master and backup spent their time. PROFILE_DIR keeps the files.
func BenchmarkProfile(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	watch := durationFrom(b, "PROFILE_TIME", costWatch)
	for _, r := range costRows {
		b.Run(r.name, func(b *testing.B) {
			for b.Loop() { // once
				dir := os.Getenv("PROFILE_DIR")
				if dir == "" {
					dir = b.TempDir()
				}
				profileRow(b, &r, dir, watch)
			}
		})
	}
}

func profileRow(b *testing.B, r *costRow, dir string, watch time.Duration) {
	b.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	l := newLab(b)
	defer l.Close()
	bd := newCostBed(b, l, &r.scene, profiledHoldfast(dir))
	bd.start()
	bd.settle(costSettle)
	nodes := []*node{bd.first, bd.second}
	toggle := func() {
		for _, n := range nodes {
			if err := n.daemon.Signal(syscall.SIGUSR1); err != nil {
				b.Fatal(err)
			}
		}
	}
	toggle()
	one := bd.first.used()
	two := bd.second.used()
	time.Sleep(watch)
	used := []time.Duration{bd.first.used().cpu - one.cpu, bd.second.used().cpu - two.cpu}
	toggle()
	for k, n := range nodes {
		path := profilePath(dir, n)
		eventually(b, settled, path, func() bool { _, err := os.Stat(path); return err == nil })
		fmt.Printf("\n%s, %s: %.2f %% of a processor over %v, with the profiling itself\n", r.name, filepath.Base(path), share(used[k], watch), watch)
		for _, order := range []string{"-flat", "-cum"} {
			out, err := exec.Command("go", "tool", "pprof", "-top", order, "-nodecount=25", selfPath(), path).CombinedOutput()
			if err != nil {
				b.Fatalf("go tool pprof: %v: %s", err, out)
			}
			// Without what it says of the file.
			_, list, _ := strings.Cut(string(out), "Showing nodes")
			fmt.Printf("\nShowing nodes%s", list)
		}
	}
}
