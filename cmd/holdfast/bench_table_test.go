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

// sample is what was measured once. Times are in milliseconds.
type sample struct {
	Silent float64 `json:"silent_ms"` // the longest time without an answer
	// Ongoing is set when there was no answer to the end: Silent is then the
	// least that it can be.
	Ongoing bool    `json:"silence_ongoing"`
	Lost    int     `json:"lost"`
	Sent    int     `json:"sent"`
	Both    float64 `json:"two_holders_ms"`
	// Moved is when the second node first answered; negative when it never did.
	Moved float64 `json:"moved_ms"`
	// Late is how much later than due the client asked, at worst. The other
	// times can be wrong by as much.
	Late float64 `json:"probe_late_ms"`
}

func millis(d time.Duration) float64 { return float64(d.Round(10*time.Microsecond)) / 1e6 }

// newSample sums up what the client saw from the event on.
func newSample(r lab.Report, both time.Duration) sample {
	s := sample{
		Silent: millis(r.LongestGap), Lost: r.Lost, Sent: r.Sent,
		Both: millis(both), Moved: -1, Late: millis(r.WorstLateness),
	}
	last := r.From
	for _, span := range r.Servers {
		last = span.To
		if span.Server == "b" && s.Moved < 0 {
			s.Moved = millis(span.From.Sub(r.From))
		}
	}
	s.Ongoing = r.Lost > 0 && r.To.Sub(last) > lab.DefaultPatience
	return s
}

// handoverRow has the samples of each program.
type handoverRow struct {
	Name    string              `json:"name"`
	Samples map[string][]sample `json:"samples"`
}

