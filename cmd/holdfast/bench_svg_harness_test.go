package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The plots are well-formed, have every point, and nothing outside the picture.
func TestGrowthPlots(t *testing.T) {
	g := &growth{Version: "2.2.7 & later", Samples: map[string]map[int]map[string][]grown{}}
	for _, size := range growthSizes["instances"] {
		for _, factor := range []float64{1, 1.5, 0.7} {
			cost := factor * float64(size)
			g.add("instances", size, "holdfast", grown{CPU: cost / 100, Memory: 10 + cost/100, Takeover: 300 + cost/10})
			g.add("instances", size, "keepalived", grown{CPU: cost / 50, Memory: 8, Takeover: 300 + cost})
		}
	}
	dir := t.TempDir()
	if err := g.draw(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "growth-addresses.svg")); err == nil {
		t.Error("there is a plot of what was not measured")
	}
	text, err := os.ReadFile(filepath.Join(dir, "growth-instances.svg"))
	if err != nil {
		t.Fatal(err)
	}
	circles := 0
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "circle" {
			circles++
		}
	}
	if want := 3 * 2 * len(growthSizes["instances"]); circles != want {
		t.Errorf("%d points, want %d", circles, want)
	}
	for _, want := range []string{"Holdfast", "keepalived 2.2.7 &amp; later", "4080", "CPU of the master"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("there is no %q", want)
		}
	}
	for _, bad := range []string{"NaN", "Inf", `"-`} {
		if strings.Contains(string(text), bad) {
			t.Errorf("there is a %q", bad)
		}
	}
}
