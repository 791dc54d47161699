package transport

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// addrs compares addresses, which have no exported fields.
var addrs = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })

func TestParseIPv4(t *testing.T) {
	// 192.0.2.1 to 224.0.0.18, TTL 255, protocol 112.
	header := func(ihl byte, total int) []byte {
		return []byte{
			0x40 | ihl, 0xc0, byte(total >> 8), byte(total), 0, 0, 0, 0,
			255, 112, 0, 0, 192, 0, 2, 1, 224, 0, 0, 18,
		}
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	payload := []byte{0x31, 5, 100, 1, 0, 100, 0xa8, 0x30, 192, 0, 2, 100}
	nops := bytes.Repeat([]byte{1}, 40)
	packet := func(payload []byte) Packet {
		return Packet{
			Source:      netip.MustParseAddr("192.0.2.1"),
			Destination: netip.MustParseAddr("224.0.0.18"),
			TTL:         255,
			Payload:     payload,
		}
	}
	otherTTL := header(5, 32)
	otherTTL[8] = 1
	version6 := header(5, 32)
	version6[0] = 0x65
	want1 := packet(payload)
	want1.TTL = 1

	tests := []struct {
		name string
		data []byte
		want Packet
		ok   bool
	}{
		{"no options", join(header(5, 32), payload), packet(payload), true},
		{"other TTL", join(otherTTL, payload), want1, true},
		{"one word of options", join(header(6, 36), nops[:4], payload), packet(payload), true},
		{"most options", join(header(15, 72), nops, payload), packet(payload), true},
		{"padding after the total length", join(header(5, 32), payload, make([]byte, 14)), packet(payload), true},
		{"options and padding", join(header(6, 36), nops[:4], payload, make([]byte, 10)), packet(payload), true},
		{"no payload", header(5, 20), packet([]byte{}), true},
		{"only padding", join(header(5, 20), make([]byte, 26)), packet([]byte{}), true},
		{"options without payload", join(header(15, 60), nops), packet([]byte{}), true},
		{"cut by the buffer", join(header(5, 1500), payload), packet(payload), true},
		{"not version 4", join(version6, payload), Packet{}, false},
		{"header length below five words", join(header(4, 32), payload), Packet{}, false},
		{"header length zero", join(header(0, 32), payload), Packet{}, false},
		{"options cut short", join(header(15, 72), nops[:39]), Packet{}, false},
		{"total shorter than the header", join(header(6, 20), nops[:4], payload), Packet{}, false},
		{"total zero", join(header(5, 0), payload), Packet{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			buffer := bytes.Clone(tt.data[headerLen4:])
			got, ok := parseIPv4((*[headerLen4]byte)(tt.data), buffer)
			if ok != tt.ok {
				t.Fatalf("ok = %v, want %v", ok, tt.ok)
			}
			if diff := cmp.Diff(tt.want, got, addrs); diff != "" {
				t.Errorf("packet (-want +got):\n%s", diff)
			}
			if ok && cap(got.Payload) != cap(buffer) {
				t.Errorf("the buffer shrank from %d to %d bytes", cap(buffer), cap(got.Payload))
			}
		})
	}
}

func FuzzParseIPv4(f *testing.F) {
	f.Add(make([]byte, headerLen4))
	f.Add(append([]byte{0x4f, 0, 0xff, 0xff}, make([]byte, 60)...))
	f.Add(append([]byte{0x45, 0, 0, 20}, make([]byte, 20)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < headerLen4 {
			return
		}
		rest := bytes.Clone(data[headerLen4:])
		p, ok := parseIPv4((*[headerLen4]byte)(data), rest)
		if !ok {
			return
		}
		header := int(data[0]&0x0f) * 4
		if !bytes.HasPrefix(data[header:], p.Payload) {
			t.Errorf("payload %x is not what follows the header of %x", p.Payload, data)
		}
		if total := int(data[2])<<8 | int(data[3]); len(p.Payload) > total-header {
			t.Errorf("payload of %d bytes with total length %d and header %d", len(p.Payload), total, header)
		}
	})
}
