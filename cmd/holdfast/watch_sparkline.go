package main

import (
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// The heights of a sparkline, and what stands for a probe that failed.
var (
	blockLevels = []rune("▁▂▃▄▅▆▇█")
	plainLevels = []rune("_.-=+*%#")
)

const failedProbe = "x"

// sparkline draws how long probes took, against the longest of them; those that
// failed are an x.
func (v *watchView) sparkline(probes []control.Probe) string {
	levels := plainLevels
	if v.blocks {
		levels = blockLevels
	}
	longest := 0.0
	for _, p := range probes {
		if p.Passed {
			longest = max(longest, p.DurationMS)
		}
	}
	var b strings.Builder
	for _, p := range probes {
		if !p.Passed {
			b.WriteString(v.ink.Paint(screen.Alarm, failedProbe))
			continue
		}
		level := 0
		if longest > 0 {
			level = min(len(levels)-1, int(p.DurationMS/longest*float64(len(levels))))
		}
		b.WriteRune(levels[level])
	}
	return b.String()
}
