package vrrp

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// wantSums asserts that the explained sum of each instance is the priority that it
// elects with.
func (te *engineTest) wantSums() {
	te.Helper()
	for _, i := range te.e.instances {
		terms := i.sum()
		if got := total(terms); got != i.effective || i.demoted != (len(i.demotions()) > 0) {
			te.Fatalf("%s elects with priority %d, and explains it by %v, which is %d", i.cfg.Name, i.effective, terms, got)
		}
	}
}

// ahead renders changes of state, by router.
func ahead(id RouterID, c Change, now time.Time) string {
	return fmt.Sprintf("%s %v in %v: %v (%s)", id.Instance, id.Family, c.At.Sub(now), c.State, c.Reason)
}

// wantForecast asserts that what is foretold for silence is what happens in it, to
// every router, and nothing else for long after.
func (te *engineTest) wantForecast() {
	te.Helper()
	te.sent, te.refused, te.slow, te.deaf = nil, nil, false, false
	for len(te.results) > 0 {
		te.report()
	}
	now, until := te.now, te.now
	want, got := map[uint64][]string{}, map[uint64][]string{}
	for _, x := range te.e.Explain(now) {
		for n, r := range x.Routers {
			s := &x.Status.Routers[n]
			for _, c := range r.Silence {
				want[s.Serial] = append(want[s.Serial], ahead(RouterID{x.Status.Config.Name, s.Family, s.Serial}, c, now))
				if c.At.After(until) {
					until = c.At
				}
			}
			if at, ok := r.TakesOver(); ok && at.Before(now) || !ok && s.State == StateBackup {
				te.Fatalf("a backup takes over at %v (%v)", at, ok)
			}
		}
	}
	states := map[uint64]State{}
	for serial, r := range te.e.serials {
		states[serial] = r.state
	}
	for until = until.Add(2 * time.Minute); ; {
		at, ok := te.e.Deadline()
		if !ok || at.After(until) {
			break
		}
		if at.After(te.now) {
			te.now = at
		}
		te.do(&Tick{})
		for serial, r := range te.e.serials {
			if r.state != states[serial] && !r.inst.removed {
				states[serial] = r.state
				got[serial] = append(got[serial], ahead(r.id, Change{r.since, r.state, r.cause, r.reason}, now))
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		te.Fatalf("what is foretold for silence, and what happens (-foretold +happens):\n%s", diff)
	}
}

// What is foretold comes true, whatever happened before.
func TestForecastComesTrue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := playStart(rapid.Byte().Draw(t, "adopted"), rapid.Byte().Draw(t, "config"))
		playThrough(t, append(first, rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "events")...)).wantForecast()
	})
	missed := map[string]bool{
		"master stays": true, "handing_over stays": true, "listening stays": true, "no_master takes over": true,
		"released takes over": true, "outranked takes over": true, "equal takes over": true, "taking_over takes over": true,
		"init stays": true, "init takes over": true, "fault stays": true, "fault takes over": true,
	}
	for seed := range uint64(300) {
		p := playThrough(t, randomBytes(seed, 60+int(seed)))
		for _, x := range p.e.Explain(p.now) {
			for _, r := range x.Routers {
				what := " stays"
				if _, ok := r.TakesOver(); ok {
					what = " takes over"
				}
				delete(missed, r.Verdict.String()+what)
			}
		}
		p.wantForecast()
	}
	if len(missed) > 0 {
		t.Errorf("nothing was foretold for %v", slices.Sorted(maps.Keys(missed)))
	}
}

