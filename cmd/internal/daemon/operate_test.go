package daemon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

const operator = "root (uid 0, pid 7)"

func (n *node) drain(o control.DrainOrder) *control.Operated {
	n.t.Helper()
	done, err := backend{n.d}.Drain(n.t.Context(), operator, &o)
	return n.answered(done, err)
}

func (n *node) undrain(names ...string) *control.Operated {
	n.t.Helper()
	done, err := backend{n.d}.Undrain(n.t.Context(), operator, &control.Selection{Instances: names})
	return n.answered(done, err)
}

func (n *node) failover(names ...string) *control.Operated {
	n.t.Helper()
	done, err := backend{n.d}.Failover(n.t.Context(), operator, &control.Selection{Instances: names})
	return n.answered(done, err)
}

func (n *node) announce(names ...string) *control.Operated {
	n.t.Helper()
	done, err := backend{n.d}.Announce(n.t.Context(), operator, &control.Selection{Instances: names})
	return n.answered(done, err)
}

func (n *node) answered(done *control.Operated, err error) *control.Operated {
	n.t.Helper()
	if err != nil {
		n.t.Fatalf("%s: %v", n.name, err)
	}
	return done
}

// wantText asserts what was answered for the only instance.
func wantText(t *testing.T, o *control.Operated, done bool, text string) {
	t.Helper()
	if len(o.Results) != 1 || o.Done != done || o.Results[0].Done != done || !strings.Contains(o.Results[0].Text, text) {
		t.Errorf("answered %+v, want done %v and %q", *o, done, text)
	}
}

// operated runs two nodes, a master and b backup.
func operated(t *testing.T, lan *network, more ...string) (a, b *node) {
	t.Helper()
	a, b = newNode(t, lan, "a", 1, conf(150, "1s", more...)), newNode(t, lan, "b", 2, conf(100, "1s", more...))
	a.d.opts.State, b.d.opts.State = t.TempDir(), t.TempDir()
	a.start()
	b.start()
	await(t, 5*time.Second, "a", a, b)
	time.Sleep(time.Second)
	return a, b
}

func TestDrainAndUndrain(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		o := a.drain(control.DrainOrder{Why: "new kernel"})
		wantText(t, o, true, "192.0.2.2 took over after ")
		if r := o.Results[0]; !r.Moved || r.Peer != "192.0.2.2" || r.PeerPriority != 100 || r.TookMS <= 0 || r.TookMS > 20 || r.State != "backup" {
			t.Errorf("result %+v", r)
		}
		if o.Note != "drained until 'holdfast undrain' or a restart of the daemon" {
			t.Errorf("note %q", o.Note)
		}
		served(t, 10*time.Second, a, b)
		i := a.instance()
		if i.State != "backup" || !i.Drained || i.Demoted || i.Drain == nil || i.Drain.By != operator || i.Drain.Why != "new kernel" || i.Drain.Until != nil || i.Drain.Persist {
			t.Errorf("%s, drained %v, %+v", i.State, i.Drained, i.Drain)
		}
		if a.d.summary() != "1 backup; 1 drained by the operator" {
			t.Errorf("status line %q", a.d.summary())
		}
		wantText(t, a.drain(control.DrainOrder{}), true, "drained as backup of 192.0.2.2 (priority 100)")
		wantText(t, a.undrain(), true, "takes over from 192.0.2.2 within ")
		served(t, 5*time.Second, a, b)
		if holders(a, b) != "a" || a.instance().Drain != nil {
			t.Errorf("undrained, the VIP is on %q, drain %+v", holders(a, b), a.instance().Drain)
		}
		wantText(t, a.undrain("web"), true, "was not drained; stays master, with priority 150")
		wantText(t, b.undrain("web"), true, "was not drained; stays backup: 192.0.2.1 is master with priority 150, this node has 100")
		if d, u := a.log.count("drained: instance=web from=150 to=30"), a.log.count("not drained any more: instance=web from=30 to=150"); d != 1 || u != 1 {
			t.Errorf("the log tells %d drains and %d ends", d, u)
		}
		if n := a.log.count(`asked-by="root (uid 0, pid 7)"`); n < 4 {
			t.Errorf("the log names who asked %d times", n)
		}
	})
}

