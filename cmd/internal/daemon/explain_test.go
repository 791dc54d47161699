package daemon

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// asked is an Engine that is brought into a situation and then asked to explain it.
type asked struct {
	t   *testing.T
	e   *vrrp.Engine
	now time.Time
}

var (
	rival4 = netip.MustParseAddr("192.0.2.2")
	rival6 = netip.MustParseAddr("fe80::2")
)

func newAsked(t *testing.T, configs ...vrrp.Config) *asked {
	t.Helper()
	a := &asked{t: t, e: vrrp.NewEngine(), now: time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)}
	a.link(true)
	if err := vrrp.ValidateAll(configs); err != nil {
		t.Fatal(err)
	}
	a.do(&vrrp.Configure{Instances: configs})
	return a
}

func (a *asked) do(ev vrrp.Event) { a.e.Step(a.now, ev) }

func (a *asked) link(carrier bool) {
	a.do(&vrrp.Link{Name: "eth0", Index: 2, Up: true, Carrier: carrier, Addresses: []netip.Prefix{
		netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("fe80::1/64"),
	}})
}

func (a *asked) wait(d time.Duration) {
	end := a.now.Add(d)
	for at, ok := a.e.Deadline(); ok && !at.After(end); at, ok = a.e.Deadline() {
		a.now = at
		a.do(&vrrp.Tick{})
	}
	a.now = end
}

func (a *asked) check(name string, healthy bool, reason string) {
	a.do(&vrrp.CheckChanged{Check: name, Healthy: healthy, Reason: reason})
}

// hear lets the node hear an advert for VRID 51.
func (a *asked) hear(from netip.Addr, priority uint8) {
	a.t.Helper()
	to, vip := vrrp.GroupIPv4, netip.MustParseAddr("192.0.2.100")
	if from.Is6() {
		to, vip = vrrp.GroupIPv6, netip.MustParseAddr("fe80::100")
	}
	p := vrrp.Packet{Version: vrrp.Version3, VRID: 51, Priority: priority, Interval: time.Second, Addresses: []netip.Addr{vip}}
	b, err := p.AppendTo(nil, from, to, false)
	if err != nil {
		a.t.Fatal(err)
	}
	a.do(&vrrp.AdvertReceived{Interface: 2, Source: from, Destination: to, TTL: vrrp.TTL, Payload: b})
}

// text is all that is said.
func (a *asked) text() string {
	var b strings.Builder
	for _, x := range a.e.Explain(a.now) {
		c := renderExplanation(&x, false)
		sum := 0
		for _, term := range c.Priority.Terms {
			fmt.Fprintf(&b, "%+5d %s\n", term.Change, term.Text)
			sum += term.Change
		}
		fmt.Fprintf(&b, "%5d effective\n", c.Priority.Effective)
		if sum != c.Priority.Effective {
			a.t.Errorf("the terms are %d together", sum)
		}
		for _, s := range c.Sentences {
			fmt.Fprintf(&b, "%s: %s\n", strings.TrimSpace(s.About+" "+s.Family), s.Text)
		}
	}
	return b.String()
}

func askedConfig(change ...func(*vrrp.Config)) vrrp.Config {
	c := vrrp.Config{
		Name: "web", Interface: "eth0", VRID: 51, Version: vrrp.Version3, Priority: 150, AdvertInterval: time.Second,
		Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}, Preempt: true,
		Announce: vrrp.Announce{Repeat: 1}, Lease: 2 * time.Second,
	}
	for _, f := range change {
		f(&c)
	}
	return c
}

