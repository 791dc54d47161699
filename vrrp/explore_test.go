package vrrp

import (
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// models are what is explored: as deep as depth says in every run of the tests,
// which takes less than 20 s of one core, deeper when HOLDFAST_EXPLORE asks for
// it.
func models() []*model {
	all := []stepKind{lose, crash, freeze, drain, stop}
	checked := append([]stepKind{fail}, all...)
	release := checks(Check{Name: "nginx", OnFailure: Release})
	fast := every(10 * time.Millisecond)
	leased := func(c *Config) { c.Lease = AutoLease(c.AdvertInterval, 0) }
	two := func(a, b uint8, change ...func(*Config)) []Config {
		return []Config{web(append(change, prio(a))...), web(append(change, prio(b))...)}
	}
	return []*model{
		{name: "preempting", configs: two(192, 128, leased), disturbances: all, depth: 1},
		{name: "not preempting", configs: two(192, 128, leased, noPreempt), disturbances: all, depth: 1},
		{name: "one preempting", configs: []Config{web(prio(192)), web(prio(128), noPreempt)}, disturbances: all, depth: 1},
		{name: "equal priorities", configs: two(128, 128, leased), disturbances: all, depth: 1},
		{name: "owner", configs: two(255, 128, leased), disturbances: all, depth: 1},
		{name: "version 2", configs: two(192, 128, leased, v2), disturbances: all, depth: 1},
		{name: "demoting check", configs: two(192, 128, nginx, noPreempt), disturbances: checked, depth: 1},
		{name: "releasing check", configs: two(192, 128, release, leased), disturbances: checked, depth: 1},
		{name: "slow link", configs: two(192, 128), delay: 2 * time.Millisecond, bind: 20 * time.Millisecond, disturbances: all, depth: 1},
		{name: "10ms", configs: two(192, 128, fast), disturbances: all, depth: 1},
		{name: "10ms with lease", configs: two(192, 128, fast, leased), running: true, disturbances: []stepKind{crash, stop}, depth: 1},
		{name: "two moves", configs: two(192, 128, v2), disturbances: []stepKind{drain, stop}, depth: 2},
		{name: "two orders", configs: two(192, 128), disturbances: []stepKind{tryDrain, failOver}, depth: 2},
		{name: "orders and faults", configs: two(192, 128, leased), disturbances: append([]stepKind{tryDrain, failOver}, all...), depth: 1},
		{name: "failover of an owner", configs: two(255, 128, v2), disturbances: []stepKind{failOver, stop}, depth: 1},
		{name: "two faults", configs: two(192, 128, leased), running: true, disturbances: []stepKind{lose, crash, freeze}, depth: 2},
		{name: "three nodes", configs: append(two(192, 128, leased), web(prio(64), leased)), running: true, disturbances: all, depth: 1},
		{name: "three equal nodes", configs: append(two(128, 128, noPreempt), web(prio(128), noPreempt)), running: true, disturbances: []stepKind{crash, drain, stop}, depth: 1},
	}
}

// promised are the times that design and RFC allow: three intervals and the
// longest skew for everything, less where more is promised.
func (m *model) promised() (b bounds) {
	var v, lease, down time.Duration
	for _, c := range m.configs {
		lowest := c.Priority
		if m.may(drain) || m.may(tryDrain) || m.may(failOver) || m.may(fail) {
			lowest = 1
		}
		v, lease = max(v, c.AdvertInterval), max(lease, c.Lease)
		down = max(down, downInterval(c.Version, lowest, c.AdvertInterval)+2*m.delay)
	}
	for e := range evils {
		b.last[e], b.run[e] = down, down
	}
	b.last[nobody], b.run[nobody] = down+m.bind, down+m.bind
	b.run[several] = max(v, handoverBound(v)) + 2*m.delay // until the weaker hears the stronger
	b.last[left], b.run[left] = lease+removalLate, lease+removalLate
	b.last[leaving], b.run[leaving] = handoverBound(v)+lingered, handoverBound(v)+lingered
	return b
}

// Every interleaving of what can happen to some nodes keeps the promises.
func TestExplore(t *testing.T) {
	deeper := 0
	if s := os.Getenv("HOLDFAST_EXPLORE"); s != "" {
		var err error
		if deeper, err = strconv.Atoi(s); err != nil || deeper < 1 {
			t.Fatalf("HOLDFAST_EXPLORE=%q is not a depth", s)
		}
	}
	for _, m := range models() {
		t.Run(m.name, func(t *testing.T) {
			x := &explorer{m: m, limit: 1_000_000}
			if deeper > 0 {
				m.depth, x.limit = deeper, 0
			}
			began := time.Now()
			found := x.explore()
			var longest bounds
			if found == nil {
				longest, found = x.bound()
			}
			if found != nil {
				t.Fatal(x.story(found))
			}
			t.Logf("%d disturbances, %d steps deep: %d states, %d transitions, %v", m.depth, x.deepest,
				len(x.states), x.transitions, time.Since(began).Round(10*time.Millisecond))
			allowed := m.promised()
			for e := range evils {
				t.Logf("%s: at most %v in all and %v on end, %v and %v are allowed", evilNames[e], longest.last[e], longest.run[e], allowed.last[e], allowed.run[e])
			}
		})
	}
}

// An exploration of nodes that are broken on purpose finds that they are.
func TestExploreFindsFaults(t *testing.T) {
	two := func(change ...func(*Config)) []Config {
		return []Config{web(append(change, prio(192))...), web(append(change, prio(128))...)}
	}
	fast := func(c *Config) { c.AdvertInterval, c.Lease = 100*time.Millisecond, second }
	for _, tt := range []struct {
		mutation
		model
		want string
	}{
		{deafToRelease, model{name: "deaf to a release", configs: two(), disturbances: []stepKind{stop}}, "nobody serves"},
		{deafToStronger, model{name: "deaf to a stronger master", configs: two(), disturbances: []stepKind{stop}}, "several masters"},
		{withoutLinger, model{name: "without the linger", configs: two(), bind: 20 * time.Millisecond, disturbances: []stepKind{stop}}, "nobody serves"},
		{withoutRenewal, model{name: "without renewals", configs: two(fast), disturbances: []stepKind{stop}}, "the lease of node"},
		{blindToDemotion, model{name: "blind to demotion", configs: two(noPreempt), disturbances: []stepKind{drain}}, "nobody serves"},
		{withoutLate, model{name: "not told of a pause", configs: two(noPreempt, fast), disturbances: []stepKind{freeze}}, "before it listened"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.model.mutation, tt.model.depth = tt.mutation, 1
			x := &explorer{m: &tt.model, limit: 200_000}
			found := x.explore()
			if found == nil {
				_, found = x.bound()
			}
			if found == nil {
				t.Fatalf("not found in %d states", len(x.states))
			}
			if story := x.story(found); !strings.Contains(found.what, tt.want) || !strings.Contains(story, ": web: init -> backup") {
				t.Errorf("found something else than %q: %s", tt.want, story)
			}
			t.Logf("after %d states, by %d steps: %s", len(x.states), x.states[found.at].depth+1, found.what)
			tt.model.mutation = intact
			x = &explorer{m: &tt.model}
			if found = x.explore(); found == nil {
				_, found = x.bound()
			}
			if found != nil {
				t.Errorf("without the fault: %s", x.story(found))
			}
		})
	}
}

// The same world has the same fingerprint whenever it is, and another one has
// another.
func TestExploreMergesTheSame(t *testing.T) {
	m := models()[0]
	w := newWorld(m)
	seen := map[fingerprint]time.Time{}
	log := &trail{}
	w = w.apply(step{start, 0, 0}, log).apply(step{start, 1, 0}, log)
	for range 200 {
		print := w.print()
		if at, ok := seen[print]; ok {
			if period := w.now.Sub(at); period != time.Second {
				t.Errorf("the world repeats after %v, not after an interval", period)
			}
			return
		}
		seen[print] = w.now
		list := slices.DeleteFunc(w.steps(nil), func(s step) bool { return !s.calm() })
		w = w.apply(list[0], log)
	}
	t.Error("a calm world does not repeat")
}
