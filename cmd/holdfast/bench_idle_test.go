package main

// What it costs to do nothing but advertise, listen and renew leases.

import (
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// idleWatch is how long the processors' time is added up.
const idleWatch = 10 * time.Second

// cost is what all processes of a daemon have used.
type cost struct {
	cpu    time.Duration
	memory int // resident, in KiB
}

// BenchmarkIdle measures a pair of nodes on which nothing happens, for each
// program.
func BenchmarkIdle(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	var table strings.Builder
	fmt.Fprintf(&table, "%-26s | %-10s | %12s | %12s | %s\n", "nothing happens", "", "master, cpu", "backup, cpu", "master, memory")
	for _, s := range []scene{
		{interval: time.Second, instances: 1},
		{interval: 100 * time.Millisecond, instances: 255},
	} {
		for _, p := range programs {
			name := fmt.Sprintf("%d instances each %v", s.instances, s.interval)
			if s.instances == 1 {
				name = fmt.Sprintf("1 instance each %v", s.interval)
			}
			b.Run(name+" "+p.name, func(b *testing.B) {
				for b.Loop() { // once
					master, backup := measureIdle(b, &s, p)
					b.ReportMetric(0, "ns/op")
					b.ReportMetric(share(master), "%cpu-master")
					b.ReportMetric(share(backup), "%cpu-backup")
					b.ReportMetric(float64(master.memory), "KiB-master")
					fmt.Fprintf(&table, "%-26s | %-10s | %10.3f %% | %10.3f %% | %d KiB\n", name, p.name, share(master), share(backup), master.memory)
				}
			})
		}
	}
	fmt.Printf("\nPercent of one processor, over %v:\n%s\n", idleWatch, &table)
}

// share is the part of one processor, in percent.
func share(c cost) float64 { return 100 * c.cpu.Seconds() / idleWatch.Seconds() }

func measureIdle(b *testing.B, s *scene, p *program) (master, backup cost) {
	b.Helper()
	all := map[netip.Addr]bool{}
	for n := range s.instances {
		all[netip.MustParsePrefix(s.addresses(n + 1)[0]).Addr()] = true
	}
	l := newLab(b)
	defer l.Close()
	first := newNode(b, l, "a", "192.0.2.1/24")
	p.start(first, p.render(s, firstPriority))
	allOn(b, settled, all, first)
	second := newNode(b, l, "b", "192.0.2.2/24")
	p.start(second, p.render(s, secondPriority))

	// keepalived announces once more 5 seconds later; that is not idle.
	time.Sleep(7 * time.Second)
	one, two := first.used(), second.used()
	time.Sleep(idleWatch)
	master, backup = first.used(), second.used()
	master.cpu -= one.cpu
	backup.cpu -= two.cpu
	if here, there := first.holding(all), second.holding(all); here != len(all) || there != 0 {
		b.Fatalf("the nodes were not idle: the first has %d of %d addresses, the second %d", here, len(all), there)
	}
	return master, backup
}

// used adds up what the threads of all processes of the daemon have used. The
// kernel counts it in nanoseconds here, unlike in stat.
func (n *node) used() (c cost) {
	n.t.Helper()
	for _, pid := range tree(n.t, n.daemon.PID()) {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			n.t.Fatal(err)
		}
		for _, th := range threads {
			var ns int64
			n.scanFile(fmt.Sprintf("/proc/%d/task/%s/schedstat", pid, th.Name()), &ns)
			c.cpu += time.Duration(ns)
		}
		var size, resident int
		n.scanFile(fmt.Sprintf("/proc/%d/statm", pid), &size, &resident)
		c.memory += resident * os.Getpagesize() / 1024
	}
	return c
}

// scanFile reads the first numbers in a file of /proc.
func (n *node) scanFile(path string, into ...any) {
	n.t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = fmt.Sscan(string(text), into...)
	}
	if err != nil {
		n.t.Fatalf("read %s: %v", path, err)
	}
}
