package main

// What a client sees when the address moves, or should not: Holdfast and
// keepalived in turns, on the same machine, in the same minutes. make bench
// runs it.

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// handoverRate is how often the client asks, in datagrams a second.
const handoverRate = 2000

// handover is one row of the table: what happens to the first node.
type handover struct {
	name  string
	scene scene
	event func(*bed)
	watch time.Duration // how long the client looks on, from the event's beginning
}

// handovers are the rows. The time to look on is about twice what the slower
// program needs, where it comes back at all.
var handovers = []handover{
	{"planned stop, 1s", scene{interval: time.Second}, (*bed).stop, 2 * time.Second},
	{"planned stop, 100ms", scene{interval: 100 * time.Millisecond}, (*bed).stop, time.Second},
	{"planned stop, 10ms", scene{interval: 10 * time.Millisecond}, (*bed).stop, time.Second},
	{"killed, restarted after 100ms", scene{interval: time.Second}, (*bed).restart, 6 * time.Second},
	{"killed, not restarted", scene{interval: time.Second}, (*bed).kill, 6 * time.Second},
	{"frozen for 6s", scene{interval: time.Second}, (*bed).freeze, 11 * time.Second},
	{"address deleted by hand", scene{interval: time.Second}, (*bed).deleteAddress, 6 * time.Second},
	{"check fails, service answers", scene{interval: time.Second, check: flagDemotes}, (*bed).clearFlag, 8 * time.Second},
	{"service dies, node releases", scene{interval: time.Second, check: portReleases}, (*bed).closeService, 6 * time.Second},
	{"reload adds an address", scene{interval: time.Second}, (*bed).reload, 3 * time.Second},
	{"cable pulled, 100ms", scene{interval: 100 * time.Millisecond}, (*bed).unplug, 1500 * time.Millisecond},
}

// BenchmarkHandover measures each row HANDOVER_ROUNDS times (3 by default) for
// each program, alternating, and prints a table. HANDOVER_JSON names a file for
// all figures.
func BenchmarkHandover(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	rounds := 3
	if s := os.Getenv("HANDOVER_ROUNDS"); s != "" {
		if rounds, err = strconv.Atoi(s); err != nil || rounds < 1 {
			b.Fatalf("HANDOVER_ROUNDS is %q: want a number from 1 on", s)
		}
	}
	var table handoverTable
	for _, h := range handovers {
		b.Run(h.name, func(b *testing.B) {
			row := handoverRow{Name: h.name}
			for b.Loop() { // once, as it takes longer than any benchmark time
				for round := range rounds {
					for k := range programs { // who is first changes, too
						p := programs[(round+k)%len(programs)]
						row.add(p.name, measureHandover(b, &h, p, h.scene.phase(round, rounds)))
					}
				}
			}
			row.report(b)
			table.Rows = append(table.Rows, row)
		})
	}
	if len(table.Rows) == 0 {
		return
	}
	fmt.Printf("\n%s\n", &table)
	if path := os.Getenv("HANDOVER_JSON"); path != "" {
		if err := table.write(path); err != nil {
			b.Error(err)
		}
	}
}

// bed is two nodes that run one program, and a client.
type bed struct {
	t             testing.TB
	program       *program
	scene         scene
	first, second *node
	services      []io.Closer // of the first
}

// measureHandover lets it happen once, a while after an advert.
func measureHandover(b *testing.B, h *handover, p *program, phase time.Duration) sample {
	b.Helper()
	l := newLab(b)
	defer l.Close() // before the next; newLab tells of errors
	bd := newBed(b, l, p, h.scene)
	client, err := l.Host("client", "192.0.2.200/24")
	if err != nil {
		b.Fatal(err)
	}
	probe, err := client.Probe(netip.MustParseAddr(vipFour), handoverRate)
	if err != nil {
		b.Fatal(err)
	}
	bd.calm(client, probe)
	time.Sleep(phase)

	watch := bd.watchHolders()
	began := time.Now()
	h.event(bd)
	time.Sleep(time.Until(began.Add(h.watch)))
	end := time.Now()
	both := watch()
	return newSample(probe.Between(began, end), both)
}

// newBed starts the program on both nodes, the stronger first.
func newBed(t testing.TB, l *lab.Lab, p *program, s scene) *bed {
	t.Helper()
	bd := &bed{t: t, program: p, scene: s}
	bd.first = bd.node(l, "a", "192.0.2.1/24", firstPriority)
	eventually(t, settled, "the first node has the address", func() bool { return bd.first.has(vipFour) })
	bd.second = bd.node(l, "b", "192.0.2.2/24", secondPriority)
	return bd
}

