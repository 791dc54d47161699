package daemon

import (
	"context"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// journaling makes a node keep a journal.
func (n *node) journaling(dir string) *node {
	n.d.opts.Journal = dir
	return n
}

// kill stops the loop for good, as a kill stops a process: nothing is handed
// over, and nothing is taken back, but its sockets are gone. What the manager was told is done.
func (n *node) kill() {
	grave := make(chan struct{})
	n.t.Cleanup(func() { close(grave) })
	n.d.post(func() {
		for key := range n.d.sockets {
			n.d.closeSocket(key)
		}
		<-grave
	})
	synctest.Wait()
}

// freeze stops the loop for a while, as a stopped process waits for its turn.
func (n *node) freeze(long time.Duration) {
	n.d.post(func() {
		time.Sleep(long)
		n.d.awake()
	})
}

// successor prepares the daemon that is started next on the host of this one.
func (n *node) successor(conf string) *node {
	n.t.Helper()
	s := newNodeOn(n.t, n.lan, n.kernel, n.name, n.host, conf)
	s.ahead.Store(n.ahead.Load())
	return s.journaling(n.d.opts.Journal)
}

// pair starts a master a, which keeps a journal, and a backup b.
func pair(t *testing.T, lan *network, confA, confB string) (a, b *node) {
	t.Helper()
	a = newNode(t, lan, "a", 1, confA).journaling(t.TempDir())
	a.start()
	b = startNode(t, lan, "b", 2, confB)
	await(t, 20*time.Second, "a", a, b)
	time.Sleep(2345 * time.Millisecond)
	synctest.Wait()
	return a, b
}

// wentOn fails when a peer noticed anything of a restart, or anybody had the VIP
// beside the node that restarted.
func wentOn(t *testing.T, a, b *node, long time.Duration) {
	t.Helper()
	for began := time.Now(); time.Since(began) < long; {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if got := holders(a, b); got != "a" {
			t.Fatalf("%v later the VIP is on %q", time.Since(began), got)
		}
	}
	if i := a.instance(); i.State != "master" || i.Reason != "went on as master over a restart" {
		t.Errorf("a is %s: %s", i.State, i.Reason)
	}
	if n := b.log.count("to=master"); n != 0 {
		t.Errorf("b became master %d times", n)
	}
}

func TestRestartGoesUnnoticed(t *testing.T) {
	for _, c := range []struct {
		name  string
		conf  string
		leave func(a *node)
		after time.Duration
	}{
		{"killed", "", (*node).kill, 500 * time.Millisecond},
		{"killed, no lease", `lease = "off"`, (*node).kill, 1500 * time.Millisecond},
		{"killed, version 2", `version = 2`, (*node).kill, 500 * time.Millisecond},
		{"told to leave", "", (*node).left, 500 * time.Millisecond},
		{"killed at once after another one", "", (*node).kill, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, b := pair(t, lan, conf(150, "1s", c.conf), conf(100, "1s", c.conf))
				for range 3 {
					c.leave(a)
					served(t, c.after, a, b)
					a = a.successor(conf(150, "1s", c.conf))
					a.start()
					wentOn(t, a, b, 5*time.Second)
				}
				b.stop()
				a.stop()
				if got := holders(a, b); got != "" {
					t.Errorf("after the stop the VIP is on %q", got)
				}
			})
		})
	}
}

// left ends the daemon with all left as it is, and fails when anything was told
// to the peers or changed in the kernel.
func (n *node) left() {
	n.kernel.Log()
	synctest.Wait()
	before := len(n.lan.adverts(n.name, 51))
	close(n.leave)
	if err := <-n.result; err != nil {
		n.t.Error(err)
	}
	if now := len(n.lan.adverts(n.name, 51)); now != before {
		n.t.Errorf("%d adverts on leaving", now-before)
	}
	for _, line := range n.kernel.Log() {
		if strings.Contains(line, " del ") {
			n.t.Errorf("on leaving: %s", line)
		}
	}
	if n.log.count("leaving the addresses to the next daemon") != 1 {
		n.t.Errorf("log:\n%s", n.log)
	}
}

