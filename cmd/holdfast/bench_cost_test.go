package main

// What it costs to do nothing but advertise, listen and renew leases, beside
// keepalived and beside a bare loop. make bench runs it.

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// costRow is what a pair of nodes is configured with, and what Holdfast is to
// reach.
type costRow struct {
	name  string
	scene scene
	goals map[costFigure]goal
	floor bool // beside the bare loop, too
	// realTime is beside keepalived in real time, too.
	realTime bool
	// pulled has the cable of the first node pulled in the end.
	pulled bool
}

// goal is the most that a figure may be: so much, or so much of keepalived's.
type goal struct {
	AtMost float64 `json:"at_most,omitempty"`
	Ratio  float64 `json:"of_keepalived,omitempty"`
}

// ofBoth asks the same of the processor time of both nodes.
func ofBoth(g goal) map[costFigure]goal {
	return map[costFigure]goal{costMaster: g, costBackup: g}
}

// and adds to goals.
func and(goals map[costFigure]goal, f costFigure, g goal) map[costFigure]goal {
	goals[f] = g
	return goals
}

var costRows = []costRow{
	{name: "1 × 1s", scene: scene{interval: time.Second, instances: 1}, goals: and(ofBoth(goal{AtMost: 0.1}), costMemory, goal{AtMost: 16})},
	{name: "1 × 10ms", scene: scene{interval: 10 * time.Millisecond, instances: 1}, goals: ofBoth(goal{Ratio: 1}), floor: true, realTime: true},
	{name: "255 × 1s", scene: scene{interval: time.Second, instances: 255}, goals: ofBoth(goal{Ratio: 0.5})},
	{name: "255 × 100ms", scene: scene{interval: 100 * time.Millisecond, instances: 255}, goals: ofBoth(goal{Ratio: 1. / 3}), floor: true},
	{name: "255 × 10ms", scene: scene{interval: 10 * time.Millisecond, instances: 255}, goals: ofBoth(goal{Ratio: 1. / 3}), floor: true},
	{name: "4080 × 100ms", scene: scene{interval: 100 * time.Millisecond, instances: 4080}, goals: manyGoals(2)},
	{name: "4080 × 1s", scene: scene{interval: time.Second, instances: 4080}, goals: manyGoals(5)},
	{name: "1 × 100ms, 4000 VIPs", scene: scene{interval: largeInterval, instances: 1, vips: largeCount}, goals: map[costFigure]goal{costAnnounced: {AtMost: 100}}, pulled: true},
}

func manyGoals(seconds float64) map[costFigure]goal {
	goals := and(ofBoth(goal{Ratio: 0.5}), costMemory, goal{AtMost: 48})
	return and(and(goals, costStart, goal{AtMost: seconds}), costFalse, goal{})
}

const (
	costRounds = 5
	costWatch  = 10 * time.Second
	// costSettle is how long nothing is measured after the start: keepalived
	// announces once more 5 seconds later, and that is not idle.
	costSettle = 7 * time.Second
)

// BenchmarkCost measures pairs of nodes on which nothing happens COST_ROUNDS
// times (5 by default) for COST_TIME each (10s) and for each program,
// alternating, and prints tables. COST_JSON names a file for all figures.
func BenchmarkCost(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	rounds, watch := roundsFrom(b, "COST_ROUNDS", costRounds), durationFrom(b, "COST_TIME", costWatch)
	builtProgram(b) // not while the clock runs
	all := time.Duration(0)
	for _, r := range costRows {
		all += r.takes(rounds, watch)
	}
	fmt.Printf("\nAll %d rows take about %v.\n", len(costRows), all.Round(time.Minute))
	table := costTable{Seconds: watch.Seconds(), Version: keepalivedVersion(b)}
	for _, r := range costRows {
		b.Run(r.name, func(b *testing.B) {
			result := costResult{Name: r.name, Goals: r.goals}
			for b.Loop() { // once, as it takes longer than any benchmark time
				for round := range rounds {
					contenders := r.contenders()
					for k := range contenders { // who is first changes, too
						p := contenders[(round+k)%len(contenders)]
						sample := measureCost(b, &r.scene, p, costSettle, watch)
						if r.pulled {
							sample.Announced = measurePulled(b, &r, p, round, rounds)
						}
						result.add(p.name, sample)
					}
				}
			}
			result.report(b)
			table.Rows = append(table.Rows, result)
		})
	}
	if len(table.Rows) == 0 {
		return
	}
	fmt.Printf("\n%s\n", &table)
	if path := os.Getenv("COST_JSON"); path != "" {
		if err := writeJSON(path, &table); err != nil {
			b.Error(err)
		}
	}
}

