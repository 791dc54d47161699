package main

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// sniffed is what a line of holdfast sniff --json says, as far as the tests
// look at it.
type sniffed struct {
	Version     int       `json:"version"`
	Kind        string    `json:"kind"`
	Time        time.Time `json:"time"`
	Interface   string    `json:"interface"`
	VLANs       []int     `json:"vlans"`
	Outgoing    bool      `json:"outgoing"`
	SourceMAC   string    `json:"source_mac"`
	Source      string    `json:"source"`
	Destination string    `json:"destination"`
	TTL         int       `json:"ttl"`
	Form        string    `json:"form"`
	Address     string    `json:"address"`
	MAC         string    `json:"mac"`
	VRRP        *struct {
		Protocol  int      `json:"protocol"`
		VRID      int      `json:"vrid"`
		Priority  int      `json:"priority"`
		Checksum  string   `json:"checksum"`
		Addresses []string `json:"addresses"`
	} `json:"vrrp"`
	Findings json.RawMessage `json:"findings"` // of a router: counts
	Finding  struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	} `json:"finding"`
	VRID    int    `json:"vrid"` // of a router
	State   string `json:"state"`
	Adverts int    `json:"adverts"`
}

// found lists the kinds of what was found in a packet.
func (s *sniffed) found() (list []string) {
	var all []struct {
		Kind string `json:"kind"`
	}
	_ = json.Unmarshal(s.Findings, &all) // of a router it is something else
	for _, f := range all {
		list = append(list, f.Kind)
	}
	return list
}

// sniffer is holdfast sniff --json on a host that only listens.
type sniffer struct {
	t *testing.T
	*lab.Process
}

func newSniffer(t *testing.T, h *lab.Host, args ...string) *sniffer {
	t.Helper()
	p, err := h.Start(selfPath(), append([]string{"sniff", "--json"}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.WaitOutput(t.Context(), "listening for VRRP on eth0; Ctrl-C ends and sums up\n"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("what sniff wrote:\n%s", p.Output())
		}
	})
	return &sniffer{t, p}
}

// lines is what it has said so far, without what it said to people.
func (s *sniffer) lines() (list []sniffed) {
	s.t.Helper()
	for line := range strings.Lines(s.Output()) {
		if !strings.HasSuffix(line, "\n") || !strings.HasPrefix(line, "{") {
			continue
		}
		var d sniffed
		if err := json.Unmarshal([]byte(line), &d); err != nil {
			s.t.Fatalf("%v in %s", err, line)
		}
		if d.Version != 1 {
			s.t.Fatalf("version %d in %s", d.Version, line)
		}
		list = append(list, d)
	}
	return list
}

// await waits for a line after those that are there already.
func (s *sniffer) await(what string, from int, ok func(d *sniffed) bool) (found sniffed, at int) {
	s.t.Helper()
	eventually(s.t, patience, what, func() bool {
		list := s.lines()
		for n := min(from, len(list)); n < len(list); n++ {
			if ok(&list[n]) {
				found, at = list[n], n
				return true
			}
		}
		return false
	})
	return found, at
}

// awaitFinding waits for something found about a router.
func (s *sniffer) awaitFinding(kind, source string, from int) (sniffed, int) {
	s.t.Helper()
	return s.await(kind+" of "+source, from, func(d *sniffed) bool {
		return d.Source == source && (d.Finding.Kind == kind || slices.Contains(d.found(), kind))
	})
}