// Nobody answers: nothing changes, and with force the node stays drained and
// serves.
func TestDrainRefused(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		b.stop()
		wantText(t, a.drain(control.DrainOrder{}), false, "nobody was heard to take over within 1.1s: not drained, this node goes on as it was; with --force it is drained all the same")
		if i := a.instance(); i.State != "master" || i.Drained || i.Drain != nil || i.Priority.Effective != 150 || !a.holds(testVIP) {
			t.Errorf("refused: %s, drained %v, %+v", i.State, i.Drained, i.Priority)
		}
		wantText(t, a.failover(), false, "nobody was heard to take over within 1.1s: this node goes on as it was")
		wantText(t, a.drain(control.DrainOrder{Force: true}), true, "this node serves until a healthy one does")
		if i := a.instance(); i.State != "master" || !i.Drained || !a.holds(testVIP) {
			t.Errorf("forced: %s, drained %v", i.State, i.Drained)
		}
	})
}

func TestUnknownInstance(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan)
		_, err := backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{Selection: control.Selection{Instances: []string{"web", "wep"}}})
		if err == nil || err.Error() != `there is no instance "wep": did you mean "web"? Nothing was done` {
			t.Errorf("a typing error: %v", err)
		}
		_, err = backend{a.d}.Announce(t.Context(), operator, &control.Selection{Instances: []string{"database"}})
		if err == nil || err.Error() != `there is no instance "database", only web; nothing was done` {
			t.Errorf("another name: %v", err)
		}
		for _, bad := range []control.DrainOrder{{For: "soon"}, {For: "-1s"}, {Why: "a\nb"}, {Why: strings.Repeat("x", 201)}} {
			if _, err := (backend{a.d}).Drain(t.Context(), operator, &bad); err == nil {
				t.Errorf("%.40v was accepted", bad)
			}
		}
		if i := a.instance(); i.Drained || i.State != "master" {
			t.Errorf("after refusals: %s, drained %v", i.State, i.Drained)
		}
	})
}

// A failover does not flap back, and an undrain takes it back.
func TestFailoverByTheOperator(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		wantText(t, b.failover(), false, "this node is backup; run it on 192.0.2.1, which is master")
		wantText(t, a.failover("web"), true, "192.0.2.2 took over after ")
		served(t, time.Minute, a, b)
		i := a.instance()
		if holders(a, b) != "b" || i.Drained || i.Failover == nil || i.Failover.By != operator || i.Priority.Effective != 150 {
			t.Errorf("the VIP is on %q, %+v, %+v", holders(a, b), i.Failover, i.Priority)
		}
		wantText(t, a.undrain(), true, "takes over from 192.0.2.2 within ")
		served(t, 5*time.Second, a, b)
		if holders(a, b) != "a" {
			t.Errorf("undrained, the VIP is on %q", holders(a, b))
		}
	})
}

func TestUndrainWithoutPreempt(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan, "preempt = false")
		wantText(t, a.drain(control.DrainOrder{}), true, "took over")
		wantText(t, a.undrain(), true, "stays backup of 192.0.2.2: preempt = false")
	})
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan, `preempt = "30s"`)
		wantText(t, a.drain(control.DrainOrder{}), true, "took over")
		wantText(t, a.undrain(), true, "takes over from 192.0.2.2 after the preempt delay of 30s")
	})
}

func TestAnnounce(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		before := a.instance().Counters.Announcements
		wantText(t, a.announce("web", "web"), true, "announced 1 address on eth0, 5 times within 800ms")
		time.Sleep(time.Second)
		if n := a.instance().Counters.Announcements - before; n != 5 {
			t.Errorf("%d announcements, want 5", n)
		}
		wantText(t, b.announce(), false, "this node is backup; run it on 192.0.2.1, which is master")
	})
}

