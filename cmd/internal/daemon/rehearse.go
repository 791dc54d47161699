package daemon

import (
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// rehearseGap is how long caches keep what a rehearsal brought there, for many backups
// that take over one after the other.
const rehearseGap = 5 * time.Millisecond

// nearTakeOver is for the moment before a backup takes over.
func (d *Daemon) nearTakeOver() {
	if now := time.Now(); now.Sub(d.rehearsed) >= rehearseGap {
		d.rehearsed = now
		rehearse()
	}
}

// rehearse has an Engine of its own take over from a master that falls silent, and
// returns what would be to do; nobody does it. What is done for the first time takes long: memory is touched
// that never was, and the runtime learns how to print a type. The first take-over need
// not wait for that.
func rehearse() (actions []vrrp.Action) {
	for _, subnet := range []string{"192.0.2.1/24", "fe80::1/64"} {
		first := netip.MustParsePrefix(subnet)
		second := netip.PrefixFrom(first.Addr().Next(), first.Bits())
		vip := netip.PrefixFrom(second.Addr().Next(), first.Bits())
		master, now := rehearsed(first, vip, 150)
		backup, _ := rehearsed(second, vip, 100)
		now = now.Add(time.Hour)
		for _, a := range master.Step(now, &vrrp.Tick{}) {
			if s, ok := a.(*vrrp.SendAdvert); ok {
				backup.Step(now, &vrrp.AdvertReceived{
					Interface: s.Interface, Source: s.Source, Destination: s.Destination, TTL: vrrp.TTL, Payload: s.Payload,
				})
			}
		}
		actions = append(actions, backup.Step(now.Add(time.Hour), &vrrp.Tick{})...)
	}
	return actions
}

// rehearsed is an Engine with one virtual router.
func rehearsed(own, vip netip.Prefix, priority uint8) (*vrrp.Engine, time.Time) {
	e, now := vrrp.NewEngine(), time.Now()
	e.Step(now, &vrrp.Configure{Instances: []vrrp.Config{{
		Name: "rehearsal", Interface: "eth0", VRID: 1, Version: vrrp.Version3, Priority: priority,
		AdvertInterval: time.Second, Addresses: []netip.Prefix{vip},
	}}})
	e.Step(now, &vrrp.Link{Name: "eth0", Index: 1, Up: true, Carrier: true, Addresses: []netip.Prefix{own}})
	return e, now
}