// The times are those of the RFC: three intervals of the master and the skew of
// this node's effective priority, since the master was last heard.
func TestExplain(t *testing.T) {
	release := checks(Check{Name: "nginx", OnFailure: Release})
	weight := checks(Check{Name: "disk", OnFailure: Weigh, Weight: -60})
	heard := 200 * time.Millisecond // ago
	down := func(priority uint8, interval time.Duration) time.Duration {
		return downInterval(Version3, priority, interval) - heard
	}
	const never = -1
	for _, tt := range []struct {
		name   string
		cfg    Config
		happen func(te *engineTest)
		want   string // verdict, preemption, sum
		takes  time.Duration
	}{
		{"a stronger master", web(), func(te *engineTest) { te.advert(peer, 200) }, "outranked: base 150", down(150, second)},
		{"its interval counts", web(), func(te *engineTest) { te.advert(peer, 200, interval(3*second)) }, "outranked: base 150", down(150, 3*second)},
		{"an equal one", web(), func(te *engineTest) { te.advert(peer, 150) }, "equal: base 150", down(150, second)},
		{"version 2", web(v2, every(2*second)), func(te *engineTest) { te.advert(peer, 200, version2, interval(2*second)) }, "outranked: base 150", 6*second + skew150 - heard},
		{"weighed down", web(weight), func(te *engineTest) {
			te.health("disk", false, "full")
			te.advert(peer, 100)
		}, "outranked: base 150, check -60", down(90, second)},
		{"below 1", web(prio(40), weight), func(te *engineTest) {
			te.health("disk", false, "full")
			te.advert(peer, 100)
		}, "outranked: base 40, check -60, bounds +21", down(1, second)},
		{"demoted", web(nginx), func(te *engineTest) {
			te.health("nginx", false, "refused")
			te.advert(peer, 100)
		}, "outranked: base 150, check +0, demoted -133", down(17, second)},
		{"drained", web(), func(te *engineTest) {
			te.do(&Drain{Instance: "web"})
			te.advert(peer, 100)
		}, "outranked: base 150, drained -120", down(30, second)},
		{"drained and demoted", web(nginx), func(te *engineTest) {
			te.do(&Drain{Instance: "web"})
			te.health("nginx", false, "refused")
			te.advert(peer, 100)
		}, "outranked: base 150, check +0, demoted_and_drained -149", down(1, second)},
		{"a drain that ends on the way", web(), func(te *engineTest) {
			te.do(&Drain{Instance: "web", Until: te.now.Add(second)})
			te.advert(peer, 200)
		}, "outranked: base 150, drained -120", down(150, second)},
		{"a weaker master", web(), func(te *engineTest) {
			te.advance(second)
			te.advert(peer, 100)
		}, "taking_over (configured): base 150", down150 - second - heard},
		{"a weaker one, and preempt = false", web(noPreempt), func(te *engineTest) { te.advert(peer, 100) }, "held_back (off): base 150", down(150, second)},
		{"a demoted one, and preempt = false", web(noPreempt), func(te *engineTest) { te.advert(peer, 17) }, "taking_over (healthy): base 150", down(150, second)},
		{
			"the preempt delay runs", web(func(c *Config) { c.PreemptDelay = 30 * second }), func(te *engineTest) { te.advert(peer, 100) },
			"held_back (delayed): base 150", down(150, second),
		},
		{"it stands back", web(), func(te *engineTest) {
			te.advance(down150)
			te.do(&Failover{Instance: "web"})
			te.advance(20 * time.Millisecond)
			te.advert(peer, 100)
		}, "held_back (stands_back): base 150", down(150, second)},
		{"an owner that stands back", web(prio(255)), func(te *engineTest) {
			te.do(&Failover{Instance: "web"})
			te.advance(20 * time.Millisecond)
			te.advert(peer, 100)
		}, "held_back (stands_back): base 255, stands_back -1", down(254, second)},
		{"released", web(), func(te *engineTest) {
			te.advert(peer, 200)
			te.advert(peer, 0)
		}, "released: base 150", skew150 - heard},
		{"nobody was heard", web(), func(*engineTest) {}, "no_master: base 150", down150 - heard},
		{"in its startup delay", web(func(c *Config) { c.StartupDelay = time.Hour }), func(*engineTest) {}, "init: base 150", time.Hour + down150 - heard},
		{"waiting for a check", web(nginx), func(*engineTest) {}, "init: base 150, check +0", never},
		{"released by a check", web(release), func(te *engineTest) { te.health("nginx", false, "refused") }, "fault: base 150, check +0", never},
		{"without carrier", web(), func(te *engineTest) { te.do(eth0(unplugged)) }, "fault: base 150", never},
		{"mute", web(), func(te *engineTest) {
			te.sent = func(s *SendAdvert) { te.next = append(te.next, &SendFailed{Router: s.Router, Reason: "no"}) }
			te.advance(down150 + 4*second)
			te.sent = nil
		}, "fault: base 150", sendRetry + down150 - heard},
		{"master", web(), func(te *engineTest) { te.advance(down150) }, "master: base 150", never},
		{"handing over on trial", web(), func(te *engineTest) {
			te.advance(down150)
			te.do(&Drain{Instance: "web", Try: true})
		}, "handing_over: base 150, handover -119", never},
		{"drained, and nobody takes over", web(), func(te *engineTest) {
			te.advance(down150)
			te.do(&Drain{Instance: "web"})
		}, "handing_over: base 150, drained -120", never},
		{"asleep until now", web(), func(te *engineTest) {
			te.advance(down150)
			te.now = te.now.Add(10 * second)
			te.do(&Late{By: 10 * second})
		}, "listening: base 150", never},
	} {
		t.Run(tt.name, func(t *testing.T) {
			te := newTest(t, tt.cfg)
			if len(tt.cfg.Checks) > 0 && !strings.HasPrefix(tt.name, "waiting") {
				te.health(tt.cfg.Checks[0].Name, true, "")
			}
			tt.happen(te)
			te.advance(heard)
			x := te.e.Explain(te.now)[0]
			if got := sentence(&x); got != tt.want {
				t.Errorf("%s, want %s", got, tt.want)
			}
			at, ok := x.Routers[0].TakesOver()
			if ok != (tt.takes != never) || ok && at.Sub(te.now) != tt.takes {
				t.Errorf("takes over in %v (%v), want %v", at.Sub(te.now), ok, tt.takes)
			}
			te.wantSums()
			te.wantForecast()
		})
	}
}

