package sim

import (
	"slices"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// FuzzWire lets two decoders that share no code read the same bytes: they
// accept the same and understand the same.
func FuzzWire(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte, six, mend bool) {
		frame := Frame{Source: plain1, Destination: plainGroup4, TTL: 255, Payload: slices.Clone(b)}
		if six {
			frame.Source, frame.Destination = plain1v6, plainGroup6
		}
		if mend && len(b) >= 8 { // few bytes have the right checksum by chance
			frame.Payload[6], frame.Payload[7] = 0, 0
			covered := frame.Payload
			if six {
				covered = withPseudo(frame.Payload, frame.Source, frame.Destination)
			}
			sealPlain(frame.Payload, covered)
		}
		var p vrrp.Packet
		reason, ok := p.Parse(frame.Payload, frame.Source, frame.Destination)
		a, err := readPlain(frame)
		right := a.sum.pseudo || !six && a.sum.message
		if a.version == 2 {
			right = a.sum.message
		}
		accepts := err == nil && right && (a.version == 2 || a.interval > 0)
		if accepts && six && !a.addresses[0].IsLinkLocalUnicast() {
			accepts = false
		}
		if ok != accepts {
			t.Fatalf("% x: package vrrp says %v, the plain router %v with right checksum %v", frame.Payload, reason, err, right)
		}
		if !ok {
			return
		}
		same := p.Version == vrrp.Version(a.version) && int(p.VRID) == a.vrid && int(p.Priority) == a.priority &&
			p.Interval == a.interval && slices.Equal(p.Addresses, a.addresses) && p.AuthType == a.authType && p.Auth == a.auth
		if !same {
			t.Fatalf("% x: package vrrp reads %+v, the plain router %+v", frame.Payload, p, a)
		}
		if a.interval < time.Second/100 {
			return // version 2 can say 0, and nobody would
		}
		if again := a.write(); !slices.Equal(again[8:], frame.Payload[8:]) {
			t.Fatalf("% x is written as % x", frame.Payload, again)
		}
	})
}
