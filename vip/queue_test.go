package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestQueueTurns(t *testing.T) {
	// An order is written "owner@iface", with "*" before one that fills a turn.
	tests := []struct {
		name   string
		orders string
		want   []string
	}{
		{"one interface, one turn", "a@eth0 b@eth0 a@eth0", []string{"a@eth0 b@eth0 a@eth0"}},
		{"gathered over others", "a@eth0 b@eth1 c@eth0 d@eth1", []string{"a@eth0 c@eth0", "b@eth1 d@eth1"}},
		{"a full turn lets others go first", "*a@eth0 b@eth0 c@eth1", []string{"*a@eth0", "c@eth1", "b@eth0"}},
		{"an owner's orders stay in order", "a@eth0 a@eth1 a@eth0", []string{"a@eth0", "a@eth1", "a@eth0"}},
		{"an owner that waits holds up its interface", "b@eth1 b@eth0 a@eth0 a@eth1", []string{"b@eth1", "b@eth0 a@eth0", "a@eth1"}},
		{"a full turn of the only interface", "*a@eth0 *b@eth0", []string{"*a@eth0", "*b@eth0"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			for _, s := range strings.Fields(tt.orders) {
				owner, iface, _ := strings.Cut(s, "@")
				o := order{kind: OrderAdd, owner: owner, iface: iface}
				if owner[0] == '*' {
					o.addrs = make([]netip.Prefix, sliceLimit)
				}
				q.put(o)
			}
			var got []string
			for {
				turn, _ := q.take()
				if len(turn) == 0 {
					break
				}
				var words []string
				for _, o := range turn {
					words = append(words, o.owner+"@"+o.iface)
				}
				got = append(got, strings.Join(words, " "))
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("turns (-want +got):\n%s", diff)
			}
		})
	}
}

// Whatever the orders: each is taken once, a turn is for one interface, and the
// orders of one owner and of one interface keep their order.
func TestQueueKeepsOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		put, taken := 0, 0
		last := map[string]int{} // by owner and by interface
		take := func() {
			turn, _ := q.take()
			for _, o := range turn {
				if o.iface != turn[0].iface {
					t.Fatalf("turn for %s and %s", turn[0].iface, o.iface)
				}
				for _, key := range []string{"owner " + o.owner, "interface " + o.iface} {
					if n := int(o.arp); n <= last[key] {
						t.Fatalf("%s: order %d after %d", key, n, last[key])
					}
					last[key] = int(o.arp)
				}
				taken++
			}
			if len(turn) == 0 && taken != put {
				t.Fatalf("nothing to take, but %d of %d were taken", taken, put)
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			if rapid.IntRange(0, 4).Draw(t, "take") == 0 {
				take()
				continue
			}
			put++
			q.put(order{
				kind:  OrderAdd,
				owner: fmt.Sprint(rapid.IntRange(0, 3).Draw(t, "owner")),
				iface: fmt.Sprint(rapid.IntRange(0, 2).Draw(t, "iface")),
				addrs: make([]netip.Prefix, rapid.SampledFrom([]int{1, sliceLimit / 2, sliceLimit}).Draw(t, "size")),
				arp:   ARPForm(put), // serves as the number
			})
		}
		for taken < put {
			take()
		}
	})
}

func TestQueueClose(t *testing.T) {
	q := newQueue()
	if turn, closed := q.take(); turn != nil || closed {
		t.Fatalf("take of an empty queue: %v, %v", turn, closed)
	}
	q.put(order{iface: "eth0"})
	q.close()
	q.put(order{iface: "eth0"}) // too late
	<-q.ready
	if turn, closed := q.take(); len(turn) != 1 || closed {
		t.Fatalf("take: %d orders, closed %v; want the one from before", len(turn), closed)
	}
	<-q.ready
	if turn, closed := q.take(); len(turn) != 0 || !closed {
		t.Fatalf("take: %d orders, closed %v; want the end", len(turn), closed)
	}
}