// situations are what the sentences are held against, in testdata/explain.txt.
var situations = []struct {
	name   string
	cfg    []func(*vrrp.Config)
	happen func(a *asked)
}{
	{"a stronger master", nil, func(a *asked) {
		a.hear(rival4, 200)
		a.wait(300 * time.Millisecond)
	}},
	{"a stronger master that is late", nil, func(a *asked) {
		a.hear(rival4, 200)
		a.wait(2100 * time.Millisecond)
	}},
	{"an equal master, and weights", []func(*vrrp.Config){func(c *vrrp.Config) {
		c.Preempt = false
		c.Checks = []vrrp.Check{
			{Name: "nginx"},
			{Name: "disk", OnFailure: vrrp.Weigh, Weight: -20},
			{Name: "route", OnFailure: vrrp.Weigh, Weight: 30},
			{Name: "db", OnFailure: vrrp.Release},
		}
	}}, func(a *asked) {
		for _, name := range []string{"nginx", "db", "route"} {
			a.check(name, true, "")
		}
		a.check("disk", false, "exit status 1")
		a.hear(rival4, 160)
		a.wait(300 * time.Millisecond)
	}},
	{"a weaker master", nil, func(a *asked) {
		a.wait(2 * time.Second)
		a.hear(rival4, 100)
		a.wait(300 * time.Millisecond)
	}},
	{"a weaker master, and preempt = false", []func(*vrrp.Config){func(c *vrrp.Config) { c.Preempt = false }}, func(a *asked) {
		a.hear(rival4, 100)
		a.wait(300 * time.Millisecond)
	}},
	{"a demoted master, and preempt = false", []func(*vrrp.Config){func(c *vrrp.Config) { c.Preempt = false }}, func(a *asked) {
		a.hear(rival4, 10)
		a.wait(300 * time.Millisecond)
	}},
	{"a preempt delay", []func(*vrrp.Config){func(c *vrrp.Config) { c.PreemptDelay = 30 * time.Second }}, func(a *asked) {
		for range 5 {
			a.hear(rival4, 100)
			a.wait(time.Second)
		}
	}},
	{"demoted", []func(*vrrp.Config){func(c *vrrp.Config) { c.Checks = []vrrp.Check{{Name: "nginx"}} }}, func(a *asked) {
		a.check("nginx", false, "connection refused")
		a.hear(rival4, 100)
		a.wait(300 * time.Millisecond)
	}},
	{"drained", nil, func(a *asked) {
		a.do(&vrrp.Drain{Instance: "web", By: "root (uid 0, pid 7)", Why: "new kernel", Until: a.now.Add(30 * time.Minute)})
		a.hear(rival4, 100)
		a.wait(300 * time.Millisecond)
	}},
	{"standing back", nil, func(a *asked) {
		a.wait(4 * time.Second)
		a.do(&vrrp.Failover{Instance: "web", By: "root (uid 0, pid 7)"})
		a.wait(20 * time.Millisecond)
		for range 90 {
			a.hear(rival4, 100)
			a.wait(time.Second)
		}
	}},
	{"master", nil, func(a *asked) { a.wait(10 * time.Second) }},
	{"demoted master, no lease", []func(*vrrp.Config){func(c *vrrp.Config) {
		c.Lease, c.Checks = 0, []vrrp.Check{{Name: "nginx"}}
	}}, func(a *asked) {
		a.check("nginx", true, "")
		a.wait(10 * time.Second)
		a.check("nginx", false, "connection refused")
		a.wait(10 * time.Second)
	}},
	{"handing over", nil, func(a *asked) {
		a.wait(10 * time.Second)
		a.do(&vrrp.Drain{Instance: "web", Try: true, By: "root (uid 0, pid 7)"})
		a.wait(100 * time.Millisecond)
	}},
	{"beside a rival", nil, func(a *asked) {
		a.wait(10 * time.Second)
		for range 3 {
			a.hear(rival4, 100)
			a.wait(time.Second)
		}
	}},
	{"nobody heard", nil, func(a *asked) { a.wait(time.Second) }},
	{"the master released", nil, func(a *asked) {
		a.hear(rival4, 200)
		a.wait(100 * time.Millisecond)
		a.hear(rival4, 0)
		a.wait(100 * time.Millisecond)
	}},
	{"starting", []func(*vrrp.Config){func(c *vrrp.Config) { c.StartupDelay = 20 * time.Second }}, func(a *asked) { a.wait(8 * time.Second) }},
	{"waiting for a check", []func(*vrrp.Config){func(c *vrrp.Config) { c.Checks = []vrrp.Check{{Name: "nginx"}} }}, func(*asked) {}},
	{"released by a check", []func(*vrrp.Config){func(c *vrrp.Config) {
		c.Checks = []vrrp.Check{{Name: "nginx", OnFailure: vrrp.Release}}
	}}, func(a *asked) { a.check("nginx", false, "connection refused") }},
	{"no carrier", nil, func(a *asked) { a.link(false) }},
	{"address owner, in fault", []func(*vrrp.Config){func(c *vrrp.Config) { c.Priority = 255 }}, func(a *asked) { a.link(false) }},
	{"both families alike", []func(*vrrp.Config){dualStack}, func(a *asked) {
		a.hear(rival4, 200)
		a.wait(100 * time.Millisecond)
		a.hear(rival6, 200)
		a.wait(300 * time.Millisecond)
	}},
	{"each family its own", []func(*vrrp.Config){dualStack}, func(a *asked) {
		for range 10 {
			a.hear(rival4, 200)
			a.wait(time.Second)
		}
	}},
}

