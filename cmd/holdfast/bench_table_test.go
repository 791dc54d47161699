package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// sample is what was measured once. Times are in milliseconds, and negative when
// it never was or there is no such figure.
type sample struct {
	Silent float64 `json:"silent_ms"` // the longest time without an answer from one address
	// Ongoing is set when there was no answer to the end: Silent is then the
	// least that it can be.
	Ongoing bool    `json:"silence_ongoing"`
	Lost    int     `json:"lost"` // without what was answered late
	Sent    int     `json:"sent"`
	Both    float64 `json:"two_holders_ms"`
	// Moved is when the second node first answered, or announced the last of many
	// addresses, and First when it announced the first of many.
	First float64 `json:"first_moved_ms"`
	Moved float64 `json:"moved_ms"`
	// Decided is how long before that a node knew: the first that its check
	// fails, or the second that it has not heard the first for long enough.
	Decided float64 `json:"moved_after_decision_ms"`
	// Pause is the longest time between two adverts.
	Pause float64 `json:"advert_pause_ms"`
	// Late is how much later than due the client asked, at worst. The other
	// times can be wrong by as much.
	Late float64 `json:"probe_late_ms"`
}

func millis(d time.Duration) float64 { return float64(d.Round(10*time.Microsecond)) / 1e6 }

// newSample sums up what the client saw of each address from the event on.
func newSample(both time.Duration, addresses ...lab.Report) sample {
	s := sample{Silent: -1, Lost: -1, Both: -1, First: -1, Moved: -1, Decided: -1, Pause: -1}
	if both >= 0 {
		s.Both = millis(both)
	}
	if len(addresses) > 0 {
		s.Silent, s.Lost = 0, 0
	}
	endless := lab.DefaultPatience
	if len(addresses) > 1 {
		endless += sweepEvery // the next question may be as far
	}
	for _, r := range addresses {
		s.Silent = max(s.Silent, millis(r.LongestGap))
		s.Late = max(s.Late, millis(r.WorstLateness))
		s.Lost += r.Lost - r.Late
		s.Sent += r.Sent
		last := r.From
		for _, span := range r.Servers {
			last = span.To
			if span.Server == "b" && s.Moved < 0 {
				s.Moved = millis(span.From.Sub(r.From))
			}
		}
		s.Ongoing = s.Ongoing || r.Lost > 0 && r.To.Sub(last) > endless
	}
	return s
}

// handoverRow has the samples of each program.
type handoverRow struct {
	Name    string              `json:"name"`
	Samples map[string][]sample `json:"samples"`
	Bounds  bounds              `json:"holdfast_at_most"`
}

func (row *handoverRow) add(program string, s sample) {
	if row.Samples == nil {
		row.Samples = map[string][]sample{}
	}
	row.Samples[program] = append(row.Samples[program], s)
}

// having returns the samples that have a figure.
func having(list []sample, figure func(*sample) float64) []sample {
	return slices.DeleteFunc(slices.Clone(list), func(s sample) bool { return figure(&s) < 0 })
}

// middle is the median and the worst of one figure of all samples.
func middle(list []sample, figure func(*sample) float64) (median, worst float64) {
	values := make([]float64, len(list))
	for n := range list {
		values[n] = figure(&list[n])
	}
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2, values[len(values)-1]
}

// figure is a column of the table.
type figure int

const (
	figureSilent figure = iota
	figureLost
	figureBoth
	figureFirst
	figureMoved
	figureDecided
	figurePause
)

// figures are what the columns have.
var figures = []struct {
	title string
	unit  string // in the lines of go test, and in JSON
	of    func(*sample) float64
}{
	figureSilent:  {"longest silence, ms", "silent-ms", func(s *sample) float64 { return s.Silent }},
	figureLost:    {"datagrams lost", "lost", func(s *sample) float64 { return float64(s.Lost) }},
	figureBoth:    {"two holders, ms", "both-ms", func(s *sample) float64 { return s.Both }},
	figureFirst:   {"first moved, ms", "first-ms", func(s *sample) float64 { return s.First }},
	figureMoved:   {"moved after, ms", "moved-ms", func(s *sample) float64 { return s.Moved }},
	figureDecided: {"from the decision, ms", "decided-ms", func(s *sample) float64 { return s.Decided }},
	figurePause:   {"pause of adverts, ms", "pause-ms", func(s *sample) float64 { return s.Pause }},
}

