package sim

import (
	"net/netip"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// beside runs an Engine of priority 150 at 192.0.2.9 as a plain router's only
// neighbour on a perfect link.
type beside struct {
	*plainTest
	e     *vrrp.Engine
	holds bool
	took  time.Time // when the plain router last became master
}

func newBeside(t *testing.T, c PlainConfig, cfg vrrp.Config) *beside {
	t.Helper()
	b := &beside{plainTest: &plainTest{T: t, Plain: NewPlain(c), now: plainStart}, e: vrrp.NewEngine()}
	b.exchange(b.Start(b.now))
	b.step(&vrrp.Link{Name: "eth0", Index: 2, Up: true, Carrier: true, Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.9/24")}})
	if err := vrrp.ValidateAll([]vrrp.Config{cfg}); err != nil {
		t.Fatal(err)
	}
	b.step(&vrrp.Configure{Instances: []vrrp.Config{cfg}})
	return b
}

func (b *beside) step(ev vrrp.Event) {
	b.Helper()
	var sent []Frame
	var done []*vrrp.AddressesChanged
	for _, a := range b.e.Step(b.now, ev) {
		switch a := a.(type) {
		case *vrrp.SendAdvert:
			sent = append(sent, Frame{a.Source, a.Destination, vrrp.TTL, a.Payload})
		case *vrrp.AddAddresses:
			b.holds = true
			done = append(done, changed(a.Router, a.Addresses, true))
		case *vrrp.RemoveAddresses:
			b.holds = false
			done = append(done, changed(a.Router, a.Addresses, false))
		}
	}
	for _, d := range done {
		b.step(d)
	}
	for _, f := range sent {
		was := b.Master()
		b.exchange(b.Receive(b.now, f))
		switch why := b.Refused(); {
		case why == "", why == "not running", b.cfg.SameInterval && why == "interval 10ms is not ours":
		default:
			b.Fatalf("the plain router refuses: %s", why)
		}
		if !was && b.Master() {
			b.took = b.now
		}
	}
}

func changed(id vrrp.RouterID, list []netip.Prefix, present bool) *vrrp.AddressesChanged {
	ev := &vrrp.AddressesChanged{Router: id}
	for _, p := range list {
		ev.Addresses = append(ev.Addresses, vrrp.AddressState{Address: p, Present: present})
	}
	return ev
}

// exchange lets the Engine hear what the plain router sent.
func (b *beside) exchange(out []Frame) {
	b.Helper()
	for _, f := range out {
		b.step(&vrrp.AdvertReceived{Interface: 2, Source: f.Source, Destination: f.Destination, TTL: f.TTL, Payload: f.Payload})
	}
}

func (b *beside) run(d time.Duration) {
	b.Helper()
	end := b.now.Add(d)
	for range 100_000 {
		ours, ok := b.e.Deadline()
		theirs, also := b.Deadline()
		at := ours
		if !ok || also && theirs.Before(ours) {
			at = theirs
		}
		if !ok && !also || at.After(end) {
			b.now = end
			return
		}
		if at.After(b.now) {
			b.now = at
		}
		if ok && !ours.After(b.now) {
			b.step(&vrrp.Tick{})
		}
		was := b.Master()
		b.exchange(b.Tick(b.now))
		if !was && b.Master() {
			b.took = b.now
		}
		if !b.holds && len(b.Holds()) == 0 && b.took.IsZero() && b.now.After(plainStart.Add(5*time.Second)) {
			b.Fatalf("at %v nobody holds the address", b.now)
		}
	}
	b.Fatal("it spins")
}

// A plain router of any kind is the Engine's backup, takes over when the Engine
// hands over, without a moment in which nobody holds the address, and yields
// when the Engine comes back.
func TestPlainBesideEngine(t *testing.T) {
	tests := map[string]struct {
		q       Quirks
		version int
		quick   bool
	}{
		"keepalived":            {Keepalived(), 3, true},
		"keepalived, version 2": {Keepalived(), 2, false},
		"old keepalived":        {OldKeepalived(), 3, true},
		"keepalived as v2":      {KeepalivedAsV2(), 3, true},
		"frr":                   {FRR(), 3, true},
		"rfc 9568":              {Router9568(), 3, true},
		"rfc 3768":              {Router3768(), 2, false},
		"deaf to the interval":  {Quirks{KeepInterval: true, Answer: true}, 3, false},
		"holo":                  {Holo(), 3, false}, // it drops the quick advert
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			cfg := vrrp.Config{
				Name: "web", Interface: "eth0", VRID: 51, Version: vrrp.Version(tt.version), Priority: 150,
				Addresses: []netip.Prefix{netip.MustParsePrefix("192.0.2.100/24")}, AdvertInterval: time.Second,
				Preempt: true, Announce: vrrp.Announce{Repeat: 1},
			}
			if tt.q.AcceptSum == SumPseudo {
				cfg.Checksum = vrrp.ChecksumPseudoHeader
			}
			b := newBeside(t, plainOf(plain1, 100, tt.q, func(c *PlainConfig) { c.Version = tt.version }), cfg)
			b.run(10 * time.Second)
			b.wantMaster(false)
			if !b.holds {
				t.Fatal("the Engine is not master")
			}

			left := b.now
			b.step(&vrrp.Drain{Instance: "web"})
			b.run(5 * time.Second)
			b.wantMaster(true)
			// One hundredth of a second is advertised for the quick hand-over.
			wait, bound := b.took.Sub(left), 10*time.Millisecond
			if !tt.quick {
				bound = 156 * time.Second / 256
			}
			if wait > bound {
				t.Errorf("took over after %v, the bound is %v", wait, bound)
			}
			if b.holds {
				t.Error("the Engine still holds the address")
			}

			b.step(&vrrp.Undrain{Instance: "web"})
			b.run(5 * time.Second)
			b.wantMaster(false)
			if !b.holds {
				t.Error("the Engine did not come back")
			}
			b.exchange(b.Stop(b.now))
			b.run(time.Minute)
			if !b.holds {
				t.Error("alone, and not master")
			}
		})
	}
}