// roundsFrom is the number in a variable of the environment, if it is set.
func roundsFrom(b *testing.B, name string, rounds int) int {
	b.Helper()
	s := os.Getenv(name)
	if s == "" {
		return rounds
	}
	rounds, err := strconv.Atoi(s)
	if err != nil || rounds < 1 {
		b.Fatalf("%s is %q: want a number from 1 on", name, s)
	}
	return rounds
}

// durationFrom is the time in a variable of the environment, if it is set.
func durationFrom(b *testing.B, name string, d time.Duration) time.Duration {
	b.Helper()
	s := os.Getenv(name)
	if s == "" {
		return d
	}
	d, err := time.ParseDuration(s)
	if err != nil || d <= 0 {
		b.Fatalf("%s is %q: want a time such as 10s", name, s)
	}
	return d
}

func (r *costRow) contenders() []*program {
	list := slices.Clone(programs)
	if r.floor {
		list = append(list, bareLoop)
	}
	if r.realTime {
		list = append(list, realTimeKeepalived)
	}
	return list
}

// takes is about how long the row takes. Starting thousands of instances takes
// keepalived a minute.
func (r *costRow) takes(rounds int, watch time.Duration) time.Duration {
	one := costSettle + watch + 5*time.Second
	all := one * time.Duration(rounds*len(r.contenders()))
	if r.scene.instances > perPort {
		all += time.Duration(rounds) * time.Minute
	}
	return all
}

// costBed is two nodes that run one program, joined by what the scene needs.
type costBed struct {
	scene         *scene
	program       *program
	first, second *node
	all           map[netip.Addr]bool
}

func newCostBed(t testing.TB, l *lab.Lab, s *scene, p *program) *costBed {
	t.Helper()
	bd := &costBed{scene: s, program: p, all: map[netip.Addr]bool{}}
	for n := range s.instances {
		for _, a := range s.addresses(n + 1) {
			bd.all[netip.MustParsePrefix(a).Addr()] = true
		}
	}
	bd.first, bd.second = newNode(t, l, "a", "192.0.2.1/24"), newNode(t, l, "b", "192.0.2.2/24")
	if _, err := l.Host("client", "192.0.2.200/24"); err != nil {
		t.Fatal(err)
	}
	if ports := s.ports(); len(ports) > 1 {
		for n, ifname := range ports {
			network := fmt.Sprintf("10.%d.254.", 51+n)
			if err := l.Join(ifname, bd.first.Host, network+"1/16", bd.second.Host, network+"2/16"); err != nil {
				t.Fatal(err)
			}
		}
	}
	return bd
}

// start starts both nodes, the second when the first is master of all, and
// returns how long that took.
func (bd *costBed) start() (took time.Duration) {
	t := bd.first.t
	t.Helper()
	began := time.Now()
	bd.program.start(bd.first, bd.program.render(bd.scene, firstPriority))
	if !bd.program.bare() {
		const most = 2 * time.Minute // keepalived needs its time for thousands
		for bd.held(bd.first) < len(bd.all) {
			listed := time.Now()
			if listed.Sub(began) > most {
				t.Fatalf("%s has %d of %d addresses after %v", bd.program.name, bd.held(bd.first), len(bd.all), most)
			}
			time.Sleep(max(2*time.Millisecond, 4*time.Since(listed))) // to list thousands is work
		}
		took = time.Since(began)
	}
	bd.program.start(bd.second, bd.program.render(bd.scene, secondPriority))
	return took
}

// held is how many of the addresses the node has.
func (bd *costBed) held(n *node) (count int) {
	for _, ifname := range bd.scene.ports() {
		present, err := n.Addresses(ifname)
		if errors.Is(err, netlink.ErrDumpInterrupted) {
			continue // they come and go faster than the kernel lists them: look again
		}
		if err != nil {
			n.t.Fatal(err)
		}
		for _, p := range present {
			if bd.all[p.Addr()] {
				count++
			}
		}
	}
	return count
}