// A daemon that may not go on as master starts like any other, and takes off
// what is left.
func TestRestartStartsOver(t *testing.T) {
	noLease := `lease = "off"` // else the kernel has removed it
	other := strings.ReplaceAll(conf(150, "1s", noLease), "192.0.2.100", "192.0.2.200")
	for _, c := range []struct {
		name   string
		conf   string // of the successor
		spoil  func(t *testing.T, a *node, dir string)
		warned string
	}{
		{"too late", conf(150, "1s", noLease), func(*testing.T, *node, string) { time.Sleep(2750 * time.Millisecond) }, ""},
		{"too late by the boot clock alone", conf(150, "1s", noLease), func(_ *testing.T, a *node, _ string) { a.ahead.Add(int64(3 * time.Second)) }, ""},
		{"damaged journal", conf(150, "1s", noLease), func(t *testing.T, _ *node, dir string) {
			edit(t, filepath.Join(dir, journalName), func(b []byte) []byte { return b[1:] })
		}, "the journal is damaged"},
		{"no journal", conf(150, "1s", noLease), func(_ *testing.T, _ *node, dir string) { os.Remove(filepath.Join(dir, journalName)) }, ""},
		{"address gone", conf(150, "1s", noLease), func(_ *testing.T, a *node, _ string) { a.kernel.Delete("eth0", testVIP) }, ""},
		{"address somebody else's", conf(150, "1s", noLease), func(_ *testing.T, a *node, _ string) {
			a.kernel.Delete("eth0", testVIP)
			a.kernel.Install("eth0", testVIP, 0)
		}, ""},
		{"another VRID", strings.Replace(conf(150, "1s", noLease), "vrid = 51", "vrid = 52", 1), func(*testing.T, *node, string) {}, ""},
		{"no carrier", conf(150, "1s", noLease), func(_ *testing.T, a *node, _ string) { a.kernel.SetCarrier("eth0", false) }, ""},
		{"nothing to do with it", strings.Replace(other, `interface = "eth0"`, `interface = "eth1"`, 1), func(*testing.T, *node, string) {}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a := newNode(t, lan, "a", 1, conf(150, "1s", noLease)).journaling(t.TempDir())
				a.start()
				await(t, 5*time.Second, "a", a)
				time.Sleep(1001 * time.Millisecond)
				a.kill()
				c.spoil(t, a, a.d.opts.Journal)
				foreign := foreignVIP(a)
				a = a.successor(c.conf)
				a.start()
				synctest.Wait()
				if got := a.instance().State; got == "master" {
					t.Errorf("the successor is %s at once", got)
				}
				if a.holds(testVIP) != foreign {
					t.Errorf("on eth0: %v", a.kernel.On("eth0"))
				}
				if got := a.log.count("an earlier run's journal is not used"); got != strings.Count(c.warned, "journal") || !strings.Contains(a.log.String(), c.warned) {
					t.Errorf("%d warnings about the journal, want %q; log:\n%s", got, c.warned, a.log)
				}
				a.stop()
				if a.holds(testVIP) != foreign {
					t.Errorf("at the end on eth0: %v", a.kernel.On("eth0"))
				}
			})
		})
	}
}

// A machine that is suspended while the daemon starts does not go on as master when
// it is too late for that, although the loop is not late for anything.
func TestSuspendedWhileItStarts(t *testing.T) {
	suspend := func(a *node) { a.ahead.Add(int64(3 * time.Second)) }
	for _, c := range []struct {
		name string
		when func(a *node)
	}{
		{"before its first turn", func(a *node) {
			once := sync.OnceFunc(func() { suspend(a) })
			a.d.opts.RestoreSettings = func(func(string) bool) ([]string, error) { // the last that it does before
				once()
				return nil, nil
			}
		}},
		{"before it knows its interfaces", func(a *node) {
			watch := a.d.opts.Watch
			a.d.opts.Watch = func(ctx context.Context, deliver func([]vip.LinkState), trouble func(error)) error {
				time.Sleep(time.Millisecond)
				suspend(a)
				return watch(ctx, deliver, trouble)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				noLease := `lease = "off"`
				a := newNode(t, lan, "a", 1, conf(150, "1s", noLease)).journaling(t.TempDir())
				a.start()
				await(t, 5*time.Second, "a", a)
				time.Sleep(1001 * time.Millisecond)
				a.kill()
				a = a.successor(conf(150, "1s", noLease))
				c.when(a)
				a.start()
				time.Sleep(10 * time.Millisecond)
				synctest.Wait()
				if i := a.instance(); i.State != "backup" || a.holds(testVIP) {
					t.Errorf("it is %s: %s; on eth0: %v", i.State, i.Reason, a.kernel.On("eth0"))
				}
				a.stop()
			})
		})
	}
}

