package daemon

import (
	"errors"
	"net/netip"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func TestReload(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)

		more := netip.MustParsePrefix("192.0.2.101/24")
		second := strings.ReplaceAll(conf(150, "1s"), `"192.0.2.100/24"`, `"192.0.2.100/24", "192.0.2.101/24"`)
		a.edit(second)
		done, err := backend{a.d}.Reload(t.Context(), "tester")
		if err != nil || done.Version != control.Version {
			t.Fatalf("reload: %+v, %v", done, err)
		}
		synctest.Wait()
		if !a.holds(testVIP) || !a.holds(more) {
			t.Errorf("after a reload with one address more eth0 has %v", a.kernel.On("eth0"))
		}
		served(t, 5*time.Second, a, b)
		if n := a.instance().Counters.BecameMaster; n != 1 {
			t.Errorf("became master %d times, want 1: the reload was to disturb nothing", n)
		}

		// A lower priority hands over; a signal does what the command does.
		a.edit(conf(60, "1s"))
		a.reload <- syscall.SIGHUP
		served(t, 10*time.Second, a, b)
		if got := holders(a, b); got != "b" {
			t.Errorf("after the lower priority the VIP is on %q, want b", got)
		}
		if a.holds(more) {
			t.Error("an address that the reload removed is still there")
		}
		a.stop()
		b.stop()
	})
}

func TestReloadRefused(t *testing.T) {
	tests := []struct {
		name, conf string
		want       []string
	}{
		{"errors, all of them", strings.NewReplacer("vrid = 51", "vrid = 0", `"1s"`, `"0s"`).Replace(conf(150, "1s")), []string{"vrid", "advert_interval"}},
		{"run_dir", strings.Replace(conf(150, "1s"), "[node]", "[node]\nrun_dir = \"/elsewhere\"", 1), []string{"node.run_dir", "/elsewhere", "needs a restart", "control.socket"}},
		{"log_format", strings.Replace(conf(150, "1s"), "[node]", "[node]\nlog_format = \"json\"", 1), []string{"node.log_format", "needs a restart"}},
		{"group", "[control]\ngroup = \"nobody\"\n" + conf(150, "1s"), []string{"control.group"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				a := startNode(t, lan, "a", 1, conf(150, "1s"))
				await(t, 5*time.Second, "a", a)
				a.edit(tt.conf)
				_, err := backend{a.d}.Reload(t.Context(), "tester")
				if _, refused := errors.AsType[*control.Refused](err); !refused {
					t.Fatalf("reload: %v, want a refusal", err)
				}
				st := a.status()
				for _, text := range []string{err.Error(), st.Daemon.ReloadError, a.log.String()} {
					for _, want := range tt.want {
						if !strings.Contains(text, want) {
							t.Errorf("%q is not in:\n%s", want, text)
						}
					}
				}
				served(t, 5*time.Second, a)
				// A good one ends the complaint.
				a.edit(conf(151, "1s"))
				if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
					t.Fatal(err)
				}
				if st := a.status(); st.Daemon.ReloadError != "" || st.Instances[0].Priority.Base != 151 {
					t.Errorf("after a good reload: error %q, priority %+v", st.Daemon.ReloadError, st.Instances[0].Priority)
				}
				a.stop()
			})
		})
	}
}

// onSlowDisk is a master whose configuration takes half a minute to be read again.
func onSlowDisk(t *testing.T, lan *network) *node {
	t.Helper()
	a := newNode(t, lan, "a", 1, conf(150, "1s"))
	load := a.d.opts.Load
	a.d.opts.Load = func() (*config.Config, []string, error) {
		time.Sleep(30 * time.Second)
		return load()
	}
	a.start()
	await(t, 5*time.Second, "a", a)
	return a
}

