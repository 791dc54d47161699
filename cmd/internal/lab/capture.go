package lab

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Frame is an Ethernet frame seen on an interface.
type Frame struct {
	Time     time.Time // of the kernel, by the wall clock
	Data     []byte    // from the destination address on
	Outgoing bool      // sent by the host itself
}

// captureLimit is how many frames a Capture keeps.
const captureLimit = 1 << 18

// Capture keeps the frames that pass an interface.
type Capture struct {
	file  *os.File
	close func() error

	mu     sync.Mutex
	frames []Frame
	next   int           // of Next
	note   chan struct{} // closed at the next frame or at the end
	err    error         // why it ended
}

// Capture starts keeping the frames, received and sent, that pass an interface
// of the host and that keep accepts, or all if keep is nil. When Capture has
// returned nothing is missed. It ends with Close or with the lab.
func (h *Host) Capture(ifname string, keep func(Frame) bool) (*Capture, error) {
	file, err := h.packetSocket(ifname, unix.ETH_P_ALL)
	if err != nil {
		return nil, fmt.Errorf("capture on %s of %s: %w", ifname, h.name, err)
	}
	c := &Capture{file: file, note: make(chan struct{})}
	var wg sync.WaitGroup
	c.close = sync.OnceValue(func() error {
		err := file.Close()
		wg.Wait()
		return err
	})
	wg.Go(func() { c.run(keep) })
	return c, h.onClose(c)
}

// Close ends the capture; its frames can still be read. It may be called again.
func (c *Capture) Close() error { return c.close() }

// Frames is all that was kept so far.
func (c *Capture) Frames() []Frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]Frame(nil), c.frames...)
}

// Next returns the frame after the one that the last call returned, and waits
// for it. It fails with the error of ctx, or when the capture has ended.
func (c *Capture) Next(ctx context.Context) (Frame, error) {
	for {
		c.mu.Lock()
		if c.next < len(c.frames) {
			f := c.frames[c.next]
			c.next++
			c.mu.Unlock()
			return f, nil
		}
		note, err := c.note, c.err
		c.mu.Unlock()
		if err != nil {
			return Frame{}, err
		}
		select {
		case <-note:
		case <-ctx.Done():
			return Frame{}, fmt.Errorf("wait for a frame: %w", ctx.Err())
		}
	}
}

func (c *Capture) run(keep func(Frame) bool) {
	buf, oob := make([]byte, 1<<16), make([]byte, 256)
	for {
		f, err := receiveFrame(c.file, buf, oob)
		if err == nil && keep != nil && !keep(f) {
			continue
		}
		c.mu.Lock()
		if err == nil && len(c.frames) == captureLimit {
			err = fmt.Errorf("capture: more than %d frames", captureLimit)
		}
		if err != nil {
			c.err = err
			close(c.note)
			c.mu.Unlock()
			return
		}
		c.frames = append(c.frames, f)
		close(c.note)
		c.note = make(chan struct{})
		c.mu.Unlock()
	}
}

// Inject sends a frame, which begins with the destination address, from an
// interface of the host.
func (h *Host) Inject(ifname string, frame []byte) error {
	file, err := h.packetSocket(ifname, 0)
	if err == nil {
		_, err = file.Write(frame)
		err = errors.Join(err, file.Close())
	}
	if err != nil {
		return fmt.Errorf("inject on %s of %s: %w", ifname, h.name, err)
	}
	return nil
}

// packetSocket opens a packet socket bound to one interface and one protocol.
func (h *Host) packetSocket(ifname string, protocol uint16) (file *os.File, err error) {
	err = h.Do(func() error {
		ifi, err := net.InterfaceByName(ifname)
		if err != nil {
			return err
		}
		// Without a protocol until bound: else it hears all interfaces at first.
		fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return os.NewSyscallError("socket", err)
		}
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 8<<20) // the usual size does as well
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
		if err == nil {
			err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(protocol), Ifindex: ifi.Index})
		}
		if err != nil {
			return errors.Join(os.NewSyscallError("set up packet socket", err), unix.Close(fd))
		}
		file = os.NewFile(uintptr(fd), "packet:"+ifname)
		return nil
	})
	return file, err
}

func bigEndian(v uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, v))
}

// receiveFrame waits for one frame.
func receiveFrame(file *os.File, buf, oob []byte) (f Frame, err error) {
	raw, err := file.SyscallConn()
	if err != nil {
		return f, err
	}
	readErr := raw.Read(func(fd uintptr) bool {
		var n, oobn int
		var from unix.Sockaddr
		n, oobn, _, from, err = unix.Recvmsg(int(fd), buf, oob, 0)
		switch err {
		case unix.EAGAIN, unix.EINTR, unix.ENETDOWN: // down is told once, then it goes on
			return false
		}
		if err != nil {
			err = os.NewSyscallError("recvmsg", err)
			return true
		}
		f.Data = append([]byte(nil), buf[:n]...)
		f.Time = arrival(oob[:oobn])
		if ll, ok := from.(*unix.SockaddrLinklayer); ok {
			f.Outgoing = ll.Pkttype == unix.PACKET_OUTGOING
		}
		return true
	})
	if readErr != nil { // closed; os.File says so with an error of its own
		return f, fmt.Errorf("capture: %w", os.ErrClosed)
	}
	return f, err
}

// arrival is the kernel's timestamp of a message, or now if it has none.
func arrival(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Now()
	}
	for _, m := range messages {
		var ts unix.Timespec
		if m.Header.Level != unix.SOL_SOCKET || m.Header.Type != unix.SO_TIMESTAMPNS {
			continue
		}
		if n, err := binary.Decode(m.Data, binary.NativeEndian, &ts); err == nil && n > 0 {
			return time.Unix(ts.Unix())
		}
	}
	return time.Now()
}
