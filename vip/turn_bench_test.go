package vip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// prompt is a kernel that does at once whatever it is asked for.
type prompt struct{ errs []error }

func (p *prompt) Apply(_ string, changes []Change) []error { return sized(&p.errs, len(changes)) }
func (*prompt) Addresses(string) ([]Present, error)        { return nil, nil }
func (*prompt) Sysctl(string) (string, error)              { return "1", nil }
func (*prompt) SetSysctl(string, string) error             { return nil }

func (*prompt) Announce(string, ARPForm, []netip.Addr, func(netip.Addr) bool) error { return nil }

// BenchmarkTakeOver is what the taking over of 4000 addresses costs beside what the
// kernel does for it. The kernel does nothing meanwhile.
func BenchmarkTakeOver(b *testing.B) {
	var addrs []netip.Prefix
	for i := range 4000 {
		addrs = append(addrs, netip.MustParsePrefix(fmt.Sprintf("10.9.%d.%d/16", i/250, 1+i%250)))
	}
	b.ReportAllocs()
	for b.Loop() {
		m := NewManager(&prompt{}, nil)
		m.Add("a", "eth0", addrs, time.Second)
		m.Announce("a", "eth0", addrs, ARPRequest)
		taken := 0
		for {
			orders, _ := m.queue.take()
			if len(orders) == 0 {
				break
			}
			for _, r := range m.turn(orders) {
				if r.Order == OrderAdd {
					taken += len(r.Addresses)
				}
			}
		}
		if taken != len(addrs) {
			b.Fatalf("%d addresses were added, want %d", taken, len(addrs))
		}
	}
}
