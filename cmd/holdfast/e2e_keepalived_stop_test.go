package main

// What clients see when ours stops as planned and keepalived is the successor.

import (
	"bytes"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// How long ours goes on serving: for a successor to speak, and once it has
// spoken. One that needs longer, on a machine that is too busy, leaves a hole.
const (
	ourBound  = 1100 * time.Millisecond // with adverts each second
	ourLinger = 100 * time.Millisecond
)

// weakest makes keepalived's skew nearly an advert interval, so that a quick
// release is told from a plain one on a slow machine as well.
const weakest = 10

func TestKeepalivedPlannedStop(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]mix{
		"version 2": {interval: time.Second, dialects: []dialect{
			{name: "v4", version: 2, vips: []string{"192.0.2.151"}, password: "sesame"},
		}},
		"version 3": {interval: time.Second, dialects: []dialect{
			{name: "v4", version: 3, vips: []string{"192.0.2.151"}, checksum: "pseudo-header"},
			{name: "v6", version: 3, vips: []string{"2001:db8::152"}},
		}},
	} {
		t.Run(name, func(t *testing.T) { testPlannedStop(t, x) })
	}
}

func testPlannedStop(t *testing.T, x mix) {
	m := newMatch(t, x)
	probes := m.probe()
	m.ours.run(m.holdfast(strong))
	m.startKeepalived(m.keepalived(weakest))
	m.only("ours is master", m.ours, m.theirs, m.down(strong))
	for _, p := range probes {
		eventually(t, 5*time.Second, "ours answers", func() bool { return p.Since(lab.Mark{}).LastServer() == "ours" })
	}

	heard, err := m.ours.Capture("eth0", func(f lab.Frame) bool { return !f.Outgoing })
	must(t, err)
	began := time.Now()
	must(t, m.ours.daemon.Signal(syscall.SIGTERM))
	m.takes("ours stopped: keepalived took over", m.theirs, m.skew(weakest))
	took := time.Since(began)
	t.Logf("measured: keepalived took over after %v; its skew is %v", took, m.skew(weakest))
	if quick := m.skew(weakest) / 2; x.dialects[0].version == 3 && took > quick {
		t.Errorf("keepalived took over after %v, so it was not released quickly", took)
	}
	must(t, m.ours.daemon.Wait(t.Context()))
	for n, p := range probes {
		vip := netip.MustParseAddr(x.dialects[n].vips[0])
		eventually(t, 10*time.Second, "keepalived answers", func() bool { return p.Since(lab.Mark{}).LastServer() == "theirs" })
		r := p.Between(began, time.Now())
		advertised, announced := announcedBy(t, heard.Frames(), vip)
		late := announced.Sub(advertised)
		t.Logf("measured: %v: planned stop: %v; keepalived announced it %v after its advert; slowest answer %v", vip, r, late, r.WorstRTT)
		if vip.Is6() {
			theirs := lostToTheirs(p, r, announced)
			t.Logf("measured: %v: of these %d were lost to a keepalived that did not answer yet for what it had announced", vip, theirs)
			r.Lost -= theirs
		}
		// An answer that a starved server keeps for longer than the linger can
		// not leave any more: then the machine is too busy to judge.
		starved := max(late, r.WorstRTT, r.WorstLateness) > ourLinger/2 || took > ourBound
		if r.Lost > 0 && !starved {
			t.Errorf("%v: %d packets lost in a planned stop", vip, r.Lost)
		}
	}
	must(t, heard.Close())

	began = time.Now()
	m.ours.start()
	m.only("ours started again: it alone is master", m.ours, m.theirs, m.down(strong))
	for n, p := range probes {
		eventually(t, 10*time.Second, "ours answers", func() bool { return p.Since(lab.Mark{}).LastServer() == "ours" })
		t.Logf("measured: %s: return: %v", x.dialects[n].vips[0], p.Between(began, time.Now()))
	}
}

// probe has a client ask the first VIP of each virtual router 500 times a
// second.
func (m *match) probe() []*lab.Probe {
	m.t.Helper()
	for _, n := range []*node{m.ours, m.theirs} {
		_, err := n.Echo()
		must(m.t, err)
	}
	client, err := m.lab.Host("client", "192.0.2.9/24", "2001:db8::9/64")
	must(m.t, err)
	var probes []*lab.Probe
	for _, d := range m.dialects {
		p, err := client.Probe(netip.MustParseAddr(d.vips[0]), 500)
		must(m.t, err)
		probes = append(probes, p)
	}
	return probes
}

// lostToTheirs counts what was lost from the moment keepalived announced an IPv6
// address, and so drew the client to itself, to its first answer: its kernel
// brings such an address into service some time after it was added, on a busy
// host tens of milliseconds.
func lostToTheirs(p *lab.Probe, r lab.Report, announced time.Time) int {
	n := slices.IndexFunc(r.Servers, func(s lab.Span) bool { return s.Server == "theirs" })
	if n < 0 {
		return 0
	}
	// Asked just before, a question may arrive after the announcement.
	return p.Between(announced.Add(-time.Millisecond), r.Servers[n].From).Lost
}

// announcedBy is when a host first sent an advert with a VIP, and when it first
// announced that VIP.
func announcedBy(t *testing.T, frames []lab.Frame, vip netip.Addr) (advertised, announced time.Time) {
	t.Helper()
	first := func(what string, is func(b []byte) bool) time.Time {
		n := slices.IndexFunc(frames, func(f lab.Frame) bool { return len(f.Data) >= 42 && is(f.Data) })
		if n < 0 {
			t.Fatalf("keepalived sent no %s for %v", what, vip)
		}
		return frames[n].Time
	}
	// By offset: the type of the frame at 12, then the header of IPv4, IPv6 or
	// ARP at 14.
	raw := vip.AsSlice()
	if vip.Is4() {
		advert := first("advert", func(b []byte) bool { return b[12] == 0x08 && b[13] == 0x00 && b[23] == 112 && bytes.Contains(b, raw) })
		garp := first("gratuitous ARP", func(b []byte) bool { return b[12] == 0x08 && b[13] == 0x06 && bytes.Equal(b[28:32], raw) })
		return advert, garp
	}
	advert := first("advert", func(b []byte) bool { return b[12] == 0x86 && b[13] == 0xdd && b[20] == 112 && bytes.Contains(b, raw) })
	na := first("neighbour advertisement", func(b []byte) bool {
		return len(b) >= 78 && b[12] == 0x86 && b[13] == 0xdd && b[20] == 58 && b[54] == 136 && bytes.Equal(b[62:78], raw)
	})
	return advert, na
}
