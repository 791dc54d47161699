package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// newIPv6Cut prepares the node for a cut and returns a function which drops all
// IPv6 frames that eth0 sends and receives, silently: it redirects them to an
// interface that is down.
func newIPv6Cut(t *testing.T, n *node) (cut func()) {
	t.Helper()
	var filters []netlink.Filter
	do := func(f func(h *netlink.Handle) error) {
		t.Helper()
		err := n.Do(func() error {
			h, err := netlink.NewHandle()
			if err != nil {
				return err
			}
			defer h.Close()
			return f(h)
		})
		if err != nil {
			t.Fatalf("cut IPv6 of %s: %v", n.Name(), err)
		}
	}
	do(func(h *netlink.Handle) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "void"
		if err := h.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "void-end"}); err != nil {
			return fmt.Errorf("add void: %w", err)
		}
		void, err := h.LinkByName("void")
		if err != nil {
			return err
		}
		link, err := h.LinkByName("eth0")
		if err != nil {
			return err
		}
		index := link.Attrs().Index
		err = h.QdiscAdd(&netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
			LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
		}})
		if err != nil {
			return fmt.Errorf("add clsact: %w", err)
		}
		for _, parent := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
			filters = append(filters, &netlink.U32{
				FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Priority: 1, Protocol: unix.ETH_P_IPV6},
				ClassId:     1,
				Actions:     []netlink.Action{netlink.NewMirredAction(void.Attrs().Index)},
			})
		}
		return nil
	})
	return func() {
		t.Helper()
		do(func(h *netlink.Handle) error {
			for _, f := range filters {
				if err := h.FilterAdd(f); err != nil {
					return fmt.Errorf("add filter: %w", err)
				}
			}
			return nil
		})
	}
}

// When only IPv6 is cut, the IPv6 addresses of an instance move and the IPv4
// ones stay: each family is a virtual router of its own.
func TestDualStackHalfCut(t *testing.T) {
	const interval = 100 * time.Millisecond
	l := newLab(t)
	n := nodes(t, l, 2)
	a, b := n[0], n[1]
	cut := newIPv6Cut(t, a)
	both := []string{vipFour + "/24", vipSix + "/64"}
	a.run(instanceTOML(150, interval.String(), both))
	b.run(instanceTOML(100, interval.String(), both))
	only(t, settled, vipFour, a, b)
	only(t, settled, vipSix, a, b)
	ps := probes(t, newClient(t, l), vipFour, vipSix)
	for _, p := range ps {
		served(t, p, a)
	}

	began := time.Now()
	cut()
	most := detection(interval, 100) + room
	eventually(t, most, "b has "+vipSix, func() bool { return b.has(vipSix) })
	served(t, ps[1], b)
	took := answered(t, ps[1], began, b)
	t.Logf("measured: IPv6 client served by the backup after %s (3 adverts + skew: %s)", ms(took), ms(detection(interval, 100)))
	if took > most {
		t.Errorf("the IPv6 client was served after %v, want at most %v", took, most)
	}
	during(t, 3*detection(interval, 100), "IPv4 stays on a", func() bool { return a.has(vipFour) && !b.has(vipFour) })
	lossless(t, "IPv4 meanwhile", ps[0], began)
	if i := b.instance("web"); i.State != "master" || i.Families[0].State != "backup" || i.Families[1].State != "master" {
		t.Errorf("status of b: instance %s, families %+v: want master for ipv6 alone", i.State, i.Families)
	}
}