// sentence renders an explanation in short.
func sentence(x *Explanation) string {
	r := &x.Routers[0]
	text := r.Verdict.String()
	if r.Preemption != 0 {
		text += fmt.Sprintf(" (%v)", r.Preemption)
	}
	var terms []string
	for _, term := range x.Terms {
		if term.Kind == TermBase {
			terms = append(terms, fmt.Sprint("base ", term.Change))
			continue
		}
		terms = append(terms, fmt.Sprintf("%v %+d", term.Kind, term.Change))
	}
	return text + ": " + strings.Join(terms, ", ")
}

// A group explains itself by what its instances have in common.
func TestExplainGroup(t *testing.T) {
	te := newEdgeBackup(t, edge(nginx)...)
	te.hearBoth(200)
	te.health("nginx", false, "refused")
	te.do(&Drain{Instance: "inside"})
	for _, x := range te.e.Copy("outside").Explain(te.now)[:1] {
		if got, want := sentence(&x), "outranked: base 150, check +0, demoted_and_drained -149"; got != want {
			t.Errorf("%s, want %s", got, want)
		}
		if at, ok := x.Routers[0].TakesOver(); !ok || at.Sub(te.now) != downInterval(Version3, 1, second) {
			t.Errorf("takes over in %v (%v)", at.Sub(te.now), ok)
		}
		if diff := cmp.Diff([]string{"inside"}, x.Mates); diff != "" {
			t.Errorf("mates (-want +got):\n%s", diff)
		}
	}
	te.wantForecast()

	te = newEdgeBackup(t, edge(noPreempt)...)
	te.advance(second)
	te.advert(peer, 100)
	te.advance(down150 - second) // inside is master now, and outside goes where it is
	if got, want := sentence(&te.e.Explain(te.now)[0]), "taking_over (group): base 150"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	te.wantForecast()

	te = newEdgeBackup(t, edge()...)
	te.do(eth1(unplugged))
	if x := te.e.Explain(te.now)[0]; x.Routers[0].Verdict != VerdictFault || len(x.Routers[0].Silence) > 0 {
		t.Errorf("with a mate in fault: %+v", x.Routers[0])
	}
	te.wantForecast()
}

// Who asks a copy changes nothing, and there is none of what is not there.
func TestExplainCopy(t *testing.T) {
	te := newTest(t, append(edge(), web(named("dns", 60, "192.0.2.200/24")))...)
	before := te.e.copy()
	explained := func(e *Engine) (list []string) {
		for _, x := range e.Explain(te.now.Add(time.Second)) {
			list = append(list, x.Status.Config.Name)
		}
		return list
	}
	for name, want := range map[string][]string{"outside": {"outside", "inside"}, "inside": {"outside", "inside"}, "dns": {"dns"}} {
		if got := explained(te.e.Copy(name)); !slices.Equal(got, want) {
			t.Errorf("a copy for %s has %v, want %v", name, got, want)
		}
	}
	if got := explained(te.e); len(got) != 3 {
		t.Errorf("of all is explained %v", got)
	}
	if te.e.Copy("nobody") != nil || te.e.Copy("") != nil {
		t.Error("an instance that is not there is explained")
	}
	compareClone(t, te.e, before)
}

// The words that programs read are complete.
func TestExplainWords(t *testing.T) {
	for k := TermBase; k < termKinds; k++ {
		wantWord(t, k.String())
	}
	for p := PreemptOwner; p < preemptions; p++ {
		wantWord(t, p.String())
	}
	for v := VerdictMaster; v < verdicts; v++ {
		wantWord(t, v.String())
	}
	if TermKind(0).String() != "invalid" || Preemption(0).String() != "invalid" || Verdict(0).String() != "invalid" {
		t.Error("nothing has a word")
	}
}

func wantWord(t *testing.T, word string) {
	t.Helper()
	if word == "" || word == "invalid" {
		t.Errorf("the word is %q", word)
	}
}

// What the loop does for who asks is to copy; the rest is done elsewhere.
func BenchmarkExplain(b *testing.B) {
	for _, n := range []int{1, 255, 4080} {
		e, now := many(b, n)
		b.Run(fmt.Sprintf("copy/%d", n), func(b *testing.B) {
			for b.Loop() {
				e.Copy("i0")
			}
		})
		c := e.Copy("i0")
		b.Run(fmt.Sprintf("explain/%d", n), func(b *testing.B) {
			for b.Loop() {
				c.Explain(now)
			}
		})
	}
}