func (row *handoverRow) add(program string, s sample) {
	if row.Samples == nil {
		row.Samples = map[string][]sample{}
	}
	row.Samples[program] = append(row.Samples[program], s)
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

// figures are the columns of the table, each of which has both programs.
var figures = []struct {
	title string
	unit  string // in the lines of go test
	of    func(*sample) float64
}{
	{"longest silence, ms", "silent-ms", func(s *sample) float64 { return s.Silent }},
	{"datagrams lost", "lost", func(s *sample) float64 { return float64(s.Lost) }},
	{"two holders, ms", "both-ms", func(s *sample) float64 { return s.Both }},
	{"moved after, ms", "moved-ms", func(s *sample) float64 { return s.Moved }},
}

// report adds the medians to the benchmark's line.
func (row *handoverRow) report(b *testing.B) {
	b.ReportMetric(0, "ns/op")
	for program, list := range row.Samples {
		for _, f := range figures {
			median, _ := middle(list, f.of)
			b.ReportMetric(median, program+"-"+f.unit)
		}
	}
}

// cell is median and worst of a figure, "-" for what did not happen, and "∞" as
// the worst when it did not happen always, or had not ended in the end.
func (row *handoverRow) cell(program string, figure int) string {
	list := row.Samples[program]
	of := figures[figure].of
	never := func(s sample) bool { return of(&s) < 0 }
	moved := slices.DeleteFunc(slices.Clone(list), never)
	if len(moved) == 0 {
		return "-"
	}
	median, worst := middle(moved, of)
	endless := len(moved) < len(list) || figure == 0 && slices.ContainsFunc(list, func(s sample) bool { return s.Ongoing })
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

// String is the table, the programs side by side under each figure.
func (t *handoverTable) String() string {
	first := []string{"", ""}
	var rounds []string
	for _, row := range t.Rows {
		first = append(first, row.Name)
		rounds = append(rounds, fmt.Sprint(len(row.Samples[programs[0].name])))
	}
	columns := [][]string{pad(first)}
	for n := range figures {
		columns = append(columns, t.column(n))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "Median / worst; rounds: %s; %d questions a second, priorities %d and %d, %d processors\n\n",
		strings.Join(slices.Compact(rounds), " or "), handoverRate, firstPriority, secondPriority, runtime.NumCPU())
	for k := range first {
		var line []string
		for _, c := range columns {
			line = append(line, c[k])
		}
		b.WriteString(strings.TrimRight(strings.Join(line, " | "), " ") + "\n")
	}
	if late := t.late(); late > 20 {
		fmt.Fprintf(&b, "\nThe machine was so busy that the client asked up to %.0f ms late: times can be wrong by as much.\n", late)
	}
	return b.String()
}

// column has one figure of all programs, line by line, below its title.
func (t *handoverTable) column(figure int) []string {
	lines := []string{""}
	for range t.Rows {
		lines = append(lines, "")
	}
	for n, p := range programs {
		cells := []string{p.name}
		for _, row := range t.Rows {
			cells = append(cells, row.cell(p.name, figure))
		}
		for k, c := range pad(cells) {
			if n > 0 {
				c = "  " + c
			}
			lines[k] += c
		}
	}
	return pad(append([]string{figures[figure].title}, lines...))
}

// pad fills all cells up to the length of the longest.
func pad(cells []string) []string {
	width := 0
	for _, c := range cells {
		width = max(width, utf8.RuneCountInString(c))
	}
	for k := range cells {
		cells[k] = fmt.Sprintf("%-*s", width, cells[k])
	}
	return cells
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

// write stores all samples as JSON.
func (t *handoverTable) write(path string) error {
	text, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the figures: %w", err)
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}

const wantTable = `Median / worst; rounds: 2; 2000 questions a second, priorities 200 and 150, %d processors

                | longest silence, ms  | datagrams lost         | two holders, ms      | moved after, ms
                | holdfast  keepalived | holdfast  keepalived   | holdfast  keepalived | holdfast  keepalived
stop            | 0 / 0     417 / 417  | 0 / 0     834 / 834    | 0 / 0     1.5 / 1.5  | -         418 / 418
address deleted | 0 / 0     3000 / ∞   | 0 / 0     5999 / 11998 | 0 / 0     0 / 0      | -         -

The machine was so busy that the client asked up to 30 ms late: times can be wrong by as much.
`

func TestHandoverTable(t *testing.T) {
	at := func(ms int) time.Time { return time.Unix(100, 0).Add(time.Duration(ms) * time.Millisecond) }
	moved := newSample(lab.Report{
		From: at(0), To: at(2000), Sent: 4000, Lost: 834, LongestGap: 417 * time.Millisecond,
		Servers: []lab.Span{{Server: "a", From: at(0), To: at(1)}, {Server: "b", From: at(418), To: at(1999)}},
	}, 1500*time.Microsecond)
	gone := newSample(lab.Report{
		From: at(0), To: at(6000), Sent: 12000, Lost: 11998, LongestGap: 5999 * time.Millisecond, WorstLateness: 30 * time.Millisecond,
		Servers: []lab.Span{{Server: "a", From: at(0), To: at(1)}},
	}, 0)
	still := newSample(lab.Report{From: at(0), To: at(10), Sent: 20, Servers: []lab.Span{{Server: "a", From: at(0), To: at(10)}}}, 0)
	want := []sample{
		{Silent: 417, Lost: 834, Sent: 4000, Both: 1.5, Moved: 418},
		{Silent: 5999, Ongoing: true, Lost: 11998, Sent: 12000, Moved: -1, Late: 30},
		{Sent: 20, Moved: -1},
	}
	if got := []sample{moved, gone, still}; !slices.Equal(got, want) {
		t.Errorf("samples\n%+v, want\n%+v", got, want)
	}

	table := handoverTable{Rows: []handoverRow{{Name: "stop"}, {Name: "address deleted"}}}
	for range 2 {
		table.Rows[0].add("holdfast", still)
		table.Rows[1].add("holdfast", still)
		table.Rows[0].add("keepalived", moved)
	}
	table.Rows[1].add("keepalived", still)
	table.Rows[1].add("keepalived", gone)
	text := table.String()
	wantText := fmt.Sprintf(wantTable, runtime.NumCPU())
	if diff := cmp.Diff(wantText, text); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}

	path := filepath.Join(t.TempDir(), "figures.json")
	if err := table.write(path); err != nil {
		t.Fatal(err)
	}
	stored, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var back handoverTable
	if err := json.Unmarshal(stored, &back); err != nil {
		t.Fatal(err)
	}
	if back.String() != text {
		t.Errorf("the figures read back make another table:\n%s", &back)
	}
}