// A drain ends by itself, and says so.
func TestDrainFor(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		o := a.drain(control.DrainOrder{For: "30s"})
		if !strings.HasPrefix(o.Note, "drained until 2000-01-01 00:00:") || !strings.HasSuffix(o.Note, ", or 'holdfast undrain' or a restart of the daemon") {
			t.Errorf("note %q", o.Note)
		}
		if u := a.instance().Drain.Until; u == nil || time.Until(*u) > 30*time.Second || time.Until(*u) < 29*time.Second {
			t.Errorf("until %v", u)
		}
		served(t, 29*time.Second, a, b)
		if holders(a, b) != "b" {
			t.Errorf("before its end the VIP is on %q", holders(a, b))
		}
		served(t, 6*time.Second, a, b)
		if holders(a, b) != "a" || a.log.count("drain ended at its time") != 1 {
			t.Errorf("after its end the VIP is on %q", holders(a, b))
		}
	})
}

// again starts a daemon on the host of one that was cut off.
func (n *node) again(t *testing.T, conf string) *node {
	t.Helper()
	m := newNodeOn(t, n.lan, n.kernel, n.name+"2", n.host, conf)
	m.d.opts.State = n.d.opts.State
	m.start()
	return m
}

// A drain survives a restart when it is to, with its end; else not.
func TestDrainPersists(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		o := a.drain(control.DrainOrder{Persist: true, For: "1m", Why: "new kernel"})
		wantText(t, o, true, "took over")
		if !strings.HasSuffix(o.Note, ", or 'holdfast undrain'") || o.Warning != "" {
			t.Errorf("note %q, warning %q", o.Note, o.Warning)
		}
		since := a.instance().Drain.Since
		a.stop()
		time.Sleep(10 * time.Second)
		c := a.again(t, conf(150, "1s"))
		served(t, 10*time.Second, b, c)
		i := c.instance()
		if i.State != "backup" || i.Drain == nil || !i.Drain.Since.Equal(since) || i.Drain.By != operator || i.Drain.Why != "new kernel" || !i.Drain.Persist || i.Drain.Until == nil {
			t.Fatalf("restarted: %s, %+v", i.State, i.Drain)
		}
		served(t, 50*time.Second, b, c)
		if holders(b, c) != "c2" && holders(b, c) != "a2" {
			t.Errorf("after its end the VIP is on %q", holders(b, c))
		}
		if _, err := os.Stat(filepath.Join(c.d.opts.State, drainsName)); !os.IsNotExist(err) {
			t.Errorf("the drain that ended is still on disk: %v", err)
		}
		wantText(t, c.drain(control.DrainOrder{}), true, "took over")
		c.stop()
		e := c.again(t, conf(150, "1s"))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if i := e.instance(); i.Drained || i.State != "master" {
			t.Errorf("without --persist, restarted: %s, drained %v", i.State, i.Drained)
		}
	})
}

// A reload keeps a drain on disk by its new name, and forgets one whose instance
// is gone.
func TestReloadAndPersistentDrains(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan)
		a.drain(control.DrainOrder{Persist: true})
		file := filepath.Join(a.d.opts.State, drainsName)
		reload := func(conf string) {
			t.Helper()
			a.edit(conf)
			if _, err := (backend{a.d}).Reload(t.Context(), operator); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
			synctest.Wait()
		}
		reload(strings.Replace(conf(150, "1s"), `"web"`, `"www"`, 1))
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `"www"`) {
			t.Errorf("renamed: %s (%v)", text, err)
		}
		reload(strings.Replace(conf(150, "1s"), "vrid = 51", "vrid = 52", 1))
		if _, err := os.Stat(file); !os.IsNotExist(err) || a.instance().Drained {
			t.Errorf("another virtual router: %v, drained %v", err, a.instance().Drained)
		}
	})
}

// A drain is not said to go on when its instance went meanwhile.
func TestDrainOfWhatIsGone(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan)
		a.drain(control.DrainOrder{Persist: true})
		a.stop()
		c := a.again(t, strings.Replace(conf(150, "1s"), `"web"`, `"www"`, 1))
		time.Sleep(time.Second)
		got, _ := c.events(0)
		if all := strings.Join(got, "\n"); !strings.Contains(all, "operator warning: web: its drain is forgotten") || strings.Contains(all, "still drained") {
			t.Errorf("the new daemon tells:\n%s", all)
		}
		if _, err := os.Stat(filepath.Join(c.d.opts.State, drainsName)); !os.IsNotExist(err) || c.instance().Drained {
			t.Errorf("on disk: %v, drained %v", err, c.instance().Drained)
		}
	})
}

