package vip

import (
	"errors"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What is there already rings, what was read does not ring again, and a deadline
// ends a wait.
func TestDoorbell(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(unix.Close(pair[0]), unix.Close(pair[1])) }()
	d, err := newDoorbell(pair[0])
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		t.Helper()
		if _, err := unix.Write(pair[1], []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	read := func() (count int) {
		for {
			if _, err := unix.Read(pair[0], make([]byte, 8)); err != nil {
				return count
			}
			count++
		}
	}
	send() // while nobody waits
	send()
	for range 2 { // unread, it rings again
		if err := d.wait(); err != nil {
			t.Fatal(err)
		}
	}
	if n := read(); n != 2 {
		t.Errorf("read %d, want 2", n)
	}
	rang := make(chan error, 1)
	go func() { rang <- d.wait() }()
	select {
	case err := <-rang:
		t.Fatalf("rang for nothing: %v", err)
	case <-time.After(20 * time.Millisecond):
	}
	send()
	if err := <-rang; err != nil || read() != 1 {
		t.Errorf("rang with %v", err)
	}
	if err := d.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if err := d.wait(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	if err := d.close(); err != nil {
		t.Error(err)
	}
}
