package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// onWire is what holdfast doctor --json says.
type onWire struct {
	t        *testing.T
	host     string
	Findings []struct {
		Severity, ID, On, Title, Why, Fix string
	}
}

// wireDoctor runs holdfast doctor on a node, with a configuration of its own if
// one is given.
func (n *node) wireDoctor(t *testing.T, wait time.Duration, config ...string) *onWire {
	t.Helper()
	path := "/run/holdfast.toml"
	for _, text := range config {
		path = "/run/examined.toml"
		if err := n.WriteFile(path, text, 0o600); err != nil {
			t.Error(err) // and not Fatal: this may run beside the test
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	out, err := n.Command(ctx, selfPath(), "doctor", "--json", "--config", path, "--wait", wait.String()).Output()
	w := &onWire{t: t, host: n.Name()}
	if e := json.Unmarshal(out, w); e != nil {
		t.Errorf("doctor on %s: %v, %v\n%s", n.Name(), err, e, out)
	}
	return w
}

// wireKinds are those that come of the wire.
var wireKinds = []string{
	"wire",
	"adverts-not-delivered", "peer-deaf", "ignores-master", "adverts-return", "duplicate-address", "vrid-in-use", "bad-adverts", "version-differs",
	"delivery-differs", "peer-unknown", "checksum-differs", "interval-differs", "auth-differs", "addresses-differ", "answered-by-other",
	"adverts-absent", "peer-silent",
}

// kinds lists what was found on the wire that is not all right.
func (w *onWire) kinds() (list []string) {
	for _, f := range w.Findings {
		if f.Severity != "ok" && f.Severity != "info" && slices.Contains(wireKinds, f.ID) {
			list = append(list, f.ID)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// wants holds what was found against the kinds wanted.
func (w *onWire) wants(kinds ...string) {
	w.t.Helper()
	slices.Sort(kinds)
	if got := w.kinds(); !slices.Equal(got, kinds) {
		w.t.Errorf("doctor on %s finds %q, want %q\n%s", w.host, got, kinds, w)
	}
}

// says wants a finding with all the words given, and returns what to paste.
func (w *onWire) says(id string, words ...string) (fix string) {
	w.t.Helper()
	for _, f := range w.Findings {
		has := func(word string) bool { return strings.Contains(f.Title+"\n"+f.Why+"\n"+f.Fix, word) }
		if f.ID == id && !slices.ContainsFunc(words, func(word string) bool { return !has(word) }) {
			if (f.Why == "" || f.Fix == "") && f.Severity != "info" {
				w.t.Errorf("%s is told without what comes of it, or what to do: %+v", id, f)
			}
			return f.Fix
		}
	}
	w.t.Errorf("doctor on %s finds no %s with %q:\n%s", w.host, id, words, w)
	return ""
}

func (w *onWire) String() string {
	var b strings.Builder
	for _, f := range w.Findings {
		fmt.Fprintf(&b, "%s %s on %q: %s\n  %s\n%s\n", f.Severity, f.ID, f.On, f.Title, f.Why, f.Fix)
	}
	return b.String()
}

const wireWait = 1000 * time.Millisecond

// dualTOML is an instance of both families.
func dualTOML(priority int, lines ...string) string {
	return instanceTOML(priority, "100ms", []string{"192.0.2.100", "2001:db8::100"}, lines...)
}

// A sound pair gives no alarm: seen from the master, from the backup, and from a
// host on which no daemon runs.
func TestDoctorWireSound(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2, n3 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24"), newNode(t, l, "lb3", "192.0.2.3/24")
	both := func(priority int, peers string) string {
		return dualTOML(priority) + fmt.Sprintf(`
[[instance]]
name = "inside"
interface = "eth0"
vrid = 52
priority = %d
addresses = ["192.0.2.101"]
advert_interval = "100ms"
peers = [%s]
`, priority, peers)
	}
	n1.run(both(150, `"192.0.2.2", "192.0.2.3"`))
	n2.run(both(100, `"192.0.2.1", "192.0.2.3"`))
	eventually(t, patience, "lb1 is master", func() bool { return n1.instance("web").State == "master" && n1.instance("inside").State == "master" })
	eventually(t, patience, "lb2 is backup", func() bool { return n2.instance("web").State == "backup" && n2.instance("inside").State == "backup" })
	done := make(chan *onWire, 3)
	go func() { done <- n1.wireDoctor(t, wireWait) }()
	go func() { done <- n2.wireDoctor(t, wireWait) }()
	go func() { done <- n3.wireDoctor(t, wireWait, both(50, `"192.0.2.1", "192.0.2.2"`)) }()
	for range 3 {
		(<-done).wants()
	}
	// A hand-over while it listens is no alarm either.
	go func() { done <- n2.wireDoctor(t, wireWait) }()
	go func() { done <- n3.wireDoctor(t, wireWait, both(50, `"192.0.2.1", "192.0.2.2"`)) }()
	n1.order(0, "took over", "drain")
	for range 2 {
		(<-done).wants()
	}
	for _, i := range []string{"web", "inside"} {
		if got := n2.instance(i); got.State != "master" || got.Counters.LeftMaster != 0 {
			t.Errorf("after the examinations %s of lb2 is %s", i, got.State)
		}
	}
	n2.stop()
	n1.stop()
}

// Adverts that the kernel drops, that a switch withholds, and that get through
// one way.
func TestDoctorWireDeaf(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
	n1.run(dualTOML(150))
	n2.run(dualTOML(100))
	eventually(t, patience, "lb1 is master", func() bool { return n1.instance("web").State == "master" })
	backup := func() bool { return n2.instance("web").State == "backup" }
	eventually(t, patience, "lb2 is backup", backup)
	n2both := func() bool {
		return !slices.ContainsFunc(n2.instance("web").Families, func(f control.Family) bool { return f.State != "master" })
	}
	port, err := n2.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	withhold := func(on bool) {
		if err := port.WithholdMulticast(on); err != nil {
			t.Fatal(err)
		}
	}
	withhold(true)
	eventually(t, patience, "both are master", n2both)
	done := make(chan *onWire)
	go func() { done <- n1.wireDoctor(t, wireWait) }()
	at2 := n2.wireDoctor(t, wireWait)
	at1 := <-done
	at1.wants("peer-deaf")
	at1.says("peer-deaf", "192.0.2.2 does not hear this node (192.0.2.1)", "priority 100 beside priority 150", "tcpdump -ni eth0")
	at2.wants("answered-by-other")
	at2.says("answered-by-other", "192.0.2.100", "are answered by MAC 02:48:46:00:00:01, while this node is master", "whose adverts do not get here")
	withhold(false)
	eventually(t, patience, "lb2 is backup again", backup)

	n2.stop()
	withhold(true)
	n2.wireDoctor(t, wireWait).says("adverts-absent", "192.0.2.100", "are answered by MAC 02:48:46:00:00:01, and no master's advert arrived within 1s", "withholds multicast")
	withhold(false)

	// The way back to who sends is not over eth0.
	if err := n1.RemoveAddress("eth0", "192.0.2.1/24"); err != nil {
		t.Fatal(err)
	}
	if err := n1.AddAddress("eth0", "198.51.100.1/24"); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"all", "eth0"} {
		if err := n2.SetSysctl("net.ipv4.conf."+key+".rp_filter", "1"); err != nil {
			t.Fatal(err)
		}
	}
	n2.start()
	eventually(t, patience, "lb2 is master in IPv4", func() bool { return n2.instance("web").State == "master" })
	w := n2.wireDoctor(t, wireWait)
	w.says("adverts-not-delivered", "the IPv4 adverts of 198.51.100.1 arrive, and this host drops them", "rp_filter", "ip route get 198.51.100.1")
	t.Logf("measured: %d adverts of 100 ms are enough to tell", wireWait/(100*time.Millisecond))
}

// Strangers: in the VRID, with an address of ours, and with the VIP.
func TestDoctorWireStrangers(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2, n3 := newNode(t, l, "lb1", "192.0.2.1/24", "2001:db8::1/64"), newNode(t, l, "lb2", "192.0.2.2/24"), newNode(t, l, "lb3", "192.0.2.3/24", "2001:db8::3/64")
	n1.run(dualTOML(150))
	eventually(t, patience, "lb1 is master", func() bool { return n1.instance("web").State == "master" })
	for _, a := range []string{"192.0.2.100/32", "2001:db8::100/128", "192.0.2.1/24"} {
		if err := n3.AddAddress("eth0", a); err != nil {
			t.Fatal(err)
		}
	}
	done := make(chan *onWire)
	go func() { done <- n2.wireDoctor(t, wireWait, dualTOML(100)) }()
	w := n1.wireDoctor(t, wireWait)
	w.wants("answered-by-other", "duplicate-address")
	const mac = "02:48:46:00:00:03"
	w.says("answered-by-other", "192.0.2.100", "2001:db8::100", "are answered by MAC "+mac+", while this node is master")
	w.says("duplicate-address", "192.0.2.1, an address of this host, is also that of the host with MAC "+mac)
	w = <-done
	w.wants("answered-by-other")
	w.says("answered-by-other", "192.0.2.100 is answered by MAC "+mac, "192.0.2.1 is master", "ip neigh show dev eth0 | grep -i "+mac)
	for _, a := range []string{"192.0.2.100/32", "2001:db8::100/128", "192.0.2.1/24"} {
		if err := n3.RemoveAddress("eth0", a); err != nil {
			t.Fatal(err)
		}
	}
	n3.run(instanceTOML(200, "100ms", []string{"192.0.2.200"}))
	eventually(t, patience, "lb3 took the VRID", func() bool { return n3.instance("web").State == "master" })
	w = n1.wireDoctor(t, wireWait)
	w.wants("vrid-in-use")
	fix := w.says("vrid-in-use", "VRID 51 (IPv4) is used on eth0 by 192.0.2.3 (MAC "+mac+") for 192.0.2.200, with priority 200", "not heard on eth0 within 1s", "\nvrid = 52")
	n1.wireDoctor(t, wireWait, edited(t, dualTOML(150), fix)).wants()
	n3.stop()
	n1.stop()
}

// Peers that do not agree with the configuration, and one that is not there.
func TestDoctorWireDisagree(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
	instance := func(name string, vrid int, lines string) string {
		return fmt.Sprintf("[[instance]]\nname = %q\ninterface = \"eth0\"\nvrid = %d\npriority = 255\n%s\n", name, vrid, lines) // master at once
	}
	const quick = "advert_interval = \"200ms\"\n"
	n1.run(instance("sum", 51, quick+"addresses = [\"192.0.2.100\", \"192.0.2.110\"]\nchecksum = \"pseudo-header\"") +
		instance("two", 52, "addresses = [\"192.0.2.101\"]\nversion = 2\nauth = { type = \"pass\", password = \"secret\" }") +
		instance("three", 53, quick+"addresses = [\"192.0.2.102\"]") +
		instance("uni", 54, quick+"addresses = [\"192.0.2.103\"]\npeers = [\"192.0.2.2\"]"))
	for _, i := range []string{"sum", "two", "three", "uni"} {
		eventually(t, patience, i+" is master", func() bool { return n1.instance(i).State == "master" })
	}
	config := instance("sum", 51, quick+"addresses = [\"192.0.2.100\", \"192.0.2.111\"]\nchecksum = \"rfc9568\"") +
		instance("two", 52, "addresses = [\"192.0.2.101\"]\nversion = 2\nadvert_interval = \"2s\"\nauth = { type = \"pass\", password = \"Secret\" }") +
		instance("three", 53, "addresses = [\"192.0.2.102\"]\nversion = 2") +
		instance("uni", 54, quick+"addresses = [\"192.0.2.103\"]\npeers = [\"192.0.2.9\"]")
	w := n2.wireDoctor(t, 2100*time.Millisecond, config)
	mend := func(fix string) { config = edited(t, config, fix) }
	mend(w.says("checksum-differs", "192.0.2.1 sends checksums of the form pseudo-header, this node rfc9568", `checksum = "auto"`))
	w.says("addresses-differ", "192.0.2.1 has other addresses: only here 192.0.2.111, only there 192.0.2.110")
	mend(w.says("interval-differs", "192.0.2.1 sends an advert every 1s, this node every 2s", `advert_interval = "1s"`))
	w.says("auth-differs", "192.0.2.1 sends another password than this node")
	mend(w.says("version-differs", "192.0.2.1 speaks VRRP version 3, this node version 2", "version = 3"))
	mend(w.says("peer-unknown", "192.0.2.1 sends to this node, and is not among its peers", `peers = ["192.0.2.9", "192.0.2.1"]`))
	w.says("peer-silent", "the peer 192.0.2.9 does not answer ARP on eth0")
	if strings.Contains(w.String(), "secret") || strings.Contains(w.String(), "Secret") {
		t.Errorf("it tells a password:\n%s", w)
	}
	w = n2.wireDoctor(t, 1600*time.Millisecond, config)
	for _, id := range []string{"checksum-differs", "interval-differs", "version-differs", "peer-unknown"} {
		if slices.Contains(w.kinds(), id) {
			t.Errorf("after the fix it still finds %s:\n%s", id, w)
		}
	}
	n1.stop()
}
