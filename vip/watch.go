package vip

import (
	"cmp"
	"maps"
	"net"
	"net/netip"
	"slices"
	"sort"
)

// LinkState is the state of an interface.
type LinkState struct {
	Name string
	// Index is the index of the interface; 0 when there is none of this name,
	// and then nothing else is set.
	Index int
	MAC   net.HardwareAddr
	// MTU is in bytes.
	MTU int
	// Up is the administrative state, Carrier whether the link works.
	Up, Carrier bool
	// PortOf is the kind of device that the interface is a port of and that takes all
	// that arrives on it, such as "bridge" or "bond"; empty for a port of none. A VRF
	// leaves its ports their packets and is none of these. Master is the index of the
	// device.
	PortOf string
	Master int
	// Addresses are all addresses of the interface, VIPs too, in the order in
	// which the kernel has them.
	Addresses []LinkAddress
}

// LinkAddress is an address of an interface.
type LinkAddress struct {
	Prefix netip.Prefix
	// Proto says who configured the address; [Proto] is us.
	Proto uint8
	// Tentative is set while duplicate address detection runs and after it
	// failed: the address cannot be used.
	Tentative bool
}

// table follows the links and addresses of the host from notifications, and
// delivers what is different from what it delivered before.
type table struct {
	deliver func([]LinkState)
	links   map[int]*linkEntry
	names   map[string]int
	// told is what was delivered, by name, without addresses; dirty names what
	// may be different now. started is set after the first delivery.
	told    map[string]LinkState
	dirty   map[string]bool
	started bool
	// addressed is set once the addresses of a link have changed.
	addressed bool
}

// linkEntry is a link with its addresses.
type linkEntry struct {
	state LinkState // Addresses unused
	addrs []addrState
	known map[netip.Prefix]addrMarks
}

// addrState is an address with what the kernel orders addresses by.
type addrState struct {
	LinkAddress
	// scope is of rtnetlink: 0 global, 253 link, 254 host.
	scope     uint8
	secondary bool
}

// addrMarks are an address without its prefix.
type addrMarks struct {
	proto, scope         uint8
	tentative, secondary bool
}

func (a *addrState) marks() addrMarks {
	return addrMarks{a.Proto, a.scope, a.Tentative, a.secondary}
}

func newTable(deliver func([]LinkState)) *table {
	return &table{
		deliver: deliver,
		links:   map[int]*linkEntry{}, names: map[string]int{},
		told: map[string]LinkState{}, dirty: map[string]bool{},
	}
}

// setLink notes a link as a notification described it. A change of the link
// itself is delivered at once, so that none is lost in the next.
func (t *table) setLink(s LinkState) {
	l := t.links[s.Index]
	if l == nil {
		l = &linkEntry{known: map[netip.Prefix]addrMarks{}}
		t.links[s.Index] = l
	} else if sameLink(l.state, s) {
		return
	}
	if l.state.Name != s.Name && t.names[l.state.Name] == s.Index {
		delete(t.names, l.state.Name)
		t.dirty[l.state.Name] = true
	}
	l.state = s
	t.names[s.Name] = s.Index
	t.dirty[s.Name] = true
	if t.started {
		t.flush()
	}
}

// deleteLink notes that a link is gone.
func (t *table) deleteLink(index int) {
	l := t.links[index]
	if l == nil {
		return
	}
	delete(t.links, index)
	if t.names[l.state.Name] == index {
		delete(t.names, l.state.Name)
		t.dirty[l.state.Name] = true
	}
	if t.started {
		t.flush()
	}
}

// setAddr notes that a link has an address.
func (t *table) setAddr(index int, a addrState) {
	l := t.links[index]
	if l == nil {
		return // of a link that is gone already
	}
	old, ok := l.known[a.Prefix]
	now := a.marks()
	if ok && old == now {
		return // renewed
	}
	t.addressed = true
	l.known[a.Prefix] = now
	if ok && old.scope == a.scope && old.secondary == a.secondary {
		l.addrs[l.position(a.Prefix)] = a
	} else {
		if ok {
			i := l.position(a.Prefix)
			l.addrs = slices.Delete(l.addrs, i, i+1)
		}
		l.addrs = slices.Insert(l.addrs, l.place(a), a)
	}
	t.dirty[l.state.Name] = true
}

