package main

// Services die, hang and come back: the address goes where the service is.

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	// lifeVIP is the address of the pairs in these tests.
	lifeVIP = "192.0.2.100"
	// lifeInterval is the advert interval of most of these tests.
	lifeInterval = 100 * time.Millisecond
	// handoverMost is how long a handover to a node that is there takes at
	// most: the wait for a successor, and the old master's linger.
	handoverMost = 2*lifeInterval + 200*time.Millisecond
	// probeCost is what running one check program may take on a busy machine.
	probeCost = 200 * time.Millisecond
)

// newPair adds lb1 and lb2, without daemons.
func newPair(t *testing.T, l *lab.Lab) (lb1, lb2 *node) {
	t.Helper()
	return newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
}

// lifeTOML is the configuration of one of a pair, with further tables.
func lifeTOML(priority int, tables ...string) string {
	return instanceTOML(priority, lifeInterval.String(), []string{lifeVIP + "/24"}) + strings.Join(tables, "\n")
}

// flagCheckTOML is an exec check that is healthy while /run/ok is not empty:
// the file is what the test turns.
func flagCheckTOML(lines ...string) string {
	return `[[check]]
name = "flag"
exec = ["/usr/bin/test", "-s", "/run/ok"]
interval = "100ms"
timeout = "2s"
` + strings.Join(lines, "\n") + "\n"
}

// flagMost is how long the flag check takes to notice: until the next probe is
// due, and the one that confirms.
const flagMost = 100*time.Millisecond + 2*(100*time.Millisecond+probeCost)

// setFlag makes the flag check pass or fail.
func (n *node) setFlag(ok bool) {
	n.t.Helper()
	text := ""
	if ok {
		text = "ok\n"
	}
	if err := n.WriteFile("/run/ok", text, 0o644); err != nil {
		n.t.Fatal(err)
	}
}

// state waits until an instance is in a state, and returns for how long it did.
func (n *node) state(most time.Duration, name, state string) time.Duration {
	n.t.Helper()
	return eventually(n.t, most, n.Name()+" is "+state, func() bool { return n.instance(name).State == state })
}

// wantStatus checks what holdfast status prints and its exit status.
func (n *node) wantStatus(code int, words ...string) {
	n.t.Helper()
	out, got := n.command("status", "--config", "/run/holdfast.toml")
	if got != code {
		n.t.Errorf("holdfast status on %s: exit status %d, want %d:\n%s", n.Name(), got, code, out)
	}
	for _, w := range words {
		if !strings.Contains(out, w) {
			n.t.Errorf("holdfast status on %s does not tell %q:\n%s", n.Name(), w, out)
		}
	}
}

// wantLog checks that the daemon has logged something.
func (n *node) wantLog(words ...string) {
	n.t.Helper()
	for _, w := range words {
		eventually(n.t, 2*time.Second, "the log of "+n.Name()+" tells "+w, func() bool { return strings.Contains(n.daemon.Output(), w) })
	}
}

// running lists the processes on this machine whose arguments contain mark.
func running(t *testing.T, mark string) (list []string) {
	t.Helper()
	paths, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err == nil && bytes.Contains(text, []byte(mark)) { // else it has just ended
			list = append(list, path+": "+string(bytes.ReplaceAll(text, []byte{0}, []byte{' '})))
		}
	}
	return list
}

// A web server that is killed costs its node the address; when it is back, so
// is the address.
func TestServiceDiesNginx(t *testing.T) {
	_, err := lab.FindPeer("nginx")
	require(t, err == nil, "nginx (run .ci/peers)")
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	client, err := l.Host("client", "192.0.2.9/24")
	if err != nil {
		t.Fatal(err)
	}
	const check = "[[check]]\nname = \"nginx\"\nhttp = \"http://127.0.0.1/healthz\"\ninterval = \"200ms\"\ntimeout = \"1s\"\n"
	nginx, err := lb1.StartNginx()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lb2.StartNginx(); err != nil {
		t.Fatal(err)
	}
	lb1.run(lifeTOML(150, check))
	lb2.run(lifeTOML(100, check))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)
	lb1.wantStatus(exitDone, "MASTER")

	probe, err := client.HTTPProbe(netip.MustParseAddr(lifeVIP), 200)
	if err != nil {
		t.Fatal(err)
	}
	killed := probe.Mark("nginx on lb1 is killed")
	if err := nginx.Kill(); err != nil {
		t.Fatal(err)
	}
	// One interval until it is noticed, one retry to be sure.
	most := 250*time.Millisecond + 2*probeCost + handoverMost + room
	took := only(t, most, lifeVIP, lb2, lb1)
	eventually(t, time.Second, "the client is served by lb2", func() bool { return probe.Since(killed).LastServer() == "lb2" })
	r := probe.Since(killed)
	t.Logf("measured: address moved %v after nginx was killed; client: %v", took.Round(time.Millisecond), r)
	if r.LongestGap > most {
		t.Errorf("the client was without service for %v, want at most %v", r.LongestGap, most)
	}
	lb1.wantStatus(exitRefused, "BACKUP", "demoted: check nginx fails", "connection refused", "priority 17 (base 150)")
	lb2.wantStatus(exitDone, "MASTER")

	back := probe.Mark("nginx on lb1 is back")
	if _, err := lb1.StartNginx(); err != nil {
		t.Fatal(err)
	}
	took = only(t, 2*(200*time.Millisecond+probeCost)+detection(lifeInterval, 150)+handoverMost+room, lifeVIP, lb1, lb2)
	eventually(t, time.Second, "the client is served by lb1", func() bool { return probe.Since(back).LastServer() == "lb1" })
	r = probe.Since(back)
	t.Logf("measured: address returned %v after nginx was back; client: %v", took.Round(time.Millisecond), r)
	if r.Lost > 0 {
		t.Errorf("the way back lost %d of %d requests, longest gap %v", r.Lost, r.Sent, r.LongestGap)
	}
	lb1.wantStatus(exitDone, "MASTER")
	lb1.wantLog("check fails: check=nginx", "demoted: instance=web from=150 to=17 reason=\"check nginx fails: connection refused\"",
		"check passes: check=nginx", "not demoted any more: instance=web from=17 to=150")
}

