package lab

import (
	"bytes"
	"testing"
	"time"
)

// A frame that nobody has read yet has the time at which it passed.
func TestFrameTime(t *testing.T) {
	a := addHost(t, newLab(t), "a")
	frame := append(bytes.Repeat([]byte{0xff}, 12), 0x88, 0xb5)
	for range 5 {
		socket, err := a.packetSocket("eth0", 0x0003) // all protocols
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Inject("eth0", append(frame, make([]byte, 60)...)); err != nil {
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