// foreignVIP reports whether somebody else has put the VIP on eth0.
func foreignVIP(n *node) bool {
	all, _ := n.kernel.Addresses("")
	for _, a := range all {
		if a.Prefix == testVIP && !a.Ours() {
			return true
		}
	}
	return false
}

// One address of two is no longer configured: the instance goes on with the
// other, and the one is removed at once.
func TestRestartWithFewerAddresses(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		more := strings.Replace(conf(150, "1s"), `"192.0.2.100/24"`, `"192.0.2.100/24", "192.0.2.101/32"`, 1)
		a, b := pair(t, lan, more, conf(100, "1s"))
		a.kill()
		a = a.successor(conf(150, "1s"))
		a.start()
		synctest.Wait()
		if a.holds(netip.MustParsePrefix("192.0.2.101/32")) {
			t.Errorf("on eth0: %v", a.kernel.On("eth0"))
		}
		wentOn(t, a, b, 5*time.Second)
	})
}

// A reload that takes an address from a master leaves it one: a restart goes unnoticed
// before its next advert, too.
func TestRestartBeforeTheNextAdvert(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := reloadedWithFewer(t, lan)
		served(t, 2*journalGap, a, b)
		if a.instance().LeaseLeftMS == nil {
			t.Error("the address that is left has no lease any more")
		}
		a.kill()
		a = a.successor(conf(150, "1s"))
		a.start()
		wentOn(t, a, b, 5*time.Second)
	})
}

// reloadedWithFewer is a master, which has just reloaded a configuration with one
// address less, and its peer.
func reloadedWithFewer(t *testing.T, lan *network) (a, b *node) {
	t.Helper()
	more := strings.Replace(conf(150, "1s"), `"192.0.2.100/24"`, `"192.0.2.100/24", "192.0.2.101/32"`, 1)
	a, b = pair(t, lan, more, conf(100, "1s"))
	a.edit(conf(150, "1s"))
	if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	if a.holds(netip.MustParsePrefix("192.0.2.101/32")) {
		t.Fatalf("on eth0: %v", a.kernel.On("eth0"))
	}
	return a, b
}

// A daemon that leaves just after a reload leaves a journal of what there is now: else
// the next one misses an address that is not configured any more, and starts anew.
func TestRestartJustAfterReload(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := reloadedWithFewer(t, lan)
		a.left()
		a = a.successor(conf(150, "1s"))
		a.start()
		wentOn(t, a, b, 5*time.Second)
	})
}

// What was master before a restart and comes back to the configuration only
// later has to listen like any other.
func TestAdoptionIsDecidedOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := pair(t, lan, conf(150, "1s", "preempt = false"), conf(100, "1s"))
		a.kill()
		without := strings.Replace(conf(150, "1s"), "vrid = 51", "vrid = 52", 1)
		without = strings.Replace(without, "192.0.2.100", "192.0.2.102", 1)
		a = a.successor(without)
		a.start()
		await(t, 5*time.Second, "b", a, b)
		time.Sleep(time.Minute)
		a.edit(conf(150, "1s", "preempt = false"))
		a.reload <- os.Interrupt
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if i := a.instance(); i.VRID != 51 || i.State != "backup" || holders(a, b) != "b" {
			t.Errorf("vrid %d is %s (%s), VIP on %q", i.VRID, i.State, i.Reason, holders(a, b))
		}
	})
}