// What the disk does not take is told; the drain stands.
func TestDrainThatCannotBeKept(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := operated(t, lan)
		if err := os.RemoveAll(a.d.opts.State); err != nil {
			t.Fatal(err)
		}
		o := a.drain(control.DrainOrder{Persist: true})
		if o.Done || !strings.HasPrefix(o.Warning, "a restart of the daemon will not know of it: cannot remember drains") || !o.Results[0].Done || !a.instance().Drained {
			t.Errorf("%+v, drained %v", *o, a.instance().Drained)
		}
	})
}

// A damaged file drains nobody, and is told.
func TestDamagedDrains(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		for text, want := range map[string]string{
			"{": "is damaged", `{"version": 2}`: "has version 2 instead of 1",
		} {
			a := newNode(t, lan, "a"+want[:3], 1, conf(150, "1s"))
			a.d.opts.State = t.TempDir()
			if err := os.WriteFile(filepath.Join(a.d.opts.State, drainsName), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			a.start()
			time.Sleep(5 * time.Second)
			if a.instance().State != "master" || a.log.count(want) != 1 {
				t.Errorf("with %q: %s", text, a.instance().State)
			}
			a.edit(conf(150, "1s"))
			a.reload <- os.Interrupt
			time.Sleep(time.Second)
			if _, err := os.Stat(filepath.Join(a.d.opts.State, drainsName)); err != nil {
				t.Errorf("a reload did away with %q: %v", text, err)
			}
			a.undrain()
			if _, err := os.Stat(filepath.Join(a.d.opts.State, drainsName)); !os.IsNotExist(err) {
				t.Errorf("an order left %q: %v", text, err)
			}
			a.stop()
		}
	})
}

// Orders that meet in time are each answered for what became of them.
func TestOrdersThatMeet(t *testing.T) {
	type answered struct {
		done *control.Operated
		err  error
	}
	give := func(order func() (*control.Operated, error)) <-chan answered {
		got := make(chan answered, 1)
		go func() {
			done, err := order()
			got <- answered{done, err}
		}()
		synctest.Wait()
		return got
	}
	wants := func(t *testing.T, got <-chan answered, done bool, text string) {
		t.Helper()
		a := <-got
		if a.err != nil {
			t.Fatal(a.err)
		}
		wantText(t, a.done, done, text)
	}
	for name, play := range map[string]func(t *testing.T, a *node){
		"a drain in the place of a failover": func(t *testing.T, a *node) {
			failover := give(func() (*control.Operated, error) {
				return backend{a.d}.Failover(t.Context(), operator, &control.Selection{})
			})
			drain := give(func() (*control.Operated, error) {
				return backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{Force: true})
			})
			wants(t, failover, false, "a drain took the place of the failover: nobody was heard to take over")
			wants(t, drain, true, "nobody was heard to take over within 1.1s: drained")
		},
		"a reload renames the instance": func(t *testing.T, a *node) {
			first := give(func() (*control.Operated, error) {
				return backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{})
			})
			a.edit(strings.Replace(conf(150, "1s"), `"web"`, `"www"`, 1))
			a.reload <- os.Interrupt
			time.Sleep(time.Millisecond)
			second := give(func() (*control.Operated, error) {
				return backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{})
			})
			wants(t, first, false, "another order came, once a reload had renamed it")
			wants(t, second, false, "nobody was heard to take over")
		},
		"a reload makes it another virtual router": func(t *testing.T, a *node) {
			drain := give(func() (*control.Operated, error) {
				return backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{})
			})
			a.edit(strings.Replace(conf(150, "1s"), "vrid = 51", "vrid = 52", 1))
			a.reload <- os.Interrupt
			wants(t, drain, false, "the configuration gives it vrid 52, with which it starts anew: it is handed over")
		},
		"a restart": func(t *testing.T, a *node) {
			drain := give(func() (*control.Operated, error) {
				return backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{})
			})
			synctest.Wait()
			close(a.leave)
			if d := <-drain; d.err == nil || d.err.Error() != "the daemon is restarting: the order is void, give it again" {
				t.Errorf("answered %+v, %v", d.done, d.err)
			}
			<-a.result
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, b := operated(t, lan)
				b.stop()
				play(t, a)
				synctest.Wait()
				if n := len(a.d.operations); n != 0 {
					t.Errorf("%d orders are never answered", n)
				}
			})
		})
	}
}

