package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// One short round of each program: figures without meaning, but all there.
func TestMeasureCost(t *testing.T) {
	s := scene{interval: 100 * time.Millisecond, instances: 2}
	contenders := []*program{bareLoop, programs[0]}
	if _, err := lab.FindPeer("keepalived"); err == nil || os.Getenv("HOLDFAST_REQUIRE") != "" {
		contenders = append(contenders, programs[1])
	}
	for _, p := range contenders {
		got := measureCost(t, &s, p, 0, time.Second)
		t.Logf("measured: %s: %+v", p.name, got)
		for name, v := range map[string]float64{
			"master's CPU": got.Master, "backup's CPU": got.Backup, "master's memory": got.MasterMemory, "backup's memory": got.BackupMemory,
			"master's wake-ups": got.MasterWakes, "backup's wake-ups": got.BackupWakes, "frames sent": got.Sent,
		} {
			if v <= 0 {
				t.Errorf("%s: there is no figure for the %s", p.name, name)
			}
		}
		if (got.Start > 0) == p.bare() {
			t.Errorf("%s: all master after %v s", p.name, got.Start)
		}
	}
}

const wantCostTable = `Each figure is Holdfast's, then keepalived's: medians.

| instances × interval | master, CPU % | backup, CPU % | master, resident MB | master, wake-ups a second | backup, wake-ups a second | all master after, s | goals                                     |
| ---                  | ---           | ---           | ---                 | ---                       | ---                       | ---                 | ---                                       |
| 255 × 1s             | 0.50 / 1.50   | 0.25 / 0.30   | 40.0 / 8.0          | 10 / 250                  | 5 / 200                   | 0.50 / 4.00         | missed: backup, CPU %; false transitions  |

Median (least–most) of all rounds. Who sent less than 95 % of the adverts due is held to the CPU that all would take.

| instances × interval |                               | Holdfast         | keepalived | ratio | keepalived in real time | bare loop | goal                            |
| ---                  | ---                           | ---              | ---        | ---   | ---                     | ---       | ---                             |
| 255 × 1s             | master, CPU %                 | 0.50 (0.40–0.80) | 1.50       | 0.33  | 2.00                    | 0.10      | ≤ 0.75 (0.50 of it): met        |
|                      | backup, CPU %                 | 0.25             | 0.30       | 0.83  |                         | 0.05      | ≤ 0.15 (0.50 of it): **missed** |
|                      | master, resident MB           | 40.0             | 8.0        | 5.00  |                         | 3.0       | ≤ 48: met                       |
|                      | backup, resident MB           | 30.0             | 8.0        | 3.75  |                         | 3.0       |                                 |
|                      | master, wake-ups a second     | 10               | 250        | 0.04  |                         | 1         |                                 |
|                      | backup, wake-ups a second     | 5                | 200        | 0.03  |                         | 255       |                                 |
|                      | all master after, s           | 0.50             | 4.00       | 0.12  |                         |           |                                 |
|                      | false transitions             | 2 (0–4)          | 0          |       | 0                       |           | ≤ 0: **missed**                 |
|                      | frames sent, % of adverts due | 100.0            | 99.0       |       |                         | 100.0     |                                 |

What else the machine did during each round, in percent of one processor (stolen by others beside it):

| instances × interval |            | each round            |
| ---                  | ---        | ---                   |
| 255 × 1s             | bare loop  | 3 (0)                 |
| 255 × 1s             | holdfast   | 12 (1), 12 (1), 12 (1) |
| 255 × 1s             | keepalived | 40 (0)                |
| 255 × 1s             | keepalived in real time | 7 (0) |
`

// The same, and then the death of the first node.
func TestMeasureGrown(t *testing.T) {
	s := scene{interval: 100 * time.Millisecond, instances: 1, vips: 3}
	got := measureGrown(t, &s, programs[0], 0, 200*time.Millisecond)
	t.Logf("measured: %+v", got)
	if got.Memory <= 0 || got.Takeover < 200 {
		t.Errorf("there are figures missing, or taken over before the silence was long enough: %+v", got)
	}
}

func TestCostTable(t *testing.T) {
	ours := costSample{
		Master: 0.5, Backup: 0.25, MasterMemory: 40, BackupMemory: 30, MasterWakes: 10, BackupWakes: 5,
		Start: 0.5, False: 2, Sent: 100, Announced: -1, Others: 12, Stolen: 1,
	}
	least, most := ours, ours
	least.Master, least.False, most.Master, most.False = 0.4, 0, 0.8, 4
	goals := manyGoals(2)
	delete(goals, costStart)
	row := costResult{Name: "255 × 1s", Goals: goals}
	row.add("holdfast", most)
	row.add("holdfast", least)
	row.add("holdfast", ours)
	row.add("keepalived", costSample{Master: 1.5, Backup: 0.3, MasterMemory: 8, BackupMemory: 8, MasterWakes: 250, BackupWakes: 200, Start: 4, Sent: 99, Others: 40})
	row.add(bareLoop.name, costSample{Master: 0.1, Backup: 0.05, MasterMemory: 3, BackupMemory: 3, MasterWakes: 1, BackupWakes: 255, Start: -1, False: -1, Sent: 100, Others: 3})
	row.add(realTimeKeepalived.name, costSample{Master: 2, Backup: -1, MasterMemory: -1, BackupMemory: -1, MasterWakes: -1, BackupWakes: -1, Start: -1, Sent: -1, Others: 7})
	behind := costResult{Name: "behind", Goals: ofBoth(goal{Ratio: 0.5})}
	behind.add("holdfast", ours)
	behind.add("keepalived", costSample{Master: 0.5, Backup: 0.2, Sent: 20})
	if got, want := behind.verdict(costMaster), "≤ 1.25 (0.50 of it): met"; got != want {
		t.Errorf("a program that fell behind: %q, want %q", got, want)
	}
	table := costTable{Version: "2.2.7", Seconds: 10, Rows: []costResult{row}}
	_, text, _ := strings.Cut(table.String(), "millions of bytes.\n")
	if diff := cmp.Diff(squeeze(wantCostTable), squeeze(text)); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}

	var back struct {
		Rows []struct{ Samples map[string][]costSample }
	}
	store(t, &table, &back)
	if got := back.Rows[0].Samples["holdfast"]; !slices.Equal(got, row.Samples["holdfast"]) {
		t.Errorf("read back: %+v", got)
	}
}

// squeeze takes the alignment from a table.
func squeeze(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	return lines
}
