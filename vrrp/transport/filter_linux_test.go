package transport

import (
	"testing"
	"time"

	"golang.org/x/net/bpf"
	"pgregory.net/rapid"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

func TestFilter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var set VRIDs
		for _, id := range rapid.SliceOf(rapid.Byte()).Draw(t, "set") {
			set.Add(id)
		}
		f := rapid.SampledFrom([]vrrp.Family{vrrp.IPv4, vrrp.IPv6}).Draw(t, "family")
		message := rapid.SliceOfN(rapid.Byte(), 0, 64).Draw(t, "message")
		packet := message
		if f == vrrp.IPv4 {
			words := rapid.IntRange(5, 15).Draw(t, "words of the header")
			header := rapid.SliceOfN(rapid.Byte(), 4*words, 4*words).Draw(t, "header")
			header[0] = 4<<4 | byte(words)
			packet = append(header, message...)
		}
		ours := len(message) < 8 || set.Has(message[1])
		if run(t, program(set, f, take, refuse), packet) != ours {
			t.Fatalf("let in is %v, want %v", !ours, ours)
		}
		if run(t, program(set, f, refuse, take), packet) == ours {
			t.Fatalf("a stranger is %v, want %v", ours, !ours)
		}
	})
}

// run reports whether the filter takes the packet.
func run(t *rapid.T, program []bpf.Instruction, packet []byte) bool {
	vm, err := bpf.NewVM(program)
	if err != nil {
		t.Fatal(err)
	}
	n, err := vm.Run(packet)
	if err != nil {
		t.Fatal(err)
	}
	return n > 0
}

func TestVRIDs(t *testing.T) {
	var v, w VRIDs
	v.Add(1)
	v.Add(255)
	w.Add(64)
	v.Join(w)
	for id := range 256 {
		if got, want := v.Has(uint8(id)), id == 1 || id == 64 || id == 255; got != want {
			t.Errorf("%d: %v", id, got)
		}
	}
}

// TestAdmit has a socket hear one virtual router of a crowd: the others wake
// nobody, and each of their packets is counted.
func TestAdmit(t *testing.T) {
	a, b := newPair(t)
	for _, f := range []vrrp.Family{vrrp.IPv4, vrrp.IPv6} {
		t.Run(f.String(), func(t *testing.T) {
			from, to := a4, vrrp.GroupIPv4
			if f == vrrp.IPv6 {
				from, to = a6, vrrp.GroupIPv6
			}
			sender, conn, witness := a.listen(t, f), b.listen(t, f), b.listen(t, f)
			send := func(ids ...byte) {
				for _, id := range ids {
					mustWrite(t, sender, Packet{Source: from, Destination: to, Payload: []byte{0x31, id, 2, 3, 4, 5, 6, 7}})
				}
				read(t, witness, len(ids)) // so they have arrived everywhere
			}
			admit := func(ids ...byte) {
				var set VRIDs
				for _, id := range ids {
					set.Add(id)
				}
				in(t, b.namespace, func() (struct{}, error) { return struct{}{}, conn.Admit(set) })
			}
			heard := func() (ids []byte) {
				packets := make([]Packet, 64)
				n, err := conn.ReadBatch(packets)
				if err != nil {
					t.Fatal(err)
				}
				for _, p := range packets[:n] {
					ids = append(ids, p.Payload[1])
				}
				return ids
			}
			check := func(want string, strangers uint64) {
				t.Helper()
				if got := string(heard()); got != want {
					t.Errorf("heard %q, want %q", got, want)
				}
				if got := conn.Strangers(); got != strangers {
					t.Errorf("%d strangers, want %d", got, strangers)
				}
			}

			send(51, 99)
			check("\x33\x63", 0)
			admit(51)
			crowd := make([]byte, 500)
			for n := range crowd {
				crowd[n] = byte(100 + n%100)
			}
			for len(crowd) > 0 { // the witness has no room for all at once
				send(crowd[:50]...)
				crowd = crowd[50:]
			}
			if readable(t, conn.(*socket), 10*time.Millisecond) {
				t.Error("strangers wake the reader")
			}
			send(51)
			check("\x33", 500)
			admit(51, 100)
			send(100, 101)
			check("\x64", 501)
			mustWrite(t, sender, Packet{Source: from, Destination: to, Payload: []byte{0x31, 99}})
			read(t, witness, 1)
			check("\x63", 501) // too short to say whose it is
		})
	}
}