// Audits that wait for one interface become one, with what was seen last;
// unless one of them looks at everything anyway.
func TestQueueMergesAudits(t *testing.T) {
	one, two := marked("192.0.2.1/24"), marked("192.0.2.2/24")
	tests := []struct {
		name  string
		seen  [][]LinkAddress
		other bool // put another order in between
		want  []LinkAddress
	}{
		{"one", [][]LinkAddress{one}, false, one},
		{"the last counts", [][]LinkAddress{one, two}, false, two},
		{"over other orders", [][]LinkAddress{two, one}, true, one},
		{"everything, first", [][]LinkAddress{nil, one}, false, nil},
		{"everything, last", [][]LinkAddress{one, nil, two}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			for _, seen := range tt.seen {
				q.put(order{kind: OrderAudit, iface: "eth0", seen: seen})
				if tt.other {
					q.put(order{kind: OrderAdd, owner: "a", iface: "eth0"})
				}
			}
			q.put(order{kind: OrderAudit, iface: "eth1", seen: one}) // not this one's
			var got [][]LinkAddress
			for turn, _ := q.take(); len(turn) > 0; turn, _ = q.take() {
				for _, o := range turn {
					if o.kind == OrderAudit && o.iface == "eth0" {
						got = append(got, o.seen)
					}
				}
			}
			if len(got) != 1 || !slices.Equal(got[0], tt.want) || (got[0] == nil) != (tt.want == nil) {
				t.Errorf("audits of %v, want one of %v", got, tt.want)
			}
		})
	}
}

// Of audits that became one it is known what each of them saw, however many there are.
func TestQueueKnowsWhatAllAuditsSaw(t *testing.T) {
	a, b, c := netip.MustParsePrefix("192.0.2.1/24"), netip.MustParsePrefix("192.0.2.2/24"), netip.MustParsePrefix("2001:db8::1/64")
	type looks [][]netip.Prefix
	tests := []struct {
		name  string
		looks looks
		want  []netip.Prefix
	}{
		{"one alone", looks{{a}}, nil},
		{"more and more", looks{{a}, {a, b}, {a, b, c}}, []netip.Prefix{a}},
		{"less and less", looks{{a, b, c}, {b, c}, {c}}, []netip.Prefix{c}},
		{"gone in between", looks{{a, b, c}, {a, c}, {a, b, c}}, []netip.Prefix{a, c}},
		{"in another order", looks{{a, b, c}, {c, a}}, []netip.Prefix{a, c}},
		{"with another length", looks{{b, c}, {netip.MustParsePrefix("2001:db8::1/128"), a}}, []netip.Prefix{c}},
		{"nothing in common", looks{{a}, {b}}, []netip.Prefix{}},
		{"everything first", looks{nil, {a, b}, {b}}, []netip.Prefix{b}},
		{"everything last", looks{{a, b}, nil, {b}, nil}, []netip.Prefix{b}},
		{"everything alone", looks{nil, nil}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			for _, look := range tt.looks {
				var seen []LinkAddress
				for _, p := range look {
					seen = append(seen, LinkAddress{Prefix: p})
				}
				q.put(order{kind: OrderAudit, iface: "eth0", seen: seen})
			}
			turn, _ := q.take()
			var got []netip.Prefix
			if turn[0].ever != nil {
				got = []netip.Prefix{}
			}
			for _, l := range turn[0].ever {
				got = append(got, l.Prefix)
			}
			if !slices.Equal(got, tt.want) || (got == nil) != (tt.want == nil) {
				t.Errorf("all saw %v, want %v", got, tt.want)
			}
		})
	}
}

// numbered returns so many addresses, beginning with a number.
func numbered(from, count int) []netip.Prefix {
	list := make([]netip.Prefix, count)
	for n := range list {
		i := from + n
		list[n] = netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 32)
	}
	return list
}

// told renders turns: the kind, the first address and how many.
func told(turn []order) string {
	var words []string
	for _, o := range turn {
		b := o.addrs[0].Addr().As4()
		words = append(words, fmt.Sprintf("%v %d+%d", o.kind, int(b[2])<<8|int(b[3]), len(o.addrs)))
	}
	return strings.Join(words, ", ")
}

