package main

// Two nodes, a client, and what happens to the first of the nodes.

import (
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// bed is two nodes that run one program, a client, and one more host that keeps
// the adverts and announcements, away from what the client asks.
type bed struct {
	t             testing.TB
	program       *program
	scene         scene
	first, second *node
	services      []io.Closer // of the first
	client        client
	seen          *lab.Capture
	decision      time.Time // when the first found that a check fails
	// both ends the watch for two holders, and tells for how long there were.
	both func() time.Duration
}

// client asks one address, or many.
type client interface {
	Between(from, to time.Time) []lab.Report
}

// single is a client of one address.
type single struct{ *lab.Probe }

func (s single) Between(from, to time.Time) []lab.Report {
	return []lab.Report{s.Probe.Between(from, to)}
}

// bedVRID is that of the only instance.
const bedVRID = 1

// newBed starts the program on both nodes, the stronger first.
func newBed(t testing.TB, l *lab.Lab, p *program, s scene) *bed {
	t.Helper()
	bd := &bed{t: t, program: p, scene: s}
	began := time.Now()
	bd.first = bd.node(l, "a", "192.0.2.1/24", firstPriority)
	allOn(t, settled, bd.addresses(), bd.first)
	if s.large {
		t.Logf("measured: %s had set %d addresses up after %s", p.name, largeCount, ms(time.Since(began)))
	}
	bd.second = bd.node(l, "b", "192.0.2.2/24", secondPriority)
	bd.addClient(l)
	return bd
}

// nobody asks nothing.
type nobody struct{}

func (nobody) Between(_, _ time.Time) []lab.Report { return nil }

// addClient adds the two hosts that look on.
func (bd *bed) addClient(l *lab.Lab) {
	bd.t.Helper()
	h, err := l.Host("client", "192.0.2.200/24")
	bd.must(err)
	switch {
	case bd.scene.quiet:
		bd.client = nobody{}
	case bd.scene.large:
		bd.must(h.AddAddress("eth0", largeClient))
		bd.client, err = h.Sweep(largeAddresses(), sweepEvery, bd.first.Host, bd.second.Host)
	default:
		var p *lab.Probe
		p, err = h.Probe(netip.MustParseAddr(vipFour), handoverRate)
		bd.client = single{p}
	}
	bd.must(err)
	witness, err := l.Host("witness")
	bd.must(err)
	bd.seen, err = witness.Capture("eth0", func(f lab.Frame) bool {
		_, garp := announced(f)
		return garp || isAdvert(f, bedVRID)
	})
	bd.must(err)
}

// addresses are all that move.
func (bd *bed) addresses() map[netip.Addr]bool {
	m := map[netip.Addr]bool{}
	for _, a := range bd.scene.addresses(1) {
		m[netip.MustParsePrefix(a).Addr()] = true
	}
	return m
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
func (bd *bed) calm() {
	bd.t.Helper()
	long := 2*bd.scene.interval + 500*time.Millisecond
	all := bd.addresses()
	since := time.Now()
	eventually(bd.t, settled, "the first node alone serves the client for "+long.String(), func() bool {
		if bd.first.holding(all) < len(all) || bd.second.holding(all) > 0 {
			since = time.Now()
		}
		if bd.scene.large {
			time.Sleep(100 * time.Millisecond) // to list so many is work
		}
		return time.Since(since) > long
	})
	for _, r := range bd.client.Between(since, time.Now()) {
		if r.LastServer() != bd.first.Name() || r.Lost > 0 {
			bd.t.Fatalf("the first node has the address but does not serve well: %v", r)
		}
	}
	adverts := bd.heard(time.Now()).adverts
	eventually(bd.t, settled, "the first node sends an advert", func() bool {
		return len(bd.heard(time.Now()).adverts) > len(adverts)
	})
}

// watchHolders begins to add up the time in which both nodes have the address.
// To list many addresses so often would disturb: it is then less than nothing.
func (bd *bed) watchHolders() {
	if bd.scene.large {
		bd.both = func() time.Duration { return -1 }
		return
	}
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
	bd.both = sync.OnceValue(func() time.Duration {
		close(stop)
		wg.Wait()
		return both
	})
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
func (bd *bed) deleteAddress() { bd.must(bd.first.RemoveAddress("eth0", bd.kernelPrefix())) }

// restart is what a supervisor does that waits as long as systemd by default.
func (bd *bed) restart() {
	bd.kill()
	time.Sleep(100 * time.Millisecond)
	bd.program.start(bd.first, bd.program.render(&bd.scene, firstPriority))
}

// freeze counts two holders only while it lasts: then the first comes back, and
// that is a handover as planned as any.
func (bd *bed) freeze() {
	bd.first.signalAll(syscall.SIGSTOP)
	time.Sleep(6 * time.Second)
	bd.both()
	bd.first.signalAll(syscall.SIGCONT)
}

func (bd *bed) clearFlag() {
	bd.must(bd.first.WriteFile("/run/ok", "", 0o644))
	bd.decision = bd.program.failed(bd.first)
}

func (bd *bed) closeService() {
	for _, s := range bd.services {
		bd.must(s.Close())
	}
	bd.decision = bd.program.failed(bd.first)
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
