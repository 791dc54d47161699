package daemon

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// logged lists what of the log has one of the words, from the message on.
func (n *node) logged(words ...string) (list []string) {
	for line := range strings.Lines(n.log.String()) {
		for _, w := range words {
			if _, message, ok := strings.Cut(line, "holdfast: "); ok && strings.HasPrefix(message, w) {
				list = append(list, strings.TrimSpace(message))
			}
		}
	}
	return list
}

func (n *node) wantLogged(want []string, words ...string) {
	n.t.Helper()
	got := n.logged(words...)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		n.t.Errorf("the log tells\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// pass lets time pass.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// TestTellPriority has a check demote a node that nobody relieves: there is no
// transition, and yet the log tells.
func TestTellPriority(t *testing.T) {
	for _, c := range []struct{ name, effect, fails, passes string }{
		{
			"demoted", "", `demoted: instance=web from=150 to=17 reason="check service fails: connection refused"`,
			"not demoted any more: instance=web from=17 to=150",
		},
		{"weighed", "weight = -20", "priority changed: instance=web from=150 to=130", "priority changed: instance=web from=130 to=150"},
		{"rewarded", "weight = 20", "priority changed: instance=web from=170 to=150", "priority changed: instance=web from=150 to=170"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, lan *network) {
				service := listener(t, "127.0.0.1:0")
				address := service.Addr().String()
				a := startNode(t, lan, "a", 1, conf(150, "1s", "[[check]]\nname = \"service\"\ntcp = \""+address+"\"", c.effect))
				await(t, 5*time.Second, "a", a)
				words := []string{"demoted", "not demoted", "priority changed"}
				a.wantLogged(nil, words...)
				service.Close()
				pass(5 * time.Second)
				a.wantLogged([]string{c.fails}, words...)
				service = listener(t, address)
				defer service.Close()
				pass(5 * time.Second)
				a.wantLogged([]string{c.fails, c.passes}, words...)
				a.stop()
			})
		})
	}
}

// TestTellReloadedPriority has a reload change the priority.
func TestTellReloadedPriority(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.edit(conf(120, "1s"))
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		a.wantLogged([]string{"priority changed: instance=web from=150 to=120"}, "priority changed")
		a.stop()
	})
}

// TestTellFault has what is wrong with an interface change: what lasts is told,
// what passes is not.
func TestTellFault(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.kernel.SetCarrier("eth0", false)
		pass(5 * time.Second)
		faults := []string{"still in fault", "state changed: instance=web from=master to=fault"}
		first := `state changed: instance=web from=master to=fault reason="interface eth0 has no carrier" priority=150`
		if got := a.logged(faults...); len(got) != 1 || !strings.HasPrefix(got[0], first) {
			t.Fatalf("the log tells %q, want %q", got, first)
		}
		// Gone for a moment only.
		a.kernel.RenameInterface("eth0", "other")
		pass(tellDelay / 2)
		a.kernel.RenameInterface("other", "eth0")
		pass(5 * time.Second)
		a.wantLogged(nil, "still in fault")
		// Gone for good.
		a.kernel.DeleteInterface("eth0")
		pass(5 * time.Second)
		a.wantLogged([]string{`still in fault: instance=web reason="interface eth0 does not exist"`}, "still in fault")
		a.stop()
	})
}

// What people know of an instance is forgotten once a reload has removed it: there
// may be many reloads.
func TestToldIsForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, conf(150, "1s"))
		await(t, 5*time.Second, "a", a)
		a.edit(strings.Replace(conf(150, "1s"), `name = "web"`, `name = "mail"`, 1))
		if _, err := (backend{a.d}).Reload(t.Context(), "tester"); err != nil {
			t.Fatal(err)
		}
		pass(time.Second)
		if _, known := a.d.told["mail"]; !known || len(a.d.told) != 1 {
			t.Errorf("known are %v, want mail alone", a.d.told)
		}
		a.stop()
	})
}
