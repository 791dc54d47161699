package vip

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// quietKernel is a kernel whose interface hf0 has the addresses that renew renews.
func quietKernel(t *testing.T) (k *Linux, renew func() error) {
	t.Helper()
	enterNetns(t)
	vethPair(t)
	k = newKernel(t)
	v4, v6 := many(3, 3)
	list := changes(Renew, slices.Concat(v4, v6))
	renew = func() error { return errors.Join(k.Apply("hf0", list)...) }
	if err := renew(); err != nil {
		t.Fatal(err)
	}
	return k, renew
}

// Answers to renewals are received quietly, which is never worse than aloud.
func TestQuietRenewals(t *testing.T) {
	tests := []struct {
		name string
		raw  []error // what quiet receptions meet, before all is well
		loud int     // receptions that are not quiet
	}{
		{name: "answered at once"},
		{name: "interrupted", raw: []error{unix.EINTR, unix.EINTR}},
		{name: "answered later", raw: []error{unix.EAGAIN}, loud: 1},
		{name: "answers lost", raw: []error{unix.ENOBUFS}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			k, renew := quietKernel(t)
			s, loud := k.renewal, 0
			s.recv = func(fd int, b []byte, flags int) (int, error) {
				loud++
				if !k.stops.TryLock() {
					t.Error("who waits for an answer must not keep others from stopping the threads")
				} else {
					k.stops.Unlock()
				}
				return recvfrom(fd, b, flags)
			}
			raw := tt.raw
			s.recvRaw = func(fd int, b []byte, flags int) (int, error) {
				if flags&unix.MSG_DONTWAIT == 0 {
					t.Error("a quiet reception that may wait")
				}
				if len(raw) == 0 {
					return recvfromRaw(fd, b, flags)
				}
				err := raw[0]
				raw = raw[1:]
				return 0, err
			}
			for range 2 { // the second without anything special
				if err := renew(); err != nil || len(raw) != 0 {
					t.Errorf("renewed: %v; %v were not met", err, raw)
				}
			}
			if loud != tt.loud {
				t.Errorf("%d receptions were not quiet, want %d", loud, tt.loud)
			}
			if !k.stops.TryLock() {
				t.Error("no thread can be stopped after the renewals")
			}
		})
	}
}

// Who stops all threads waits until a quiet renewal is over, and renewals do not
// wait for who has stopped them.
func TestStops(t *testing.T) {
	k, renew := quietKernel(t)
	loud := 0
	k.renewal.recv = func(fd int, b []byte, flags int) (int, error) {
		loud++
		return recvfrom(fd, b, flags)
	}
	k.Stops().Lock()
	if err := renew(); err != nil || loud == 0 {
		t.Errorf("renewed while all may stop: %v, %d receptions that were not quiet", err, loud)
	}
	k.Stops().Unlock()

	under, finish := make(chan struct{}), make(chan struct{})
	once := sync.OnceFunc(func() {
		close(under)
		<-finish
	})
	k.renewal.recvRaw = func(fd int, b []byte, flags int) (int, error) {
		once()
		return recvfromRaw(fd, b, flags)
	}
	renewed := make(chan error, 1)
	go func() { renewed <- renew() }()
	<-under
	stopped := make(chan struct{})
	go func() {
		k.Stops().Lock()
		defer k.Stops().Unlock()
		close(stopped)
	}()
	select {
	case <-stopped:
		t.Error("all threads are stopped during a quiet renewal")
	case <-time.After(20 * time.Millisecond):
	}
	close(finish)
	if err := <-renewed; err != nil {
		t.Error(err)
	}
	<-stopped
}