// A drain that may still be void is not on disk: a restart would make it stand.
func TestTriedDrainIsNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		b.stop()
		const second = "[[instance]]\nname = \"db\"\ninterface = \"eth0\"\nvrid = 52\npriority = 90\naddresses = [\"192.0.2.101/24\"]"
		a.edit(conf(150, "1s", second))
		a.reload <- os.Interrupt
		time.Sleep(100 * time.Millisecond) // db is backup still, and so drained at once
		go backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{Persist: true})
		time.Sleep(300 * time.Millisecond)
		text, err := os.ReadFile(filepath.Join(a.d.opts.State, drainsName))
		if err != nil || !strings.Contains(string(text), `"db"`) || strings.Contains(string(text), `"web"`) {
			t.Errorf("on disk while web waits for a successor: %s (%v)", text, err)
		}
		time.Sleep(2 * time.Second)
	})
}

// Of an order that is void where one family has moved, the operator hears so.
func TestRefusedByOneFamily(t *testing.T) {
	r := outcomeResult(&operation{what: "drain"}, &vrrp.Outcome{
		Instance: "web", Moved: true, Peer: netip.MustParseAddr("192.0.2.2"), State: vrrp.StateMaster, Reason: "ipv6: nobody was heard to take over within 1.1s",
	})
	if want := "ipv6: nobody was heard to take over within 1.1s; the rest is at 192.0.2.2: 'holdfast status' tells"; r.Text != want || r.Done {
		t.Errorf("done %v, %q; want %q", r.Done, r.Text, want)
	}
}

// Who is ill does not take back, whatever its priority, and undrain says so.
func TestUndrainOfTheIll(t *testing.T) {
	for _, c := range []struct{ preempt, text string }{
		{"preempt = false", "stays backup of 192.0.2.2: preempt = false"},
		{`preempt = "30s"`, "takes over from 192.0.2.2 after the preempt delay of 30s"},
	} {
		inBubble(t, func(t *testing.T, lan *network) {
			check := c.preempt + "\n[[check]]\nname = \"dead\"\ntcp = \"127.0.0.1:1\"\ninterval = \"100ms\""
			a := newNode(t, lan, "a", 1, conf(150, "1s", check))
			a.start()
			time.Sleep(10 * time.Second)
			b := newNode(t, lan, "b", 2, conf(100, "1s", check))
			b.start()
			time.Sleep(10 * time.Second)
			wantText(t, a.drain(control.DrainOrder{}), true, "took over")
			wantText(t, a.undrain(), true, c.text)
		})
	}
}

// An order stands when who gave it goes away, and the end of the daemon answers
// those that wait.
func TestOrderWithoutItsAsker(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		b.stop()
		gone := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := backend{a.d}.Drain(ctx, operator, &control.DrainOrder{Force: true})
			gone <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-gone; err == nil {
			t.Error("an asker that went away was answered")
		}
		time.Sleep(2 * time.Second)
		if i := a.instance(); !i.Drained || i.State != "master" {
			t.Errorf("%s, drained %v", i.State, i.Drained)
		}
		go func() {
			_, err := backend{a.d}.Failover(t.Context(), operator, &control.Selection{})
			gone <- err
		}()
		synctest.Wait()
		a.cancel()
		if err := <-gone; err == nil || !strings.Contains(err.Error(), "the daemon is stopping") {
			t.Errorf("an asker at the end heard %v", err)
		}
	})
}

// Two who drain at once hear the same.
func TestTwoDrainsAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := operated(t, lan)
		got := make(chan *control.Operated, 2)
		ask := func() {
			o, err := backend{a.d}.Drain(t.Context(), operator, &control.DrainOrder{})
			if err != nil {
				t.Error(err)
			}
			got <- o
		}
		go ask()
		go ask()
		for range 2 {
			wantText(t, <-got, true, "192.0.2.2 took over after ")
		}
		a.undrain()
		served(t, 5*time.Second, a, b)
		b.stop()
		go ask()
		go ask()
		for range 2 {
			wantText(t, <-got, false, "not drained")
		}
		if a.instance().Drained {
			t.Error("drained although nobody was heard to take over")
		}
	})
}