// The kernel takes the VIP from a dead or hanging daemon before its peer has it.
func TestDeadMansVIPGoes(t *testing.T) {
	for _, interval := range []string{"1s", "2s", "5s"} {
		t.Run(interval, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, b := pair(t, lan, conf(150, interval), conf(100, interval))
				a.kill()
				gone := await(t, 20*time.Second, "", a, b)
				taken := gone + await(t, 20*time.Second, "b", a, b)
				t.Logf("measured: gone after %v, taken over after %v", gone, taken)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := holders(a, b); got != "b" {
					t.Errorf("a minute later the VIP is on %q", got)
				}
			})
		})
	}
}

// A master that could not run comes back: it listens before it acts, and takes
// the VIP back only when it may preempt.
func TestFrozenMasterListensFirst(t *testing.T) {
	for _, c := range []struct {
		name, conf, want string
		pause            func(a *node)
	}{
		{"stopped, preempts", "", "a", func(a *node) { a.freeze(10 * time.Second) }},
		{"stopped, does not preempt", "preempt = false", "b", func(a *node) { a.freeze(10 * time.Second) }},
		{"stopped for just longer than the peer waits", "preempt = false", "b", func(a *node) { a.freeze(4 * time.Second) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a, b := pair(t, lan, conf(150, "1s", c.conf), conf(100, "1s", c.conf))
				a.kernel.Log()
				c.pause(a)
				began := time.Now()
				await(t, 4*time.Second, "", a, b)
				if log := a.kernel.Log(); len(log) > 0 {
					t.Errorf("while it was frozen: %v", log)
				}
				await(t, 4*time.Second, "b", a, b)
				heard := len(lan.adverts("b", 51))
				before := len(lan.adverts("a", 51))
				for len(lan.adverts("a", 51)) == before && time.Since(began) < 15*time.Second {
					time.Sleep(time.Millisecond)
					synctest.Wait()
					if got := holders(a, b); got != "b" && len(lan.adverts("a", 51)) == before {
						t.Fatalf("the VIP is on %q before a spoke", got)
					}
				}
				if c.want == "a" {
					if len(lan.adverts("a", 51)) == before || len(lan.adverts("b", 51)) == heard {
						t.Error("a did not listen to b and then speak")
					}
				}
				time.Sleep(3 * time.Second)
				synctest.Wait()
				if got := holders(a, b); got != c.want {
					t.Errorf("in the end the VIP is on %q, want %q", got, c.want)
				}
				if n := a.log.count("the daemon could not run for a while"); n != 1 {
					t.Errorf("told %d times", n)
				}
				b.stop()
				a.stop()
			})
		})
	}
}

// A suspended machine notices by the boot clock, while its other clocks stood.
func TestSuspendedMasterListensFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		a.ahead.Add(int64(time.Hour))
		before := len(lan.adverts("a", 51))
		time.Sleep(time.Second) // its next advert would have been due
		synctest.Wait()
		if now := len(lan.adverts("a", 51)); now != before {
			t.Errorf("%d adverts before it listened", now-before)
		}
		if n := a.log.count("the daemon could not run for a while: late=1h"); n != 1 {
			t.Errorf("told %d times; log:\n%s", n, a.log)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if now := len(lan.adverts("a", 51)); now == before || holders(a) != "a" {
			t.Errorf("%d adverts after it listened, VIP on %q", now-before, holders(a))
		}
		a.stop()
	})
}

// So does one that something else wakes before its next advert is due.
func TestSuspendedMasterIsWokenByAnEvent(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		time.Sleep(10 * time.Second) // it has announced its address often enough
		before := len(lan.adverts("a", 51))
		for len(lan.adverts("a", 51)) == before {
			time.Sleep(100 * time.Millisecond)
			synctest.Wait()
		}
		before = len(lan.adverts("a", 51))
		a.ahead.Add(int64(3300 * time.Millisecond)) // its peers wait for 3.4 s at most
		a.d.post(func() {})
		time.Sleep(time.Second)
		synctest.Wait()
		if now := len(lan.adverts("a", 51)); now != before {
			t.Errorf("%d adverts before it listened", now-before)
		}
		a.stop()
	})
}

