package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// FRR is a running FRRouting: zebra, which knows the interfaces, and vrrpd.
type FRR struct {
	Zebra, VRRPD *Process
	host         *Host
}

const frrDir = "/run/frr"

// StartFRR runs FRRouting's zebra and vrrpd on the host. The configuration is
// vrrpd's, such as
//
//	interface eth0
//	 vrrp 5 version 3
//	 vrrp 5 ip 192.0.2.100
//
// FRR makes no interfaces: that of the virtual MAC address must be there
// already; see AddVirtualMAC. What it logs is the output of the two processes.
func (h *Host) StartFRR(config string) (*FRR, error) {
	f, err := h.startFRR(config)
	if err != nil {
		return nil, fmt.Errorf("start FRR on %s: %w", h.name, err)
	}
	return f, nil
}

func (h *Host) startFRR(config string) (*FRR, error) {
	if err := h.MkdirAll(frrDir); err != nil {
		return nil, err
	}
	if err := h.furnishFRR(); err != nil {
		return nil, err
	}
	if err := h.clearFRR(); err != nil {
		return nil, err
	}
	for name, text := range map[string]string{"zebra.conf": "", "vrrpd.conf": config} {
		if err := h.WriteFile(frrDir+"/"+name, text, 0o644); err != nil {
			return nil, err
		}
	}
	f := &FRR{host: h}
	start := func(name, socket string) (*Process, error) {
		p, err := h.startPeer(name, "-u", "root", "-g", "root", "-P", "0", "--log", "stdout", "--log-level", "debug",
			"-f", frrDir+"/"+name+".conf", "-i", frrDir+"/"+name+".pid", "-z", frrDir+"/zserv.api", "--vty_socket", frrDir)
		if err != nil {
			return nil, err
		}
		return p, h.awaitFile(p, frrDir+"/"+socket)
	}
	var err error
	if f.Zebra, err = start("zebra", "zserv.api"); err != nil {
		return nil, err
	}
	if f.VRRPD, err = start("vrrpd", "vrrpd.vty"); err != nil {
		return nil, errors.Join(err, f.Zebra.Kill())
	}
	return f, nil
}

// furnishFRR gives the host, and nobody else, the groups without which FRR does
// not start, and a place for what it writes when it crashes.
func (h *Host) furnishFRR() error {
	groups, err := h.ReadFile("/etc/group")
	if err != nil || strings.Contains(groups, "\nfrrvty:x:64999:root\n") {
		return err
	}
	var keep []string
	for line := range strings.Lines(groups) {
		if !strings.HasPrefix(line, "frr:") && !strings.HasPrefix(line, "frrvty:") {
			keep = append(keep, strings.TrimSpace(line))
		}
	}
	keep = append(keep, "frr:x:64998:", "frrvty:x:64999:root", "")
	if err := h.WriteFile(frrDir+"/group", strings.Join(keep, "\n"), 0o644); err != nil {
		return err
	}
	return h.keep.do(func() error {
		if err := unix.Mount(frrDir+"/group", "/etc/group", "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("mount /etc/group: %w", err)
		}
		if err := unix.Mount("tmpfs", "/var/tmp", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=1777"); err != nil {
			return fmt.Errorf("mount /var/tmp: %w", err)
		}
		return nil
	})
}

// clearFRR removes the sockets of one that was killed: they would look as if the
// next were ready.
func (h *Host) clearFRR() error {
	return h.keep.do(func() error {
		for _, name := range []string{"zserv.api", "zebra.vty", "vrrpd.vty"} {
			if err := os.Remove(frrDir + "/" + name); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	})
}

// awaitFile waits until process p has made a file.
func (h *Host) awaitFile(p *Process, path string) error {
	err := poll(10*time.Second, path+" does not appear", func() (bool, error) {
		select {
		case <-p.Done():
			return false, fmt.Errorf("%s ended: %v", p.cmd.Path, p.err)
		default:
			return h.keep.do(func() error { return unix.Access(path, unix.F_OK) }) == nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("%w; it wrote:\n%s", err, p.Output())
	}
	return nil
}

// Show asks vrrpd on its own terminal, such as "show vrrp", and returns what it
// prints.
func (f *FRR) Show(ctx context.Context, command string) (string, error) {
	var conn net.Conn
	// The socket is a file of the host, so dial on the host's thread.
	err := f.host.keep.do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, "unix", frrDir+"/vrrpd.vty")
		return err
	})
	if err != nil {
		return "", fmt.Errorf("ask FRR on %s: %w", f.host.name, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	var text string
	in := bufio.NewReader(conn)
	for _, line := range []string{"enable", command} {
		if text, err = converse(conn, in, line); err != nil {
			return "", fmt.Errorf("ask FRR on %s: %q: %w", f.host.name, line, err)
		}
	}
	return text, nil
}

// converse sends one line, ended by a zero byte, and reads the answer, ended by
// three zero bytes and a status.
func converse(out io.Writer, in *bufio.Reader, line string) (string, error) {
	if _, err := io.WriteString(out, line+"\x00"); err != nil {
		return "", err
	}
	text, err := in.ReadString(0)
	if err != nil {
		return "", err
	}
	var end [3]byte // two more zero bytes and the status
	if _, err := io.ReadFull(in, end[:]); err != nil {
		return "", err
	}
	text = strings.TrimSuffix(text, "\x00")
	// 0 is success; anything else is an error of the command.
	if end[2] != 0 {
		return text, fmt.Errorf("refused with status %d: %s", end[2], strings.TrimSpace(text))
	}
	return text, nil
}
