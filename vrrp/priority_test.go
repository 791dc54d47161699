package vrrp

import (
	"testing"

	"pgregory.net/rapid"
)

// Every demoted node stands below every healthy one, in the order of the bases.
func TestDemotedBand(t *testing.T) {
	last := uint8(1)
	for base := range 256 {
		p := demotedPriority(uint8(base))
		if p < 1 || p >= drainedPriority {
			t.Errorf("base %d is demoted to %d, outside of 1 to %d", base, p, drainedPriority-1)
		}
		if p < last {
			t.Errorf("base %d is demoted to %d, below %d of base %d", base, p, last, base-1)
		}
		last = p
	}
	for base, want := range map[uint8]uint8{1: 1, 31: 1, 32: 1, 100: 10, 150: 17, 200: 24, 234: 28, 240: 29, 254: 29, 255: 29} {
		if got := demotedPriority(base); got != want {
			t.Errorf("base %d is demoted to %d, want %d", base, got, want)
		}
	}
}

func TestSkewAndDownInterval(t *testing.T) {
	for _, v := range []Version{Version2, Version3} {
		for p := uint8(1); p < 255; p++ {
			if skew(v, p, second) <= skew(v, p+1, second) {
				t.Errorf("version %d: priority %d does not wait longer than %d", v, p, p+1)
			}
		}
		if got := downInterval(v, 100, 10*second); got != 30*second+skew(v, 100, 10*second) {
			t.Errorf("version %d: down interval %v", v, got)
		}
	}
	if got := skew(Version2, 100, 10*second); got != 609_375_000 {
		t.Errorf("version 2 skew %v scales with the interval", got)
	}
	if got := skew(Version3, 1, MaxInterval); got != 40_790_039_062 {
		t.Errorf("longest skew %d", got)
	}
}

// The arithmetic is keepalived's.
func TestWeigh(t *testing.T) {
	w := func(name string, n int) Check { return Check{Name: name, OnFailure: Weigh, Weight: n} }
	for _, tt := range []struct {
		name    string
		base    uint8
		checks  []Check
		failing []string
		want    uint8
	}{
		{"no checks", 100, nil, nil, 100},
		{"negative weight, passing", 100, []Check{w("a", -20)}, nil, 100},
		{"negative weight, failing", 100, []Check{w("a", -20)}, []string{"a"}, 80},
		{"positive weight, passing", 100, []Check{w("a", 20)}, nil, 120},
		{"positive weight, failing", 100, []Check{w("a", 20)}, []string{"a"}, 100},
		{"sum of all", 100, []Check{w("a", 20), w("b", -30), w("c", -5)}, []string{"b"}, 90},
		{"not below 1", 100, []Check{w("a", -253)}, []string{"a"}, 1},
		{"not above 254", 200, []Check{w("a", 253)}, nil, 254},
		{"limited after the sum", 200, []Check{w("a", 100), w("b", -100)}, []string{"b"}, 200},
		{"an owner is not weighed", 255, []Check{w("a", -100)}, []string{"a"}, 255},
		{"other kinds have no weight", 100, []Check{{Name: "a", Weight: 50}, {Name: "b", OnFailure: Release, Weight: 50}}, []string{"a"}, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			failing := map[string]bool{}
			for _, f := range tt.failing {
				failing[f] = true
			}
			got := total(weigh(tt.base, tt.checks, func(name string) bool { return failing[name] }))
			if got != tt.want {
				t.Errorf("priority %d, want %d", got, tt.want)
			}
		})
	}
}

// A failing check never makes a node stronger.
func TestWeighIsMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		base := uint8(rapid.IntRange(DemotedMax+1, 255).Draw(t, "base"))
		var list []Check
		for n := range rapid.IntRange(1, 5).Draw(t, "checks") {
			list = append(list, Check{Name: string(rune('a' + n)), OnFailure: Weigh, Weight: rapid.IntRange(-253, 253).Draw(t, "weight")})
		}
		failing := map[string]bool{}
		fails := func(name string) bool { return failing[name] }
		before := total(weigh(base, list, fails))
		for _, c := range list {
			failing[c.Name] = true
			after := total(weigh(base, list, fails))
			if after > before || after < 1 {
				t.Fatalf("when %s fails too the priority goes from %d to %d", c.Name, before, after)
			}
			before = after
		}
	})
}

