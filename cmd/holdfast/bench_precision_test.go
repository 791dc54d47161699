package main

// How exact the daemon is with adverts every 10 ms: their pace, on a machine
// that does nothing else and on one that is overloaded, and how soon a node that
// died is replaced.

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	preciseInterval = 10 * time.Millisecond
	// preciseLoops is how many processes do nothing but use the processors.
	preciseLoops = 8
)

// BenchmarkPrecision measures both programs PRECISION_ROUNDS times (5), in turns:
// the pace of adverts for PRECISION_TIME (20s) each, that of a bare loop, too, and in
// each round one death by KILL and one pulled cable. PRECISION_JSON names a file for all figures.
func BenchmarkPrecision(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	rounds := roundsFrom(b, "PRECISION_ROUNDS", 5)
	watch := durationFrom(b, "PRECISION_TIME", 20*time.Second)
	builtProgram(b)
	fmt.Printf("\nThis takes about %v.\n", (time.Duration(3*rounds) * (2*watch + 25*time.Second)).Round(time.Minute))
	result := precision{Version: keepalivedVersion(b), Programs: map[string]*preciseResult{}}
	paced := append(slices.Clone(programs), bareRealTime) // what this machine allows
	for _, p := range paced {
		result.Programs[p.name] = &preciseResult{}
	}
	for b.Loop() { // once
		for round := range rounds {
			for k := range paced {
				p := paced[(round+k)%len(paced)]
				r := result.Programs[p.name]
				r.Quiet.add(measurePace(b, p, watch, 0))
				r.Loaded.add(measurePace(b, p, watch, preciseLoops))
				if p.bare() {
					continue
				}
				phase := preciseInterval * time.Duration(2*round+1) / time.Duration(2*rounds)
				r.Killed = append(r.Killed, measureTakeover(b, p, phase, (*bed).kill))
				r.Unplugged = append(r.Unplugged, measureTakeover(b, p, phase, (*bed).unplug))
			}
		}
	}
	b.ReportMetric(0, "ns/op")
	fmt.Printf("\n%s\n", &result)
	if path := os.Getenv("PRECISION_JSON"); path != "" {
		if err := writeJSON(path, &result); err != nil {
			b.Error(err)
		}
	}
}

// pace is what the wire tells of a master that advertises.
type pace struct {
	Off    []float64 `json:"off_ms"`           // of the interval, each advert
	Others []float64 `json:"others_cpu_share"` // what else the machine did, in percent of one processor
	False  int       `json:"false_transitions"`
}

func (p *pace) add(one pace) {
	p.Off, p.Others, p.False = append(p.Off, one.Off...), append(p.Others, one.Others...), p.False+one.False
}

// measurePace watches the adverts of a pair of nodes beside so many busy loops.
func measurePace(b *testing.B, p *program, watch time.Duration, loops int) (result pace) {
	b.Helper()
	l := newLab(b)
	defer l.Close()
	s := each(preciseInterval)
	s.instances = 1
	bd := newCostBed(b, l, &s, p)
	client := l.Hosts()[2]
	bd.start()
	for range loops {
		if _, err := client.Start("/bin/sh", "-c", "while :; do :; done"); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(costSettle)
	port, err := bd.first.Port("eth0")
	if err != nil {
		b.Fatal(err)
	}
	seen, err := client.Capture("eth0", func(f lab.Frame) bool {
		return isAdvert(f, bedVRID) && bytes.Equal(f.Data[6:12], port.MAC())
	})
	if err != nil {
		b.Fatal(err)
	}
	became := p.becameMaster(bd.first) + p.becameMaster(bd.second)
	one, two := bd.first.used(), bd.second.used()
	worked, _ := machineTime(b)
	began := time.Now()
	time.Sleep(watch)
	span := time.Since(began)
	workedTo, _ := machineTime(b)
	own := bd.first.used().cpu - one.cpu + bd.second.used().cpu - two.cpu
	frames := seen.Frames()
	for _, gap := range gaps(frames) {
		result.Off = append(result.Off, millis((gap - preciseInterval).Abs()))
	}
	result.Others = []float64{share(workedTo-worked-own, span)}
	if !p.bare() {
		result.False = p.becameMaster(bd.first) + p.becameMaster(bd.second) - became
	}
	return result
}

// takeover is when the second node spoke after the first died, in milliseconds.
type takeover struct {
	Died float64 `json:"after_the_death_ms"`
	Last float64 `json:"after_the_last_advert_ms"`
}

// measureTakeover has the first node die at a phase of its interval: the sooner after an
// advert, the later it is replaced.
func measureTakeover(b *testing.B, p *program, phase time.Duration, event func(*bed)) takeover {
	b.Helper()
	l := newLab(b)
	defer l.Close()
	s := each(preciseInterval)
	s.quiet = true
	bd := newBed(b, l, p, s)
	bd.calm()
	adverts := bd.heard(time.Now()).adverts
	time.Sleep(time.Until(adverts[len(adverts)-1].Time.Add(preciseInterval + phase)))
	began := time.Now()
	event(bd)
	var result takeover
	eventually(b, settled, "the second node speaks", func() bool {
		hd := bd.heard(time.Now())
		var last time.Time
		for _, f := range hd.adverts {
			switch mac := f.Data[6:12]; {
			case bytes.Equal(mac, hd.first):
				last = f.Time
			case bytes.Equal(mac, hd.second) && f.Time.After(began):
				result = takeover{millis(f.Time.Sub(began)), millis(f.Time.Sub(last))}
				return true
			}
		}
		return false
	})
	return result
}

// preciseResult is what one program did.
type preciseResult struct {
	Quiet     pace       `json:"quiet"`
	Loaded    pace       `json:"loaded"`
	Killed    []takeover `json:"killed"`
	Unplugged []takeover `json:"cable_pulled"`
}

type precision struct {
	Version  string                    `json:"keepalived"`
	Programs map[string]*preciseResult `json:"programs"`
}

// rank is the value that a share of all are not above.
func rank(values []float64, part float64) float64 {
	if len(values) == 0 {
		return -1
	}
	sorted := slices.Sorted(slices.Values(values))
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}
