package main

// What is planned, and a restart however it comes, loses no datagram of a client
// that asks 2000 times a second.

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// The priorities of a duo.
const (
	highest = 200
	lower   = 150
)

// lingerMost is how long a master that yields goes on serving while its
// successor announces itself, for the few addresses of a duo.
const (
	lingerMost  = 110 * time.Millisecond
	lingerMost6 = 210 * time.Millisecond
)

// lingers is that of an address.
func lingers(vip string) time.Duration {
	if is6(vip) {
		return lingerMost6
	}
	return lingerMost
}

// duo is two nodes that serve one address of each family, the first of them as
// master, and a client that asks both addresses.
type duo struct {
	a, b   *node
	client *lab.Host
	probes []*lab.Probe // of vipFour and vipSix
}

// countHook writes a line for each event. Instances may run theirs together.
const countHook = "[[notify]]\nexec = [\"/bin/sh\", \"-c\", \"echo $HOLDFAST_INSTANCE $HOLDFAST_STATE >> /run/hooks\"]\n"

// duoTOML is the configuration of one node of a duo, with the hook that counts.
func duoTOML(priority int, interval time.Duration, lines ...string) string {
	return bothTOML(priority, interval.String(), lines...) + countHook
}

// newDuo starts both nodes and waits until a serves.
func newDuo(t *testing.T, a, b string) *duo {
	t.Helper()
	l := newLab(t)
	n := nodes(t, l, 2)
	d := &duo{a: n[0], b: n[1], client: newClient(t, l)}
	for _, n := range n {
		n.setFlag(true)
	}
	d.a.run(a)
	d.b.run(b)
	for _, vip := range []string{vipFour, vipSix} {
		only(t, settled, vip, d.a, d.b)
		p, err := d.client.Probe(addrOf(vip), 2000)
		if err != nil {
			t.Fatal(err)
		}
		served(t, p, d.a)
		d.probes = append(d.probes, p)
	}
	return d
}

// lossless checks both addresses.
func (d *duo) lossless(t *testing.T, since time.Time) {
	t.Helper()
	for n, vip := range []string{vipFour, vipSix} {
		lossless(t, vip, d.probes[n], since)
	}
}

// story is what a node tells of its changes of state.
type story struct {
	Logged       []string // the log's lines
	Became, Left uint64   // counted
	Hooks        int      // run
}

// story reads it, of this run of the daemon, but the hooks of all runs.
func (n *node) story() (s story) {
	n.t.Helper()
	for line := range strings.Lines(n.daemon.Output()) {
		if _, what, ok := strings.Cut(line, "state changed: "); ok {
			s.Logged = append(s.Logged, what)
		}
	}
	for _, i := range n.status().Instances {
		s.Became += i.Counters.BecameMaster
		s.Left += i.Counters.LeftMaster
	}
	text, err := n.ReadFile("/run/hooks")
	if err != nil {
		n.t.Fatal(err)
	}
	s.Hooks = strings.Count(text, "\n")
	return s
}

// sameStory checks that a node had no transition since.
func sameStory(t *testing.T, n *node, before story) {
	t.Helper()
	if diff := cmp.Diff(before, n.story()); diff != "" {
		t.Errorf("transitions of %s (-before +after):\n%s", n.Name(), diff)
	}
}

// hooksRan waits until a node's hooks have told so many transitions, so that
// later ones are not mistaken for these.
func hooksRan(t *testing.T, n *node, count int) {
	t.Helper()
	eventually(t, settled, fmt.Sprintf("%d hooks ran on %s", count, n.Name()), func() bool {
		text, err := n.ReadFile("/run/hooks")
		return err == nil && strings.Count(text, "\n") >= count
	})
}

func TestLosslessStop(t *testing.T) {
	for _, interval := range []time.Duration{10 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		quick(t, interval, func(t *testing.T) {
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			began := time.Now()
			d.a.stop()
			t.Logf("measured: the stop took %s", ms(time.Since(began)))
			for n, vip := range []string{vipFour, vipSix} {
				only(t, room, vip, d.b, d.a)
				served(t, d.probes[n], d.b)
			}
			d.lossless(t, began)
		})
	}
}

