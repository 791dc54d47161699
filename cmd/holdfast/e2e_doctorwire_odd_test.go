package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// One node speaks multicast and the other unicast, so that neither takes what the
// other says.
func TestDoctorWireDelivery(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
	config := func(priority int, lines ...string) string {
		return instanceTOML(priority, "100ms", []string{"192.0.2.100"}, lines...)
	}
	n1.run(config(150))
	n2.run(config(100, `peers = ["192.0.2.1"]`))
	for _, n := range []*node{n1, n2} {
		eventually(t, patience, n.Name()+" is master", func() bool { return n.instance("web").State == "master" })
	}
	done := make(chan *onWire, 2)
	go func() { done <- n1.wireDoctor(t, wireWait) }()
	go func() { done <- n2.wireDoctor(t, wireWait, config(100)) }()
	for range 2 {
		switch w := <-done; w.host {
		case "lb1":
			fix := w.says("delivery-differs", "192.0.2.2 sends to 192.0.2.1, this node to 224.0.0.18")
			// With that, and a reload, both speak unicast.
			n1.configure(edited(t, config(150), fix))
		case "lb2": // whose configuration is not what it runs with
			w.says("ignores-master", "this node (192.0.2.2) goes on with priority 100 beside 192.0.2.1 with priority 150, whose adverts reach it")
		}
	}
	n1.order(0, "reloaded", "reload")
	eventually(t, patience, "lb2 is backup", func() bool { return n2.instance("web").State == "backup" })
	n2.wireDoctor(t, wireWait).wants()
	n2.stop()
	n1.stop()
}

// A network that returns what it is sent, a router that sends nonsense, and a
// gateway that answers for all addresses, as in a cloud.
func TestDoctorWireFrames(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	n1, n2 := newNode(t, l, "lb1", "192.0.2.1/24"), newNode(t, l, "lb2", "192.0.2.2/24")
	other, cloud := newNode(t, l, "other", "192.0.2.254/24", "192.0.2.110/32"), newPatient(newNode(t, l, "lb4", "192.0.2.4/24"))
	n1.run(instanceTOML(150, "100ms", []string{"192.0.2.100"}))
	n2.run(instanceTOML(100, "100ms", []string{"192.0.2.100"}))
	eventually(t, patience, "lb1 is master", func() bool { return n1.instance("web").State == "master" })
	eventually(t, patience, "lb2 is backup", func() bool { return n2.instance("web").State == "backup" })
	const header = 14 + 20 // of Ethernet and of IPv4, before the advert
	c, err := other.Capture("eth0", func(f lab.Frame) bool {
		return len(f.Data) > header+8 && f.Data[12] == 8 && f.Data[13] == 0 && f.Data[23] == 112
	})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	f, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	returned, broken := f.Data, slices.Clone(f.Data)
	broken[header+6]++ // its checksum
	ctx, stop := context.WithCancel(t.Context())
	injected := make(chan struct{})
	go func() {
		defer close(injected)
		for ctx.Err() == nil {
			for _, frame := range [][]byte{returned, broken} {
				if err := other.Inject("eth0", frame); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
	}()
	port, err := other.Port("eth0")
	if err != nil {
		t.Fatal(err)
	}
	cloud.sh("ip route add default via 192.0.2.254; ip neigh replace 192.0.2.254 lladdr " + port.MAC().String() + " dev eth0")
	done := make(chan *onWire, 3)
	for _, n := range []*node{n1, n2} {
		go func() { done <- n.wireDoctor(t, wireWait) }()
	}
	go func() {
		done <- cloud.wireDoctor(t, wireWait, strings.Replace(instanceTOML(100, "100ms", []string{"192.0.2.110"}, `peers = ["192.0.2.1"]`), "vrid = 51", "vrid = 61", 1))
	}()
	for range 3 {
		switch w := <-done; w.host {
		case "lb1":
			w.wants("adverts-return")
			w.says("adverts-return", "the adverts of this host (192.0.2.1) come back to it")
		case "lb2":
			w.wants("bad-adverts")
			w.says("bad-adverts", "VRID 51 (IPv4): 192.0.2.1 sends bad adverts", "checksum", "holdfast sniff -i eth0 --vrid 51")
		case "lb4":
			w.wants()
			w.says("answered-by-gateway", "the gateway (MAC "+port.MAC().String()+") answers ARP requests for 192.0.2.110")
		}
	}
	stop()
	<-injected
	n2.wireDoctor(t, wireWait).wants()
	n2.stop()
	n1.stop()
}
