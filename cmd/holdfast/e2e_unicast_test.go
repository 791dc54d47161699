package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// unicastTOML renders an instance for each family that speaks with peers by
// unicast. nodes are the numbers of the peers' addresses.
func unicastTOML(priority int, interval time.Duration, peers ...int) string {
	list := func(format string) string {
		var quoted []string
		for _, p := range peers {
			quoted = append(quoted, fmt.Sprintf(format, p))
		}
		return "peers = [" + strings.Join(quoted, ", ") + "]"
	}
	return namedTOML("four", 51, priority, interval.String(), []string{vipFour + "/24"}, list(`"192.0.2.%d"`)) +
		namedTOML("six", 52, priority, interval.String(), []string{vipSix + "/64"}, list(`"2001:db8::%d"`))
}

// Two nodes that speak unicast fail over, return and hand over as others do.
func TestUnicast(t *testing.T) {
	const interval = 100 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	a.run(unicastTOML(150, interval, 2))
	b.run(unicastTOML(100, interval, 1))
	only(t, settled, vipFour, a, b)
	only(t, settled, vipSix, a, b)
	ps := probes(t, newClient(t, l), vipFour, vipSix)
	for _, p := range ps {
		served(t, p, a)
	}
	if i := b.instance("six"); i.Families[0].Source != "2001:db8::2" || i.Master == nil || i.Master.Address != "2001:db8::1" {
		t.Errorf("b speaks from %s, its master is %v: want 2001:db8::2 and 2001:db8::1", i.Families[0].Source, i.Master)
	}

	began := time.Now()
	if err := a.Unplug(); err != nil {
		t.Fatal(err)
	}
	most := detection(interval, 100) + room
	for n, vip := range []string{vipFour, vipSix} {
		served(t, ps[n], b)
		took := answered(t, ps[n], began, b)
		t.Logf("measured: %s: client served after %s (3 adverts + skew: %s)", vip, ms(took), ms(detection(interval, 100)))
		if took > most {
			t.Errorf("%s: the client was served after %v, want at most %v", vip, took, most)
		}
	}

	began = time.Now()
	if err := a.PlugIn(); err != nil {
		t.Fatal(err)
	}
	most = detection(interval, 150) + interval + room
	only(t, most, vipFour, a, b)
	only(t, most, vipSix, a, b)
	for n, vip := range []string{vipFour, vipSix} {
		served(t, ps[n], a)
		lossless(t, vip+" returns", ps[n], began)
	}

	began = time.Now()
	a.stop()
	for n, vip := range []string{vipFour, vipSix} {
		served(t, ps[n], b)
		lossless(t, vip+" handed over", ps[n], began)
	}
}

// A stranger with the same VRID, of whatever priority, neither wins nor
// disturbs: its adverts are dropped and counted by the reason.
func TestUnicastStranger(t *testing.T) {
	t.Parallel()
	const interval = 100 * time.Millisecond
	stranger := func(four, six string) string {
		return namedTOML("four", 51, 254, interval.String(), []string{"192.0.2.101/24"}, four) +
			namedTOML("six", 52, 254, interval.String(), []string{"fe80::101/64", "2001:db8::101/64"}, six)
	}
	cases := []struct {
		name, config, reason string
	}{
		{"multicast", stranger("", ""), "destination"},
		{"unicast", stranger(`peers = ["192.0.2.1", "192.0.2.2"]`, `peers = ["2001:db8::1", "2001:db8::2"]`), "peer"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			l := newLab(t)
			n := nodes(t, l, 3)
			a, b, x := n[0], n[1], n[2]
			a.run(unicastTOML(150, interval, 2))
			b.run(unicastTOML(100, interval, 1))
			only(t, settled, vipFour, a, b)
			only(t, settled, vipSix, a, b)
			ps := probes(t, newClient(t, l), vipFour, vipSix)
			for _, p := range ps {
				served(t, p, a)
			}
			before := a.instance("four").Counters.BecameMaster + b.instance("four").Counters.BecameMaster

			began := time.Now()
			x.run(c.config)
			eventually(t, settled, "the stranger is master of its own", func() bool { return x.has("192.0.2.101") && x.has("2001:db8::101") })
			during(t, 10*interval, "a keeps the addresses, b has none", func() bool {
				return a.has(vipFour) && a.has(vipSix) && !b.has(vipFour) && !b.has(vipSix)
			})
			for _, o := range []*node{a, b} {
				for _, name := range []string{"four", "six"} {
					i := o.instance(name)
					t.Logf("measured: %s of %s dropped %d for %s", name, o.Name(), i.Counters.Dropped[c.reason], c.reason)
					if i.Counters.Dropped[c.reason] < 5 {
						t.Errorf("%s of %s dropped %v: want at least 5 for %s", name, o.Name(), i.Counters.Dropped, c.reason)
					}
				}
				if log := o.daemon.Output(); !strings.Contains(log, "dropped a packet") || !strings.Contains(log, "192.0.2.3") {
					t.Errorf("%s does not tell that it drops the packets of 192.0.2.3", o.Name())
				}
			}
			if after := a.instance("four").Counters.BecameMaster + b.instance("four").Counters.BecameMaster; after != before {
				t.Errorf("%d new masters while the stranger spoke", after-before)
			}
			for n, vip := range []string{vipFour, vipSix} {
				lossless(t, vip, ps[n], began)
			}
		})
	}
}
