package sniff

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"

	"pgregory.net/rapid"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// FuzzFile reads whatever comes as a capture file and shows it in all ways.
func FuzzFile(f *testing.F) {
	for _, capture := range captures() {
		f.Add(capture[:min(len(capture), 1500)])
	}
	f.Add(asPcapng(failover()[:3]))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := NewFile(bytes.NewReader(data))
		if err != nil {
			checkError(t, err)
			return
		}
		var out, docs bytes.Buffer
		text := &Text{W: &out, Width: 60, Location: time.UTC}
		all := []*Session{
			{Watch: NewWatch(), Printer: text, Announcements: true},
			{Watch: NewWatch(), Printer: &JSON{W: &docs}, Announcements: true},
			{Watch: NewWatch(), Printer: &Changes{Printer: &Text{W: io.Discard, Verbose: true, Password: true}}, VRIDs: []uint8{51}},
		}
		for {
			frame, err := file.Next()
			if err != nil {
				if err != io.EOF {
					checkError(t, err)
				}
				break
			}
			if frame.Length < len(frame.Data) {
				t.Fatalf("a frame of %d bytes was %d bytes long", len(frame.Data), frame.Length)
			}
			for _, s := range all {
				if err := s.Frame(frame); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, s := range all {
			if err := s.Printer.Summary(s.Watch.Summary()); err != nil {
				t.Fatal(err)
			}
		}
		checkOutput(t, out.String(), docs.Bytes())
	})
}

// checkError wants one sentence.
func checkError(t *testing.T, err error) {
	t.Helper()
	if s := err.Error(); s == "" || len(s) > 200 || strings.Contains(s, "\n") || errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %q", s)
	}
}

// checkOutput wants nothing that could disturb a terminal, and JSON on each
// line.
func checkOutput(t *testing.T, text string, docs []byte) {
	t.Helper()
	for _, r := range text {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Fatalf("%q is not for a terminal:\n%q", r, text)
		}
	}
	for line := range bytes.Lines(docs) {
		if !json.Valid(line) {
			t.Fatalf("not JSON: %s", line)
		}
	}
}

// FuzzFrame takes a frame of any kind apart. What of it is a message that the
// daemon would take has no fault of its own here, and the other way round.
func FuzzFrame(f *testing.F) {
	for _, p := range faultyPackets() {
		f.Add(uint16(LinkEthernet), p.d.ethernet(), 0)
		f.Add(uint16(LinkRaw), p.d.network(), 0)
	}
	for _, x := range cooked(announcements()) {
		f.Add(uint16(x.Link), x.Data, 0)
	}
	f.Fuzz(func(t *testing.T, link uint16, data []byte, cut int) {
		frame := Frame{Time: start, Interface: "eth0", Link: Link(link), Data: data, Length: len(data) + max(0, cut)}
		DecodeAnnouncement(frame)
		a, ok := DecodeAdvert(frame)
		if !ok || a.Protocol != vrrp.Protocol {
			return
		}
		l, _ := frame.open()
		p, _ := l.openIP()
		if p.missing > 0 || p.fragment {
			return
		}
		checkStrict(t, &a, p.payload)
	})
}

// checkStrict holds what was found against what the daemon would say.
func checkStrict(t *testing.T, a *Advert, payload []byte) {
	t.Helper()
	var strict vrrp.Packet
	reason, ok := strict.Parse(payload, a.Source, a.Destination)
	own := []Kind{KindShort, KindVersion, KindType, KindCount, KindLength, KindChecksum, KindIntervalZero, KindFirstAddress, KindCARP}
	// The daemon leaves an interval of 0 in version 2 to the comparison with
	// its own.
	lenient := slices.DeleteFunc(kinds(a.Findings, News), func(k Kind) bool {
		return !slices.Contains(own, k) || k == KindIntervalZero && a.Version == vrrp.Version2
	})
	if ok != (len(lenient) == 0) {
		t.Fatalf("the daemon says %v, found was %v in % x", reason, a.Findings, payload)
	}
	if !ok {
		if k := Kind(reason.String()); !slices.Contains(lenient, k) && !slices.Contains(lenient, KindCARP) {
			t.Fatalf("the daemon says %v, found was %v in % x", reason, a.Findings, payload)
		}
		return
	}
	if a.Version != strict.Version || a.VRID != strict.VRID || a.Priority != strict.Priority || a.Interval != strict.Interval ||
		!slices.Equal(a.Addresses, strict.Addresses) || a.Auth != strict.Auth || a.AuthType != strict.AuthType {
		t.Fatalf("decoded as %+v, by the daemon as %+v", a, strict)
	}
}

// TestAgreesWithTheDaemon does the same with random adverts, sound and damaged.
func TestAgreesWithTheDaemon(t *testing.T) {
	sound, damaged := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		src := rapid.SampledFrom([]netip.Addr{lb1, lb1v6}).Draw(t, "source")
		size := 4
		first := vip
		if src.Is6() {
			size, first = 16, local6
		}
		p := good(src, uint8(rapid.IntRange(1, 255).Draw(t, "vrid")), rapid.Byte().Draw(t, "priority"),
			time.Duration(rapid.IntRange(1, 4095).Draw(t, "interval"))*vrrp.IntervalStep, first)
		for range rapid.IntRange(0, 254).Draw(t, "more addresses") {
			b := rapid.SliceOfN(rapid.Byte(), size, size).Draw(t, "address")
			x, _ := netip.AddrFromSlice(b)
			p.Addresses = append(p.Addresses, x)
		}
		if src.Is4() && rapid.Bool().Draw(t, "version 2") {
			v2(p, "secret")
			p.Interval = time.Second
		}
		d := send(src, p, rapid.Bool().Draw(t, "pseudo-header"))
		if rapid.Bool().Draw(t, "damaged") {
			at := rapid.IntRange(0, len(d.payload)-1).Draw(t, "at")
			d.payload[at] ^= byte(1 << rapid.IntRange(0, 7).Draw(t, "bit"))
			damaged++
		} else {
			sound++
		}
		a, ok := DecodeAdvert(newRecorded("").add(d).frames[0])
		if !ok {
			t.Fatal("not decoded")
		}
		var strict vrrp.Packet
		reason, ok := strict.Parse(d.payload, d.src, d.dst)
		if ok != (a.Worst() < Fault) {
			t.Fatalf("the daemon says %v, found was %v", reason, a.Findings)
		}
		if ok && !slices.Equal(strict.Addresses, a.Addresses) {
			t.Fatalf("addresses %v, by the daemon %v", a.Addresses, strict.Addresses)
		}
	})
	if sound == 0 || damaged == 0 {
		t.Errorf("%d sound and %d damaged adverts", sound, damaged)
	}
}