func TestQueueSlices(t *testing.T) {
	all := numbered(0, 300)
	add := func(addrs []netip.Prefix) order {
		return order{kind: OrderAdd, owner: "a", iface: "eth0", addrs: addrs}
	}
	announce := func(addrs []netip.Prefix) order {
		return order{kind: OrderAnnounce, owner: "a", iface: "eth0", addrs: addrs}
	}
	remove := func(addrs []netip.Prefix) order {
		return order{kind: OrderRemove, owner: "a", iface: "eth0", addrs: addrs}
	}
	tests := []struct {
		name string
		do   func(q *queue, take func())
		want []string
	}{
		{
			"each slice is announced as soon as it is there",
			func(q *queue, _ func()) { q.put(add(all)); q.put(announce(all)) },
			[]string{"add 0+128", "announce 0+128, add 128+128", "announce 128+128, add 256+44, announce 256+44"},
		},
		{
			"the first was taken already",
			func(q *queue, take func()) { q.put(add(all)); take(); q.put(announce(all)) },
			[]string{"add 0+128", "announce 0+128, add 128+128", "announce 128+128, add 256+44, announce 256+44"},
		},
		{
			"all but the last were taken already",
			func(q *queue, take func()) { q.put(add(all)); take(); take(); q.put(announce(all)) },
			[]string{"add 0+128", "add 128+128", "announce 0+128, announce 128+128, add 256+44", "announce 256+44"},
		},
		{
			"more is announced than added",
			func(q *queue, _ func()) { q.put(add(all[40:])); q.put(announce(all)) },
			[]string{"announce 0+40, add 40+128", "announce 40+128, add 168+128", "announce 168+128, add 296+4, announce 296+4"},
		},
		{
			"others in between",
			func(q *queue, _ func()) { q.put(add(all)); q.put(remove(all[:1])); q.put(announce(all)) },
			[]string{"add 0+128", "add 128+128", "add 256+44, remove 0+1, announce 0+128, announce 128+128", "announce 256+44"},
		},
		{
			"announced in another order",
			func(q *queue, _ func()) {
				q.put(add(all))
				q.put(announce(slices.Concat(all[1:], all[:1])))
			},
			[]string{"add 0+128", "add 128+128", "add 256+44, announce 1+128, announce 129+128", "announce 257+44"},
		},
		{
			"the last are removed first",
			func(q *queue, _ func()) { q.put(remove(all)) },
			[]string{"remove 256+44, remove 128+128", "remove 0+128"},
		},
		{
			"a renewal passes, an audit waits",
			func(q *queue, take func()) {
				q.put(add(all))
				q.put(order{kind: OrderAudit, iface: "eth0", addrs: all})
				take()
				q.put(order{kind: OrderRenew, owner: "b", iface: "eth0", addrs: all})
				q.put(order{kind: OrderRenew, owner: "c", iface: "eth0", addrs: all[:2]})
			},
			[]string{
				"add 0+128", "renew 0+128", "renew 128+128", "renew 256+44, renew 0+2", "add 128+128", "add 256+44", "audit 0+300",
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			var got []string
			take := func() {
				turn, _ := q.take()
				got = append(got, told(turn))
			}
			tt.do(q, take)
			for len(q.orders)+len(q.renewals)+len(q.audits) > 0 {
				take()
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("turns (-want +got):\n%s", diff)
			}
		})
	}
}

