package manual

import (
	"regexp"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

var edition = Edition{Version: "1.2.3", Date: time.Date(2026, 1, 2, 23, 0, 0, 0, time.UTC)}

// TestConfigurationNamesEveryKey finds each key and table of the reference in
// the page, as what is explained or in an example.
func TestConfigurationNamesEveryKey(t *testing.T) {
	page := Configuration(config.Reference(), edition)
	for _, m := range regexp.MustCompile(`(?m)^#?(\[\[?[a-z]+\]\]?|[a-z_]+) ?(=|$)`).FindAllStringSubmatch(string(config.Reference()), -1) {
		if !regexp.MustCompile(`(?m)(^\.(B|SS) "|^  |Example: )` + regexp.QuoteMeta(m[1]) + `\b?`).MatchString(page) {
			t.Errorf("the page lacks %s", m[1])
		}
	}
}

func TestParts(t *testing.T) {
	const block = `# All about it:
#   one  the first
[[thing]]
# Required.
name = "a"
# Text.
# Example:
#fall = 2
#rise = 2`
	want := []part{
		{comment: []string{"All about it:", "  one  the first"}, code: []string{"[[thing]]"}, example: true},
		{comment: []string{"Required."}, code: []string{`name = "a"`}, example: true},
		{comment: []string{"Text."}, code: []string{"fall = 2", "rise = 2"}, example: true},
	}
	if diff := cmp.Diff(want, parts(block), cmp.AllowUnexported(part{})); diff != "" {
		t.Error(diff)
	}
}

func TestTextIsNotRoff(t *testing.T) {
	w := &writer{}
	w.text([]string{".SH no heading", "'br", `back\slash 'quoted' a-b é`, "", "  listed  as it is", "", "  both", "", "end"})
	w.request("B", `key = "value"`)
	const want = `\&.SH no heading
\(aqbr
back\eslash \(aqquoted\(aq a\-b \[u00E9]
.PP
.EX
  listed  as it is

  both
.EE
.PP
end
.B "key = \(dqvalue\(dq"
`
	if diff := cmp.Diff(want, w.String()); diff != "" {
		t.Error(diff)
	}
}
