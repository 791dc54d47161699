package sniff

import (
	"slices"
	"testing"
)

// What becomes of interfaces is told once, and of those that are not named only
// while they are there.
func TestLinksTold(t *testing.T) {
	const on, off = "", stateDown
	for _, tt := range []struct {
		name  string
		named []string
		steps []map[string]string
		want  []string
	}{
		{"carrier", []string{"eth0"}, []map[string]string{{"eth0": on}, {"eth0": stateNoCarrier}, {"eth0": stateNoCarrier}, {"eth0": on}}, []string{
			"eth0 has no carrier: silence there means nothing until it is back", "eth0 is back",
		}},
		{"gone and back", []string{"eth0"}, []map[string]string{{"eth0": on}, {}, {}, {"eth0": off}, {"eth0": on}}, []string{
			"eth0 is gone: silence there means nothing until it is back", "eth0 is down: silence there means nothing until it is back", "eth0 is back",
		}},
		{"all", nil, []map[string]string{{"eth0": on, "tap0": on}, {"eth0": on}, {"eth0": on, "tap0": on}}, []string{
			"tap0 is gone: silence there means nothing until it is back",
		}},
	} {
		var got []string
		c := &Capture{opts: CaptureOptions{Interfaces: tt.named, Tell: func(s string) { got = append(got, s) }}}
		for n, step := range tt.steps {
			if n > 0 {
				c.compare(step)
			}
			c.states = step
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: told %q, want %q", tt.name, got, tt.want)
		}
	}
}
