package vip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

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
					o.addrs = make([]netip.Prefix, turnLimit)
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
				addrs: make([]netip.Prefix, rapid.SampledFrom([]int{1, turnLimit / 2, turnLimit}).Draw(t, "size")),
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
	one, two := prefixes("192.0.2.1/24"), prefixes("192.0.2.2/24")
	tests := []struct {
		name  string
		seen  [][]netip.Prefix
		other bool // put another order in between
		want  []netip.Prefix
	}{
		{"one", [][]netip.Prefix{one}, false, one},
		{"the last counts", [][]netip.Prefix{one, two}, false, two},
		{"over other orders", [][]netip.Prefix{two, one}, true, one},
		{"everything, first", [][]netip.Prefix{nil, one}, false, nil},
		{"everything, last", [][]netip.Prefix{one, nil, two}, true, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := newQueue()
			for _, seen := range tt.seen {
				q.put(order{kind: OrderAudit, iface: "eth0", addrs: seen})
				if tt.other {
					q.put(order{kind: OrderAdd, owner: "a", iface: "eth0"})
				}
			}
			q.put(order{kind: OrderAudit, iface: "eth1", addrs: one}) // not this one's
			turn, _ := q.take()
			var got [][]netip.Prefix
			for _, o := range turn {
				if o.kind == OrderAudit {
					got = append(got, o.addrs)
				}
			}
			if len(got) != 1 || !slices.Equal(got[0], tt.want) || (got[0] == nil) != (tt.want == nil) {
				t.Errorf("audits of %v, want one of %v", got, tt.want)
			}
		})
	}
}
