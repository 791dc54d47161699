package lab

import (
	"fmt"
	"syscall"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// States of a bridge port, from linux/if_bridge.h.
const (
	bridgeDisabled   = 0
	bridgeForwarding = 3
)

// apply tells the bridge how to treat the port.
//
// A port that floods nothing and has no learned address receives nothing: deaf.
// A locked port takes frames only from addresses learned on it, so without any
// it is mute. A disabled port is cut off both ways.
func (p *Port) apply() error {
	type attr struct {
		kind  uint16
		value byte
	}
	hears, learns, state := flag(!p.deaf), flag(!p.deaf && !p.mute), byte(bridgeForwarding)
	if p.isolated {
		state = bridgeDisabled
	}
	attrs := []attr{
		{unix.IFLA_BRPORT_UNICAST_FLOOD, hears},
		{unix.IFLA_BRPORT_MCAST_FLOOD, flag(!p.deaf && !p.withheld)},
		{unix.IFLA_BRPORT_BCAST_FLOOD, hears},
		{unix.IFLA_BRPORT_LEARNING, learns},
		{unix.IFLA_BRPORT_LOCKED, flag(p.mute)},
		{unix.IFLA_BRPORT_STATE, state},
	}
	if learns == 0 {
		attrs = append(attrs, attr{unix.IFLA_BRPORT_FLUSH, 1})
	}
	err := p.host.lab.room.do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_SETLINK, unix.NLM_F_ACK)
		msg := nl.NewIfInfomsg(unix.AF_BRIDGE)
		msg.Index = int32(p.far.Attrs().Index)
		req.AddData(msg)
		info := nl.NewRtAttr(unix.IFLA_PROTINFO|unix.NLA_F_NESTED, nil)
		for _, a := range attrs {
			info.AddRtAttr(int(a.kind), []byte{a.value})
		}
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	if err != nil {
		return fmt.Errorf("set the switch's port of %s of %s: %w", p.name, p.host.name, err)
	}
	return nil
}

func flag(on bool) byte {
	if on {
		return 1
	}
	return 0
}

// bridgeState asks the bridge for the state of the port.
func (p *Port) bridgeState() (state byte, err error) {
	err = p.host.lab.room.do(func() error {
		messages, err := retryDump(func() ([][]byte, error) {
			req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_DUMP)
			req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
			return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWLINK)
		})
		if err != nil {
			return err
		}
		for _, m := range messages {
			msg := nl.DeserializeIfInfomsg(m)
			if int(msg.Index) != p.far.Attrs().Index {
				continue
			}
			attrs, err := nl.ParseRouteAttr(m[msg.Len():])
			if err != nil {
				return err
			}
			state, err = portState(attrs)
			return err
		}
		return fmt.Errorf("the bridge does not know the port")
	})
	if err != nil {
		return 0, fmt.Errorf("read the switch's port of %s of %s: %w", p.name, p.host.name, err)
	}
	return state, nil
}

func portState(attrs []syscall.NetlinkRouteAttr) (byte, error) {
	for _, a := range attrs {
		if a.Attr.Type&^unix.NLA_F_NESTED != unix.IFLA_PROTINFO {
			continue
		}
		nested, err := nl.ParseRouteAttr(a.Value)
		if err != nil {
			return 0, err
		}
		for _, n := range nested {
			if n.Attr.Type == unix.IFLA_BRPORT_STATE && len(n.Value) > 0 {
				return n.Value[0], nil
			}
		}
	}
	return 0, fmt.Errorf("the bridge does not tell the state of the port")
}
