package vrrp

import (
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"
	"unsafe"

	"pgregory.net/rapid"
)

// copy returns a clone of all that there is.
func (e *Engine) copy() *Engine {
	e.timers.sweep() // for stale ones are not copied
	return e.clone(e.instances, e.departing)
}

// shared are the references that a clone has in common with its original, and
// why nobody writes through them.
var shared = map[string]string{
	"instance.cfg":         "never written, see Configure",
	"Transition.Addresses": "a list of the configuration",
	"Link.Addresses":       "cloned from each event, never written",
	"router.onLink":        "the list of a link",
	"router.positions":     "made anew by setAddresses",
	"router.advertised":    "made anew by setAddresses",
	"router.renewed":       "an action, which never changes",
	"cachedAdvert.sends":   "made anew by encode",
	"SendAdvert.Payload":   "made anew by encode",
}

// twins compares two values of one type: equal, with pointers that lead to
// equal places, and apart where one of them can be written.
type twins struct {
	pairs map[unsafe.Pointer]unsafe.Pointer
	diffs []string
}

func (w *twins) differ(path, format string, args ...any) {
	w.diffs = append(w.diffs, path+": "+fmt.Sprintf(format, args...))
}

func (w *twins) walk(path string, a, b reflect.Value) {
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			if a.IsNil() != b.IsNil() {
				w.differ(path, "one is nil")
			}
			return
		}
		if known, ok := w.pairs[a.UnsafePointer()]; ok {
			if known != b.UnsafePointer() {
				w.differ(path, "leads to another place in the copy")
			}
			return
		}
		w.pairs[a.UnsafePointer()] = b.UnsafePointer()
		if a.UnsafePointer() == b.UnsafePointer() {
			if shared[path] != "" {
				return
			}
			w.differ(path, "leads into the original")
			return
		}
		w.walk(path, a.Elem(), b.Elem())
	case reflect.Struct:
		if _, ok := a.Interface().(time.Time); ok || a.Type().PkgPath() == "net/netip" {
			if !reflect.DeepEqual(a.Interface(), b.Interface()) {
				w.differ(path, "%v and %v", a, b)
			}
			return
		}
		for n := range a.NumField() {
			w.walk(a.Type().Name()+"."+a.Type().Field(n).Name, open(a.Field(n)), open(b.Field(n)))
		}
	case reflect.Slice:
		if a.Len() != b.Len() {
			w.differ(path, "%d and %d elements", a.Len(), b.Len())
			return
		}
		if shared[path] == "" && a.Cap() > 0 && a.UnsafePointer() == b.UnsafePointer() {
			w.differ(path, "the list is the original's")
		}
		for n := range a.Len() {
			w.walk(path, a.Index(n), b.Index(n))
		}
	case reflect.Array:
		for n := range a.Len() {
			w.walk(path, a.Index(n), b.Index(n))
		}
	case reflect.Map:
		if a.Len() != b.Len() {
			w.differ(path, "%d and %d entries", a.Len(), b.Len())
			return
		}
		if shared[path] == "" && !a.IsNil() && a.UnsafePointer() == b.UnsafePointer() {
			w.differ(path, "the map is the original's")
		}
		for it := a.MapRange(); it.Next(); {
			v := b.MapIndex(it.Key())
			if !v.IsValid() {
				w.differ(path, "no %v", it.Key())
				continue
			}
			x, y := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
			x.Set(it.Value())
			y.Set(v)
			w.walk(path, x, y)
		}
	case reflect.Interface:
		if !a.IsNil() || !b.IsNil() {
			w.differ(path, "an interface, which clone does not know")
		}
	default:
		if !reflect.DeepEqual(a.Interface(), b.Interface()) {
			w.differ(path, "%v and %v", a, b)
		}
	}
}

// open makes an unexported field readable and writable.
func open(v reflect.Value) reflect.Value {
	return reflect.NewAt(v.Type(), unsafe.Pointer(v.UnsafeAddr())).Elem()
}

func compareClone(t rapid.TB, e, c *Engine) {
	t.Helper()
	actions, addresses := e.actions, e.packet.Addresses
	e.actions, e.packet.Addresses = nil, nil // of the present step
	c.actions, c.packet.Addresses = nil, nil
	w := &twins{pairs: map[unsafe.Pointer]unsafe.Pointer{}}
	w.walk("Engine", reflect.ValueOf(e), reflect.ValueOf(c))
	e.actions, e.packet.Addresses = actions, addresses
	if len(w.diffs) > 0 {
		t.Fatalf("a clone and its original: %v", w.diffs)
	}
}

