package daemon

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// told returns the events of a node that follow the one with a sequence, a line
// each, and the sequence of the last one.
func (n *node) events(after uint64) (lines []string, last uint64) {
	synctest.Wait()
	for last = after; ; {
		b := n.d.events.Read(last, 100)
		if len(b.Entries) == 0 {
			return lines, last
		}
		for _, e := range b.Entries {
			if e.Sequence != last+1 {
				n.t.Errorf("event %d follows %d", e.Sequence, last)
			}
			last = e.Sequence
			lines = append(lines, fmt.Sprintf("%s %s: %s", e.Kind, e.Severity, e.Text))
		}
	}
}

func want(t *testing.T, what string, got []string, lines ...string) {
	t.Helper()
	if diff := cmp.Diff(lines, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// TestStory wants all that happens to a node in one order, each thing once.
func TestStory(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		service := listener(t, "127.0.0.1:0")
		address := service.Addr().String()
		check := fmt.Sprintf("[[check]]\nname = \"service\"\ntcp = %q\ninterval = \"100ms\"\nretry = \"10ms\"\n[[notify]]\non = [\"master\"]\nexec = [\"/bin/false\"]", address)
		a := startNode(t, lan, "a", 1, conf(150, "1s", check))
		b := startNode(t, lan, "b", 2, conf(100, "1s"))
		await(t, 5*time.Second, "a", a, b)
		time.Sleep(2 * time.Second)
		got, last := a.events(0)
		want(t, "the start", got,
			"daemon info: holdfast test starts",
			"check info: check service passes",
			"transition info: web is backup now: listening for a master",
			"transition info: web is master now: no master heard for 3.41s (was backup for 3.4s)",
			"hook warning: web: the hook for master failed: exit status 1",
		)

		service.Close()
		await(t, 5*time.Second, "b", a, b)
		time.Sleep(time.Second)
		got, last = a.events(last)
		want(t, "the service dies", got,
			"check warning: check service fails: connection refused",
			"priority warning: web is demoted to priority 17 instead of 150: check service fails: connection refused",
			"transition info: web is backup now: handed over to 192.0.2.2, which has priority 100: check service fails: connection refused (was master for 2.1s)",
		)

		a.kernel.SetCarrier("eth0", false)
		time.Sleep(2 * time.Second)
		a.kernel.SetCarrier("eth0", true)
		time.Sleep(time.Second)
		got, last = a.events(last)
		want(t, "the cable", got,
			"interface warning: interface eth0 is without carrier, was up",
			"transition warning: web is in fault: interface eth0 has no carrier (was backup for 1.1s)",
			"interface info: interface eth0 is up, was without carrier",
			"transition info: web is backup now: listening for a master (was in fault for 2s)",
		)

		a.edit("[node]\nnodename = 1\n")
		a.reload <- os.Interrupt
		time.Sleep(time.Second)
		a.edit(conf(150, "1s", check))
		a.reload <- os.Interrupt
		time.Sleep(time.Second)
		got, last = a.events(last)
		want(t, "two reloads", got,
			`reload error: the configuration was refused, the running one goes on: test.toml:1:1: there is no [[instance]]; test.toml:2:1: unknown key "nodename" in [node]`,
			"reload info: the configuration was reloaded, asked for by signal",
		)

		a.freeze(10 * time.Second)
		time.Sleep(11 * time.Second)
		got, last = a.events(last)
		want(t, "a pause", got, "daemon warning: the daemon woke 6.2s late: it was stopped, starved or suspended")

		got, _ = b.events(0)
		b.kernel.Delete("eth0", testVIP)
		time.Sleep(time.Second)
		got, _ = b.events(uint64(len(got)))
		want(t, "a repair", got, "address warning: web: address was removed by somebody else and put back: 192.0.2.100/24")

		a.stop()
		got, _ = a.events(last)
		want(t, "the end", got,
			"daemon info: holdfast stops: it hands over",
			"transition info: web stopped (was backup for 15s)",
			"daemon info: holdfast stopped after 23.617s",
		)
		// Whatever is in the history is in the log, but for hooks that all went well with.
		if lines, events := a.log.count("Z ["), int(last)+len(got); lines != events {
			t.Errorf("%d lines in the log, %d events", lines, events)
		}
		b.stop()
	})
}

// TestHistoryOutlivesKill goes on counting in the daemon that follows a kill.
func TestHistoryOutlivesKill(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		a, _ := pair(t, lan, conf(150, "1s"), conf(100, "1s"))
		before, last := a.events(0)
		a.kill()
		// As a kill in the middle of a line would have it.
		f, err := os.OpenFile(filepath.Join(a.d.opts.Journal, "events.jsonl"), os.O_WRONLY|os.O_APPEND, 0)
		if err != nil {
			t.Fatal(err)
		}
		f.WriteString(`{"sequence":99,"time":"20`)
		f.Close()
		a = a.successor(conf(150, "1s"))
		a.start()
		time.Sleep(time.Second)
		all, _ := a.events(0)
		want(t, "what was before", all[:len(before)], before...)
		got, _ := a.events(last)
		want(t, "what came then", got,
			"daemon info: holdfast test starts",
			"transition info: web goes on as master over a restart",
		)
		a.stop()
	})
}

func TestSentences(t *testing.T) {
	for long, text := range map[time.Duration]string{
		0: "0s", 3414 * time.Millisecond: "3.4s", 70 * time.Millisecond: "70ms", 125 * time.Second: "2m05s",
		2*time.Hour + 5*time.Minute: "2h05m", 49 * time.Hour: "2d01h",
	} {
		if got := people(long); got != text {
			t.Errorf("%v is told as %q, want %q", long, got, text)
		}
	}
	for n := range vrrp.NoticeAddressChanged {
		e := noticeEvent(&vrrp.Notice{Kind: n + 1, Instance: "web", Interface: "eth0", Detail: "more of it"})
		if !strings.HasPrefix(e.Text, "web: ") || !strings.HasSuffix(e.Text, ": more of it") || e.Severity != history.Warning {
			t.Errorf("%v is told as %s: %q", n+1, e.Severity, e.Text)
		}
	}
	if e := noticeEvent(&vrrp.Notice{Kind: vrrp.NoticeDropped, Interface: "eth0", Detail: "vrid"}); e.Text != "eth0: dropped a packet: vrid" {
		t.Errorf("a packet of nobody's is told as %q", e.Text)
	}
}
