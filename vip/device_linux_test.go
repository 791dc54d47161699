package vip

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// What is asked without the network lock is what rtnetlink says.
func TestDevice(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	run(t, "ip link set hf1 arp off")
	run(t, "ip link add hf2 type bridge")
	k := newKernel(t)
	all := cmp.AllowUnexported(device{})
	for _, name := range []string{"lo", "hf0", "hf1", "hf2"} {
		want, err := k.device(name, k.inquiry) // nobody watches yet
		if err != nil {
			t.Fatal(err)
		}
		if name == "lo" {
			want.mac = nil // all zero; there is nobody to tell it
		}
		got, err := k.packet.device(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, all); diff != "" {
			t.Errorf("%s (-rtnetlink +ioctl):\n%s", name, diff)
		}
		if neighbours := name == "hf0" || name == "hf2"; got.neighbours != neighbours {
			t.Errorf("%s: neighbours %v, want %v", name, got.neighbours, neighbours)
		}
	}
	for _, name := range []string{"hf9", "a name longer than any", ""} {
		if d, err := k.packet.device(name); !errors.Is(err, ErrNoInterface) {
			t.Errorf("%q: %+v, %v, want %v", name, d, err, ErrNoInterface)
		}
	}
}

// An interface that was renamed a moment ago is not there any more, whatever the
// watcher has heard of it.
func TestDeviceOfWatched(t *testing.T) {
	enterNetns(t)
	vethPair(t)
	k := newKernel(t)
	ctx, cancel := context.WithCancel(t.Context())
	seen := make(chan struct{}, 100)
	wait := goNetns(t, func() { _ = k.Watch(ctx, func([]LinkState) { seen <- struct{}{} }, nil) })
	defer wait()
	defer cancel()
	select {
	case <-seen:
	case <-time.After(5 * time.Second):
		t.Fatal("the watcher delivers nothing")
	}
	if d, err := k.device("hf0", k.inquiry); err != nil || d.index != k.watched.of("hf0") || d.mac.String() != "02:42:c0:00:02:01" {
		t.Errorf("hf0 is %+v, %v", d, err)
	}
	run(t, "ip link set hf0 down")
	run(t, "ip link set hf0 name hf5")
	if d, err := k.device("hf0", k.inquiry); !errors.Is(err, ErrNoInterface) {
		t.Errorf("hf0 is %+v, %v, want %v", d, err, ErrNoInterface)
	}
}