// Whatever happens, a clone is equal, apart, and goes on as the original does.
func TestCloneStepsAsItsOriginal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		te := newBare(t)
		events := rapid.SliceOfN(rapid.Custom(drawEvent), 1, 40).Draw(t, "events")
		for _, ev := range events {
			if d, ok := ev.(time.Duration); ok {
				te.now = te.now.Add(d)
				ev = &Tick{}
			}
			c := te.e.copy()
			compareClone(t, te.e, c)
			untouched := te.e.copy()
			want := renderAll(c.Step(te.now, ev.(Event)))
			compareClone(t, te.e, untouched) // the step of a clone is its own
			got := renderAll(te.e.Step(te.now, ev.(Event)))
			if !slices.Equal(want, got) {
				t.Fatalf("the clone did %q, the original %q", want, got)
			}
			compareClone(t, te.e, c)
		}
	})
}

func renderAll(list []Action) []string {
	var lines []string
	for _, a := range list {
		lines = append(lines, render(a))
	}
	return lines
}

// drawEvent draws what can happen to an Engine with up to two instances, or a
// time to pass.
func drawEvent(t *rapid.T) any {
	id := RouterID{Instance: "web", Family: rapid.SampledFrom([]Family{IPv4, IPv6}).Draw(t, "family")}
	vip := prefixes("192.0.2.100/24", "fe80::100/64")[rapid.IntRange(0, 1).Draw(t, "address")]
	yes := rapid.Bool().Draw(t, "yes")
	switch rapid.IntRange(0, 12).Draw(t, "kind") {
	case 0, 1:
		web := web(vips("192.0.2.100/24", "fe80::100/64"), nginx, leased(2*second), func(c *Config) { c.Preempt = yes })
		if web.Preempt { // as dns
			web.Group = "edge"
		}
		all := [][]Config{nil, {web}, {web, dns()}, {dns()}}
		return &Configure{all[rapid.IntRange(0, 3).Draw(t, "instances")]}
	case 2:
		return eth0(func(l *Link) { l.Carrier = yes })
	case 3, 4:
		from := rapid.SampledFrom([]uint8{0, 1, 100, 150, 200}).Draw(t, "priority")
		if yes {
			return advertFrom(peer6, from).event(t)
		}
		return advertFrom(peer, from).event(t)
	case 5:
		return &CheckChanged{Check: "nginx", Healthy: yes, Reason: "connection refused"}
	case 6:
		return &AddressesChanged{Router: id, Addresses: []AddressState{{Address: vip, Present: yes}}}
	case 7:
		return &SendFailed{Router: id, Reason: "no buffer space available"}
	case 8:
		return rapid.SampledFrom([]Event{
			&Drain{Instance: "web"}, &Drain{Instance: "web", Try: true}, &Undrain{Instance: "web"}, &Failover{Instance: "web"},
		}).Draw(t, "order")
	case 9:
		return &Late{By: 4 * second}
	case 10:
		return &Adopt{Routers: []Adopted{{"eth0", 51, IPv4, false, time.Time{}}}}
	}
	return rapid.SampledFrom([]time.Duration{time.Millisecond, 100 * time.Millisecond, second, down150}).Draw(t, "time")
}

// dns is a second instance.
func dns() Config {
	return web(named("dns", 52, "192.0.2.200/24"), leased(2*second), func(c *Config) { c.Group = "edge" })
}

// A copy of one among many has the timers of that one.
func TestCopyHasItsTimersAlone(t *testing.T) {
	e, now := many(t, 100)
	for range 3 {
		now = now.Add(second)
		for _, ev := range advertsFor(t, e) {
			e.Step(now, ev)
		}
	}
	c := e.Copy("i7")
	if got := len(c.timers.heap); got != 1 || c.timers.stale != 0 {
		t.Errorf("the copy has %d timers, %d of them stale, want one", got, c.timers.stale)
	}
	want := e.instance("i7").routers[0].deadline
	if at, ok := c.Deadline(); !ok || !at.Equal(want) {
		t.Errorf("it is due at %v, %v, want %v", at, ok, want)
	}
}
