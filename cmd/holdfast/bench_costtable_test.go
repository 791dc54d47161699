package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// costSample is what was measured once. What there is no figure for is negative.
type costSample struct {
	Master       float64 `json:"master_cpu_percent"`
	Backup       float64 `json:"backup_cpu_percent"`
	MasterMemory float64 `json:"master_resident_mb"` // millions of bytes
	BackupMemory float64 `json:"backup_resident_mb"`
	MasterWakes  float64 `json:"master_wakeups_per_second"`
	BackupWakes  float64 `json:"backup_wakeups_per_second"`
	Start        float64 `json:"all_master_after_seconds"` // of its start
	False        float64 `json:"false_transitions"`
	Sent         float64 `json:"adverts_sent_percent"` // of those that are due
	Announced    float64 `json:"last_announced_after_detection_ms"`
	// Others is what all else on the machine worked meanwhile, this measurement
	// too, and Stolen what the processors were not there for.
	Others float64 `json:"others_cpu_percent"`
	Stolen float64 `json:"stolen_cpu_percent"`
}

// costFigure is a line of the table.
type costFigure int

const (
	costMaster costFigure = iota
	costBackup
	costMemory
	costBackupMemory
	costMasterWakes
	costBackupWakes
	costStart
	costFalse
	costSent
	costAnnounced
)

var costFigures = []struct {
	title, key string
	digits     int
	of         func(*costSample) float64
}{
	costMaster:       {"master, CPU %", "%cpu-master", 2, func(s *costSample) float64 { return s.Master }},
	costBackup:       {"backup, CPU %", "%cpu-backup", 2, func(s *costSample) float64 { return s.Backup }},
	costMemory:       {"master, resident MB", "MB-master", 1, func(s *costSample) float64 { return s.MasterMemory }},
	costBackupMemory: {"backup, resident MB", "MB-backup", 1, func(s *costSample) float64 { return s.BackupMemory }},
	costMasterWakes:  {"master, wake-ups a second", "wakes/s-master", 0, func(s *costSample) float64 { return s.MasterWakes }},
	costBackupWakes:  {"backup, wake-ups a second", "wakes/s-backup", 0, func(s *costSample) float64 { return s.BackupWakes }},
	costStart:        {"all master after, s", "s-start", 2, func(s *costSample) float64 { return s.Start }},
	costFalse:        {"false transitions", "false", 0, func(s *costSample) float64 { return s.False }},
	costSent:         {"frames sent, % of adverts due", "%sent", 1, func(s *costSample) float64 { return s.Sent }},
	costAnnounced:    {"last address announced after detection, ms", "ms-announced", 0, func(s *costSample) float64 { return s.Announced }},
}

// MarshalText makes the keys of goals in JSON readable.
func (f costFigure) MarshalText() ([]byte, error) { return []byte(costFigures[f].key), nil }

// costResult has the samples of each program.
type costResult struct {
	Name    string                  `json:"name"`
	Goals   map[costFigure]goal     `json:"goals"`
	Samples map[string][]costSample `json:"samples"`
}

func (r *costResult) add(program string, s costSample) {
	if r.Samples == nil {
		r.Samples = map[string][]costSample{}
	}
	r.Samples[program] = append(r.Samples[program], s)
}

// spread is the median, the least and the most of what was measured.
type spread struct{ median, least, most float64 }

func spreadOf(values []float64) spread {
	slices.Sort(values)
	n := len(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

// fullPace is how much of the adverts due must be sent, in percent, for them to
// count as all.
const fullPace = 95

// figure is what one program needed; ok is false when there is no such figure.
func (r *costResult) figure(program string, f costFigure) (s spread, ok bool) {
	return r.figureOf(program, f, func(*costSample) float64 { return 1 })
}

// fair is figure, with the processor's time of one that sent fewer adverts than
// due as it would be, had it sent them all: to fall behind is not to be cheap.
func (r *costResult) fair(program string, f costFigure) (s spread, ok bool) {
	return r.figureOf(program, f, func(s *costSample) float64 {
		if f > costBackup {
			return 1
		}
		return s.behind()
	})
}

// behind is how many times as many adverts were due as were sent, if not all.
func (s *costSample) behind() float64 {
	if s.Sent <= 0 || s.Sent >= fullPace {
		return 1
	}
	return 100 / s.Sent
}

func (r *costResult) figureOf(program string, f costFigure, scale func(*costSample) float64) (s spread, ok bool) {
	var values []float64
	for _, sample := range r.Samples[program] {
		if v := costFigures[f].of(&sample); v >= 0 || f == costFalse && program != bareLoop.name {
			values = append(values, v*scale(&sample))
		}
	}
	if len(values) == 0 {
		return s, false
	}
	return spreadOf(values), true
}

// report adds the medians to the benchmark's line.
func (r *costResult) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for program := range r.Samples {
		for f := range costFigures {
			if s, ok := r.figure(program, costFigure(f)); ok {
				b.ReportMetric(s.median, strings.ReplaceAll(program, " ", "-")+"-"+costFigures[f].key)
			}
		}
	}
}

// verdict holds a figure against its goal.
func (r *costResult) verdict(f costFigure) (text string) {
	g, asked := r.Goals[f]
	ours, ok := r.fair("holdfast", f)
	theirs, known := r.fair("keepalived", f)
	if !asked || !ok || g.Ratio > 0 && !known {
		return ""
	}
	digits := costFigures[f].digits
	most, text := g.AtMost, fmt.Sprintf("≤ %.4g", g.AtMost)
	if g.Ratio > 0 {
		most, text = g.Ratio*theirs.median, fmt.Sprintf("≤ %.*f (%.2f of it)", digits, g.Ratio*theirs.median, g.Ratio)
	}
	if ours.median <= most {
		return text + ": met"
	}
	return text + ": **missed**"
}

// ratio is ours to theirs.
func (r *costResult) ratio(f costFigure) string {
	ours, ok := r.fair("holdfast", f)
	theirs, known := r.fair("keepalived", f)
	if !ok || !known || theirs.median <= 0 || f == costFalse || f == costSent {
		return ""
	}
	return fmt.Sprintf("%.2f", ours.median/theirs.median)
}

// costTable is all of one run.
type costTable struct {
	Version string       `json:"keepalived"`
	Seconds float64      `json:"seconds"`
	Rows    []costResult `json:"rows"`
}

// String is two tables in Markdown: one for people in a hurry, and all of it.
func (t *costTable) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Two nodes, %d processors, keepalived %s; CPU is a share of one processor, over %g s; MB are millions of bytes.\n",
		runtime.NumCPU(), t.Version, t.Seconds)
	b.WriteString("Each figure is Holdfast's, then keepalived's: medians.\n\n")
	markdown(&b, t.short())
	fmt.Fprintf(&b, "\nMedian (least–most) of all rounds. Who sent less than %d %% of the adverts due is held to the CPU that all would take.\n\n", fullPace)
	markdown(&b, t.long())
	b.WriteString("\nWhat else the machine did during each round, in percent of one processor (stolen by others beside it):\n\n")
	markdown(&b, t.noise())
	return b.String()
}