// listenTCP serves on a port of the host and greets whoever connects.
func listenTCP(t *testing.T, h *node, port string) net.Listener {
	t.Helper()
	var ln net.Listener
	err := h.Do(func() (err error) {
		ln, err = net.Listen("tcp", "0.0.0.0:"+port)
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
			io.WriteString(c, "ready\n")
			c.Close()
		}
	}()
	return ln
}

// A TCP service that ends costs its node the address, also when the peer does
// not preempt.
func TestServiceDiesTCP(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	const check = "[[check]]\nname = \"db\"\ntcp = \"127.0.0.1:5432\"\nexpect = \"^ready\"\ninterval = \"100ms\"\ntimeout = \"1s\"\n"
	polite := instanceTOML(100, lifeInterval.String(), []string{lifeVIP + "/24"}, "preempt = false")
	server := listenTCP(t, lb1, "5432")
	listenTCP(t, lb2, "5432")
	lb1.run(lifeTOML(150, check))
	lb2.run(polite + check)
	only(t, 10*time.Second, lifeVIP, lb1, lb2)

	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	took := only(t, 150*time.Millisecond+2*probeCost+handoverMost+room, lifeVIP, lb2, lb1)
	t.Logf("measured: a peer with preempt = false serves %v after the TCP server closed", took.Round(time.Millisecond))
	lb1.wantStatus(exitRefused, "demoted: check db fails", "connection refused")

	listenTCP(t, lb1, "5432")
	took = only(t, 200*time.Millisecond+2*probeCost+detection(lifeInterval, 150)+handoverMost+room, lifeVIP, lb1, lb2)
	t.Logf("measured: back %v after the TCP server listens again", took.Round(time.Millisecond))
}

// A check program that hangs is killed with all it started, and counts as
// failed.
func TestCheckHangs(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	const mark = "54321.0625" // seconds to sleep, and the processes' name
	const script = "#!/bin/sh\necho looking\n[ -s /run/hang ] || exit 0\nsleep " + mark + " &\nsleep " + mark + "\n"
	const check = "[[check]]\nname = \"db\"\nexec = [\"/run/check.sh\"]\ninterval = \"200ms\"\ntimeout = \"300ms\"\n"
	err := errors.Join(lb1.WriteFile("/run/check.sh", script, 0o755), lb2.WriteFile("/run/check.sh", script, 0o755))
	if err != nil {
		t.Fatal(err)
	}
	lb1.run(lifeTOML(150, check))
	lb2.run(lifeTOML(100, check))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)

	if err := lb1.WriteFile("/run/hang", "yes", 0o644); err != nil {
		t.Fatal(err)
	}
	took := only(t, 200*time.Millisecond+2*(300*time.Millisecond+probeCost)+handoverMost+room, lifeVIP, lb2, lb1)
	t.Logf("measured: address moved %v after the check began to hang", took.Round(time.Millisecond))
	lb1.wantStatus(exitRefused, "demoted: check db fails: timed out after 300ms", "looking")
	during(t, time.Second, "at most one hanging check runs", func() bool { return len(running(t, mark)) <= 2 })

	if err := lb1.WriteFile("/run/hang", "", 0o644); err != nil {
		t.Fatal(err)
	}
	only(t, 300*time.Millisecond+3*(200*time.Millisecond+probeCost)+detection(lifeInterval, 150)+handoverMost+room, lifeVIP, lb1, lb2)
	if left := running(t, mark); len(left) > 0 {
		t.Errorf("the hanging checks left processes behind: %v", left)
	}
}