// deleteAddr notes that a link lost an address.
func (t *table) deleteAddr(index int, p netip.Prefix) {
	l := t.links[index]
	if l == nil {
		return
	}
	if _, ok := l.known[p]; !ok {
		return
	}
	t.addressed = true
	delete(l.known, p)
	i := l.position(p)
	l.addrs = slices.Delete(l.addrs, i, i+1)
	t.dirty[l.state.Name] = true
}

// position looks from the end, for a large set goes as it came: the last one first.
func (l *linkEntry) position(p netip.Prefix) int {
	i := len(l.addrs) - 1
	for i >= 0 && l.addrs[i].Prefix != p {
		i--
	}
	return i
}

// place is where the kernel puts a new address: IPv4 before IPv6; IPv4
// secondaries last, and primaries behind the last one whose scope is not wider;
// IPv6 before the first one whose scope is not wider.
func (l *linkEntry) place(a addrState) int {
	v6 := sort.Search(len(l.addrs), func(i int) bool { return l.addrs[i].Prefix.Addr().Is6() })
	if a.Prefix.Addr().Is6() {
		for i := v6; i < len(l.addrs); i++ {
			if l.addrs[i].scope >= a.scope {
				return i
			}
		}
		return len(l.addrs)
	}
	if a.secondary {
		return v6
	}
	for i := v6 - 1; i >= 0; i-- {
		if !l.addrs[i].secondary && l.addrs[i].scope >= a.scope {
			return i + 1
		}
	}
	return 0
}

// replace takes a full listing in place of everything that was known.
func (t *table) replace(links []LinkState, addrs map[int][]addrState) {
	for _, l := range t.links {
		t.dirty[l.state.Name] = true
	}
	clear(t.links)
	clear(t.names)
	for _, s := range links {
		l := &linkEntry{state: s, addrs: addrs[s.Index], known: map[netip.Prefix]addrMarks{}}
		for _, a := range l.addrs {
			l.known[a.Prefix] = a.marks()
		}
		t.links[s.Index] = l
		t.names[s.Name] = s.Index
		t.dirty[s.Name] = true
	}
	t.flush()
}

// flush delivers what is different. The first delivery is made whatever there
// is, so that the receiver knows what does not exist.
func (t *table) flush() {
	var changed []LinkState
	for _, name := range slices.Sorted(maps.Keys(t.dirty)) {
		s := t.state(name)
		old, ok := t.told[name]
		if !ok && s.Index == 0 || ok && sameLink(old, s) && slices.Equal(old.Addresses, s.Addresses) {
			continue
		}
		changed = append(changed, s)
		if s.Index == 0 {
			delete(t.told, name)
			continue
		}
		t.told[name] = s
	}
	clear(t.dirty)
	if len(changed) == 0 && t.started {
		return
	}
	t.started = true
	slices.SortStableFunc(changed, func(a, b LinkState) int { return cmp.Compare(a.Index, b.Index) })
	t.deliver(changed)
}

// state is the present state of the interface of a name.
func (t *table) state(name string) LinkState {
	l := t.links[t.names[name]]
	if l == nil {
		return LinkState{Name: name}
	}
	s := l.state
	s.Addresses = make([]LinkAddress, len(l.addrs))
	for i, a := range l.addrs {
		s.Addresses[i] = a.LinkAddress
	}
	return s
}

// sameLink compares all but the addresses.
func sameLink(a, b LinkState) bool {
	return a.Name == b.Name && a.Index == b.Index && slices.Equal(a.MAC, b.MAC) && a.MTU == b.MTU && a.Up == b.Up && a.Carrier == b.Carrier &&
		a.PortOf == b.PortOf && a.Master == b.Master
}