// short has a line for each row.
func (t *costTable) short() [][]string {
	columns := []costFigure{costMaster, costBackup, costMemory, costMasterWakes, costBackupWakes, costStart}
	lines := [][]string{{"instances × interval"}}
	for _, f := range columns {
		lines[0] = append(lines[0], costFigures[f].title)
	}
	lines[0] = append(lines[0], "goals")
	for _, r := range t.Rows {
		line := []string{r.Name}
		for _, f := range columns {
			cell := "–"
			ours, ok := r.figure("holdfast", f)
			theirs, known := r.figure("keepalived", f)
			if ok && known {
				cell = fmt.Sprintf("%.*f / %.*f", costFigures[f].digits, ours.median, costFigures[f].digits, theirs.median)
			}
			line = append(line, cell)
		}
		lines = append(lines, append(line, r.summary()))
	}
	return lines
}

// summary tells which goals were missed.
func (r *costResult) summary() string {
	var missed []string
	for _, f := range slices.Sorted(maps.Keys(r.Goals)) {
		if strings.HasSuffix(r.verdict(f), "**") {
			missed = append(missed, costFigures[f].title)
		}
	}
	if len(missed) == 0 {
		return "met"
	}
	return "missed: " + strings.Join(missed, "; ")
}

// long has a line for each figure.
func (t *costTable) long() [][]string {
	lines := [][]string{{"instances × interval", "", "Holdfast", "keepalived", "ratio", realTimeKeepalived.name, bareLoop.name, "goal"}}
	for _, r := range t.Rows {
		name := r.Name
		for k := range costFigures {
			f := costFigure(k)
			if _, ok := r.figure("holdfast", f); !ok {
				continue
			}
			lines = append(lines, []string{
				name, costFigures[f].title, r.cell("holdfast", f), r.cell("keepalived", f), r.ratio(f),
				r.cell(realTimeKeepalived.name, f), r.cell(bareLoop.name, f), r.verdict(f),
			})
			name = ""
		}
	}
	return lines
}

func (r *costResult) cell(program string, f costFigure) string {
	s, ok := r.figure(program, f)
	if !ok {
		return ""
	}
	d := costFigures[f].digits
	if s.least == s.most {
		return fmt.Sprintf("%.*f", d, s.median)
	}
	return fmt.Sprintf("%.*f (%.*f–%.*f)", d, s.median, d, s.least, d, s.most)
}

// noise has a line for each row and program.
func (t *costTable) noise() [][]string {
	lines := [][]string{{"instances × interval", "", "each round"}}
	for _, r := range t.Rows {
		for _, program := range slices.SortedFunc(maps.Keys(r.Samples), cmp.Compare[string]) {
			var rounds []string
			for _, s := range r.Samples[program] {
				rounds = append(rounds, fmt.Sprintf("%.0f (%.0f)", s.Others, s.Stolen))
			}
			lines = append(lines, []string{r.Name, program, strings.Join(rounds, ", ")})
		}
	}
	return lines
}

// markdown writes a table; the first line is its head.
func markdown(b *strings.Builder, lines [][]string) {
	rule := make([]string, len(lines[0]))
	for n := range rule {
		rule[n] = "---"
	}
	lines = slices.Insert(lines, 1, rule)
	align(lines)
	for _, line := range lines {
		b.WriteString("| " + strings.Join(line, " | ") + " |\n")
	}
}

// writeJSON stores what was measured.
func writeJSON(path string, figures any) error {
	text, err := json.MarshalIndent(figures, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
