package sim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tellFailure shrinks a history that fails and tells its story. The scenario file
// and the capture of its adverts are kept.
func tellFailure(t *testing.T, mix Mix, seed uint64, h *History, v *Violation) {
	short := Shrink(h)
	r := Run(short, Options{Trace: true})
	trace := r.Trace[max(0, len(r.Trace)-60):]
	scenario, capture, err := keepFailure(os.Getenv("HOLDFAST_SIM_OUT"), fmt.Sprintf("%s-%d", mix, seed), short)
	if err != nil {
		t.Error(err)
	}
	t.Errorf("seed %d: %v\nscenario %s, adverts %s\nshrunk:\n%s----\n%s", seed, v, scenario, capture, short.Format(), strings.Join(trace, "\n"))
}

// keepFailure writes a history as a scenario file, and beside it the adverts that
// are on the wire in it. Without a folder it makes one.
func keepFailure(dir, name string, h *History) (scenario, capture string, err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "holdfast-sim-"); err != nil {
			return "", "", err
		}
	}
	scenario, capture = filepath.Join(dir, name+".txt"), filepath.Join(dir, name+".pcap")
	if err := os.WriteFile(scenario, []byte(h.Format()), 0o644); err != nil {
		return "", "", err
	}
	f, err := os.Create(capture)
	if err != nil {
		return scenario, "", err
	}
	w, err := NewPcapWriter(f)
	if err == nil {
		Run(h, Options{Capture: w})
	}
	return scenario, capture, errors.Join(err, f.Close())
}

// The files of a failure hold the same history and all of its adverts.
func TestFailuresAreKept(t *testing.T) {
	h, err := ParseHistory(threeNodes + "at 10s poweroff a\n")
	if err != nil {
		t.Fatal(err)
	}
	scenario, capture, err := keepFailure(t.TempDir(), "crash-1", h)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(scenario)
	if err != nil {
		t.Fatal(err)
	}
	again, err := ParseHistory(string(text))
	if err != nil || again.Format() != h.Format() {
		t.Errorf("another history: %v\n%s", err, text)
	}
	b, err := os.ReadFile(capture)
	if err != nil {
		t.Fatal(err)
	}
	const head, each = 24, 16 // bytes before all packets, and before one
	count := uint64(0)
	for rest := b[head:]; len(rest) > 0; count++ {
		size := int(binary.LittleEndian.Uint32(rest[8:]))
		if packet := rest[each : each+size]; !bytes.Contains(packet, []byte{192, 0, 2, 100}) {
			t.Errorf("packet %d does not carry the address: %x", count, packet)
		}
		rest = rest[each+size:]
	}
	if want := Run(h, Options{}).Totals.Adverts; count != want || want == 0 {
		t.Errorf("%d packets of %d adverts", count, want)
	}
}
