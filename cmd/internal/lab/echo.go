package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"

	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// EchoPort is the UDP port of the echo responders.
const EchoPort = 7007

// Echo answers datagrams to any address of a host, from the very address that
// was asked, with the datagram itself and the host's name behind it.
type Echo struct {
	close func() error
}

// Echo starts an echo responder on the host, on both address families. It ends
// with Close or with the lab.
func (h *Host) Echo() (*Echo, error) {
	var v4, v6 net.PacketConn
	err := h.Do(func() (err error) {
		if v4, err = net.ListenPacket("udp4", fmt.Sprintf("0.0.0.0:%d", EchoPort)); err != nil {
			return err
		}
		if v6, err = net.ListenPacket("udp6", fmt.Sprintf("[::]:%d", EchoPort)); err != nil {
			return errors.Join(err, v4.Close())
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("start echo responder on %s: %w", h.name, err)
	}
	if err := errors.Join(queueMore(v4), queueMore(v6)); err != nil {
		return nil, errors.Join(fmt.Errorf("start echo responder on %s: %w", h.name, err), v4.Close(), v6.Close())
	}
	p4, p6 := ipv4.NewPacketConn(v4), ipv6.NewPacketConn(v6)
	e := &Echo{}
	var wg sync.WaitGroup
	e.close = sync.OnceValue(func() error {
		err := errors.Join(v4.Close(), v6.Close())
		wg.Wait()
		return err
	})
	if err := errors.Join(p4.SetControlMessage(ipv4.FlagDst, true), p6.SetControlMessage(ipv6.FlagDst, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("start echo responder on %s: %w", h.name, err), e.close())
	}
	wg.Go(func() { answer4(p4, h.name) })
	wg.Go(func() { answer6(p6, h.name) })
	return e, h.onClose(e)
}

// queueMore has a socket keep all that arrives while the machine is too busy
// to answer: what is late is not lost.
func queueMore(c net.PacketConn) error {
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		return err
	}
	var set error
	err = raw.Control(func(fd uintptr) {
		set = os.NewSyscallError("setsockopt", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 4<<20))
	})
	return errors.Join(err, set)
}

// Close ends the responder. It may be called again.
func (e *Echo) Close() error { return e.close() }

// answer4 answers until c is closed. An answer that cannot be sent is a lost
// one, which the asking side counts.
func answer4(c *ipv4.PacketConn, name string) {
	buf := make([]byte, 2048)
	for {
		n, cm, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue
		}
		_, _ = c.WriteTo(append(buf[:n], name...), &ipv4.ControlMessage{Src: cm.Dst}, from)
	}
}

func answer6(c *ipv6.PacketConn, name string) {
	buf := make([]byte, 2048)
	for {
		n, cm, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil || cm == nil {
			continue
		}
		_, _ = c.WriteTo(append(buf[:n], name...), &ipv6.ControlMessage{Src: cm.Dst}, from)
	}
}