// TestSniffLive has a host look at a pair of which one dies, returns and hands
// over, while a stranger sends what no router would.
func TestSniffLive(t *testing.T) {
	l := newLab(t)
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
	watcher, err := l.Host("watcher") // without an address of its own
	if err != nil {
		t.Fatal(err)
	}
	s := newSniffer(t, watcher, "--arp")
	s.checkMember(watcher)
	addresses := []string{"192.0.2.100/24"}
	n1.run(instanceTOML(150, "200ms", addresses))
	first, at := s.awaitFinding("master", "192.0.2.1", 0)
	if v := first.VRRP; first.Interface != "eth0" || first.TTL != 255 || v.VRID != 51 || v.Priority != 150 || v.Protocol != 3 || v.Checksum == "wrong" ||
		!slices.Equal(v.Addresses, []string{"192.0.2.100"}) || first.Destination != "224.0.0.18" || first.Outgoing {
		t.Errorf("the first advert is shown as %+v, %+v", first, v)
	}
	port, err := n1.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	said, at := s.await("the address is announced", at, func(d *sniffed) bool { return d.Kind == "announcement" })
	if said.Address != "192.0.2.100" || said.MAC != port.MAC().String() || said.Form != "gratuitous ARP request" || string(said.Findings) != "[]" {
		t.Errorf("the announcement is shown as %+v", said)
	}
	n2.run(instanceTOML(100, "200ms", addresses))
	eventually(t, patience, "lb2 is backup", func() bool { return n2.instance("web").State == "backup" })

	if err := n1.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	silent, at := s.awaitFinding("silent", "192.0.2.1", at)
	if !strings.Contains(silent.Finding.Text, "192.0.2.1, priority 150, fell silent: no advert for 600ms, one was due every 200ms") {
		t.Errorf("of a silent router it says %q", silent.Finding.Text)
	}
	over, at := s.awaitFinding("takeover", "192.0.2.2", at)
	t.Logf("measured: the silence was told %v before the other took over", over.Time.Sub(silent.Time).Round(time.Millisecond))

	n1.start()
	_, at = s.awaitFinding("preempt", "192.0.2.1", at)
	n1.stop()
	release, at := s.awaitFinding("release", "192.0.2.1", at)
	if !strings.Contains(string(release.Findings), "a quick release") {
		t.Errorf("of a quick release it says %s", release.Findings)
	}
	_, at = s.awaitFinding("takeover", "192.0.2.2", at)

	s.strange(l, n2, at)
	s.end(map[string]string{"192.0.2.1": "released"}) // lb2 may be in conflict with the stranger
	n2.stop()
}

// checkMember wants that the card passes the groups of VRRP, and that switches
// were told.
func (s *sniffer) checkMember(h *lab.Host) {
	s.t.Helper()
	for path, groups := range map[string][]string{
		"/proc/net/dev_mcast": {"01005e000012", "333300000012", "333300000001"},
		"/proc/net/igmp6":     {"ff020000000000000000000000000012"},
	} {
		out, err := h.Command(s.t.Context(), "cat", path).Output()
		if err != nil {
			s.t.Fatal(err)
		}
		for _, g := range groups {
			if !strings.Contains(string(out), g) {
				s.t.Errorf("%s has no %s:\n%s", path, g, out)
			}
		}
	}
}

