package vrrp

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// causes counts the transitions of an instance by the names of their causes.
func (te *engineTest) causes(name string) map[string]uint64 {
	te.Helper()
	got := map[string]uint64{}
	s := te.status(name)
	for _, c := range Causes() {
		if n := s.Transitions.Of(c); n > 0 {
			got[c.String()] = n
		}
	}
	return got
}

// Each cause is that of what happened, and every one is reached.
func TestCauses(t *testing.T) {
	release := Check{Name: "nginx", OnFailure: Release}
	none := []*Link{{Name: "eth0"}}
	tests := []struct {
		name string
		of   []Config
		do   func(te *engineTest)
		want []string // the causes beside start
	}{
		{"nobody there", []Config{web()}, func(te *engineTest) { te.advance(down150) }, []string{"no_master"}},
		{"owner", []Config{web(prio(PriorityOwner))}, func(*engineTest) {}, []string{"owner"}},
		{"silence", []Config{web()}, func(te *engineTest) {
			te.advert(peer, 200)
			te.advance(down150)
		}, []string{"master_silent"}},
		{"release", []Config{web()}, func(te *engineTest) {
			te.advert(peer, 200)
			te.advert(peer, 0)
			te.advance(second)
		}, []string{"master_released"}},
		{"preemption", []Config{web()}, func(te *engineTest) { te.adverts(4*second, second, peer, 100) }, []string{"preempted"}},
		{"stronger one", []Config{web()}, func(te *engineTest) {
			te.advance(down150)
			te.advert(peer, 200)
		}, []string{"no_master", "outranked"}},
		{"drain", []Config{web()}, func(te *engineTest) {
			te.advance(down150)
			te.do(&Drain{Instance: "web"})
			te.advance(bound / 2)
			te.advert(peer, 100)
		}, []string{"drained", "no_master"}},
		{"failover", []Config{web()}, func(te *engineTest) {
			te.advance(down150)
			te.do(&Failover{Instance: "web"})
			te.advert(peer, 100)
		}, []string{"failover", "no_master"}},
		{"demotion", []Config{web(nginx)}, func(te *engineTest) {
			te.health("nginx", true, "")
			te.advance(down150)
			te.health("nginx", false, "")
			te.advance(bound / 2)
			te.advert(peer, 100)
		}, []string{"demoted", "no_master"}},
		{"check that releases", []Config{web(checks(release))}, func(te *engineTest) {
			te.health("nginx", true, "")
			te.health("nginx", false, "")
			te.health("nginx", true, "")
		}, []string{"check", "recovered"}},
		{"interface", []Config{web()}, func(te *engineTest) {
			te.do(none[0])
			te.do(eth0())
		}, []string{"interface", "recovered"}},
		{"mute", []Config{web()}, func(te *engineTest) {
			te.advance(down150)
			for te.status("web").State == StateMaster {
				te.do(&SendFailed{Router: RouterID{Instance: "web", Family: IPv4}, Reason: "no buffers"})
				te.advance(second)
			}
		}, []string{"no_master", "send"}},
		{"stop", []Config{web()}, func(te *engineTest) { te.do(&Stop{}) }, []string{"stopped"}},
	}
	reached := map[string]bool{"restart": true, "group": true, "removed": true} // see below
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			te := newTest(t, tt.of...)
			tt.do(te)
			got := te.causes("web")
			if tt.name != "owner" && got["start"] != 1 {
				t.Errorf("started %d times", got["start"])
			}
			delete(got, "start")
			if diff := cmp.Diff(tt.want, slices.Sorted(maps.Keys(got))); diff != "" {
				t.Errorf("causes (-want +got):\n%s", diff)
			}
			for c := range got {
				reached[c] = true
			}
		})
	}
	for _, c := range Causes()[1:] {
		if !reached[c.String()] {
			t.Errorf("no test reaches %v", c)
		}
	}
}

func TestCauseOfAGroup(t *testing.T) {
	edge := func(c *Config) { c.Group = "edge" }
	inside := func(c *Config) { c.Interface = "eth1" }
	te := newBare(t)
	te.do(eth0())
	te.do(eth0(func(l *Link) { l.Name, l.Index = "eth1", 3 }))
	te.configure(web(edge), web(edge, named("inside", 52, "198.51.100.1/24"), inside))
	te.do(&Link{Name: "eth1"})
	if got := te.causes("web"); got["group"] != 1 || got["interface"] != 0 {
		t.Errorf("causes of web: %v", got)
	}
	if got := te.causes("inside"); got["interface"] != 1 || got["group"] != 0 {
		t.Errorf("causes of inside: %v", got)
	}
}

func TestCauseOfARestart(t *testing.T) {
	te := newBare(t)
	te.do(&Adopt{Routers: []Adopted{{Interface: "eth0", VRID: 51, Family: IPv4, Until: te.now.Add(second)}}})
	te.kernel["eth0"] = nil
	te.do(eth0())
	te.configure(web())
	if diff := cmp.Diff(map[string]uint64{"restart": 1}, te.causes("web")); diff != "" {
		t.Errorf("causes (-want +got):\n%s", diff)
	}
}

// A removed instance is gone from the snapshot: its transition tells.
func TestCauseOfARemoval(t *testing.T) {
	te := newMaster(t, web(), web(named("other", 52, "192.0.2.101/24")))
	var got []string
	for _, a := range te.e.Step(te.now, &Configure{Instances: []Config{web()}}) {
		if tr, ok := a.(*Transition); ok {
			got = append(got, tr.Instance+" "+tr.Cause.String())
		}
	}
	if diff := cmp.Diff([]string{"other removed"}, got); diff != "" {
		t.Errorf("transitions (-want +got):\n%s", diff)
	}
}
