package main

// A journal that cannot be trusted: the next daemon tells so, once, and starts
// like any other.

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	journalPath = "/run/holdfast/journal.json"
	stampsPath  = "/run/holdfast/journal.stamps"
)

// journalBed is a node that serves 198.51.100.100 on eth1, without a lease, so
// that a killed daemon leaves it behind.
type journalBed struct {
	*node
	wire *lab.Switch
}

// rewrite changes a file of the journal.
func (b *journalBed) rewrite(path string, change func(string) string) {
	b.t.Helper()
	text, err := b.ReadFile(path)
	if err != nil {
		b.t.Fatal(err)
	}
	next := change(text)
	if next == text {
		b.t.Fatalf("%s is as before: %q", path, text)
	}
	if err := b.WriteFile(path, next, 0o600); err != nil {
		b.t.Fatal(err)
	}
}

// anotherBoot is a boot that never was.
const anotherBoot = "01234567-89ab-cdef-0123-456789abcdef"

func TestJournalIsNotTrusted(t *testing.T) {
	const interval = 500 * time.Millisecond // so that a restart is quick enough
	for _, c := range []struct {
		name    string
		between func(b *journalBed)
		told    string // "" when the daemon goes on as master
		gone    bool   // with the interface, the address
	}{
		{name: "untouched", between: func(*journalBed) {}},
		{
			name: "stale", between: func(*journalBed) { time.Sleep(4 * time.Second) },
			told: "was master before, but starts anew: interface=eth1 vrid=51 family=ipv4 reason=\"its last advert was ",
		},
		{
			name: "damaged", between: func(b *journalBed) {
				b.rewrite(journalPath, func(s string) string { return s[:len(s)/2] })
			},
			told: "an earlier run's journal is not used: reason=\"the journal is damaged: ",
		},
		{
			name: "empty", between: func(b *journalBed) { b.rewrite(journalPath, func(string) string { return "" }) },
			told: "an earlier run's journal is not used: reason=\"the journal is damaged: ",
		},
		{
			name: "stamps cut short", between: func(b *journalBed) {
				b.rewrite(stampsPath, func(s string) string { return s[:12] })
			},
			told: "an earlier run's journal is not used: reason=\"the journal is damaged: ",
		},
		{
			name: "stamps of another journal", between: func(b *journalBed) {
				b.rewrite(stampsPath, func(s string) string { return "12345678" + s[8:] })
			},
			told: "an earlier run's journal is not used: reason=\"the journal is damaged: ",
		},
		{
			name: "another boot", between: func(b *journalBed) {
				boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
				if err != nil {
					b.t.Fatal(err)
				}
				b.rewrite(journalPath, func(s string) string {
					return strings.ReplaceAll(s, strings.TrimSpace(string(boot)), anotherBoot)
				})
			},
			told: "an earlier run's journal is not used: reason=\"the journal is of an earlier boot\"",
		},
		{
			name: "another interface of the name", between: func(b *journalBed) {
				b.changeLink("eth1", netlink.LinkDel)
				b.plug()
			},
			told: "was master before, but starts anew: interface=eth1 vrid=51 family=ipv4 reason=\"198.51.100.100/24 is gone from the interface",
			gone: true,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := newJournalBed(t)
			config := strings.Replace(wireTOML(highest, "198.51.100.100/24"), `"100ms"`, `"`+interval.String()+`"`, 1) + "lease = \"off\"\n"
			b.run(config)
			eventually(t, settled, "the address is there", func() bool { return b.has("198.51.100.100") })
			eventually(t, settled, "the journal is written", func() bool {
				text, err := b.ReadFile(journalPath)
				return err == nil && strings.Contains(text, "198.51.100.100/24")
			})
			if err := b.daemon.Kill(); err != nil {
				t.Fatal(err)
			}
			c.between(b)
			if b.has("198.51.100.100") == c.gone {
				t.Fatalf("before the start the address is there: %v", !c.gone)
			}
			b.start()
			b.wantAfterStart(c.told, c.gone)
		})
	}
}

func newJournalBed(t *testing.T) *journalBed {
	t.Helper()
	l := newLab(t)
	b := &journalBed{node: newNode(t, l, "a", "192.0.2.1/24")}
	var err error
	if b.wire, err = l.Switch("wire"); err != nil {
		t.Fatal(err)
	}
	b.plug()
	return b
}

func (b *journalBed) plug() {
	b.t.Helper()
	if _, err := b.Plug("eth1", b.wire, "198.51.100.1/24"); err != nil {
		b.t.Fatal(err)
	}
}

// wantAfterStart checks what the next daemon makes of the journal.
func (b *journalBed) wantAfterStart(told string, gone bool) {
	b.t.Helper()
	const went, removed = "went on as master over a restart", "removed an address of an earlier run: address=198.51.100.100/24 interface=eth1"
	if told == "" {
		b.wantLog(went)
		if out := b.daemon.Output(); strings.Contains(out, removed) || strings.Contains(out, "starts anew") || strings.Contains(out, "is not used") {
			b.t.Error("the journal was not trusted")
		}
		return
	}
	b.wantLog("from=init to=backup reason=\"listening for a master\"", told)
	if !gone {
		b.wantLog(removed)
	}
	if b.instance("web").State == "backup" && b.has("198.51.100.100") {
		b.t.Error("a backup has the address")
	}
	b.state(settled, "web", "master") // by its own time
	eventually(b.t, room, "the address is there", func() bool { return b.has("198.51.100.100") })
	out := b.daemon.Output()
	if n := strings.Count(out, "starts anew") + strings.Count(out, "is not used"); n != 1 || strings.Contains(out, went) {
		b.t.Errorf("told %d times that the journal is not trusted, went on as master: %v", n, strings.Contains(out, went))
	}
	for line := range strings.Lines(out) {
		if strings.Contains(line, "starts anew") || strings.Contains(line, "is not used") {
			b.t.Logf("measured: %s", strings.TrimSpace(line))
		}
	}
}

// The lease is over as well when a killed daemon comes back late: nothing is
// left, and the peer is not disturbed.
func TestJournalStaleWithPeer(t *testing.T) {
	t.Parallel()
	const interval = time.Second
	d := newDuo(t, duoTOML(highest, interval, "preempt = false"), duoTOML(lower, interval))
	if err := d.a.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for _, vip := range []string{vipFour, vipSix} {
		only(t, detection(interval, lower)+room, vip, d.b, d.a)
	}
	time.Sleep(4*time.Second - time.Since(began))
	hooksRan(t, d.b, 4)
	peer := d.b.story()
	d.a.start()
	d.a.wantLog("vrid=51 family=ipv4 reason=\"its last advert was ", "vrid=52 family=ipv6 reason=\"its last advert was ")
	during(t, 2*interval, "b alone has the addresses", func() bool {
		return d.b.has(vipFour) && d.b.has(vipSix) && !d.a.has(vipFour) && !d.a.has(vipSix)
	})
	sameStory(t, d.b, peer)
	for _, i := range d.a.status().Instances {
		if i.State != "backup" || i.Counters.BecameMaster != 0 {
			t.Errorf("%s is %s and was master %d times", i.Name, i.State, i.Counters.BecameMaster)
		}
	}
	t.Logf("measured: a came back as backup, b was not disturbed")
}
