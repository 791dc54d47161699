package manual

import (
	"slices"
	"strings"
)

// Configuration is the page holdfast.toml(5), made of a reference configuration:
// blocks between empty lines, each of comments ("# text") and the keys or tables
// that they are about, which are optional when commented out ("#key = value").
func Configuration(reference []byte, e Edition) string {
	w := &writer{}
	w.head("holdfast.toml", "5", "configuration of holdfast", e)
	w.section("DESCRIPTION", `
The configuration of holdfast(8) is one file in TOML, by default
/etc/holdfast/holdfast.toml. 'holdfast check' reads it and says everything that
is wrong, each with its place. After a change 'holdfast reload', or systemctl
reload holdfast, has the daemon read it again: what differs is touched, and a
file with an error is refused whole.

Durations are strings with a unit: "200ms", "1s", "1m30s". Unknown keys are
errors. Optional keys are shown with their default.`)
	w.section("EXAMPLE", `
A pair is this on the first host, and the same with a lower priority on the
second:

  [[instance]]
  name = "web"
  interface = "eth0"
  vrid = 51
  priority = 150
  addresses = ["192.0.2.100/24"]

  [[check]]
  name = "nginx"
  http = "http://127.0.0.1/healthz"`)
	w.request("SH", "TABLES AND KEYS")
	_, blocks, _ := strings.Cut(strings.TrimSpace(string(reference)), "\n\n") // what the first says is above
	seen := map[string]bool{}
	for b := range strings.SplitSeq(blocks, "\n\n") {
		for _, p := range parts(b) {
			w.part(p, seen)
		}
	}
	w.section("SEE ALSO", "holdfast(8)")
	return w.String()
}

// part is some keys, or the head of a table with its first keys, and what is
// said of them.
type part struct {
	comment []string
	code    []string
	// example is whether the code is no default.
	example bool
}

// parts takes a block apart.
func parts(block string) (list []part) {
	var p part
	for line := range strings.Lines(block) {
		line = strings.TrimRight(line, "\n")
		text, comment := strings.CutPrefix(line, "#")
		comment = comment && (text == "" || strings.HasPrefix(text, " "))
		if comment && len(p.code) > 0 {
			list, p = append(list, p), part{}
		}
		switch {
		case comment && text == " Example:":
			p.example = true
		case comment:
			p.comment = append(p.comment, strings.TrimPrefix(text, " "))
		default:
			// A key that is required stands for an example of it.
			p.example = p.example || !strings.HasPrefix(line, "#")
			p.code = append(p.code, strings.TrimPrefix(line, "#"))
		}
	}
	return append(list, p)
}

// part writes a part: under a heading for the first of each kind of table.
func (w *writer) part(p part, seen map[string]bool) {
	table := ""
	for _, l := range p.code {
		if strings.HasPrefix(l, "[") {
			table = l
			break
		}
	}
	switch {
	case table != "" && !seen[table]:
		seen[table] = true
		w.request("SS", table)
		w.text(p.comment)
		if len(p.code) > 1 {
			w.verbatim(indent(p.code))
		}
	case table != "" || len(p.comment) == 0:
		if len(p.comment) > 0 {
			w.request("PP")
			w.text(p.comment)
		}
		w.verbatim(indent(p.code))
	case p.example:
		w.request("TP")
		w.request("B", strings.Join(keys(p.code), ", "))
		w.under(p.comment)
		for _, l := range p.code {
			w.request("br")
			w.line("Example: " + l)
		}
	default:
		for n, l := range p.code {
			w.request([]string{"TP", "TQ"}[min(n, 1)])
			w.request("B", l)
		}
		w.under(p.comment)
	}
}

// under writes what is said of a key, with lists as far to the right as the rest.
func (w *writer) under(comment []string) {
	first := slices.IndexFunc(comment, func(l string) bool { return strings.HasPrefix(l, "  ") })
	if first < 0 {
		w.text(comment)
		return
	}
	w.text(comment[:first])
	w.request("RS")
	w.text(comment[first:])
	w.request("RE")
}

// keys are the names of keys with values.
func keys(code []string) (names []string) {
	for _, l := range code {
		name, _, _ := strings.Cut(l, " =")
		names = append(names, name)
	}
	return names
}

func indent(code []string) []string {
	code = slices.Clone(code)
	for n := range code {
		code[n] = "  " + code[n]
	}
	return code
}
