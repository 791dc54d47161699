package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// table writes a line for each instance, then what is out of the ordinary.
func (p *statusPrinter) table(st *control.Status) {
	p.summary(st)
	head, rows := instanceTable(st, p.width, p.now, p.ink)
	fmt.Fprintf(p.w, "\n%s\n", head)
	for _, r := range rows {
		fmt.Fprintln(p.w, r.text)
	}
	var list []string
	for n, r := range rows {
		i := &st.Instances[n]
		texts := append(familyRemarks(i), remarks(i, p.now)...)
		if r.cut && !(r.why && isWell(i)) {
			texts = append([]string{i.Reason}, texts...)
		}
		for _, text := range texts {
			list = append(list, screen.Clean(i.Name)+": "+text)
		}
	}
	for n := range st.Checks {
		if c := &st.Checks[n]; c.State != "healthy" {
			list = append(list, checkSentence(c, p.now))
		}
	}
	if len(list) > 0 {
		fmt.Fprintln(p.w)
	}
	for _, text := range list {
		p.lines("", text)
	}
}

// column is one of a table.
type column struct {
	title string
	// drop is the place in the order in which columns are left out of a narrow
	// table; 0 is never.
	drop int
	// most is how wide it gets; 0 is all that is left.
	most int
	cell func(*control.Instance) string
}

// leastWhy is the least width for the reason.
const leastWhy = 24

// tableColumns are those for a terminal of a width.
func tableColumns(st *control.Status, width int, now time.Time) []column {
	states := map[string]string{}
	for _, c := range st.Checks {
		states[c.Name] = c.State
	}
	return []column{
		{"INSTANCE", 0, max(8, min(24, width/3)), func(i *control.Instance) string { return i.Name }},
		{"STATE", 0, 6, func(i *control.Instance) string { return strings.ToUpper(i.State) }},
		{"NOTE", 10, max(8, min(20, width/4)), noteCell},
		{"FOR", 8, 8, func(i *control.Instance) string { return age(now.Sub(i.Since)) }},
		{"PRIORITY", 6, 8, priorityCell},
		{"MASTER", 9, 30, masterCell},
		{"HEARD", 4, 8, func(i *control.Instance) string {
			if m := i.Master; m != nil && m.LastHeard != nil {
				return age(now.Sub(*m.LastHeard))
			}
			return ""
		}},
		{"HERE", 7, 10, hereCell},
		{"LEASE", 2, 6, leaseCell},
		{"CHECKS", 3, 10, func(i *control.Instance) string { return checksCell(i, states) }},
		{"ADDRESSES", 1, 40, addressesCell},
		{"WHY", 5, 0, func(i *control.Instance) string { return i.Reason }},
	}
}

// row is a line of a table.
type row struct {
	text string
	why  bool // it has the reason
	cut  bool // or not the whole of it
}

// instanceTable lays a line for each instance out. Without the room for all columns
// the least of them are left out.
func instanceTable(st *control.Status, width int, now time.Time, ink screen.Ink) (head string, rows []row) {
	columns := tableColumns(st, width, now)
	cells := make([][]string, len(st.Instances))
	widths := make([]int, len(columns)) // 0 for a column with nothing in it
	for n := range st.Instances {
		for c := range columns {
			cell := screen.Clean(columns[c].cell(&st.Instances[n]))
			cells[n] = append(cells[n], cell)
			if cell != "" {
				widths[c] = max(widths[c], screen.Width(cell), len(columns[c].title))
			}
		}
	}
	fit(columns, widths, width)
	for c := range columns {
		if widths[c] > 0 {
			head += screen.Pad(columns[c].title, widths[c]) + gap
		}
	}
	for n := range st.Instances {
		i := &st.Instances[n]
		var b strings.Builder
		for c := range columns {
			if widths[c] == 0 {
				continue
			}
			text := screen.Pad(cells[n][c], widths[c])
			if columns[c].title == "STATE" {
				text = ink.Paint(stateStyle(i), text)
			}
			b.WriteString(text + gap)
		}
		last := len(columns) - 1
		rows = append(rows, row{strings.TrimRight(b.String(), " "), widths[last] > 0, screen.Width(cells[n][last]) > widths[last]})
	}
	return ink.Paint(screen.Bold, strings.TrimRight(head, " ")), rows
}

