package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// explained asks the daemon to explain web, in both forms.
func (n *node) explained() (*control.Explanation, string) {
	n.t.Helper()
	text, code := n.command("explain", "web", "--config", "/run/holdfast.toml")
	if code != exitDone {
		n.t.Fatalf("explain on %s: exit status %d\n%s", n.Name(), code, text)
	}
	out, _ := n.command("explain", "web", "--json", "--config", "/run/holdfast.toml")
	x := &control.Explained{}
	if err := json.Unmarshal([]byte(out), x); err != nil || len(x.Instances) != 1 {
		n.t.Fatalf("explain on %s: %v\n%s", n.Name(), err, out)
	}
	return &x.Instances[0], text
}

// TestExplainForetells kills the master: the backup takes over when it foretold,
// in both families, and says why it stays one until then.
func TestExplainForetells(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	both := []string{vipFour + "/24", vipSix + "/64"}
	a.run(instanceTOML(150, "1s", both))
	b.run(instanceTOML(100, "1s", both))
	only(t, settled, vipFour, a, b)
	only(t, settled, vipSix, a, b)
	eventually(t, settled, "b hears the master in both families", func() bool {
		x, _ := b.explained()
		return x.Families[0].Verdict == "outranked" && x.Families[1].Verdict == "outranked"
	})
	_, text := b.explained()
	t.Logf("the backup explains:\n%s", text)
	for _, want := range []string{"web: BACKUP for ", " is master with priority 150, more than the 100 of this node.", " 100 base priority ---- 100 effective priority ", " fell silent now, this node would be master in "} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), want) { // wherever its lines end
			t.Errorf("it does not say %q", want)
		}
	}
	if strings.Contains(text, "ipv4:") || strings.Contains(text, "ipv6:") {
		t.Error("it tells families apart that do not differ")
	}
	_, text = a.explained()
	t.Logf("the master explains:\n%s", text)

	must(t, a.daemon.Kill())
	x, _ := b.explained() // nothing is heard any more
	foretold := map[string]time.Time{}
	for _, f := range x.Families {
		if f.Silence.At == nil || f.DownMS != 3609.375 {
			t.Fatalf("%s is to be %+v after %vms", f.Family, f.Silence, f.DownMS)
		}
		foretold[f.Family] = *f.Silence.At
	}
	only(t, settled, vipFour, b)
	only(t, settled, vipSix, b)
	for _, f := range b.instance("web").Families {
		late := f.Since.Sub(foretold[f.Family])
		t.Logf("measured: %s took over %v after it foretold to", f.Family, late)
		if late < 0 || late > room {
			t.Errorf("%s took over %v after it foretold to, allowed are 0 to %v", f.Family, late, room)
		}
	}
	_, text = b.explained()
	t.Logf("the new master explains:\n%s", text)
}
