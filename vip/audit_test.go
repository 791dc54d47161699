package vip

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// marked are addresses as seen with our mark.
func marked(ss ...string) (list []LinkAddress) {
	for _, p := range prefixes(ss...) {
		list = append(list, LinkAddress{Prefix: p, Proto: Proto})
	}
	return list
}

func TestAudit(t *testing.T) {
	all := marked("192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128")
	p := prefixes("192.0.2.1/32", "192.0.2.2/32", "2001:db8::1/128")
	tests := []struct {
		name string
		// somebody does it after p was added for a, and the first of it for b.
		somebody func(f *Fake)
		seen     []LinkAddress
		want     []string
	}{
		{"all there", func(*Fake) {}, all, nil},
		{"seen before it was added", func(*Fake) {}, nil, nil},
		{"one removed", func(f *Fake) { f.Delete("eth0", p[1]) }, marked("192.0.2.1/32", "2001:db8::1/128"), []string{"audit a eth0: 192.0.2.2/32"}},
		{"one of two owners removed", func(f *Fake) { f.Delete("eth0", p[0]) }, all[1:], []string{"audit a eth0: 192.0.2.1/32", "audit b eth0: 192.0.2.1/32"}},
		{"removed and not seen yet", func(f *Fake) { f.Delete("eth0", p[1]) }, all, nil},
		{"interface gone", func(f *Fake) { f.DeleteInterface("eth0") }, nil, []string{
			"audit a eth0: 192.0.2.1/32 192.0.2.2/32 2001:db8::1/128", "audit b eth0: 192.0.2.1/32",
		}},
		{"ipv4 of another length is another address", func(f *Fake) {
			f.Delete("eth0", p[1])
			f.Install("eth0", netip.MustParsePrefix("192.0.2.2/24"), 0)
		}, marked("192.0.2.1/32", "192.0.2.2/24", "2001:db8::1/128"), []string{"audit a eth0: 192.0.2.2/32"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBench(t, NewFake("eth0"), func(b *bench) {
				b.Add("a", "eth0", p, 0)
				b.Add("b", "eth0", p[:1], 0)
				b.said()
				tt.somebody(b.fake)
				b.Audit("eth0", tt.seen)
				b.expectReports(tt.want...)
				b.Audit("eth0", tt.seen) // once said is enough
				if tt.want != nil {
					b.expectReports()
				}
			})
		})
	}
}

func TestAuditThenRepair(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32")
		b.Add("a", "eth0", p, 0)
		b.expect("ip addr add 192.0.2.1/32 dev eth0 proto 72")
		b.fake.Delete("eth0", p[0])
		b.Audit("eth0", nil)
		b.expect()
		b.Announce("a", "eth0", p, ARPRequest) // it is known not to be there
		b.expect()
		b.Add("a", "eth0", p, 0)
		b.expect("ip addr add 192.0.2.1/32 dev eth0 proto 72")
		b.close()
		b.expect("ip addr del 192.0.2.1/32 dev eth0")
	})
}

// An IPv6 address that somebody configured with another length is the same
// address: it is there.
func TestAuditForeignIPv6Length(t *testing.T) {
	fake := NewFake("eth0")
	fake.Install("eth0", netip.MustParsePrefix("2001:db8::1/64"), 0)
	inBench(t, fake, func(b *bench) {
		b.Add("owner", "eth0", prefixes("2001:db8::1/128"), 0)
		b.said()
		b.Audit("eth0", []LinkAddress{{Prefix: netip.MustParsePrefix("2001:db8::1/64")}})
		b.expectReports()
	})
}

// What was put on an interface is taken off it also under its new name, even
// when the audit came first.
func TestAuditOfRenamedInterface(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32", "192.0.2.2/32")
		b.Add("a", "eth0", p, 0)
		synctest.Wait()
		b.fake.RenameInterface("eth0", "wan")
		b.fake.Log()
		b.Audit("eth0", nil)
		b.expectReports("add a eth0: 192.0.2.1/32 present 192.0.2.2/32 present", "audit a eth0: 192.0.2.1/32 192.0.2.2/32")
		b.Remove("a", "eth0", p[:1])
		b.expect("ip addr del 192.0.2.1/32 dev wan")
		b.close()
		b.expect("ip addr del 192.0.2.2/32 dev wan")
	})
}