// A journal that cannot be written is told once, tried again, and told when it
// works again; the daemon serves all the while.
func TestJournalCannotBeWritten(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		dir := t.TempDir()
		blocker := filepath.Join(dir, journalName+".new")
		if err := os.Mkdir(blocker, 0o700); err != nil {
			t.Fatal(err)
		}
		a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(dir)
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if n := a.log.count("a restart will not be silent"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if _, err := os.Stat(filepath.Join(dir, journalName)); err == nil {
			t.Error("it was written")
		}
		a.edit(conf(150, "2s")) // what is written in the end is the newest
		a.reload <- os.Interrupt
		time.Sleep(time.Second)
		os.Remove(blocker)
		time.Sleep(journalRetry)
		synctest.Wait()
		if n := a.log.count("the journal is written again"); n != 1 {
			t.Errorf("told %d times that it works again; log:\n%s", n, a.log)
		}
		a.edit(conf(150, "3s"))
		a.reload <- os.Interrupt
		time.Sleep(3 * journalRetry)
		synctest.Wait()
		a.kill()
		l, err := a.leftIn(t, dir)
		if err != nil || len(l.Routers) != 1 || l.Routers[0].Interval != 3*time.Second || l.ages[0] < 0 {
			t.Errorf("the journal has %+v, error %v", l, err)
		}
	})
}

// A daemon that was stopped just while it looked for what to write writes again
// soon all the same.
func TestJournalAfterALongLook(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		dir := t.TempDir()
		a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(dir)
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(time.Second)
		a.d.post(func() { a.d.journalTook = time.Minute })
		a.edit(conf(150, "2s"))
		a.reload <- os.Interrupt
		time.Sleep(journalMost + time.Second)
		synctest.Wait()
		a.kill()
		l, err := a.leftIn(t, dir)
		if err != nil || len(l.Routers) != 1 || l.Routers[0].Interval != 2*time.Second {
			t.Errorf("the journal has %+v, error %v", l, err)
		}
	})
}

// Without a directory for the journal the daemon serves, and says so in a line.
func TestJournalCannotBeOpened(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(filepath.Join(t.TempDir(), "gone"))
		a.kernel.Install("eth0", testVIP, vip.Proto)
		a.start()
		synctest.Wait()
		if a.holds(testVIP) {
			t.Error("the leftover stays")
		}
		await(t, 5*time.Second, "a", a)
		if n := a.log.count("a restart will not be silent"); n != 1 {
			t.Errorf("told %d times; log:\n%s", n, a.log)
		}
		a.stop()
	})
}

// A journal that could not be opened at the start is tried again, at a reload or by
// itself. Until then status says what a restart will be like.
func TestJournalIsOpenedLater(t *testing.T) {
	for _, reload := range []bool{true, false} {
		inBubble(t, func(t *testing.T, lan *network) {
			dir := filepath.Join(t.TempDir(), "full")
			a := newNode(t, lan, "a", 1, conf(150, "1s")).journaling(dir)
			a.start()
			await(t, 5*time.Second, "a", a)
			time.Sleep(3 * auditEvery)
			if e := a.status().Daemon.JournalError; !strings.Contains(e, "cannot open the journal: ") || a.log.count("a restart will not be silent") != 1 {
				t.Errorf("status says %q", e)
			}
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			if reload {
				a.reload <- os.Interrupt
				time.Sleep(1500 * time.Millisecond)
			} else {
				time.Sleep(auditEvery + 1500*time.Millisecond)
			}
			synctest.Wait()
			if e, n := a.status().Daemon.JournalError, a.log.count("the journal is written again"); e != "" || n != 1 {
				t.Errorf("reload %t: status says %q, told %d times", reload, e, n)
			}
			a.kill()
			l, err := a.leftIn(t, dir)
			if err != nil || len(l.Routers) != 1 || l.ages[0] < 0 {
				t.Errorf("reload %t: the journal has %+v, error %v", reload, l, err)
			}
		})
	}
}

