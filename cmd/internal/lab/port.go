package lab

import (
	"fmt"
	"net"
	"time"

	"github.com/vishvananda/netlink"
)

// Port is a network interface of a host with its cable and the switch's end.
type Port struct {
	host *Host
	name string
	mac  net.HardwareAddr
	far  netlink.Link // the end in the switch

	isolated, deaf, mute, withheld bool
}

// Plug gives the host one more interface, connected to switch s. It returns
// when the interface has carrier and all its addresses can be used.
func (h *Host) Plug(ifname string, s *Switch, addrs ...string) (*Port, error) {
	n := h.lab.cnt.Add(1)
	p := &Port{host: h, name: ifname, mac: net.HardwareAddr{0x02, 0x48, 0x46, 0, byte(n >> 8), byte(n)}}
	if err := p.connect(fmt.Sprintf("port%d", n), s); err != nil {
		return nil, fmt.Errorf("plug %s of %s into switch %s: %w", ifname, h.name, s.name, err)
	}
	for _, a := range addrs {
		if err := h.AddAddress(ifname, a); err != nil {
			return nil, err
		}
	}
	if err := p.await(); err != nil {
		return nil, fmt.Errorf("plug %s of %s into switch %s: %w", ifname, h.name, s.name, err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ports = append(h.ports, p)
	return p, nil
}

func (p *Port) connect(farName string, s *Switch) error {
	room := p.host.lab.nl
	attrs := netlink.NewLinkAttrs()
	attrs.Name = farName
	attrs.MasterIndex = s.bridge.Index
	pair := &netlink.Veth{
		LinkAttrs: attrs, PeerName: p.name, PeerHardwareAddr: p.mac,
		PeerNamespace: netlink.NsFd(int(p.host.keep.netns.Fd())),
	}
	if err := room.LinkAdd(pair); err != nil {
		return fmt.Errorf("add cable: %w", err)
	}
	p.far = pair
	near, err := p.host.nl.LinkByName(p.name)
	if err != nil {
		return fmt.Errorf("find the host's end: %w", err)
	}
	// The switch's end first: then the host's has carrier as soon as it is up.
	if err := room.LinkSetUp(pair); err != nil {
		return fmt.Errorf("bring the switch's end up: %w", err)
	}
	if err := p.host.nl.LinkSetUp(near); err != nil {
		return fmt.Errorf("bring the host's end up: %w", err)
	}
	return nil
}

// await waits for the kernel's own work after an interface came up, which it
// does in the background: operational state, link-local address, the switch's
// port.
func (p *Port) await() error {
	if err := p.awaitCarrier(true); err != nil {
		return err
	}
	return poll(10*time.Second, "no link-local address", func() (bool, error) {
		prefixes, err := p.host.Addresses(p.name)
		for _, prefix := range prefixes {
			if prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast() {
				return true, p.host.awaitLocal(prefix.Addr())
			}
		}
		return false, err
	})
}

// awaitCarrier waits until the host's end has carrier, or has none, and the
// switch has noticed it too.
func (p *Port) awaitCarrier(want bool) error {
	missing := "no carrier"
	if !want {
		missing = "carrier still there"
	}
	return poll(10*time.Second, missing, func() (bool, error) {
		carrier, err := p.Carrier()
		if err != nil || carrier != want {
			return false, err
		}
		state, err := p.bridgeState()
		return (state == bridgeForwarding) == want, err
	})
}

// poll asks until the answer is yes, and says what is missing when the time is
// over.
func poll(limit time.Duration, missing string, ask func() (bool, error)) error {
	for deadline := time.Now().Add(limit); ; time.Sleep(2 * time.Millisecond) {
		ok, err := ask()
		if err != nil || ok {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s after %v", missing, limit)
		}
	}
}

// Port finds an interface made by Plug.
func (h *Host) Port(ifname string) (*Port, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		if p.name == ifname {
			return p, nil
		}
	}
	return nil, fmt.Errorf("host %s has no %s", h.name, ifname)
}

// Name is the interface's name on the host.
func (p *Port) Name() string { return p.name }

// MAC is the interface's own hardware address.
func (p *Port) MAC() net.HardwareAddr { return p.mac }

// Carrier tells whether the host sees a link at its end.
func (p *Port) Carrier() (bool, error) {
	link, err := p.host.nl.LinkByName(p.name)
	if err != nil {
		return false, fmt.Errorf("find %s on %s: %w", p.name, p.host.name, err)
	}
	return link.Attrs().OperState == netlink.OperUp, nil
}

// Unplug pulls the cable: the host loses carrier.
func (p *Port) Unplug() error {
	if err := p.host.lab.nl.LinkSetDown(p.far); err != nil {
		return fmt.Errorf("unplug %s of %s: %w", p.name, p.host.name, err)
	}
	if err := p.awaitCarrier(false); err != nil {
		return fmt.Errorf("unplug %s of %s: %w", p.name, p.host.name, err)
	}
	return nil
}

// PlugIn puts the cable back. A host that was isolated stays so.
func (p *Port) PlugIn() error {
	if err := p.host.lab.nl.LinkSetUp(p.far); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", p.name, p.host.name, err)
	}
	if err := p.awaitCarrier(true); err != nil {
		return fmt.Errorf("plug %s of %s in: %w", p.name, p.host.name, err)
	}
	return p.apply()
}

// Isolate makes the switch drop all frames from and to the host, or stops it
// doing so. The host keeps its carrier and notices nothing by itself, and the
// switch does not forget the addresses it learned on the port.
func (p *Port) Isolate(on bool) error {
	p.isolated = on
	return p.apply()
}

// Deafen makes the switch drop all frames to the host, or stops it doing so;
// what the host sends still arrives. Meanwhile the switch learns no addresses
// on the port.
func (p *Port) Deafen(on bool) error {
	p.deaf = on
	return p.apply()
}

// Mute makes the switch drop all frames from the host, or stops it doing so;
// the host still hears everything.
func (p *Port) Mute(on bool) error {
	p.mute = on
	return p.apply()
}

// WithholdMulticast makes the switch keep multicast from the host, as one does
// that looks for members of groups and knows of none there; broadcast and what
// is sent to the host still arrive.
func (p *Port) WithholdMulticast(on bool) error {
	p.withheld = on
	return p.apply()
}

// Unplug pulls the cable of eth0; see Port.Unplug.
func (h *Host) Unplug() error { return h.eth0((*Port).Unplug) }

// PlugIn puts the cable of eth0 back; see Port.PlugIn.
func (h *Host) PlugIn() error { return h.eth0((*Port).PlugIn) }

// Isolate cuts eth0 off while its carrier stays; see Port.Isolate.
func (h *Host) Isolate(on bool) error {
	return h.eth0(func(p *Port) error { return p.Isolate(on) })
}

// Deafen drops what is sent to eth0; see Port.Deafen.
func (h *Host) Deafen(on bool) error {
	return h.eth0(func(p *Port) error { return p.Deafen(on) })
}

// Mute drops what eth0 sends; see Port.Mute.
func (h *Host) Mute(on bool) error {
	return h.eth0(func(p *Port) error { return p.Mute(on) })
}

func (h *Host) eth0(f func(*Port) error) error {
	p, err := h.Port("eth0")
	if err != nil {
		return err
	}
	return f(p)
}