// TestReloadSlow reads the configuration from a disk that takes half a minute:
// no advert is late, and a stop meanwhile ends the waiting.
func TestReloadSlow(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := onSlowDisk(t, lan)
		began := time.Now()
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 30*time.Second {
			t.Errorf("the reload took %v, want 30s", took)
		}
		punctual(t, lan, time.Second)

		result := make(chan error)
		go func() {
			_, err := backend{a.d}.Reload(t.Context(), "tester")
			result <- err
		}()
		synctest.Wait()
		a.stop()
		if err := <-result; !errors.Is(err, errStopping) {
			t.Errorf("the reload under way ended with %v, want %v", err, errStopping)
		}
		time.Sleep(30 * time.Second) // the disk answers in the end, and nobody minds
	})
}

// punctual checks that node a sent each advert exactly one interval after the
// one before.
func punctual(t *testing.T, lan *network, interval time.Duration) {
	t.Helper()
	list := lan.adverts("a", 51)
	for n := 1; n < len(list); n++ {
		if d := list[n].at.Sub(list[n-1].at); d != interval {
			t.Errorf("advert %d came %v after the one before, want %v", n, d, interval)
		}
	}
	if len(list) < 10 {
		t.Errorf("%d adverts are too few to tell", len(list))
	}
}

// TestReloadStorm asks for many reloads at once by both ways.
func TestReloadStorm(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		const storm = 200
		result := make(chan error, storm)
		for n := range storm {
			go func() {
				_, err := backend{a.d}.Reload(t.Context(), "tester")
				result <- err
			}()
			if n%10 == 0 {
				select {
				case a.reload <- os.Signal(syscall.SIGHUP):
				default:
				}
			}
		}
		for range storm {
			if err := <-result; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(10 * time.Second)
		punctual(t, lan, time.Second)
		if n := a.instance().Counters.BecameMaster; n != 1 {
			t.Errorf("became master %d times, want 1", n)
		}
		a.stop()
	})
}

// A daemon that is told to leave does not wait for the disk from which it reads a
// configuration: the next one must speak in time.
func TestLeaveWhileReloading(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := onSlowDisk(t, lan)
		result := make(chan error, 1)
		go func() {
			_, err := backend{a.d}.Reload(t.Context(), "tester")
			result <- err
		}()
		synctest.Wait()
		began := time.Now()
		a.left()
		if took := time.Since(began); took > time.Second {
			t.Errorf("leaving took %v", took)
		}
		if err := <-result; !errors.Is(err, errStopping) {
			t.Errorf("the reload ended with %v, want %v", err, errStopping)
		}
		time.Sleep(30 * time.Second) // the disk answers in the end
	})
}

// Reloads that wait for another one hear at once that the daemon is stopping, also
// while it hands over.
func TestReloadsWaitForAStop(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(150, "10s")) // it waits a second for a successor
		load := a.d.opts.Load
		a.d.opts.Load = func() (*config.Config, []string, error) {
			time.Sleep(500 * time.Millisecond)
			return load()
		}
		a.start()
		await(t, time.Minute, "a", a)
		const waiting = 5
		result := make(chan error, waiting)
		for range waiting {
			go func() {
				_, err := backend{a.d}.Reload(t.Context(), "tester")
				result <- err
			}()
		}
		synctest.Wait()
		a.cancel()
		time.Sleep(600 * time.Millisecond)
		synctest.Wait()
		if n := len(result); n != waiting {
			t.Errorf("%d of %d reloads were answered", n, waiting)
		}
		if err := <-a.result; err != nil {
			t.Error(err)
		}
		for range waiting {
			if err := <-result; !errors.Is(err, errStopping) {
				t.Errorf("a reload ended with %v, want %v", err, errStopping)
			}
		}
	})
}