// MarshalText makes the keys of bounds in JSON readable.
func (f figure) MarshalText() ([]byte, error) { return []byte(figures[f].unit), nil }

// UnmarshalText reads what MarshalText wrote.
func (f *figure) UnmarshalText(text []byte) error {
	for n := range figures {
		if figures[n].unit == string(text) {
			*f = figure(n)
			return nil
		}
	}
	return fmt.Errorf("there is no figure %q", text)
}

// report adds the medians to the benchmark's line.
func (row *handoverRow) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for program, list := range row.Samples {
		for _, f := range figures {
			if happened := having(list, f.of); len(happened) > 0 {
				median, _ := middle(happened, f.of)
				b.ReportMetric(median, program+"-"+f.unit)
			}
		}
	}
}

// cell is median and worst of a figure, "-" for what did not happen, and "∞" as
// the worst when it did not happen always, or had not ended in the end.
func (row *handoverRow) cell(program string, f figure) string {
	list := row.Samples[program]
	of := figures[f].of
	happened := having(list, of)
	if len(happened) == 0 {
		return "-"
	}
	median, worst := middle(happened, of)
	endless := len(happened) < len(list) || f == figureSilent && slices.ContainsFunc(list, func(s sample) bool { return s.Ongoing })
	if endless {
		return number(median) + " / ∞"
	}
	return number(median) + " / " + number(worst)
}

