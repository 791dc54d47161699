package main

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// The results of a row.
const (
	met           = "met"
	notMet        = "not met"
	notApplicable = "not applicable"
)

// none stands in a cell for what there is not.
const none = "–"

// levels are the words by which the RFCs oblige. None is for what they do not say
// and routers need.
var levels = []string{"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", none}

// counts is how many requirements the table must have of each kind.
var counts = []struct {
	letter string
	n      int
}{{"T", 27}, {"P", 9}, {"I", 6}, {"B", 11}, {"A", 15}, {"R", 15}, {"H", 23}, {"V", 17}}

// row is a requirement.
type row struct {
	id, section, level, requirement string
	result                          string
	note                            string // the reason, or a remark
	test                            string // "" for none
}

var resultPattern = regexp.MustCompile(`^(met|\*\*not met\*\*|not applicable)(?:: (.+))?$`)

// readTable reads the rows of the Markdown text.
func readTable(text string) ([]row, error) {
	var rows []row
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "| Id |") || strings.HasPrefix(line, "|--") {
			continue
		}
		r, err := readRow(line)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func readRow(line string) (r row, err error) {
	cells := strings.Split(strings.Trim(line, "|"), "|")
	if len(cells) != 6 {
		return r, fmt.Errorf("a row has 6 cells, not %d", len(cells))
	}
	for i := range cells {
		if cells[i] = strings.TrimSpace(cells[i]); cells[i] == "" {
			return r, fmt.Errorf("cell %d is empty", i+1)
		}
	}
	r = row{id: cells[0], section: cells[1], level: cells[2], requirement: cells[3]}
	if !slices.Contains(levels, r.level) {
		return r, fmt.Errorf("%s: unknown level %q", r.id, r.level)
	}
	parts := resultPattern.FindStringSubmatch(cells[4])
	if parts == nil {
		return r, fmt.Errorf("%s: unknown result %q", r.id, cells[4])
	}
	r.result, r.note = strings.Trim(parts[1], "*"), parts[2]
	if r.result != met && r.note == "" {
		return r, fmt.Errorf("%s is %s without a reason", r.id, r.result)
	}
	if cells[5] != none {
		if r.test = strings.Trim(cells[5], "`"); cells[5] != "`"+r.test+"`" {
			return r, fmt.Errorf("%s: the test %s is not in backquotes", r.id, cells[5])
		}
	} else if r.result != notApplicable {
		return r, fmt.Errorf("%s is %s without a test", r.id, r.result)
	}
	return r, nil
}

// complete says what the table lacks: every id once and in order.
func complete(rows []row) error {
	var want []string
	for _, c := range counts {
		for n := range c.n {
			want = append(want, fmt.Sprint(c.letter, n+1))
		}
	}
	for i, r := range rows {
		if i >= len(want) || r.id != want[i] {
			return fmt.Errorf("row %d is %s: want every id once, in the order %s", i+1, r.id, strings.Join(want, " "))
		}
	}
	if len(rows) < len(want) {
		return fmt.Errorf("there is no row %s", want[len(rows)])
	}
	return nil
}

// summary is the sentence that counts the rows.
func summary(rows []row) string {
	n := map[string]int{}
	for _, r := range rows {
		n[r.result]++
	}
	return fmt.Sprintf("Of %d requirements %d are met, %d are not met, and %d are not applicable.", len(rows), n[met], n[notMet], n[notApplicable])
}
