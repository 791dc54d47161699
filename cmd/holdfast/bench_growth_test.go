package main

// How cost grows with the number of instances, and with that of addresses.
// make growth draws it.

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const growthInterval = 100 * time.Millisecond

var growthSizes = map[string][]int{
	"instances": {1, 16, 64, 255, 1020, 4080},
	"addresses": {1, 100, 1000, 4000},
}

// growthScene has so many instances of one address, or one of so many.
func growthScene(of string, size int) scene {
	if of == "addresses" {
		return scene{interval: growthInterval, instances: 1, vips: size}
	}
	return scene{interval: growthInterval, instances: size}
}

// grown is what one size needed once.
type grown struct {
	CPU      float64 `json:"master_cpu_percent"` // for all adverts that were due, as costResult.fair has it
	Memory   float64 `json:"master_resident_mb"`
	Takeover float64 `json:"takeover_ms"` // from the death of the first node to the last address on the second
	Others   float64 `json:"others_cpu_percent"`
}

// growth is what was measured: of instances or addresses, by size and program.
type growth struct {
	Version string                                `json:"keepalived"`
	Samples map[string]map[int]map[string][]grown `json:"samples"`
}

// BenchmarkGrowth measures each size GROWTH_ROUNDS times (3) for GROWTH_TIME (5s) and
// draws growth-*.svg into GROWTH_DIR (examples). GROWTH_JSON names a file to which
// the figures are added: those it has already are drawn, too.
func BenchmarkGrowth(b *testing.B) {
	require(b, os.Geteuid() == 0, "root")
	_, err := lab.FindPeer("keepalived")
	require(b, err == nil, "keepalived (run .ci/peers)")
	rounds, watch := roundsFrom(b, "GROWTH_ROUNDS", 3), durationFrom(b, "GROWTH_TIME", 5*time.Second)
	builtProgram(b)
	fmt.Printf("\nAll sizes take about %v.\n", (time.Duration(rounds) * (20*(watch+13*time.Second) + 3*time.Minute)).Round(time.Minute))
	path := os.Getenv("GROWTH_JSON")
	g := &growth{Samples: map[string]map[int]map[string][]grown{}}
	if err := g.read(path); err != nil {
		b.Fatal(err)
	}
	g.Version = keepalivedVersion(b)
	for _, of := range []string{"instances", "addresses"} {
		for _, size := range growthSizes[of] {
			b.Run(fmt.Sprintf("%s=%d", of, size), func(b *testing.B) {
				s := growthScene(of, size)
				for b.Loop() { // once
					for round := range rounds {
						for k := range programs {
							p := programs[(round+k)%len(programs)]
							g.add(of, size, p.name, measureGrown(b, &s, p, costSettle, watch))
						}
					}
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
	if path != "" {
		if err := writeJSON(path, g); err != nil {
			b.Error(err)
		}
	}
	if err := g.draw(growthDir()); err != nil {
		b.Error(err)
	}
}

func growthDir() string {
	if dir := os.Getenv("GROWTH_DIR"); dir != "" {
		return dir
	}
	return filepath.Join("..", "..", "examples")
}

func (g *growth) read(path string) error {
	if path == "" {
		return nil
	}
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(text, g)
	}
	return err
}

func (g *growth) add(of string, size int, program string, one grown) {
	if g.Samples[of] == nil {
		g.Samples[of] = map[int]map[string][]grown{}
	}
	if g.Samples[of][size] == nil {
		g.Samples[of][size] = map[string][]grown{}
	}
	g.Samples[of][size][program] = append(g.Samples[of][size][program], one)
}

// measureGrown watches a pair of nodes and then kills the first.
func measureGrown(t testing.TB, s *scene, p *program, settle, watch time.Duration) grown {
	t.Helper()
	l := newLab(t)
	defer l.Close()
	bd := newCostBed(t, l, s, p)
	bd.start()
	bd.settle(settle)
	sample := bd.watch(watch)

	took := bd.second.watchTaken(bd.all)
	began := time.Now()
	if err := bd.first.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	return grown{sample.Master * sample.behind(), sample.MasterMemory, millis(took(time.Minute).Sub(began)), sample.Others}
}

// draw writes the plots.
func (g *growth) draw(dir string) error {
	note := fmt.Sprintf("Two nodes, version 3, adverts every %v, %d processors, keepalived %s; the band goes from the least to the most. Logarithmic axes.",
		growthInterval, runtime.NumCPU(), g.Version)
	for _, of := range []string{"instances", "addresses"} {
		if len(g.Samples[of]) == 0 {
			continue
		}
		axis := map[string]string{"instances": "instances of one address", "addresses": "addresses of one instance"}[of]
		panels := []panel{
			g.panel(of, axis, "CPU of the master, % of one processor", func(s *grown) float64 { return s.CPU }),
			g.panel(of, axis, "Resident memory of the master, MB", func(s *grown) float64 { return s.Memory }),
			g.panel(of, axis, "Killed to the last address taken over, ms", func(s *grown) float64 { return s.Takeover }),
		}
		text := drawPanels("What "+of+" cost", note, panels)
		if err := os.WriteFile(filepath.Join(dir, "growth-"+of+".svg"), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (g *growth) panel(of, axis, title string, figure func(*grown) float64) panel {
	p := panel{title: title, axis: axis}
	for _, program := range programs {
		c := curve{name: map[string]string{"holdfast": "Holdfast"}[program.name]}
		if c.name == "" {
			c.name = program.name + " " + g.Version
		}
		for _, size := range growthSizes[of] {
			var values []float64
			for _, s := range g.Samples[of][size][program.name] {
				values = append(values, figure(&s))
			}
			if len(values) > 0 {
				c.points = append(c.points, curvePoint{float64(size), spreadOf(values)})
			}
		}
		p.curves = append(p.curves, c)
	}
	return p
}