// A daemon that is replaced within 200 ms is not missed: nothing is lost, no
// node changes its state, the peer hears nothing unusual.
func TestLosslessRestart(t *testing.T) {
	const interval = time.Second
	const also = "192.0.2.101"
	config := func(priority int, more string) string {
		one := []string{vipFour + "/24", more + "/24"}
		return namedTOML("four", 51, priority, interval.String(), one) +
			namedTOML("six", 52, priority, interval.String(), []string{vipSix + "/64"}) + countHook
	}
	for _, c := range []struct {
		name   string
		how    syscall.Signal
		change func(t *testing.T, n *node) (path string)
	}{
		{"killed", syscall.SIGKILL, nil},
		{"left to the next", syscall.SIGUSR2, nil}, // what systemctl restart does
		{"killed, another configuration", syscall.SIGKILL, func(t *testing.T, n *node) string {
			n.configure(config(highest-20, "192.0.2.102"))
			return selfPath()
		}},
		{"killed, another binary", syscall.SIGKILL, func(t *testing.T, n *node) string {
			path := filepath.Join(t.TempDir(), "another")
			copyFile(t, path, selfPath())
			return path
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := newDuo(t, config(highest, also), config(lower, also))
			hooksRan(t, d.a, 4) // backup and master of each instance
			hooksRan(t, d.b, 2)
			before, peer := d.a.story(), d.b.story()
			path := selfPath()
			if c.change != nil {
				path = c.change(t, d.a)
			}
			adverts := captureAdverts(t, d.client, "eth0", 51)
			held := watch(t, vipFour, d.b, d.a)
			heldSix := watch(t, vipSix, d.b, d.a)
			began := time.Now()
			d.restart(t, c.how, path, began)

			// Until the peer would have noticed, and the lease have run out.
			during(t, detection(interval, lower)+time.Second, "a alone has the addresses", func() bool {
				return d.a.has(vipFour) && d.a.has(vipSix) && !d.b.has(vipFour) && !d.b.has(vipSix)
			})
			d.wantSilence(t, before, peer)
			held.wantAlways(t, "a")
			heldSix.wantAlways(t, "a")
			longest, sources := adverts.result(t)
			t.Logf("measured: longest pause between adverts %s", ms(longest))
			if len(sources) != 1 || longest > 2*interval+room {
				t.Errorf("adverts came from %v, at least every %v", sources, longest)
			}
			d.lossless(t, began)
			if c.name == "killed, another configuration" {
				if p := d.a.instance("four").Priority.Base; p != highest-20 || d.a.has(also) || !d.a.has("192.0.2.102") {
					t.Errorf("the new configuration is not in force: priority %d, has %s: %v", p, also, d.a.has(also))
				}
			}
		})
	}
}

// restart ends the daemon of a and starts another 200 ms after.
func (d *duo) restart(t *testing.T, how syscall.Signal, path string, began time.Time) {
	t.Helper()
	if err := d.a.daemon.Signal(how); err != nil {
		t.Fatal(err)
	}
	<-d.a.daemon.Done()
	ended := time.Since(began)
	time.Sleep(200*time.Millisecond - ended) // as a supervisor does
	p, err := d.a.Start(path, "run", "--config", "/run/holdfast.toml")
	if err != nil {
		t.Fatal(err)
	}
	d.a.daemon = p
	eventually(t, settled, "both instances went on", func() bool { return strings.Count(p.Output(), "went on as master") == 2 })
	t.Logf("measured: ended after %s, went on as master after %s", ms(ended), ms(time.Since(began)))
}