// on_failure = "release" gives the address up and stays in fault while the
// check fails.
func TestCheckReleases(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	check := flagCheckTOML(`on_failure = "release"`)
	for _, n := range []*node{lb1, lb2} {
		n.setFlag(true)
	}
	lb1.run(lifeTOML(150, check))
	lb2.run(lifeTOML(100, check))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)

	lb1.setFlag(false)
	took := only(t, flagMost+handoverMost+room, lifeVIP, lb2, lb1)
	t.Logf("measured: released and taken over in %v", took.Round(time.Millisecond))
	lb1.wantStatus(exitRefused, "FAULT", "check flag fails: exit status 1")
	during(t, time.Second, "lb1 stays away while its check fails", func() bool { return !lb1.has(lifeVIP) && lb2.has(lifeVIP) })

	// When the other fails as well, release means that nobody serves.
	lb2.setFlag(false)
	eventually(t, flagMost+handoverMost+room, "nobody serves", func() bool { return !lb1.has(lifeVIP) && !lb2.has(lifeVIP) })

	lb1.setFlag(true)
	took = only(t, flagMost+detection(lifeInterval, 150)+room, lifeVIP, lb1, lb2)
	t.Logf("measured: back %v after the check heals", took.Round(time.Millisecond))
	lb1.wantStatus(exitDone, "MASTER")
	lb2.wantStatus(exitRefused, "FAULT")
}

// A weight moves the address by keepalived's arithmetic.
func TestCheckWeight(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	for _, n := range []*node{lb1, lb2} {
		n.setFlag(true)
	}
	lb1.run(lifeTOML(120, flagCheckTOML("weight = -30")))
	lb2.run(lifeTOML(80, flagCheckTOML("weight = 20")))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)
	if p := lb2.instance("web").Priority; p.Effective != 100 {
		t.Errorf("80 with weight +20 passing makes %d, want 100", p.Effective)
	}

	lb1.setFlag(false)
	took := only(t, flagMost+detection(lifeInterval, 100)+handoverMost+room, lifeVIP, lb2, lb1)
	t.Logf("measured: 120-30 lost to 80+20 in %v", took.Round(time.Millisecond))
	if i := lb1.instance("web"); i.Priority.Effective != 90 || i.Demoted {
		t.Errorf("120 with weight -30 failing makes %d (demoted: %v), want 90", i.Priority.Effective, i.Demoted)
	}
	lb1.wantStatus(exitDone, "priority 90 (base 120)", "check flag is failing")
	lb1.wantLog("priority changed: instance=web from=120 to=90")

	lb2.setFlag(false)
	took = only(t, flagMost+detection(lifeInterval, 90)+handoverMost+room, lifeVIP, lb1, lb2)
	t.Logf("measured: 120-30 won against 80 in %v", took.Round(time.Millisecond))
}

// When the checks fail everywhere somebody serves all the same, and the
// address does not go to and fro.
func TestChecksFailEverywhere(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	for _, n := range []*node{lb1, lb2} {
		n.setFlag(true)
	}
	lb1.run(lifeTOML(150, flagCheckTOML()))
	lb2.run(lifeTOML(100, flagCheckTOML()))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)

	served := func() bool { return lb1.has(lifeVIP) || lb2.has(lifeVIP) }
	lb1.setFlag(false)
	lb2.setFlag(false)
	until := time.Now().Add(flagMost + handoverMost + detection(lifeInterval, 17) + room)
	for time.Now().Before(until) {
		if !served() {
			t.Fatal("nobody serves while both are demoted")
		}
		time.Sleep(time.Millisecond)
	}
	if !lb1.instance("web").Demoted || !lb2.instance("web").Demoted {
		t.Fatal("a node is not demoted though its check fails")
	}
	only(t, detection(lifeInterval, 17)+room, lifeVIP, lb1, lb2) // the order of the base priorities stays
	before := [...]uint64{lb1.instance("web").Counters.BecameMaster, lb2.instance("web").Counters.BecameMaster}
	during(t, 1500*time.Millisecond, "lb1 alone serves", func() bool { return lb1.has(lifeVIP) && !lb2.has(lifeVIP) })
	after := [...]uint64{lb1.instance("web").Counters.BecameMaster, lb2.instance("web").Counters.BecameMaster}
	t.Logf("measured: mastership taken %v times by lb1 and lb2 until both were demoted, %v times after", before, after)
	if before != after {
		t.Errorf("the address moves between demoted nodes: %v, then %v", before, after)
	}
	lb1.wantStatus(exitRefused, "MASTER", "demoted: check flag fails")

	// The first to heal has it.
	lb2.setFlag(true)
	took := only(t, flagMost+detection(lifeInterval, 100)+handoverMost+room, lifeVIP, lb2, lb1)
	t.Logf("measured: the node that healed took over in %v", took.Round(time.Millisecond))
}

func TestStatusWithoutDaemon(t *testing.T) {
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24")
	n.configure(lifeTOML(150))
	n.wantStatus(exitNotRunning, "/run/holdfast/holdfast.sock")
}
