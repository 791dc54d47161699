package main

// What a client sees when the address moves, or should not: Holdfast and
// keepalived in turns, on the same machine, in the same minutes. make bench
// runs it.

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	// handoverRate is how often the client asks, in datagrams a second.
	handoverRate = 2000
	// sweepEvery is how often it asks each of many addresses: 16000 pings a second
	// in all. More would slow down what they measure.
	sweepEvery = 250 * time.Millisecond
)

// handover is one row of the table: what happens to the first node.
type handover struct {
	name   string
	scene  scene
	event  func(*bed)
	watch  time.Duration // how long the client looks on, from the event's beginning
	bounds bounds        // what Holdfast promises
	// stays is whether the address is to stay where it is, and unheard whether
	// the second node has to notice by itself that the first is silent.
	stays, unheard bool
}

// largeMost is when the last of many addresses is to be announced after the
// cable was pulled: the longest that it takes to notice, and 100 ms. How long it
// takes from the moment of noticing, which can be sooner, is a column of its own.
var largeMost = millis(detection(largeInterval, secondPriority) + 100*time.Millisecond)

// bounds are the most that a figure may be.
type bounds map[figure]float64

// handovers are the rows. The time to look on is about twice what the slower
// program needs, where it comes back at all.
var handovers = []handover{
	{name: "planned stop, 1s", scene: each(time.Second), event: (*bed).stop, watch: 2 * time.Second, bounds: bounds{figureLost: 0}},
	{name: "planned stop, 100ms", scene: each(100 * time.Millisecond), event: (*bed).stop, watch: time.Second, bounds: bounds{figureLost: 0}},
	{name: "planned stop, 10ms", scene: each(10 * time.Millisecond), event: (*bed).stop, watch: time.Second, bounds: bounds{figureLost: 0}},
	{name: "killed, restarted after 100ms", scene: each(time.Second), event: (*bed).restart, watch: 6 * time.Second, bounds: bounds{figureLost: 0}, stays: true},
	{name: "killed, not restarted", scene: each(time.Second), event: (*bed).kill, watch: 6 * time.Second, bounds: bounds{figureBoth: 0}, unheard: true},
	{name: "frozen for 6s", scene: each(time.Second), event: (*bed).freeze, watch: 11 * time.Second, bounds: bounds{figureBoth: 0}, unheard: true},
	{name: "address deleted by hand", scene: each(time.Second), event: (*bed).deleteAddress, watch: 6 * time.Second, bounds: bounds{figureSilent: 5}, stays: true},
	{name: "check fails, service answers", scene: scene{interval: time.Second, check: flagDemotes}, event: (*bed).clearFlag, watch: 8 * time.Second, bounds: bounds{figureLost: 0, figureDecided: 50}},
	{name: "service dies, node releases", scene: scene{interval: time.Second, check: portReleases}, event: (*bed).closeService, watch: 6 * time.Second, bounds: bounds{figureDecided: 20}},
	{name: "reload adds an address", scene: each(time.Second), event: (*bed).reload, watch: 3 * time.Second, bounds: bounds{figureLost: 0, figurePause: 1000}, stays: true},
	{name: "cable pulled, 100ms", scene: each(100 * time.Millisecond), event: (*bed).unplug, watch: 1500 * time.Millisecond, unheard: true},
	{name: "4000 addresses, planned stop", scene: scene{interval: largeInterval, large: true}, event: (*bed).stop, watch: 3 * time.Second, bounds: bounds{figureLost: 0}},
	{name: "4000 addresses, cable pulled", scene: scene{interval: largeInterval, large: true, quiet: true}, event: (*bed).unplug, watch: 3 * time.Second, bounds: bounds{figureMoved: largeMost}, unheard: true},
}

func each(interval time.Duration) scene { return scene{interval: interval} }

// BenchmarkHandover measures each row HANDOVER_ROUNDS times (3 by default) for
// each program, alternating, and prints a table. HANDOVER_JSON names a file for
// all figures.
func BenchmarkHandover(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	rounds := roundsFrom(b, "HANDOVER_ROUNDS", 3)
	var table handoverTable
	for _, h := range handovers {
		b.Run(h.name, func(b *testing.B) {
			row := handoverRow{Name: h.name, Bounds: h.bounds}
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
		if err := writeJSON(path, &table); err != nil {
			b.Error(err)
		}
	}
}

// measureHandover lets it happen once, a while after an advert.
func measureHandover(b *testing.B, h *handover, p *program, phase time.Duration) sample {
	b.Helper()
	l := newLab(b)
	defer l.Close() // before the next; newLab tells of errors
	bd := newBed(b, l, p, h.scene)
	bd.calm()
	time.Sleep(phase)

	bd.watchHolders()
	began := time.Now()
	h.event(bd)
	time.Sleep(time.Until(began.Add(h.watch)))
	end := time.Now()
	s := newSample(bd.both(), bd.client.Between(began, end)...)
	bd.heard(end).complete(&s, h, began, bd.decision)
	return s
}
