package sniff

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// readAll reads a capture and returns what frames it has and the error that it
// ends with.
func readAll(data []byte) (list []Frame, err error) {
	f, err := NewFile(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	for {
		frame, err := f.Next()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return list, err
		}
		frame.Data = bytes.Clone(frame.Data)
		list = append(list, frame)
	}
}

// What was written is read again, in all forms of the formats.
func TestFileForms(t *testing.T) {
	frames := twoMasters()
	nameless := failover()
	pcaps := map[string][]byte{"pcapng": asPcapng(frames)}
	for name, order := range map[string]binary.AppendByteOrder{"little": binary.LittleEndian, "big": binary.BigEndian} {
		pcaps[name+" endian, microseconds"] = asPcap(nameless, order, 0xa1b2c3d4, LinkEthernet)
		pcaps[name+" endian, nanoseconds"] = asPcap(nameless, order, 0xa1b23c4d, LinkEthernet)
	}
	for name, data := range maps.Clone(pcaps) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(data)
		w.Close()
		pcaps[name+", gzip"] = z.Bytes()
	}
	for name, data := range pcaps {
		t.Run(name, func(t *testing.T) {
			want := nameless
			if strings.HasPrefix(name, "pcapng") {
				want = frames
			}
			got, err := readAll(data)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got, cmp.Comparer(time.Time.Equal)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A file that was cut anywhere gives all whole packets and then says so.
func TestFileCutAnywhere(t *testing.T) {
	for name, data := range map[string][]byte{
		"pcap":   asPcap(failover()[:3], binary.LittleEndian, 0xa1b2c3d4, LinkEthernet),
		"pcapng": asPcapng(failover()[:3]),
	} {
		whole, ends := 0, 0
		for n := 4; n < len(data); n++ {
			list, err := readAll(data[:n])
			if err == nil {
				ends++
			} else if !errors.Is(err, ErrCut) {
				t.Errorf("%s of %d bytes: %v", name, n, err)
			}
			if len(list) < whole {
				t.Errorf("%s of %d bytes: %d packets, with a byte less %d", name, n, len(list), whole)
			}
			whole = len(list)
		}
		if whole != 2 || ends < 3 {
			t.Errorf("%s: %d packets were whole at the end, %d lengths were no cut", name, whole, ends)
		}
	}
}

// ngBlock is a block of pcapng.
func ngBlock(kind uint32, body ...byte) []byte {
	le := binary.LittleEndian
	size := uint32(12 + len(body))
	b := le.AppendUint32(le.AppendUint32(nil, kind), size)
	return le.AppendUint32(append(b, body...), size)
}

// ngHead is a section and an interface of a link type, with options.
func ngHead(link byte, options ...byte) []byte {
	section := ngBlock(blockSection, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)
	return append(section, ngBlock(blockInterface, append([]byte{link, 0, 0, 0, 0, 0, 0, 0}, options...)...)...)
}

// ngPacket is a packet of interface 0 with a timestamp.
func ngPacket(stamp uint64, data ...byte) []byte {
	le := binary.LittleEndian
	b := le.AppendUint32(le.AppendUint32(le.AppendUint32(nil, 0), uint32(stamp>>32)), uint32(stamp))
	b = le.AppendUint32(le.AppendUint32(b, uint32(len(data))), uint32(len(data)))
	return ngBlock(blockPacket, append(b, data...)...)
}

// Files that are no captures, or damaged ones, are told in one sentence.
func TestFileRefuses(t *testing.T) {
	good := asPcap(failover()[:1], binary.LittleEndian, 0xa1b2c3d4, LinkEthernet)
	with := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	for _, tt := range []struct {
		name string
		data []byte
		want string
	}{
		{"empty", nil, "it is empty"},
		{"three bytes", []byte("abc"), "neither a pcap nor a pcapng file"},
		{"text", []byte("[[instance]]\nname = \"web\"\n"), "neither a pcap nor a pcapng file"},
		{"half a head", good[:10], "the file ends in the middle of a packet: there is not even a whole head"},
		{"Wi-Fi", with(20, 105, 0), "link type 105: only Ethernet, Linux cooked, loopback and raw IP are read"},
		{"a huge packet", with(24+8, 0xff, 0xff, 0xff, 0x7f), "it is damaged: a packet of 2147483647 bytes"},
		{"gzip of nothing", []byte{0x1f, 0x8b, 0, 0}, "read it as gzip"},
		{"pcapng of no byte order", ngBlock(blockSection, make([]byte, 16)...), "neither a pcap nor a pcapng file"},
		{"pcapng, a small block", append(ngHead(1), 6, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0), "it is damaged: a block of 8 bytes"},
		{"pcapng, a huge block", append(ngHead(1), 6, 0, 0, 0, 0, 0, 0, 0x40), "it is damaged: a block of 1073741824 bytes"},
		{"pcapng, a huge packet", append(ngHead(1), 6, 0, 0, 0, 0, 0, 0x10, 0), "it is damaged: a packet of 1048576 bytes"},
		{"pcapng, no interface", append(ngHead(1)[:28], ngPacket(0)...), "it is damaged: a packet of interface 0, there are 0"},
		{"pcapng, a short packet", append(ngHead(1), ngBlock(blockPacket, make([]byte, 8)...)...), "a block is too short"},
		{"pcapng, a short interface", append(ngHead(1), ngBlock(blockInterface, 1, 0, 0, 0)...), "a block is too short"},
		{"pcapng, a packet longer than its block", append(ngHead(1), ngBlock(blockPacket, append(make([]byte, 12), 40, 0, 0, 0, 40, 0, 0, 0)...)...), "a block is too short"},
		{"pcapng, Wi-Fi alone", append(ngHead(105), ngPacket(0, 1, 2, 3, 4)...), "link type 105"},
		{"pcapng, a clock of nothing", ngHead(1, 9, 0, 1, 0, 0xff, 0, 0, 0), "timestamps of resolution 0xff"},
		{"pcapng, the far future", append(ngHead(1, 9, 0, 1, 0, 0, 0, 0, 0), ngPacket(1<<60)...), "a packet of another age"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := readAll(tt.data); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// Timestamps of every resolution, and an interface whose name is for no
// terminal.
func TestPcapngOptions(t *testing.T) {
	for _, tt := range []struct {
		options []byte
		stamp   uint64
		want    time.Time
	}{
		{nil, 1_500_000, time.Unix(1, 5e8)},
		{[]byte{9, 0, 1, 0, 3, 0, 0, 0}, 1500, time.Unix(1, 5e8)},
		{[]byte{9, 0, 1, 0, 9, 0, 0, 0}, 1_500_000_001, time.Unix(1, 500000001)},
		{[]byte{9, 0, 1, 0, 0x81, 0, 0, 0}, 3, time.Unix(1, 5e8)},
		{[]byte{9, 0, 1, 0, 0xbf, 0, 0, 0}, 3 << 62, time.Unix(1, 5e8)},
		{[]byte{9, 0, 1, 0, 19, 0, 0, 0}, 15e18, time.Unix(1, 5e8)},
		{[]byte{14, 0, 8, 0, 10, 0, 0, 0, 0, 0, 0, 0}, 1_500_000, time.Unix(11, 5e8)},
	} {
		list, err := readAll(append(ngHead(1, tt.options...), ngPacket(tt.stamp, 1, 2, 3, 4)...))
		if err != nil || len(list) != 1 || !list[0].Time.Equal(tt.want) {
			t.Errorf("% x: %v, %v, want %v", tt.options, list, err, tt.want)
		}
	}
	list, err := readAll(append(ngHead(1, 2, 0, 7, 0, 'e', 0x1b, '[', '2', 'J', 0xff, 0, 0), ngPacket(0, 1, 2, 3, 4)...))
	if err != nil || len(list) != 1 || list[0].Interface != "e_[2J_" {
		t.Errorf("%+v, %v", list, err)
	}
}

// The simple and the old block, and a second section with an interface that is
// skipped.
func TestPcapngBlocks(t *testing.T) {
	old := append([]byte{0, 0, 9, 0, 0, 0, 0, 0, 0x40, 0x42, 0x0f, 0, 4, 0, 0, 0, 9, 0, 0, 0}, 1, 2, 3, 4)
	data := append(ngHead(1), ngBlock(blockSimple, 6, 0, 0, 0, 1, 2, 3, 4, 5, 6, 0, 0)...)
	data = append(data, ngBlock(blockOldPacket, old...)...)
	data = append(append(data, ngHead(105)...), ngPacket(0, 1, 2, 3, 4)...)
	list, err := readAll(data)
	if err != nil {
		t.Fatal(err)
	}
	want := []Frame{
		{Time: time.Unix(0, 0), Link: LinkEthernet, Data: []byte{1, 2, 3, 4, 5, 6}, Length: 6},
		{Time: time.Unix(1, 0), Link: LinkEthernet, Data: []byte{1, 2, 3, 4}, Length: 9},
	}
	if diff := cmp.Diff(want, list, cmp.Comparer(time.Time.Equal)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Every kind of link gives the same advert.
func TestLinks(t *testing.T) {
	for _, d := range []*datagram{three(), six()} {
		kind := []byte{8, 0}
		family := byte(2)
		if d.src.Is6() {
			kind, family = []byte{0x86, 0xdd}, 10
		}
		mac := d.from[:]
		net := d.network()
		join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
		frames := map[string]Frame{
			"Ethernet":  {Link: LinkEthernet, Data: d.ethernet()},
			"raw":       {Link: LinkRaw, Data: net},
			"old raw":   {Link: 12, Data: net},
			"null":      {Link: LinkNull, Data: join([]byte{family, 0, 0, 0}, net)},
			"loop":      {Link: LinkLoop, Data: join([]byte{0, 0, 0, family}, net)},
			"cooked":    {Link: LinkCooked, Data: join([]byte{0, 2, 0, 1, 0, 6}, mac, []byte{0, 0}, kind, net)},
			"cooked 2":  {Link: LinkCooked2, Data: join(kind, []byte{0, 0, 0, 0, 0, 2, 0, 1, 2, 6}, mac, []byte{0, 0}, net)},
			"sent here": {Link: LinkCooked2, Data: join(kind, []byte{0, 0, 0, 0, 0, 2, 0, 1, 4, 6}, mac, []byte{0, 0}, net)},
		}
		d.vlans = []uint16{7, 10}
		frames["two tags"] = Frame{Link: LinkEthernet, Data: d.ethernet()}
		if d.src.Is4() {
			frames["IPv4"] = Frame{Link: LinkIPv4, Data: net}
		} else {
			frames["IPv6"] = Frame{Link: LinkIPv6, Data: net}
		}
		for name, f := range frames {
			f.Length = len(f.Data)
			a, ok := DecodeAdvert(f)
			if !ok || len(a.Findings) > 0 || a.Source != d.src || a.TTL != 255 || a.VRID == 0 || a.Priority != 150 {
				t.Errorf("%s: %v %+v", name, ok, a)
			}
			if vlans := fmt.Sprint(a.VLANs); (name == "two tags") != (vlans == "[7 10]") {
				t.Errorf("%s: VLANs %s", name, vlans)
			}
			if known := strings.Contains("Ethernet cooked 2 sent here two tags", name); known != (a.SourceMAC == d.from) {
				t.Errorf("%s: sent from %v", name, a.SourceMAC)
			}
			if a.Outgoing != (name == "sent here") {
				t.Errorf("%s: outgoing %v", name, a.Outgoing)
			}
			for n := range f.Data {
				f := Frame{Link: f.Link, Data: f.Data[:n], Length: len(f.Data)}
				if a, ok := DecodeAdvert(f); ok && !a.has(KindCut) {
					t.Errorf("%s, %d bytes of it: %+v", name, n, a)
				}
			}
		}
	}
}