// gap stands between columns.
const gap = "  "

// fit makes columns as wide as there is room for: 0 is left out.
func fit(columns []column, widths []int, width int) {
	last := len(columns) - 1
	why := widths[last]
	widths[last] = min(why, leastWhy)
	for c := range last {
		widths[c] = min(widths[c], columns[c].most)
	}
	used := func() (n int) {
		for _, w := range widths {
			if w > 0 {
				n += w + len(gap)
			}
		}
		return n - len(gap)
	}
	var dropped []int
	full := slices.Clone(widths)
	for next := 1; used() > width && next <= len(columns); next++ {
		for c := range columns {
			if columns[c].drop == next && widths[c] > 0 {
				widths[c] = 0
				dropped = append(dropped, c)
			}
		}
	}
	for _, c := range slices.Backward(dropped) { // a smaller one may fit for all that
		if used()+len(gap)+full[c] <= width {
			widths[c] = full[c]
		}
	}
	if over := used() - width; over > 0 { // only the name and the state are left
		widths[0] = max(4, widths[0]-over)
	}
	if widths[last] > 0 {
		widths[last] = min(why, widths[last]+width-used())
	}
}

// noteCell tells in a word or two what is out of the ordinary.
func noteCell(i *control.Instance) string {
	var list []string
	for _, mark := range []struct {
		set  bool
		word string
	}{
		{i.Drained, "drained"},
		{i.Demoted, "demoted"},
		{i.ConflictSince != nil, "conflict"},
		{refusesOthers(i), "refuses adverts"},
		{i.HandingOver, "handing over"},
		{i.Failover != nil, "stands back"},
	} {
		if mark.set {
			list = append(list, mark.word)
		}
	}
	for _, f := range i.Families {
		if f.State != i.State {
			list = append(list, f.Family+" "+f.State)
		}
	}
	return strings.Join(list, ", ")
}

func priorityCell(i *control.Instance) string {
	if i.Priority.Base == i.Priority.Effective {
		return fmt.Sprint(i.Priority.Base)
	}
	return fmt.Sprintf("%d/%d", i.Priority.Effective, i.Priority.Base)
}

func masterCell(i *control.Instance) string {
	switch m := i.Master; {
	case m == nil:
		return "unknown"
	case m.Self:
		return "this node"
	default:
		return fmt.Sprintf("%s (%d)", m.Address, m.Priority)
	}
}

// hereCell tells whether the addresses are on this node.
func hereCell(i *control.Instance) string {
	here := 0
	for _, a := range i.Addresses {
		if a.Present {
			here++
		}
	}
	switch here {
	case len(i.Addresses):
		return "yes"
	case 0:
		return "no"
	}
	return fmt.Sprintf("%d of %d", here, len(i.Addresses))
}

func leaseCell(i *control.Instance) string {
	switch {
	case i.State != "master":
		return ""
	case i.LeaseMS == 0:
		return "off"
	}
	return fmt.Sprintf("%ds", i.LeaseMS/1000)
}

// checksCell counts the checks of an instance, those that do not pass if any.
func checksCell(i *control.Instance, states map[string]string) string {
	failing, unknown := 0, 0
	for _, name := range i.Checks {
		switch states[name] {
		case "failing":
			failing++
		case "unknown":
			unknown++
		}
	}
	switch {
	case len(i.Checks) == 0:
		return ""
	case failing > 0:
		return fmt.Sprintf("%d fail", failing)
	case unknown > 0:
		return fmt.Sprintf("%d unknown", unknown)
	}
	return fmt.Sprintf("%d pass", len(i.Checks))
}

func addressesCell(i *control.Instance) string {
	switch len(i.Addresses) {
	case 0:
		return ""
	case 1:
		return i.Addresses[0].Address
	}
	return fmt.Sprintf("%s +%d", i.Addresses[0].Address, len(i.Addresses)-1)
}