// strange has a stranger send bad packets, and wants each told.
func (s *sniffer) strange(l *lab.Lab, target *node, at int) {
	s.t.Helper()
	st := newStranger(s.t, l, target)
	// Only who must have heard the master is a second one.
	_, at = s.await("the next advert of the master", at+1, func(d *sniffed) bool { return d.Kind == "advert" && d.Source == "192.0.2.2" })
	weak := threeAdvert()
	weak.priority = 50
	st.say(weak)
	two, at := s.awaitFinding("two_masters", st.ip.String(), at)
	if !strings.Contains(string(two.Findings), "it does not hear 192.0.2.2: a firewall drops protocol 112") {
		s.t.Errorf("of two masters it says %s", two.Findings)
	}
	at++
	told := []string{"short", "ttl", "type", "address_count", "length", "checksum", "interval_zero", "first_address"}
	tried := 0
	for _, b := range badPackets(netip.MustParseAddr("192.0.2.2"), st.targetLocal) {
		if !slices.Contains(told, b.reason) {
			continue
		}
		tried++
		st.bad(&b)
		d, n := s.await(b.what, at, func(d *sniffed) bool {
			return d.Kind == "advert" && (d.Source == st.ip.String() || d.Source == st.local.String())
		})
		if at = n + 1; !slices.Contains(d.found(), b.reason) {
			s.t.Errorf("%s (%s): found was %s", b.what, b.reason, d.Findings)
		}
	}
	// On a VLAN the same VRID is another virtual router.
	p := packet{srcMAC: st.mac, dstMAC: multicastMAC(vrrpGroup), src: st.ip, dst: vrrpGroup, ttl: 255, protocol: 112}
	a := threeAdvert()
	p.payload = a.bytes(p.src, p.dst)
	frame := p.frame()
	tag := binary.BigEndian.AppendUint16([]byte{0x81, 0}, 10)
	st.inject(slices.Concat(frame[:12], tag, frame[12:]))
	d, _ := s.await("an advert on a VLAN", at, func(d *sniffed) bool { return slices.Equal(d.VLANs, []int{10}) })
	if slices.Contains(d.found(), "two_masters") || !slices.Contains(d.found(), "master") || d.VRRP.VRID != 51 {
		s.t.Errorf("an advert on a VLAN is shown as %+v, %s", d, d.Findings)
	}
	s.t.Logf("measured: %d bad packets seen live, each told", tried)
}

// end interrupts it, and holds the summary of the routers in VRID 51 against
// the states wanted.
func (s *sniffer) end(states map[string]string) {
	s.t.Helper()
	if err := s.Signal(syscall.SIGINT); err != nil {
		s.t.Fatal(err)
	}
	if err := s.Wait(s.t.Context()); err != nil {
		s.t.Errorf("it ended: %v", err)
	}
	got := map[string]string{}
	list := s.lines()
	for _, d := range list {
		if _, wanted := states[d.Source]; wanted && d.Kind == "router" && d.State != "" {
			got[d.Source] = d.State
			if d.Adverts == 0 {
				s.t.Errorf("no advert of %s", d.Source)
			}
		}
	}
	for source, want := range states {
		if got[source] != want {
			s.t.Errorf("%s is %q at the end, want %q", source, got[source], want)
		}
	}
	if last := list[len(list)-1]; last.Kind != "summary" {
		s.t.Errorf("it ends with %+v", last)
	}
}

// TestSniffPaused stops the sniffer for longer than a router may be silent: what
// waits in its socket counts when it goes on, and not the time that it slept.
func TestSniffPaused(t *testing.T) {
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24")
	watcher, err := l.Host("watcher")
	if err != nil {
		t.Fatal(err)
	}
	s := newSniffer(t, watcher)
	n.run(instanceTOML(150, "100ms", []string{"192.0.2.100/24"}))
	_, at := s.awaitFinding("master", "192.0.2.1", 0)
	for range 3 {
		if err := s.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		time.Sleep(700 * time.Millisecond) // of the silence that it must not see
		woken := time.Now()
		if err := s.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		_, at = s.await("it goes on", at, func(d *sniffed) bool { return d.Kind == "advert" && d.Time.After(woken) })
	}
	var last time.Time
	silences, told := 0, 0
	for _, d := range s.lines() {
		if d.Kind == "advert" && d.Source == "192.0.2.1" {
			if !last.IsZero() && d.Time.Sub(last) > 300*time.Millisecond {
				silences++ // the node itself was late
			}
			last = d.Time
		}
		if d.Finding.Kind == "silent" {
			told++
		}
	}
	if told > silences {
		t.Errorf("%d silences were told, there were %d", told, silences)
	}
	t.Logf("measured: slept three times through 7 adverts of 100 ms, %d silences told", told)
	n.stop()
}