// What each kind of failing check does to a master and to a backup.
func TestCheckKinds(t *testing.T) {
	reset := func(kind OnFailure, weight int) *engineTest {
		te := newBare(t)
		te.do(eth0())
		te.health("nginx", true, "")
		te.configure(web(checks(Check{Name: "nginx", OnFailure: kind, Weight: weight})))
		te.advance(down150)
		te.wantState("web", StateMaster)
		te.lines = nil
		return te
	}
	t.Run("demote", func(t *testing.T) {
		te := reset(Demote, 0)
		te.health("nginx", false, "connection refused")
		s := te.status("web")
		if !s.Demoted || s.Effective != 17 || s.DemotedWhy != "check nginx fails: connection refused" || s.State != StateMaster {
			t.Errorf("status %+v", s)
		}
		te.health("nginx", true, "")
		if s := te.status("web"); s.Demoted || s.Effective != 150 || s.DemotedWhy != "" {
			t.Errorf("status after healing %+v", s)
		}
	})
	t.Run("weigh", func(t *testing.T) {
		te := reset(Weigh, -50)
		te.health("nginx", false, "")
		te.wantNone()
		if s := te.status("web"); s.Demoted || s.Effective != 100 {
			t.Errorf("demoted %v, effective %d", s.Demoted, s.Effective)
		}
		te.advert(peer, 101)
		te.wantState("web", StateBackup)
	})
	t.Run("release", func(t *testing.T) {
		te := reset(Release, 0)
		te.health("nginx", false, "connection refused")
		te.want(
			"web: advert prio=150 interval=10ms to=224.0.0.18",
			"web: advert prio=0 interval=1s to=224.0.0.18",
			"web: master -> fault (check nginx fails: connection refused)",
		)
		te.advert(peer, 100)
		te.advance(lingered)
		te.want("web: stop announcing eth0", "web: remove 192.0.2.100/24 eth0", "web: hook fault")
		te.advance(100 * second)
		te.wantNone()
		te.health("nginx", true, "")
		te.want("web: fault -> backup (listening for a master)", "web: hook backup")
		te.wantDue(down150)
	})
}

// An instance waits for the first result of each of its checks.
func TestWaitsForFirstResults(t *testing.T) {
	te := newTest(t, web(checks(Check{Name: "nginx"}, Check{Name: "disk", OnFailure: Release})))
	te.advance(100 * second)
	te.wantNone()
	te.wantReason("web", "waiting for the first result of check nginx")
	te.health("nginx", false, "")
	te.wantReason("web", "waiting for the first result of check disk")
	te.health("other", true, "")
	te.health("disk", true, "")
	te.want("web: init -> backup (listening for a master)", "web: hook backup")
	te.wantDue(downInterval(Version3, 17, second)) // demoted from the start
	want := []CheckStatus{
		{Name: "disk", Known: true, Healthy: true, Since: te.now},
		{Name: "nginx", Known: true, Since: te.now},
		{Name: "other", Known: true, Healthy: true, Since: te.now},
	}
	for n, got := range te.e.Snapshot(te.now).Checks {
		if got != want[n] {
			t.Errorf("check %+v, want %+v", got, want[n])
		}
	}
}

// A backup whose priority changes waits longer or shorter, and does not start
// to wait again.
func TestPriorityChangeMovesRunningTimer(t *testing.T) {
	te := newBare(t)
	te.do(eth0())
	te.health("nginx", true, "")
	te.configure(web(checks(Check{Name: "nginx", OnFailure: Weigh, Weight: -50})))
	te.advance(second)
	te.health("nginx", false, "")
	te.wantDue(downInterval(Version3, 100, second) - second)
	te.health("nginx", true, "")
	te.wantDue(down150 - second)
}