func dualStack(c *vrrp.Config) {
	c.Addresses = append(c.Addresses, netip.MustParsePrefix("fe80::100/64"))
}

// TestExplainSentences holds all that is said against testdata/explain.txt, which
// UPDATE_GOLDEN=1 writes anew.
func TestExplainSentences(t *testing.T) {
	var b strings.Builder
	for _, s := range situations {
		a := newAsked(t, askedConfig(s.cfg...))
		s.happen(a)
		fmt.Fprintf(&b, "== %s\n%s\n", s.name, a.text())
	}
	const golden = "testdata/explain.txt"
	if os.Getenv("UPDATE_GOLDEN") != "" {
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("sentences (-want +got):\n%s", diff)
	}
}

// TestExplain asks daemons: what a backup foretells is when it takes over, once
// the master is gone.
func TestExplain(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		x, err := backend{b.d}.Explain(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		f := x.Instances[0].Families[0]
		if f.Verdict != "outranked" || f.Heard == nil || f.Heard.Priority != 150 || f.Silence.At == nil || !f.Silence.Master {
			t.Fatalf("the backup says %+v", f)
		}
		if want := f.Heard.LastHeard.Add(down(time.Second, 100)); !f.Silence.At.Equal(want) {
			t.Errorf("it would be master at %v, want %v", f.Silence.At, want)
		}
		a.kill()
		time.Sleep(time.Until(*f.Silence.At) - time.Nanosecond)
		synctest.Wait()
		if s := b.instance().State; s != "backup" {
			t.Errorf("a moment before it is %s", s)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if i := b.instance(); i.State != "master" || !i.Since.Equal(*f.Silence.At) {
			t.Errorf("it is %s since %v, foretold was %v", i.State, i.Since, f.Silence.At)
		}
		for name, want := range map[string]string{
			"wep":      `there is no instance "wep": did you mean "web"?`,
			"database": `there is no instance "database", only web`,
		} {
			if _, err := (backend{b.d}).Explain(t.Context(), name); err == nil || err.Error() != want {
				t.Errorf("of %s: %v, want %s", name, err, want)
			}
		}
		if x, err := (backend{b.d}).Explain(t.Context(), ""); err != nil || len(x.Instances) != 1 || x.Version != control.Version {
			t.Errorf("of all: %+v, %v", x, err)
		}
		b.stop()
	})
}

// Of all instances each is explained once, in the order of the configuration, also
// where those of a group are apart; one of a group alone when it is asked for.
func TestExplainAll(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		more := func(name string, vrid int) string {
			return fmt.Sprintf("[[instance]]\nname = %q\ninterface = \"eth0\"\nvrid = %d\npriority = 150\naddresses = [\"198.51.100.%d/24\"]\n", name, vrid, vrid)
		}
		a := startNode(t, lan, "a", 1, conf(150, "1s", more("dns", 52), more("inside", 53), "[[group]]\nname = \"edge\"\ninstances = [\"web\", \"inside\"]"))
		synctest.Wait()
		for instance, want := range map[string]string{"": "web dns inside", "inside": "inside", "dns": "dns"} {
			x, err := backend{a.d}.Explain(t.Context(), instance)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, i := range x.Instances {
				got = append(got, i.Name)
				if (i.Group == "edge") != (i.Name != "dns") || i.Families[0].Verdict != "no_master" || !i.At.Equal(time.Now()) {
					t.Errorf("%s: %+v", i.Name, i)
				}
			}
			if strings.Join(got, " ") != want {
				t.Errorf("asked for %q, %v are explained, want %s", instance, got, want)
			}
		}
		a.stop()
		if _, err := (backend{a.d}).Explain(t.Context(), ""); !errors.Is(err, errStopping) {
			t.Errorf("after the stop: %v, want %v", err, errStopping)
		}
	})
}

// A node that stops does not promise to take part again.
func TestExplainWhileStopping(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s"))
		a.kernel.SetCarrier("eth0", false)
		a.start()
		synctest.Wait()
		list, err := backend{a.d}.explainUnit(t.Context(), "web")
		if err != nil {
			t.Fatal(err)
		}
		for _, stopping := range []bool{false, true} {
			text := fmt.Sprint(renderExplanation(&list[0], stopping).Sentences)
			if strings.Contains(text, "Once it takes part") == stopping || strings.Contains(text, "This node is stopping") != stopping {
				t.Errorf("stopping %t: %s", stopping, text)
			}
		}
		a.stop()
	})
}
