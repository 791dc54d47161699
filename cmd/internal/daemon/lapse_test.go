package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// What is said of an address that was gone, in the log, in the history, to hooks and
// in the counters: when its lease ran out nobody is to look for somebody else.
func TestLeaseRunsOut(t *testing.T) {
	const lapsed = "address was put back after its lease ran out"
	for _, tt := range []struct {
		name    string
		happen  func(a *node)
		kind    string
		details string
		others  bool
	}{
		{"the kernel is busy", func(a *node) {
			until := time.Now().Add(4 * time.Second)
			a.kernel.Refuse(func(_ string, c vip.Change) error {
				if c.Verb == vip.Renew {
					time.Sleep(time.Until(until))
				}
				return nil
			})
		}, lapsed, "192.0.2.100/24, last renewed 4.3s ago for 1s: this host or its kernel's network lock was busy; look for what changed interfaces, routes or network namespaces then", false},
		{
			"the daemon is stopped", func(a *node) { a.freeze(2 * time.Second) },
			lapsed, "192.0.2.100/24, last renewed 2.3s ago for 1s: this node could not act for 1.85s; look for a paused machine, swapping or busy processors then", false,
		},
		{
			"somebody removes it", func(a *node) { a.kernel.Delete("eth0", testVIP) },
			"address was removed by somebody else and put back", "192.0.2.100/24", true,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "out")
			inBubble(t, func(t *testing.T, lan *network) {
				hook := fmt.Sprintf("[[notify]]\non = [\"address\"]\nexec = [\"/bin/sh\", \"-c\", \"echo $HOLDFAST_CHANGE: $HOLDFAST_REASON >>%s\"]", out)
				a := startNode(t, lan, "a", 1, conf(150, "1s", "lease = 1", hook))
				await(t, 5*time.Second, "a", a)
				time.Sleep(10*time.Second + 300*time.Millisecond)
				_, last := a.events(0)
				tt.happen(a)
				time.Sleep(6 * time.Second)
				synctest.Wait()
				if !a.holds(testVIP) {
					t.Error("the VIP is not back")
				}
				said := tt.kind + ": " + tt.details
				if got, _ := os.ReadFile(out); string(got) != "repaired: "+said+"\n" {
					t.Errorf("the hook was told %q, want %q", got, said)
				}
				got, _ := a.events(last)
				if list := strings.Join(got, "\n"); !strings.Contains(list, "address warning: web: "+said) {
					t.Errorf("the history says\n%s\nand not %q", list, said)
				}
				if !strings.Contains(strings.ReplaceAll(a.log.String(), `"`, ""), tt.kind+": instance=web family=ipv4 interface=eth0 detail="+tt.details+"\n") {
					t.Errorf("log:\n%s", a.log)
				}
				c := a.instance().Counters
				if by := c.AddressesRepaired == 1; by != tt.others || c.AddressesRepaired+c.AddressesLapsed != 1 || c.LeftMaster != 0 {
					t.Errorf("counters: %+v", c)
				}
				a.stop()
			})
		})
	}
}

// What the daemon removed itself, while the kernel was busy and its link came and
// went, is not put down to somebody else once the kernel answers.
func TestOwnRemovalIsNobodysElse(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, conf(255, "1s"))
		until := time.Now().Add(4 * time.Second)
		a.kernel.Refuse(func(string, vip.Change) error {
			time.Sleep(time.Until(until))
			return nil
		})
		a.start()
		for _, carrier := range []bool{false, true} {
			time.Sleep(time.Second)
			synctest.Wait()
			a.kernel.SetCarrier("eth0", carrier)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if !a.holds(testVIP) {
			t.Error("the VIP is not there")
		}
		if n := a.log.count("removed by somebody else"); n != 0 {
			t.Errorf("told %d times that somebody removed it; log:\n%s", n, a.log)
		}
		a.stop()
	})
}
