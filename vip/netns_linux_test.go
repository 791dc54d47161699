package vip

import (
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// enterNetns moves the test into a network namespace of its own, without a
// name, that ends with the test. The goroutine keeps its thread, and the thread
// dies with it.
func enterNetns(tb testing.TB) {
	tb.Helper()
	if os.Geteuid() != 0 {
		without(tb, "network namespaces need root")
	}
	runtime.LockOSThread()
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		tb.Fatalf("unshare: %v", err)
	}
	run(tb, "ip link set lo up")
}

// vethPair makes hf0 and its peer hf1, both up, without link-local addresses of
// their own.
func vethPair(tb testing.TB) {
	tb.Helper()
	run(tb, "ip link add hf0 address 02:42:c0:00:02:01 type veth peer name hf1")
	for _, name := range []string{"hf0", "hf1"} {
		run(tb, "ip link set "+name+" addrgenmode none")
		run(tb, "ip link set "+name+" up")
	}
}

// run runs a command in the namespace of the test and returns its output.
func run(tb testing.TB, command string) string {
	tb.Helper()
	words := strings.Fields(command)
	out, err := exec.Command(words[0], words[1:]...).CombinedOutput()
	if err != nil {
		tb.Fatalf("%s: %v\n%s", command, err, out)
	}
	return string(out)
}

// goNetns runs fn on a new goroutine in the namespace of the caller, and
// returns a function that waits for it.
func goNetns(tb testing.TB, fn func()) (wait func()) {
	tb.Helper()
	ns, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		tb.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { _ = ns.Close() }()
		runtime.LockOSThread() // never unlocked: the thread is not used again
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			tb.Errorf("setns: %v", err)
			return
		}
		fn()
	}()
	return func() { <-done }
}

// newKernel opens a kernel in the namespace of the test.
func newKernel(tb testing.TB) *Linux {
	tb.Helper()
	k, err := NewKernel()
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := k.Close(); err != nil {
			tb.Error(err)
		}
	})
	return k
}

// without skips a test that lacks something, or fails where nothing may be lacking.
func without(tb testing.TB, what string) {
	tb.Helper()
	if os.Getenv("HOLDFAST_REQUIRE") == "1" {
		tb.Fatal(what)
	}
	tb.Skip(what)
}