// wantSilence checks that a's daemon went on where the one before ended, and
// that b noticed nothing.
func (d *duo) wantSilence(t *testing.T, before, peer story) {
	t.Helper()
	sameStory(t, d.b, peer)
	after := d.a.story()
	if after.Hooks != before.Hooks || after.Left != 0 || after.Became != 2 || len(after.Logged) != 2 {
		t.Errorf("a restart had transitions: %+v before, %+v after", before, after)
	}
	for _, line := range after.Logged {
		if !strings.Contains(line, `from=init to=master reason="went on as master over a restart"`) {
			t.Errorf("log of a: %s", line)
		}
	}
	for _, bad := range []string{"[WARN]", "[ERROR]", "earlier run"} {
		if bad == "earlier run" && d.a.has("192.0.2.102") {
			continue // an address less is one removed
		}
		if strings.Contains(d.a.daemon.Output(), bad) {
			t.Errorf("the daemon has something to tell: %s", bad)
		}
	}
}

func copyFile(t *testing.T, to, from string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

// A check that fails moves the address within 50 ms of the decision, to a node
// that would not preempt either, and with nothing lost; at 1 s adverts.
func TestLosslessCheckFails(t *testing.T) {
	for _, c := range []struct {
		onFailure string
		most      time.Duration
	}{
		{"demote", 50 * time.Millisecond},
		{"release", 20 * time.Millisecond},
	} {
		t.Run(c.onFailure, func(t *testing.T) {
			t.Parallel()
			const interval = time.Second
			check := flagCheckTOML(fmt.Sprintf("on_failure = %q", c.onFailure))
			d := newDuo(t, duoTOML(highest, interval)+check, duoTOML(lower, interval, "preempt = false"))
			began := time.Now()
			d.a.setFlag(false)
			d.a.wantLog("check fails: check=flag")
			decided := logTime(t, d.a, "check fails: check=flag")
			for n, vip := range []string{vipFour, vipSix} {
				eventually(t, c.most+room, "b has "+vip, func() bool { return d.b.has(vip) })
				served(t, d.probes[n], d.b)
				took := answered(t, d.probes[n], decided, d.b)
				t.Logf("measured: %s: b served %s after the decision", vip, ms(took))
				if took > c.most+room {
					t.Errorf("%s: b served %v after the decision, want at most %v", vip, took, c.most)
				}
				only(t, lingers(vip)+room, vip, d.b, d.a)
			}
			d.lossless(t, began)
		})
	}
}

// logTime is when the daemon wrote a line, to the millisecond.
func logTime(t testing.TB, n *node, what string) time.Time {
	t.Helper()
	for line := range strings.Lines(n.daemon.Output()) {
		if !strings.Contains(line, what) {
			continue
		}
		stamp, _, _ := strings.Cut(line, " ")
		at, err := time.Parse("2006-01-02T15:04:05.000Z0700", stamp)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	t.Fatalf("%s has not logged %q", n.Name(), what)
	return time.Time{}
}

// A reload that adds an address: nothing is lost, and the adverts keep their
// pace.
func TestLosslessReload(t *testing.T) {
	for _, interval := range []time.Duration{100 * time.Millisecond, time.Second} {
		quick(t, interval, func(t *testing.T) {
			const added = "192.0.2.101"
			d := newDuo(t, duoTOML(highest, interval), duoTOML(lower, interval))
			more := strings.Replace(duoTOML(highest, interval), `"`+vipFour+`/24"`, `"`+vipFour+`/24", "`+added+`/24"`, 1)
			adverts := captureAdverts(t, d.client, "eth0", 51)
			hooksRan(t, d.a, 4)
			before, peer := d.a.story(), d.b.story()
			began := time.Now()
			d.a.reload(more)
			took := eventually(t, room, "the address is there", func() bool { return d.a.has(added) })
			during(t, 2*interval, "a alone has the address", func() bool { return d.a.has(vipFour) && !d.b.has(vipFour) })
			longest, sources := adverts.result(t)
			t.Logf("measured: there %s after the reload, longest pause between adverts %s", ms(took), ms(longest))
			if longest > interval+room || len(sources) != 1 {
				t.Errorf("longest pause between adverts %v, from %v", longest, sources)
			}
			d.lossless(t, began)
			sameStory(t, d.a, before)
			sameStory(t, d.b, peer)
		})
	}
}
