package main

// Instances of a group move together.

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const insideVIP = "198.51.100.100"

// gatewayTOML is examples/gateway-group.toml for a node of the lab, with quicker
// adverts.
func gatewayTOML(t *testing.T, priority string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/gateway-group.toml")
	if err != nil {
		t.Fatal(err)
	}
	const every = `advert_interval = "1s"`
	if n := strings.Count(string(text), every); n != 2 {
		t.Fatalf("the example sets the interval %d times", n)
	}
	return strings.NewReplacer("priority = 150", "priority = "+priority, every, `advert_interval = "100ms"`).Replace(string(text))
}

// One side of a gateway loses its cable: the other side moves along, and its
// clients, whose side is whole, lose nothing. When the cable is back so are both.
func TestGroupMovesTogether(t *testing.T) {
	l := newLab(t)
	wire, err := l.Switch("inside")
	if err != nil {
		t.Fatal(err)
	}
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	var ports []*lab.Port
	for i, n := range n {
		p, err := n.Plug("eth1", wire, []string{"198.51.100.1/24", "198.51.100.2/24"}[i])
		if err != nil {
			t.Fatal(err)
		}
		ports = append(ports, p)
	}
	both := func(n *node) bool { return n.has(vipFour) && n.has(insideVIP) }
	neither := func(n *node) bool { return !n.has(vipFour) && !n.has(insideVIP) }
	a.run(gatewayTOML(t, "150"))
	b.run(gatewayTOML(t, "100"))
	eventually(t, settled, "a has both", func() bool { return both(a) && neither(b) })
	outside := probes(t, newClient(t, l), vipFour)[0]
	served(t, outside, a)

	began := time.Now()
	if err := ports[0].Unplug(); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, linkMost, "b has both", func() bool { return both(b) })
	t.Logf("measured: both sides moved %s after the cable was pulled", ms(took))
	served(t, outside, b)
	eventually(t, room, "a has neither", func() bool { return neither(a) })
	lossless(t, "outside, while the inside lost its cable", outside, began)
	a.wantStatus(exitRefused, "group edge", "inside of the same group: interface eth1 has no carrier")

	began = time.Now()
	if err := ports[0].PlugIn(); err != nil {
		t.Fatal(err)
	}
	took = eventually(t, linkMost+2*detection(100*time.Millisecond, 150), "a has both again", func() bool { return both(a) && neither(b) })
	t.Logf("measured: both sides were back %s after the cable", ms(took))
	served(t, outside, a)
	lossless(t, "outside, on the way back", outside, began)
	a.wantStatus(exitDone, "2 master")
}