func (bd *bed) node(l *lab.Lab, name, addr string, priority int) *node {
	bd.t.Helper()
	n := newNode(bd.t, l, name, addr)
	echo, err := n.Echo()
	if err != nil {
		bd.t.Fatal(err)
	}
	if bd.scene.check == portReleases {
		port := listenPort(bd.t, n)
		if bd.first == nil {
			bd.services = []io.Closer{echo, port}
		}
	}
	if err := n.WriteFile("/run/ok", "ok\n", 0o644); err != nil {
		bd.t.Fatal(err)
	}
	bd.program.start(n, bd.program.render(&bd.scene, priority))
	return n
}

// listenPort is the TCP side of the service, for the checks.
func listenPort(t testing.TB, n *node) io.Closer {
	t.Helper()
	var ln net.Listener
	err := n.Do(func() (err error) {
		ln, err = net.Listen("tcp", fmt.Sprintf("0.0.0.0:%d", lab.EchoPort))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return ln
}

// calm waits until the first node alone has served for so long that the second
// knows of it, and then for its next advert.
func (bd *bed) calm(client *lab.Host, p *lab.Probe) {
	bd.t.Helper()
	long := 2*bd.scene.interval + 500*time.Millisecond
	since := time.Now()
	eventually(bd.t, settled, "the first node alone serves the client for "+long.String(), func() bool {
		if !bd.first.has(vipFour) || bd.second.has(vipFour) {
			since = time.Now()
		}
		return time.Since(since) > long
	})
	if r := p.Between(since, time.Now()); r.LastServer() != bd.first.Name() || r.Lost > 0 {
		bd.t.Fatalf("the first node has the address but does not serve well: %v", r)
	}
	adverts := captureAdverts(bd.t, client, "eth0", 1)
	if _, err := adverts.Next(bd.t.Context()); err != nil {
		bd.t.Fatal(err)
	}
	bd.must(adverts.Close())
}

// watchHolders begins to add up the time in which both nodes have the address;
// what it returns ends that.
func (bd *bed) watchHolders() (end func() time.Duration) {
	stop := make(chan struct{})
	var both time.Duration
	var wg sync.WaitGroup
	wg.Go(func() {
		last, were := time.Now(), false
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
			}
			now, are := time.Now(), bd.first.has(vipFour) && bd.second.has(vipFour)
			if were && are {
				both += now.Sub(last)
			}
			last, were = now, are
		}
	})
	return func() time.Duration {
		close(stop)
		wg.Wait()
		return both
	}
}

// What happens to the first node.

func (bd *bed) must(err error) {
	bd.t.Helper()
	if err != nil {
		bd.t.Fatal(err)
	}
}

func (bd *bed) stop()          { bd.first.stop() }
func (bd *bed) kill()          { bd.must(bd.first.daemon.Kill()) }
func (bd *bed) unplug()        { bd.must(bd.first.Unplug()) }
func (bd *bed) clearFlag()     { bd.must(bd.first.WriteFile("/run/ok", "", 0o644)) }
func (bd *bed) deleteAddress() { bd.must(bd.first.RemoveAddress("eth0", bd.kernelPrefix())) }

// restart is what a supervisor does that waits as long as systemd by default.
func (bd *bed) restart() {
	bd.kill()
	time.Sleep(100 * time.Millisecond)
	bd.program.start(bd.first, bd.program.render(&bd.scene, firstPriority))
}

func (bd *bed) freeze() {
	bd.first.signalAll(syscall.SIGSTOP)
	time.Sleep(6 * time.Second)
	bd.first.signalAll(syscall.SIGCONT)
}

func (bd *bed) closeService() {
	for _, s := range bd.services {
		bd.must(s.Close())
	}
}

func (bd *bed) reload() {
	s := bd.scene
	s.more = true
	bd.program.reload(bd.first, bd.program.render(&s, firstPriority))
	eventually(bd.t, 3*time.Second, "the new address is there", func() bool {
		return bd.first.has(strings.Split(s.addresses(1)[1], "/")[0])
	})
}

// kernelPrefix is the address as the kernel has it.
func (bd *bed) kernelPrefix() string {
	bd.t.Helper()
	list, err := bd.first.Addresses("eth0")
	bd.must(err)
	for _, p := range list {
		if p.Addr() == netip.MustParseAddr(vipFour) {
			return p.String()
		}
	}
	bd.t.Fatalf("the first node has not %s but %v", vipFour, list)
	return ""
}