// What is not the same is found wherever it stands, and the interfaces that it
// concerns, before and after.
func TestChanges(t *testing.T) {
	instances := func(list ...string) *config.Config { // "name interface"
		cfg := &config.Config{}
		for _, text := range list {
			name, iface, _ := strings.Cut(text, " ")
			cfg.Instances = append(cfg.Instances, vrrp.Config{Name: name, Interface: iface})
		}
		return cfg
	}
	before := []string{"a eth0", "b eth1", "c eth2", "d eth1"}
	for _, tt := range []struct {
		name       string
		now        []string
		want       []string // "old>now"
		interfaces []string
	}{
		{"nothing", before, nil, nil},
		{"another order", []string{"d eth1", "b eth1", "a eth0", "c eth2"}, nil, nil},
		{"one in the middle", []string{"a eth0", "b eth7", "c eth2", "d eth1"}, []string{"b eth1>b eth7"}, []string{"eth1", "eth7"}},
		{"first and last", []string{"a eth7", "b eth1", "c eth2", "d eth7"}, []string{"a eth0>a eth7", "d eth1>d eth7"}, []string{"eth0", "eth1", "eth7"}},
		{"one added in front", append([]string{"e eth3"}, before...), []string{">e eth3"}, []string{"eth3"}},
		{"one added behind", append(before[:4:4], "e eth3"), []string{">e eth3"}, []string{"eth3"}},
		{"one removed", []string{"a eth0", "c eth2", "d eth1"}, []string{"b eth1>"}, []string{"eth1"}},
		{"one renamed", []string{"a eth0", "e eth1", "c eth2", "d eth1"}, []string{">e eth1", "b eth1>"}, []string{"eth1"}},
		{"names exchanged", []string{"b eth0", "a eth1", "c eth2", "d eth1"}, []string{"b eth1>b eth0", "a eth0>a eth1"}, []string{"eth0", "eth1"}},
		{"all", nil, []string{"a eth0>", "b eth1>", "c eth2>", "d eth1>"}, []string{"eth0", "eth1", "eth2"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			text := func(c *vrrp.Config) string {
				if c == nil {
					return ""
				}
				return c.Name + " " + c.Interface
			}
			changed := changes(instances(before...), instances(tt.now...))
			var got []string
			for _, c := range changed {
				got = append(got, text(c.old)+">"+text(c.now))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("changes %q, want %q", got, tt.want)
			}
			if got := changedInterfaces(changed); !slices.Equal(got, tt.interfaces) {
				t.Errorf("interfaces %q, want %q", got, tt.interfaces)
			}
		})
	}
}

// A reload that takes the last instance off an interface hands over first: the
// socket stays until the successor was heard.
func TestReloadThatEmptiesAnInterface(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		began := time.Now()
		a.edit(strings.ReplaceAll(conf(150, "1s"), `"eth0"`, `"eth1"`))
		a.reload <- syscall.SIGHUP
		served(t, 2*time.Second, a, b)
		if got := holders(a, b); got != "b" {
			t.Errorf("after the reload the VIP is on %q", got)
		}
		if first := lan.adverts("b", 51)[0]; first.at.Sub(began) > 100*time.Millisecond {
			t.Errorf("the successor came after %v", first.at.Sub(began))
		}
		a.stop()
		b.stop()
	})
}

// An interface that is used again is taken for what it is now, not for what it was
// when it was used last.
func TestReloadUsesAnInterfaceAgain(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		reload := func(conf string) {
			a.edit(conf)
			if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		a.kernel.SetCarrier("eth0", false)
		time.Sleep(time.Second)
		reload(strings.ReplaceAll(conf(150, "1s"), `"eth0"`, `"eth1"`))
		a.kernel.SetCarrier("eth0", true)
		time.Sleep(time.Second)
		reload(conf(150, "1s"))
		if i := a.instance(); i.State != "backup" {
			t.Errorf("it is %s: %s", i.State, i.Reason)
		}
		if n := a.log.count("to=fault"); n != 2 { // without carrier, and on the interface that does not exist
			t.Errorf("%d times in fault, want 2; log:\n%s", n, a.log)
		}
		a.stop()
	})
}