func number(v float64) string {
	if v < 10 && v != float64(int(v)) {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

// handoverTable is all of one run.
type handoverTable struct {
	Rows []handoverRow `json:"rows"`
}

// String is the table: below each event the programs, and what is promised.
func (t *handoverTable) String() string {
	header := []string{"", ""}
	for _, f := range figures {
		header = append(header, f.title)
	}
	lines := [][]string{header}
	var rounds []string
	for _, row := range t.Rows {
		lines = append(lines, row.lines()...)
		rounds = append(rounds, fmt.Sprint(len(row.Samples[programs[0].name])))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Median / worst, and the most that Holdfast promises; rounds: %s; priorities %d and %d, %d processors\n",
		strings.Join(slices.Compact(rounds), " or "), firstPriority, secondPriority, runtime.NumCPU())
	fmt.Fprintf(&b, "The client asks %d times a second; each of %d addresses every %v\n", handoverRate, largeCount, sweepEvery)
	b.WriteString("In a planned handover of Holdfast both hold the address for a moment, so that nothing is lost\n\n")
	align(lines)
	for _, line := range lines {
		b.WriteString(strings.TrimRight(strings.Join(line, " | "), " |") + "\n")
	}
	if late := t.late(); late > 20 {
		fmt.Fprintf(&b, "\nThe machine was so busy that the client asked up to %.0f ms late: times can be wrong by as much.\n", late)
	}
	return b.String()
}

// lines are those of one event.
func (row *handoverRow) lines() (lines [][]string) {
	name := row.Name
	for _, p := range programs {
		line := []string{name, p.name}
		for f := range figures {
			line = append(line, row.cell(p.name, figure(f)))
		}
		lines = append(lines, line)
		name = ""
	}
	if len(row.Bounds) == 0 {
		return lines
	}
	line := []string{"", "at most"}
	for f := range figures {
		cell := ""
		if most, ok := row.Bounds[figure(f)]; ok {
			cell = number(most)
		}
		line = append(line, cell)
	}
	return append(lines, line)
}

// align fills all cells of a column up to the length of the longest.
func align(lines [][]string) {
	for column := range lines[0] {
		width := 0
		for _, line := range lines {
			width = max(width, utf8.RuneCountInString(line[column]))
		}
		for _, line := range lines {
			line[column] = fmt.Sprintf("%-*s", width, line[column])
		}
	}
}

// late is the worst lateness of the client.
func (t *handoverTable) late() (worst float64) {
	for _, row := range t.Rows {
		for _, list := range row.Samples {
			_, w := middle(list, func(s *sample) float64 { return s.Late })
			worst = max(worst, w)
		}
	}
	return worst
}

const wantTable = `Median / worst, and the most that Holdfast promises; rounds: 2; priorities 200 and 150, %d processors
The client asks 2000 times a second; each of 4000 addresses every 250ms
In a planned handover of Holdfast both hold the address for a moment, so that nothing is lost

                |            | longest silence, ms | datagrams lost | two holders, ms | first moved, ms | moved after, ms | from the decision, ms | pause of adverts, ms
stop            | holdfast   | 0 / 0               | 0 / 0          | 0 / 0           | -               | -               | -                     | -
                | keepalived | 417 / 417           | 834 / 834      | 1.5 / 1.5       | -               | 418 / 418       | 4 / 4                 | -
                | at most    |                     | 0              |                 |                 |                 | 50
address deleted | holdfast   | 0 / 0               | 0 / 0          | 0 / 0           | -               | -               | -                     | 1001 / 1001
                | keepalived | 3000 / ∞            | 5999 / 11998   | 0 / 0           | -               | -               | -                     | -
many            | holdfast   | 417 / 417           | 834 / 834      | -               | 60 / 60         | 90 / 90         | 20 / 20               | -
                | keepalived | 5999 / ∞            | 12832 / 12832  | -               | 60 / 60         | 418 / ∞         | -                     | -

The machine was so busy that the client asked up to 30 ms late: times can be wrong by as much.
`

func TestHandoverTable(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(100, 0).Add(time.Duration(ms) * time.Millisecond) }
	movedReport := lab.Report{
		From: at(0), To: at(2000), Sent: 4000, Lost: 836, Late: 2, LongestGap: 417 * time.Millisecond,
		Servers: []lab.Span{{Server: "a", From: at(0), To: at(1)}, {Server: "b", From: at(418), To: at(1999)}},
	}
	goneReport := lab.Report{
		From: at(0), To: at(6000), Sent: 12000, Lost: 11998, LongestGap: 5999 * time.Millisecond, WorstLateness: 30 * time.Millisecond,
		Servers: []lab.Span{{Server: "a", From: at(0), To: at(1)}},
	}
	stillReport := lab.Report{From: at(0), To: at(10), Sent: 20, Servers: []lab.Span{{Server: "a", From: at(0), To: at(10)}}}
	moved := newSample(1500*time.Microsecond, movedReport)
	gone, still := newSample(0, goneReport), newSample(0, stillReport)
	few, many, nobody := newSample(-1, movedReport, stillReport), newSample(-1, stillReport, goneReport, movedReport), newSample(0)
	want := []sample{
		{Silent: 417, Lost: 834, Sent: 4000, Both: 1.5, First: -1, Moved: 418, Decided: -1, Pause: -1},
		{Silent: 5999, Ongoing: true, Lost: 11998, Sent: 12000, First: -1, Moved: -1, Decided: -1, Pause: -1, Late: 30},
		{Sent: 20, First: -1, Moved: -1, Decided: -1, Pause: -1},
		{Silent: 417, Lost: 834, Sent: 4020, Both: -1, First: -1, Moved: 418, Decided: -1, Pause: -1},
		{Silent: 5999, Ongoing: true, Lost: 12832, Sent: 16020, Both: -1, First: -1, Moved: 418, Decided: -1, Pause: -1, Late: 30},
		{Silent: -1, Lost: -1, First: -1, Moved: -1, Decided: -1, Pause: -1},
	}
	if got := []sample{moved, gone, still, few, many, nobody}; !slices.Equal(got, want) {
		t.Errorf("samples\n%+v, want\n%+v", got, want)
	}

	table := handoverTable{Rows: []handoverRow{{Name: "stop", Bounds: bounds{figureLost: 0, figureDecided: 50}}, {Name: "address deleted"}, {Name: "many"}}}
	moved.Decided = 4
	steady := still
	steady.Pause = 1001
	few.First, few.Moved, few.Decided, many.First = 60, 90, 20, 60
	for range 2 {
		table.Rows[0].add("holdfast", still)
		table.Rows[1].add("holdfast", steady)
		table.Rows[2].add("holdfast", few)
		table.Rows[0].add("keepalived", moved)
		table.Rows[2].add("keepalived", many)
		many.Moved = -1
	}
	table.Rows[1].add("keepalived", still)
	table.Rows[1].add("keepalived", gone)
	text := table.String()
	wantText := fmt.Sprintf(wantTable, runtime.NumCPU())
	if diff := cmp.Diff(wantText, text); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}

	var back handoverTable
	store(t, &table, &back)
	if back.String() != text {
		t.Errorf("the figures read back make another table:\n%s", &back)
	}
}

// store writes figures to a file and reads them back.
func store(t *testing.T, figures, back any) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "figures.json")
	if err := writeJSON(path, figures); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(stored, back); err != nil {
		t.Fatal(err)
	}
}