// TestSniffHandover has three nodes hand over and return, multicast and in a
// unicast mesh: nothing of it is a fault, and each router is one.
func TestSniffHandover(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	var nodes []*node
	addrs := []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}
	for n, a := range addrs {
		nodes = append(nodes, newNode(t, l, fmt.Sprintf("lb%d", n+1), a+"/24"))
	}
	s := newSniffer(t, nodes[2].Host, "--arp")
	for n, nd := range nodes {
		var peers []string
		for m, a := range addrs {
			if m != n {
				peers = append(peers, strconv.Quote(a))
			}
		}
		both := instanceTOML(150-10*n, "200ms", []string{"192.0.2.100/24"}) + fmt.Sprintf(`
[[instance]]
name = "mesh"
interface = "eth0"
vrid = 52
priority = %d
addresses = ["192.0.2.101/24"]
advert_interval = "200ms"
peers = [%s]
`, 150-10*n, strings.Join(peers, ", "))
		nd.run(both)
		if n == 0 {
			eventually(t, patience, "lb1 is master", func() bool {
				return nd.instance("web").State == "master" && nd.instance("mesh").State == "master"
			})
		}
	}
	for _, nd := range nodes[1:] {
		eventually(t, patience, nd.Name()+" is backup", func() bool {
			return nd.instance("web").State == "backup" && nd.instance("mesh").State == "backup"
		})
	}
	at := len(s.lines())
	for range 2 {
		nodes[0].order(0, "took over", "drain")
		_, at = s.await("lb2 takes over", at, func(d *sniffed) bool { // from lb1, or from lb3 that was sooner
			return d.Source == addrs[1] && (slices.Contains(d.found(), "takeover") || slices.Contains(d.found(), "preempt"))
		})
		nodes[0].order(0, "", "undrain")
		_, at = s.await("lb1 returns", at, func(d *sniffed) bool { return d.Source == addrs[0] && slices.Contains(d.found(), "preempt") })
		eventually(t, patience, "lb1 is master", func() bool {
			return nodes[0].instance("web").State == "master" && nodes[0].instance("mesh").State == "master"
		})
	}
	for n := range slices.Backward(nodes) {
		nodes[n].stop()
	}
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	routers := map[string]bool{}
	for _, d := range s.lines() {
		for _, kind := range []string{"two_masters", "silent", "announcer", "duplicate_source", "checksums"} {
			if d.Kind != "router" && (d.Finding.Kind == kind || slices.Contains(d.found(), kind)) {
				t.Errorf("a sound hand-over is told as %s: %s at %v: %s%s", kind, d.Source, d.Time, d.Finding.Text, d.Findings)
			}
		}
		if key := fmt.Sprint(d.VRID, d.Source); d.Kind == "router" {
			if routers[key] {
				t.Errorf("there are two routers %s", key)
			}
			routers[key] = true
		}
	}
	t.Logf("measured: %d routers in two virtual routers through two drains", len(routers))
}

// TestSniffLinks pulls the cable of a sniffer.
func TestSniffLinks(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n := newNode(t, l, "lb1", "192.0.2.1/24")
	watcher := newNode(t, l, "watcher", "192.0.2.9/24")
	s := newSniffer(t, watcher.Host, "-i", "eth0")
	n.run(instanceTOML(150, "200ms", []string{"192.0.2.100/24"}))
	s.awaitFinding("master", "192.0.2.1", 0)
	if err := watcher.Unplug(); err != nil {
		t.Fatal(err)
	}
	said := func(line string) {
		t.Helper()
		if err := s.WaitOutput(t.Context(), line); err != nil {
			t.Error(err)
		}
	}
	said("eth0 has no carrier: silence there means nothing until it is back\n")
	if err := watcher.PlugIn(); err != nil {
		t.Fatal(err)
	}
	said("eth0 is back\n")
	at := len(s.lines())
	s.await("adverts are heard again", at, func(d *sniffed) bool { return d.Kind == "advert" })
	if err := s.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	n.stop()
}
