package main

import (
	"fmt"
	"strings"
)

// String is the table in Markdown.
func (r *precision) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "One instance, adverts every %v, keepalived %s; times in milliseconds.\n\n", preciseInterval, r.Version)
	ours, theirs, floor := r.Programs["holdfast"], r.Programs["keepalived"], r.Programs[bareRealTime.name]
	lines := [][]string{{"", "", "Holdfast", "keepalived", bareRealTime.name, "goal"}}
	paces := func(name string, ours, theirs, floor *pace, part float64, most float64) {
		for _, p := range []float64{0.5, 0.99, 0.999, 1} {
			title := fmt.Sprintf("p%g", 100*p)
			if p == 1 {
				title = "worst"
			}
			line := []string{name, title, fmt.Sprintf("%.2f", rank(ours.Off, p)), fmt.Sprintf("%.2f", rank(theirs.Off, p)), fmt.Sprintf("%.2f", rank(floor.Off, p)), ""}
			if p == part {
				line[5] = met(rank(ours.Off, p), most)
			}
			lines, name = append(lines, line), ""
		}
		lines = append(lines, []string{
			"", "adverts, false transitions", fmt.Sprintf("%d, %d", len(ours.Off), ours.False), fmt.Sprintf("%d, %d", len(theirs.Off), theirs.False), fmt.Sprint(len(floor.Off)), "",
		}, []string{
			"", "what else the machine did, % of one processor",
			spreadOf(ours.Others).String(), spreadOf(theirs.Others).String(), spreadOf(floor.Others).String(), "",
		})
	}
	paces("adverts are off by", &ours.Quiet, &theirs.Quiet, &floor.Quiet, 0.99, 1)
	paces(fmt.Sprintf("the same beside %d busy loops", preciseLoops), &ours.Loaded, &theirs.Loaded, &floor.Loaded, 0.999, 10)
	takes := func(name string, ours, theirs []takeover) {
		for k, title := range []string{"after the death", "after its last advert"} {
			o, t := takeoverSpread(ours, k), takeoverSpread(theirs, k)
			goal := ""
			if k == 0 {
				goal = met(o.median, t.median)
			}
			lines, name = append(lines, []string{name, title, o.String(), t.String(), "", goal}), ""
		}
	}
	takes("killed: taken over", ours.Killed, theirs.Killed)
	takes("cable pulled: taken over", ours.Unplugged, theirs.Unplugged)
	markdown(&b, lines)
	return b.String()
}

func takeoverSpread(list []takeover, column int) spread {
	values := make([]float64, len(list))
	for n, t := range list {
		values[n] = []float64{t.Died, t.Last}[column]
	}
	return spreadOf(values)
}

// String is median, least and most.
func (s spread) String() string { return fmt.Sprintf("%.1f (%.1f–%.1f)", s.median, s.least, s.most) }

// met holds a figure against the most that it may be.
func met(figure, most float64) string {
	if figure <= most {
		return fmt.Sprintf("≤ %.4g: met", most)
	}
	return fmt.Sprintf("≤ %.4g: **missed**", most)
}