// Thousands of renewals are not held up by other orders, which have their turn
// every now and then nevertheless.
func TestQueueManyRenewals(t *testing.T) {
	q := newQueue()
	interfaces, wanted := []string{"eth0", "eth1", "eth2"}, time.Now().Add(time.Hour)
	for n := range 3 * renewalTurns * sliceLimit {
		q.put(order{kind: OrderRenew, owner: "a", iface: interfaces[n%3], addrs: numbered(0, 1), before: wanted})
	}
	for n := range 4 {
		q.put(order{kind: OrderAdd, owner: "b", iface: "eth0", addrs: numbered(n, sliceLimit)})
	}
	q.put(order{kind: OrderAudit, iface: "eth1"})
	var others []int // after how many renewed addresses
	renewed := map[string]int{}
	for all := 0; len(q.orders)+len(q.renewals)+len(q.audits) > 0; {
		turn, _ := q.take()
		for _, o := range turn {
			if o.kind != OrderRenew {
				others = append(others, all)
				continue
			}
			all++
			renewed[o.iface]++
		}
	}
	const round = renewalTurns * sliceLimit
	if want := []int{round, 2 * round, 3 * round, 3 * round, 3 * round}; !slices.Equal(others, want) {
		t.Errorf("other orders came after %v renewals, want %v", others, want)
	}
	for _, iface := range interfaces {
		if renewed[iface] != round {
			t.Errorf("%d renewals on %s, want %d", renewed[iface], iface, round)
		}
	}
}

// Whatever slices the orders fall into: each address of an interface sees the
// same additions, removals and announcements in the same order.
func TestQueueSlicesKeepOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := newQueue()
		want, got := map[string][]string{}, map[string][]string{}
		note := func(to map[string][]string, o order) {
			for _, p := range o.addrs {
				key := o.iface + " " + p.String()
				to[key] = append(to[key], fmt.Sprint(o.kind, " ", o.owner, " ", o.lease))
			}
		}
		take := func() bool {
			turn, _ := q.take()
			for _, o := range turn {
				if o.iface != turn[0].iface {
					t.Fatalf("turn for %s and %s", turn[0].iface, o.iface)
				}
				note(got, o)
			}
			return len(turn) > 0
		}
		for n := range rapid.IntRange(1, 25).Draw(t, "steps") {
			if rapid.IntRange(0, 3).Draw(t, "take") == 0 {
				take()
			}
			o := order{
				kind:  rapid.SampledFrom([]Order{OrderAdd, OrderAdd, OrderRemove, OrderAnnounce, OrderAnnounce}).Draw(t, "kind"),
				owner: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "owner"),
				iface: rapid.SampledFrom([]string{"eth0", "eth0", "eth1"}).Draw(t, "iface"),
				addrs: numbered(rapid.SampledFrom([]int{0, 1, sliceLimit}).Draw(t, "from"), rapid.SampledFrom([]int{1, sliceLimit, 2*sliceLimit + 1, 3 * sliceLimit}).Draw(t, "count")),
				lease: time.Duration(n), // serves as the number
			}
			note(want, o)
			q.put(o)
		}
		for take() {
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("what addresses saw (-want +got):\n%.2000s", diff)
		}
	})
}

// While the kernel is busy, renewals come that nobody carries out. Those that came
// too late are not kept, all others are.
func TestQueueDropsRenewalsTooLate(t *testing.T) {
	q := newQueue()
	addr := []netip.Prefix{netip.MustParsePrefix("10.0.0.1/32")}
	wanted := time.Now().Add(time.Hour)
	for n := range 100_000 {
		q.put(order{kind: OrderRenew, owner: "late", iface: "eth0", addrs: addr, before: time.Now()})
		if n%1000 == 0 {
			q.put(order{kind: OrderRenew, owner: "wanted", iface: "eth0", addrs: addr, before: wanted})
		}
	}
	if n := cap(q.renewals); n > 4*keepRoom {
		t.Errorf("there is room for %d renewals", n)
	}
	count := 0
	for {
		turn, _ := q.take()
		if len(turn) == 0 {
			break
		}
		for _, o := range turn {
			if o.owner == "wanted" {
				count++
			}
		}
	}
	if count != 100 {
		t.Errorf("%d renewals in time are left of 100", count)
	}
	for range keepMost + 1 {
		q.put(order{kind: OrderRenew, owner: "wanted", iface: "eth0", addrs: addr, before: wanted})
	}
	for turn := []order{{}}; len(turn) > 0; {
		turn, _ = q.take()
	}
	if n := cap(q.renewals); n > keepMost {
		t.Errorf("an empty queue keeps room for %d renewals", n)
	}
}