// A renewal may have to wait for whoever else changes the network. All but a
// collection goes on meanwhile, and so it does when that one comes. It is tried in a
// process that collects as the daemon does, and that ends although all of it stands
// still: else nobody on this machine could change the network any more.
func TestQuietRenewalWaitsAlone(t *testing.T) {
	const child = "HOLDFAST_QUIET_CHILD"
	if os.Getenv(child) == "" {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
		cmd.Env = append(os.Environ(), child+"=1", "GOGC=off")
		out, err := cmd.CombinedOutput()
		t.Logf("%s", out)
		if err == nil && bytes.Contains(out, []byte("--- SKIP")) {
			t.Skip("skipped by the process that renews")
		}
		if err != nil {
			t.Errorf("the process that renews: %v", err)
		}
		return
	}
	const held = 600 * time.Millisecond
	k, _ := quietKernel(t)
	link, err := k.route.link("hf0")
	if err != nil {
		t.Fatal(err)
	}
	k.watched.note([]LinkState{{Name: "hf0", Index: link.Index}}) // or it looks it up, aloud
	before := runtime.GOMAXPROCS(max(4, runtime.GOMAXPROCS(0)))
	defer runtime.GOMAXPROCS(before)
	v4, _ := many(3, 0)
	m := NewManager(k, nil)
	m.Add("web", "hf0", v4, time.Minute)
	orders, _ := m.queue.take()
	m.turn(orders)
	go func() { _ = m.Run(t.Context()) }()

	wait := ticks(t, 10*time.Millisecond)
	release := holdRTNL(t)
	time.AfterFunc(held, release)
	began := time.Now()
	var collecting bool
	var collected, longest time.Duration
	var collection sync.WaitGroup
	var loop sync.WaitGroup
	loop.Go(func() { // no thread belongs to it, as none does to that of the daemon
		for last := began; time.Since(began) < held+held/3; {
			wait()
			longest, last = max(longest, time.Since(last)), time.Now()
			m.Renew("web", "hf0", v4, time.Minute, began.Add(time.Hour))
			if collecting || k.stops.TryLock() {
				if !collecting { // the renewal has not begun
					k.stops.Unlock()
				}
				continue
			}
			collecting = true
			collection.Go(func() {
				k.Stops().Lock()
				defer k.Stops().Unlock()
				runtime.GC()
				collected = time.Since(began)
			})
		}
	})
	loop.Wait()
	collection.Wait()
	t.Logf("measured: the kernel held for %v, the collection over after %v, others held up for %v at most", held, collected, longest)
	if collected <= held {
		t.Errorf("collected after %v, while the renewal waited", collected)
	}
	if longest > held*5/6 {
		t.Errorf("everything was held up for %v", longest)
	}
}

// ticks returns a function that waits for the next tick, as the loop of a daemon
// does: at a file that the runtime polls, without a system call that it hears of.
func ticks(t *testing.T, every time.Duration) (wait func()) {
	t.Helper()
	fd, err := unix.TimerfdCreate(unix.CLOCK_MONOTONIC, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		t.Fatal(err)
	}
	interval := unix.NsecToTimespec(int64(every))
	if err := unix.TimerfdSettime(fd, 0, &unix.ItimerSpec{Interval: interval, Value: interval}, nil); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "timer")
	t.Cleanup(func() { _ = file.Close() })
	conn, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		var count [8]byte
		_ = conn.Read(func(fd uintptr) bool {
			_, _, errno := unix.RawSyscall(unix.SYS_READ, fd, uintptr(unsafe.Pointer(&count)), uintptr(len(count)))
			return errno == 0
		})
	}
}

// holdRTNL keeps everybody from changing the network until release is called: it
// asks about a device, and of the question the rest is not there yet.
func holdRTNL(t *testing.T) (release func()) {
	t.Helper()
	size := unix.Getpagesize()
	page, err := unix.Mmap(-1, 0, 2*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	fd, _, errno := unix.Syscall(unix.SYS_USERFAULTFD, unix.O_CLOEXEC, 0, 0)
	if errno != 0 {
		without(t, "userfaultfd is needed to hold the kernel up: "+errno.Error())
	}
	missing := uintptr(unsafe.Pointer(&page[size]))
	const (
		api, register, zeropage = 0xc018aa3f, 0xc020aa00, 0xc020aa04 // of linux/userfaultfd.h
		version, modeMissing    = 0xaa, 1
	)
	control := func(request uintptr, arg ...uint64) {
		t.Helper()
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(&arg[0]))); errno != 0 {
			t.Fatalf("userfaultfd %#x: %v", request, errno)
		}
	}
	control(api, version, 0, 0)
	control(register, uint64(missing), uint64(size), modeMissing, 0)

	socket, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	// The command lies at the end of the page that is there, and the rest of it in
	// the one that is not.
	command := size - 4
	*(*uint32)(unsafe.Pointer(&page[command])) = unix.ETHTOOL_GSTRINGS
	var request [40]byte // struct ifreq
	copy(request[:], "hf0")
	*(*uintptr)(unsafe.Pointer(&request[16])) = uintptr(unsafe.Pointer(&page[command]))
	var holder sync.WaitGroup
	holder.Go(func() { // it does not matter whether there is an answer
		unix.Syscall(unix.SYS_IOCTL, uintptr(socket), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&request)))
	})
	// The fault tells that it is held.
	if n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 5000); n != 1 || err != nil {
		t.Fatalf("the kernel reads %d pages that are missing: %v", n, err)
	}
	return sync.OnceFunc(func() {
		control(zeropage, uint64(missing), uint64(size), 0, 0)
		holder.Wait()
		for _, fd := range []int{socket, int(fd)} {
			if err := unix.Close(fd); err != nil {
				t.Error(err)
			}
		}
		if err := unix.Munmap(page); err != nil {
			t.Error(err)
		}
	})
}
