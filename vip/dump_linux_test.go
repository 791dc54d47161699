package vip

import (
	"encoding/binary"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// interruptedReads makes the kernel's next answers look like parts of a list that
// changed while it was read, as many datagrams as given.
func interruptedReads(s *rtnl, times int) (left *int) {
	left = &times
	s.recv = func(fd int, b []byte, flags int) (int, error) {
		n, err := recvfrom(fd, b, flags)
		if err == nil && *left > 0 && n >= unix.NLMSG_HDRLEN && n <= len(b) {
			*left--
			flags := binary.NativeEndian.Uint16(b[6:])
			binary.NativeEndian.PutUint16(b[6:], flags|unix.NLM_F_DUMP_INTR)
		}
		return n, err
	}
	return left
}

// A list that changed while it was read is asked for again; one that never comes
// to rest is an error, of which a watcher tries again until it does.
func TestLinuxDumpInterrupted(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip addr add 192.0.2.1/24 dev hf0")
	s, err := dialRTNL()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	count := func() int {
		t.Helper()
		list, err := s.addrs(unix.AF_INET, 0)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	want := count()
	if want == 0 {
		t.Fatal("there are no addresses")
	}
	left := interruptedReads(s, 3)
	if got := count(); got != want || *left != 0 {
		t.Errorf("%d addresses after interruptions, want %d; %d interruptions left", got, want, *left)
	}
	interruptedReads(s, 1<<20)
	if _, err := s.addrs(unix.AF_INET, 0); !errors.Is(err, errInterrupted) {
		t.Errorf("a list that never comes to rest: error %v", err)
	}

	var last LinkState
	w, err := newWatcher(func(states []LinkState) {
		for _, l := range states {
			if l.Name == "hf0" {
				last = l
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	const listings = 3 // links and addresses of two families
	left = interruptedReads(w.route, dumpTries*listings)
	if err := w.resync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if *left != 0 || !has("192.0.2.1/24", 0)(last) {
		t.Errorf("%d interruptions left, hf0 is %+v", *left, last)
	}
}

// A kernel that does not know a family lists the addresses of all others for it. One
// that was booted without IPv6 does so for that, and each IPv4 address would be there
// twice: for ever, since it is removed once.
func TestLinuxListOfUnknownFamily(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip addr add 192.0.2.1/24 dev hf0")
	s, err := dialRTNL()
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for family, want := range map[byte]bool{unix.AF_INET: true, unix.AF_X25: false} {
		list, err := s.addrs(family, 0)
		if err != nil {
			t.Fatal(err)
		}
		if got := len(list) > 0; got != want {
			t.Errorf("family %d: %d addresses, want some: %v", family, len(list), want)
		}
	}
}