func TestAuditCannotList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []Report
		m := NewManager(unlisted{NewFake("eth0")}, func(r Report) { got = append(got, r) })
		go func() { _ = m.Run(t.Context()) }()
		m.Add("a", "eth0", prefixes("192.0.2.1/32"), 0)
		m.Audit("eth0", nil)
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if len(got) != 2 || got[1].Order != OrderAudit || !errorHas(got[1].Err, "cannot list addresses: out of memory") {
			t.Errorf("reports %+v", got)
		}
	})
}

// What somebody changed is made again what it was, and told; whoever had it that
// way before is left alone, and so is everything on a kernel without marks.
func TestAuditSetsRight(t *testing.T) {
	p := prefixes("192.0.2.1/32", "192.0.2.2/32")
	const lease = 2 * time.Second
	unmarked := []LinkAddress{{Prefix: p[0]}, {Prefix: p[1]}}
	for _, seen := range [][]LinkAddress{unmarked, nil} {
		fake := NewFake("eth0")
		fake.Install("eth0", p[1], 0)
		inBench(t, fake, func(b *bench) {
			b.Add("a", "eth0", p, lease)
			b.Audit("eth0", unmarked) // that mark was never seen
			b.said()
			b.fake.Log()
			b.Audit("eth0", []LinkAddress{{Prefix: p[0], Proto: Proto}, {Prefix: p[1]}})
			b.expect()
			b.fake.Change("eth0", p[0], 3)
			b.Audit("eth0", seen)
			b.expect("ip addr replace 192.0.2.1/32 dev eth0 valid_lft 2 preferred_lft 2 proto 72")
			b.expectReports("audit a eth0: 192.0.2.1/32 present changed")
			b.Remove("a", "eth0", p)
			b.expect("ip addr del 192.0.2.1/32 dev eth0")
		})
	}
}

// An address of ours that somebody deletes and adds as his own, before it was put
// back, is ours again: else it would outlive the daemon, and the mastership.
func TestLostAndMadeAnew(t *testing.T) {
	inBench(t, NewFake("eth0"), func(b *bench) {
		p := prefixes("192.0.2.1/32")
		b.Add("a", "eth0", p, 2*time.Second)
		synctest.Wait()
		b.fake.Delete("eth0", p[0])
		b.Audit("eth0", nil)
		synctest.Wait()
		b.fake.Install("eth0", p[0], 0)
		b.said()
		b.fake.Log()
		b.Add("a", "eth0", p, 2*time.Second)
		b.expect("ip addr replace 192.0.2.1/32 dev eth0 valid_lft 2 preferred_lft 2 proto 72")
		b.expectReports("add a eth0: 192.0.2.1/32 present")
		b.Remove("a", "eth0", p)
		b.expect("ip addr del 192.0.2.1/32 dev eth0")
	})
}

// listing is a Fake that notes of which interfaces the addresses are listed.
type listing struct {
	*Fake
	of []string
}

func (l *listing) Addresses(iface string) ([]Present, error) {
	l.of = append(l.of, iface)
	return l.Fake.Addresses(iface)
}

// Thousands of addresses are on many interfaces: an audit of one does not list those
// of all.
func TestAuditListsOneInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kernel := &listing{Fake: NewFake("eth0", "eth1")}
		m := NewManager(kernel, nil)
		go func() { _ = m.Run(t.Context()) }()
		for _, iface := range []string{"eth0", "eth1"} {
			m.Add("a", iface, prefixes("192.0.2.1/32"), 0)
			m.Audit(iface, nil)
		}
		synctest.Wait()
		if want := []string{"eth0", "eth1"}; !slices.Equal(kernel.of, want) {
			t.Errorf("listed %q, want %q", kernel.of, want)
		}
		if err := m.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
