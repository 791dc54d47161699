package main

import (
	"bytes"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// TestPrintExplanation holds the whole text against what a person should read, on
// a wide screen and on a narrow one.
func TestPrintExplanation(t *testing.T) {
	x := &control.Explanation{
		Name: "web", Group: "edge", State: "backup", At: statusNow, Since: ago(75 * time.Second),
		Sentences: []control.Sentence{
			{About: "state", Text: "192.0.2.1 is master with priority 150, more than the 80 of this node."},
			{About: "silence", Family: "ipv4", Text: "If 192.0.2.1 fell silent now, this node would be master in 3.2s."},
			{About: "silence", Family: "ipv6", Text: "This node would not take over."},
		},
		Priority: control.Sum{Base: 100, Effective: 80, Terms: []control.Term{
			{Change: 100, Text: "base priority"},
			{Text: "check nginx passes"},
			{Change: -50, Text: "check disk fails: No space\n  left on /dev/vda1 \x1b[31m(weight -50)"},
			{Change: 30, Text: "check route passes (weight +30)"},
		}},
	}
	for _, tt := range []struct {
		width int
		want  string
	}{
		{0, `web: BACKUP for 1m15s, moves with group edge
  192.0.2.1 is master with priority 150, more than the 80 of this node.

   100  base priority
     0  check nginx passes
   -50  check disk fails: No space left on /dev/vda1 ?[31m(weight -50)
   +30  check route passes (weight +30)
  ----
    80  effective priority

  ipv4: If 192.0.2.1 fell silent now, this node would be master in 3.2s.
  ipv6: This node would not take over.
`},
		{40, `web: BACKUP for 1m15s, moves with group edge
  192.0.2.1 is master with priority 150,
  more than the 80 of this node.

   100  base priority
     0  check nginx passes
   -50  check disk fails: No space left
        on /dev/vda1 ?[31m(weight -50)
   +30  check route passes (weight +30)
  ----
    80  effective priority

  ipv4: If 192.0.2.1 fell silent now,
  this node would be master in 3.2s.
  ipv6: This node would not take over.
`},
	} {
		var b bytes.Buffer
		printExplanation(&b, x, tt.width)
		if diff := cmp.Diff(tt.want, b.String()); diff != "" {
			t.Errorf("%d columns (-want +got):\n%s", tt.width, diff)
		}
	}
}