// sent is how many frames the first node has sent.
func (bd *costBed) sent() (frames int) {
	t := bd.first.t
	t.Helper()
	for _, ifname := range bd.scene.ports() {
		text, err := bd.first.ReadFile("/sys/class/net/" + ifname + "/statistics/tx_packets")
		var count int
		if err == nil {
			count, err = strconv.Atoi(strings.TrimSpace(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		frames += count
	}
	return frames
}

// pace is how much a number of frames in a time is of the adverts due, in percent.
func (bd *costBed) pace(frames int, span time.Duration) float64 {
	return 100 * float64(frames) * bd.scene.interval.Seconds() / span.Seconds() / float64(bd.scene.instances)
}

// awaitPace waits until the start is over: keepalived with thousands of
// instances is busy with itself for a while and neither sends nor waits for
// anything. What does not get that far is measured as it is.
func (bd *costBed) awaitPace() {
	most := time.Now().Add(10*time.Second + time.Duration(bd.scene.instances)*12*time.Millisecond)
	for span := max(time.Second, 2*bd.scene.interval); time.Now().Before(most); {
		one, two, frames := bd.first.used(), bd.second.used(), bd.sent()
		time.Sleep(span)
		oneTo, twoTo := bd.first.used(), bd.second.used()
		if bd.pace(bd.sent()-frames, span) > 90 && oneTo.wakes > one.wakes && twoTo.wakes > two.wakes {
			return
		}
	}
}

// measureCost starts a pair of nodes, lets them settle, and watches them.
func measureCost(t testing.TB, s *scene, p *program, settle, watch time.Duration) costSample {
	t.Helper()
	l := newLab(t)
	defer l.Close() // before the next; newLab tells of errors
	bd := newCostBed(t, l, s, p)
	took := bd.start()
	bd.settle(settle)
	sample := bd.watch(watch)
	if p.bare() {
		return sample
	}
	if here, there := bd.held(bd.first), bd.held(bd.second); here != len(bd.all) || there != 0 {
		t.Errorf("%s: the first node has %d of %d addresses at the end, the second %d", p.name, here, len(bd.all), there)
	}
	sample.Start = took.Seconds()
	sample.False = float64(p.becameMaster(bd.first) - s.instances + p.becameMaster(bd.second))
	return sample
}

// measurePulled is when the last address was announced, in milliseconds from the
// moment on when the second node could know that the first is gone.
func measurePulled(b *testing.B, r *costRow, p *program, round, rounds int) float64 {
	b.Helper()
	s := scene{interval: r.scene.interval, large: true, quiet: true}
	h := handover{scene: s, event: (*bed).unplug, watch: 3 * time.Second, unheard: true}
	return measureHandover(b, &h, p, s.phase(round, rounds)).Decided
}

// settle waits for so long, and until both nodes have found their pace.
func (bd *costBed) settle(settle time.Duration) {
	time.Sleep(settle)
	if settle > 0 {
		bd.awaitPace()
	}
}

// watch measures for a while.
func (bd *costBed) watch(watch time.Duration) costSample {
	t := bd.first.t
	t.Helper()
	began := time.Now()
	one, two, frames := bd.first.used(), bd.second.used(), bd.sent()
	worked, stolen := machineTime(t)
	time.Sleep(watch)
	span := time.Since(began)
	workedTo, stolenTo := machineTime(t)
	framesTo, oneTo, twoTo := bd.sent(), bd.first.used(), bd.second.used()
	return costSample{
		Master: share(oneTo.cpu-one.cpu, span), Backup: share(twoTo.cpu-two.cpu, span),
		MasterMemory: float64(oneTo.memory) / 1e6, BackupMemory: float64(twoTo.memory) / 1e6,
		MasterWakes: float64(oneTo.wakes-one.wakes) / span.Seconds(), BackupWakes: float64(twoTo.wakes-two.wakes) / span.Seconds(),
		Sent:   bd.pace(framesTo-frames, span),
		Others: share(workedTo-worked-(oneTo.cpu-one.cpu)-(twoTo.cpu-two.cpu), span),
		Stolen: share(stolenTo-stolen, span),
		Start:  -1, False: -1, Announced: -1,
	}
}

// share is the part of one processor, in percent.
func share(used, span time.Duration) float64 { return 100 * used.Seconds() / span.Seconds() }
