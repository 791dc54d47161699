package lab

import (
	"net/netip"
	"testing"
)

func TestJoin(t *testing.T) {
	l := newLab(t)
	a, b := addHost(t, l, "a"), addHost(t, l, "b")
	if _, err := b.Echo(); err != nil {
		t.Fatal(err)
	}
	for _, cable := range []struct{ ifname, a, b string }{
		{"x0", "192.0.2.1/30", "192.0.2.2/30"}, {"x1", "198.51.100.1/30", "198.51.100.2/30"},
	} {
		if err := l.Join(cable.ifname, a, cable.a, b, cable.b); err != nil {
			t.Fatal(err)
		}
		p, err := a.Probe(netip.MustParsePrefix(cable.b).Addr(), 100)
		if err != nil {
			t.Fatal(err)
		}
		awaitServer(t, p, "b")
	}
	if err := l.Join("x0", a, "192.0.2.1/30", b, "192.0.2.2/30"); err == nil {
		t.Error("one interface had two cables")
	}
}
