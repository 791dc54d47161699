package main

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// reloaded is what a reload of one instance among many did.
type reloaded struct {
	answered time.Duration // from the request on the socket to the answer
	there    time.Duration // until the new address was there
	command  time.Duration // of holdfast reload as a whole, without a change
	others   int           // addresses of other instances that came or went
	widest   time.Duration
	heard    int // instances whose adverts were heard
}

// measureReload gives one of many masters one more address, and watches the
// addresses and the adverts of all others meanwhile.
func measureReload(b *testing.B) (r reloaded) {
	b.Helper()
	l := newLab(b)
	defer l.Close()
	s := each(time.Second)
	s.instances = manyInstances
	bd := newCostBed(b, l, &s, programs[0])
	socket := filepath.Join(b.TempDir(), "holdfast.sock")
	config := fmt.Sprintf("[control]\nsocket = %q\n", socket) + bd.program.render(&s, firstPriority)
	own := *bd.program
	own.render = func(s *scene, priority int) string {
		if priority == firstPriority {
			return config
		}
		return programs[0].render(s, priority)
	}
	bd.program = &own
	bd.start()
	bd.settle(costSettle)

	const extra = "10.58.1.1" // of an instance in the middle
	middle := s.addresses(manyInstances / 2)[0]
	changed := strings.Replace(config, fmt.Sprintf("[%q]", middle), fmt.Sprintf("[%q, %q]", middle, extra+"/16"), 1)
	if changed == config {
		b.Fatalf("the configuration has no addresses = [%q]", middle)
	}
	watched := bd.first.watchChanges(bd.all)
	var captures []*lab.Capture
	for _, ifname := range s.ports() {
		c, err := bd.second.Capture(ifname, func(f lab.Frame) bool { return !f.Outgoing && isVRRP(f) })
		if err != nil {
			b.Fatal(err)
		}
		captures = append(captures, c)
	}
	time.Sleep(2 * s.interval)
	bd.first.configure(changed)
	client := control.NewClient(socket)
	began := time.Now()
	if _, err := client.Reload(b.Context()); err != nil {
		b.Fatal(err)
	}
	r.answered = time.Since(began)
	eventually(b, settled, "the new address is there", func() bool { return bd.first.has(extra) })
	r.there = time.Since(began)
	time.Sleep(2 * s.interval)
	r.others = watched(netip.MustParseAddr(extra))
	for _, c := range captures {
		count, widest := widestGap(c.Frames())
		r.heard, r.widest = r.heard+count, max(r.widest, widest)
	}
	began = time.Now()
	if out, code := bd.first.command("reload", "--socket", socket); code != exitDone {
		b.Fatalf("holdfast reload: %s", out)
	}
	r.command = time.Since(began)
	return r
}

// isVRRP is whether a frame has an advert over IPv4.
func isVRRP(f lab.Frame) bool {
	d := f.Data
	return len(d) >= 42 && d[12] == 8 && d[13] == 0 && d[14] == 0x45 && d[23] == 112
}

// widestGap counts the instances that advertise and tells the longest time
// between two adverts of one.
func widestGap(frames []lab.Frame) (count int, widest time.Duration) {
	last := map[byte]time.Time{}
	for _, f := range frames {
		vrid := f.Data[35]
		if !last[vrid].IsZero() {
			widest = max(widest, f.Time.Sub(last[vrid]))
		}
		last[vrid] = f.Time
	}
	return len(last), widest
}
