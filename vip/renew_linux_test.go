package vip

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// While interfaces are watched, renewals look none up, whatever becomes of it.
func TestLinuxRenewsWhatIsWatched(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	until := watchedBy(t, k.Watch)
	until("hf0", func(s LinkState) bool { return s.Up })
	v4, v6 := many(3, 3)
	list := slices.Concat(v4, v6)
	if err := errors.Join(k.Apply("hf0", changes(Create, list))...); err != nil {
		t.Fatal(err)
	}
	lookups := 0
	k.route.recv = func(fd int, b []byte, flags int) (int, error) {
		lookups++
		return recvfrom(fd, b, flags)
	}
	renew := func(iface string) error { return errors.Join(k.Apply(iface, changes(Renew, list))...) }
	if err := renew("hf0"); err != nil || lookups != 0 {
		t.Errorf("renewed with %d lookups: %v", lookups, err)
	}

	run(t, "ip link set hf0 down")
	run(t, "ip link set hf0 name hf9")
	until("hf0", func(s LinkState) bool { return s.Index == 0 })
	if err := renew("hf0"); !errors.Is(err, ErrNoInterface) {
		t.Errorf("renewed on an interface that has another name: %v", err)
	}
	run(t, "ip link del hf9")
	vethPair(t) // under the old name; the watcher may not know yet
	if err := renew("hf0"); err != nil {
		t.Errorf("renewed on a new interface: %v", err)
	}
	k.watched.note([]LinkState{{Name: "hf0", Index: 1 << 20}}) // one that is gone
	if err := renew("hf0"); err != nil {
		t.Errorf("renewed on an interface that was made anew unseen: %v", err)
	}
	if on := onInterface(t, k, "hf0"); len(on) != len(list) {
		t.Errorf("%d addresses on the new interface, want %d", len(on), len(list))
	}
}

// Renewals go on for as long as a node serves: they make no garbage.
func TestLinuxRenewalsMakeNoGarbage(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	until := watchedBy(t, k.Watch)
	until("hf0", func(s LinkState) bool { return s.Up })
	m := NewManager(k, nil)
	list, six := many(sliceLimit, sliceLimit)
	m.Add("web", "hf0", list, time.Minute)
	turn := func() {
		orders, _ := m.queue.take()
		for _, r := range m.turn(orders) {
			for _, a := range r.Addresses {
				if a.Err != nil {
					t.Fatal(a.Err)
				}
			}
		}
	}
	turn()
	before := time.Now().Add(time.Hour)
	if n := leastAllocs(func() {
		m.Renew("web", "hf0", list, time.Minute, before)
		turn()
	}); n > 1 {
		t.Errorf("%v allocations for %d addresses", n, len(list))
	}

	// Of IPv6 renewals watchers hear, and that is work: so without one.
	enterNetns(t)
	vethPair(t)
	s, err := dialRTNL()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	link, err := s.link("hf0")
	if err != nil {
		t.Fatal(err)
	}
	renewals := changes(Renew, six)
	if n := leastAllocs(func() {
		if err := s.batch(link.Index, renewals)[0]; err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v allocations for %d IPv6 addresses", n, len(six))
	}
}

// leastAllocs is how many allocations fn makes. Those that others make meanwhile
// are counted too, but not each time.
func leastAllocs(fn func()) float64 {
	least := testing.AllocsPerRun(2, fn)
	for n := 0; n < 20 && least > 1; n++ {
		least = min(least, testing.AllocsPerRun(2, fn))
	}
	return least
}

// recvfrom reports what the kernel does, and how long a datagram was that does
// not fit.
func TestLinuxReceive(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	if _, err := unix.Write(fds[0], make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	if n, err := recvfrom(fds[1], make([]byte, 10), unix.MSG_TRUNC); n != 100 || err != nil {
		t.Errorf("received %d bytes of 100: %v", n, err)
	}
	if _, err := recvfrom(fds[1], make([]byte, 10), unix.MSG_DONTWAIT); !errors.Is(err, unix.EAGAIN) {
		t.Errorf("nothing received: %v", err)
	}
	unix.Close(fds[0])
}
