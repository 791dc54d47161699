package lab

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// startStamps has the kernel of the machine stamp each packet with the time at which
// it passes, from now on and for as long as this process lives. Otherwise it begins
// with that some time after the first capture asks for it, and what passes before has
// the time at which it is read.
var startStamps = sync.OnceValue(func() error {
	k, err := newKeeper(false, func() (err error) {
		stampsOn, err = askForStamps()
		return err
	})
	if err != nil {
		return err
	}
	return errors.Join(awaitStamps(stampsOn), k.close())
})

// stampsOn keeps the socket that asks for stamps.
var stampsOn *net.UDPConn

// askForStamps returns a socket of the namespace's loopback interface.
func askForStamps() (*net.UDPConn, error) {
	if err := netlink.LinkSetUp(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Name: "lo"}}); err != nil {
		return nil, fmt.Errorf("set lo up: %w", err)
	}
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	var setErr error
	err = raw.Control(func(fd uintptr) { setErr = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1) })
	if err = errors.Join(err, os.NewSyscallError("setsockopt", setErr)); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// awaitStamps sends packets to itself until one has the time at which it was sent.
func awaitStamps(c *net.UDPConn) error {
	const unread = 4 * time.Millisecond
	oob, deadline := make([]byte, 256), time.Now().Add(10*time.Second)
	if err := c.SetReadDeadline(deadline); err != nil {
		return err
	}
	for time.Now().Before(deadline) {
		if _, err := c.WriteToUDP(nil, c.LocalAddr().(*net.UDPAddr)); err != nil {
			return err
		}
		sent := time.Now()
		time.Sleep(unread)
		_, n, _, _, err := c.ReadMsgUDP(nil, oob)
		if err != nil {
			return err
		}
		if arrival(oob[:n]).Sub(sent) < unread/2 {
			return nil
		}
	}
	return errors.New("the kernel stamps no packets with their time")
}
