package lab

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func runtimeGoexit() { runtime.Goexit() }

// testFrame is a broadcast frame of the EtherType set aside for experiments.
func testFrame(text string) []byte {
	frame := append(bytes.Repeat([]byte{0xff}, 6), 0x02, 0x48, 0x46, 0xee, 0xee, 0xee, 0x88, 0xb5)
	return append(frame, text...)
}

func isTest(frame []byte) bool {
	return len(frame) > 14 && frame[12] == 0x88 && frame[13] == 0xb5
}

func TestCapture(t *testing.T) {
	l := newLab(t)
	a, b := addHost(t, l, "a"), addHost(t, l, "b")
	captures := map[string]*Capture{}
	for _, h := range []*Host{a, b} {
		c, err := h.Capture("eth0", func(f Frame) bool { return isTest(f.Data) })
		if err != nil {
			t.Fatal(err)
		}
		captures[h.Name()] = c
	}
	before := time.Now()
	for _, text := range []string{"one", "two"} {
		if err := a.Inject("eth0", testFrame(text)); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range captures {
		for _, text := range []string{"one", "two"} {
			f, err := c.Next(within5s(t))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasPrefix(string(f.Data[14:]), text) {
				t.Errorf("%s got %q, want %q", name, f.Data[14:], text)
			}
			if f.Outgoing != (name == "a") {
				t.Errorf("%s: outgoing %v", name, f.Outgoing)
			}
			if d := f.Time.Sub(before); d < -time.Second || d > 5*time.Second {
				t.Errorf("%s: time stamp is off by %v", name, d)
			}
		}
		if got := len(c.Frames()); got != 2 {
			t.Errorf("%s kept %d frames, want 2", name, got)
		}
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := captures["a"].Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("next without a frame: %v", err)
	}
	if err := captures["a"].Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := captures["a"].Next(t.Context()); !errors.Is(err, os.ErrClosed) {
		t.Errorf("next after close: %v", err)
	}
	if _, err := a.Capture("eth7", nil); err == nil {
		t.Error("captured on an interface that is not there")
	}
	if err := a.Inject("eth7", testFrame("x")); err == nil {
		t.Error("injected on an interface that is not there")
	}
}

// A frame that nobody has read yet has the time at which it passed.
func TestFrameTime(t *testing.T) {
	a := addHost(t, newLab(t), "a")
	for range 5 {
		socket, err := a.packetSocket("eth0", unix.ETH_P_ALL)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Inject("eth0", testFrame("unread")); err != nil {
			t.Fatal(err)
		}
		sent := time.Now()
		time.Sleep(50 * time.Millisecond) // unread
		f, err := receiveFrame(socket, make([]byte, 1<<16), make([]byte, 256))
		if err != nil {
			t.Fatal(err)
		}
		if late := f.Time.Sub(sent); late > 25*time.Millisecond {
			t.Errorf("the time of a frame is %v after it was sent", late)
		}
		if err := socket.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