// A node that has just yielded still has the VIP for a moment. Killed in just
// that time it does not go on as master.
func TestYieldedIsNotAdopted(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(100, "1s")).journaling(t.TempDir())
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(1500 * time.Millisecond)
		b := startNode(t, lan, "b", 2, conf(150, "1s"))
		await(t, 5*time.Second, "a+b", a, b)
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		if got := holders(a, b); got != "a+b" || a.instance().State != "backup" {
			t.Fatalf("the VIP is on %q and a is %s: the test looks at another moment", got, a.instance().State)
		}
		a.kill()
		a = a.successor(conf(100, "1s"))
		a.start()
		synctest.Wait()
		if i := a.instance(); i.State == "master" || holders(a, b) != "b" {
			t.Errorf("a is %s: %s; the VIP is on %q", i.State, i.Reason, holders(a, b))
		}
		for began := time.Now(); time.Since(began) < 10*time.Second; time.Sleep(time.Millisecond) {
			synctest.Wait()
			if got := holders(a, b); got != "b" {
				t.Fatalf("%v later the VIP is on %q", time.Since(began), got)
			}
		}
		if n := b.log.count("state changed"); n != 2 {
			t.Errorf("b was disturbed:\n%s", b.log)
		}
	})
}

// A master whose adverts do not leave is dead to its peers, however often it
// tries: a restart must not make it go on, also where no lease has taken the VIP.
func TestRestartOfAMuteMaster(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "1s", `lease = "off"`)).journaling(t.TempDir())
		faults := &faultyNetwork{Network: a.d.opts.Network}
		a.d.opts.Network = faults
		a.start()
		b := startNode(t, lan, "b", 2, conf(100, "1s", `lease = "off"`))
		await(t, 20*time.Second, "a", a, b)
		faults.set(syscall.EPERM)
		time.Sleep(3300 * time.Millisecond) // it has not given up yet
		synctest.Wait()
		if i := a.instance(); i.State != "master" {
			t.Fatalf("a is %s: %s", i.State, i.Reason)
		}
		a.kill()
		a = a.successor(conf(150, "1s", `lease = "off"`))
		a.start()
		synctest.Wait()
		if i := a.instance(); i.State != "backup" {
			t.Errorf("a is %s: %s", i.State, i.Reason)
		}
		b.stop()
		a.stop()
	})
}

// A daemon that is killed a millisecond after it has gone on is followed as silently
// as the one before.
func TestKilledJustAfterRestart(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, b := pair(t, lan, conf(150, "1s"), conf(100, "1s"))
		for range 3 {
			time.Sleep(time.Millisecond)
			synctest.Wait()
			a.kill()
			a = a.successor(conf(150, "1s"))
			a.start()
			await(t, 50*time.Millisecond, "a", a, b)
			for i := 0; a.instance().State != "master"; i++ {
				if i == 20 {
					t.Fatalf("20 ms after its start it is %s: %s", a.instance().State, a.instance().Reason)
				}
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
		}
		wentOn(t, a, b, 5*time.Second)
		a.stop()
		b.stop()
	})
}

// Peers go by a shorter interval from the turn of the reload on. A daemon killed just
// after it must not be followed as long as they waited before.
func TestJournalOfAShorterInterval(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		dir := t.TempDir()
		a := newNode(t, lan, "a", 1, conf(150, "3s")).journaling(dir)
		a.start()
		await(t, 15*time.Second, "a", a)
		time.Sleep(time.Second)
		a.d.post(func() { a.d.journalTook = time.Minute })
		a.edit(conf(150, "1s"))
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		a.kill()
		// It may be that the new one was not written yet, and the old one holds no more.
		l, err := a.leftIn(t, dir)
		if err == nil && slices.ContainsFunc(l.Routers, func(r journalRouter) bool { return r.Interval != time.Second }) {
			t.Errorf("the journal has %+v", l.Routers)
		}
	})
}

// leftIn reads the journal that a daemon has left in a directory.
func (n *node) leftIn(t *testing.T, dir string) (legacy, error) {
	t.Helper()
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	return readJournal(dir, boot, n.boottime())
}
