package lab

import (
	"net/netip"
	"testing"
	"time"
)

// A sweep sees which addresses are silent and for how long, and that another
// host serves one as soon as it was announced.
func TestSweep(t *testing.T) {
	const every = 20 * time.Millisecond
	l := newLab(t)
	client := addHost(t, l, "client", "192.0.2.1/24")
	one := addHost(t, l, "one", "192.0.2.2/24", "192.0.2.3/24", "192.0.2.4/24")
	two := addHost(t, l, "two", "192.0.2.5/24")
	addrs := []netip.Addr{netip.MustParseAddr("192.0.2.2"), netip.MustParseAddr("192.0.2.3"), netip.MustParseAddr("192.0.2.4")}
	s, err := client.Sweep(addrs, every, one, two)
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	time.Sleep(10 * every) // the length of what is measured
	for n, r := range s.Between(began, time.Now()) {
		if r.Sent < 5 || r.Lost > 0 || r.LastServer() != "one" {
			t.Errorf("before: %v: %v", addrs[n], r)
		}
	}

	// The second address is gone for a while and then moves; the third moves at
	// once.
	move := func(a string) {
		if err := two.AddAddress("eth0", a+"/24"); err != nil {
			t.Fatal(err)
		}
		if err := two.Inject("eth0", gratuitousARP(mustPort(t, two, "eth0").MAC(), netip.MustParseAddr(a))); err != nil {
			t.Fatal(err)
		}
	}
	cut := time.Now()
	if err := one.RemoveAddress("eth0", "192.0.2.3/24"); err != nil {
		t.Fatal(err)
	}
	move("192.0.2.4")
	time.Sleep(10 * every)
	hole := time.Since(cut)
	move("192.0.2.3")
	err = poll(10*time.Second, "two does not serve", func() (bool, error) {
		now := time.Now()
		return s.Between(now.Add(-2*every), now)[1].LastServer() == "two", nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	r := s.Between(cut, time.Now())
	slack := every + r[1].WorstLateness
	if r[0].Lost > 0 || r[0].LastServer() != "one" || r[2].Lost > 0 || r[2].LastServer() != "two" {
		t.Errorf("two addresses that were always there: %v; %v", r[0], r[2])
	}
	if r[1].LongestGap < hole-2*slack || r[1].Lost == 0 || r[1].Answered == 0 {
		t.Errorf("silent for %v: %v", hole, r[1])
	}
}

func TestSweepWants(t *testing.T) {
	l := newLab(t)
	client := addHost(t, l, "client", "192.0.2.1/24")
	for _, a := range []string{"2001:db8::1", "203.0.113.1"} {
		if _, err := client.Sweep([]netip.Addr{netip.MustParseAddr(a)}, time.Second); err == nil {
			t.Errorf("a sweep of %s began", a)
		}
	}
}
