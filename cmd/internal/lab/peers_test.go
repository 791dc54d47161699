package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needPeers skips a test whose programs are missing, or fails it when the
// caller insists.
func needPeers(t *testing.T, names ...string) {
	t.Helper()
	needRoot(t)
	for _, name := range names {
		if _, err := FindPeer(name); err == nil {
			continue
		} else if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal(err)
		} else {
			t.Skip(err)
		}
	}
}

// ownConsole gives the host an empty file as the machine's console and as its
// system log, and tells what was written there. A serial console is slow and
// may stand still for long, and whoever logs there stands still with it.
func ownConsole(t *testing.T, h *Host) (written func() string) {
	t.Helper()
	const file = "/run/console"
	if err := h.WriteFile(file, "", 0o600); err != nil {
		t.Fatal(err)
	}
	err := h.keep.do(func() error {
		for _, device := range []string{"/dev/console", "/dev/log"} {
			if err := unix.Mount(file, device, "", unix.MS_BIND, ""); err != nil && !errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("replace %s: %w", device, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return func() string {
		t.Helper()
		text, err := h.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
}

func TestKeepalivedBecomesMaster(t *testing.T) {
	needPeers(t, "keepalived")
	l := newLab(t)
	h := addHost(t, l, "a", "192.0.2.1/24")
	console := ownConsole(t, h)
	const config = `
global_defs { vrrp_startup_delay 0 }
vrrp_instance web {
	state BACKUP
	interface eth0
	virtual_router_id 51
	priority 250
	version 3
	advert_int 0.1
	virtual_ipaddress { 192.0.2.100/24 }
}
`
	// One that was killed must not keep the next from starting.
	killed, err := h.StartKeepalived(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := killed.WaitOutput(within5s(t), "Entering BACKUP STATE"); err != nil {
		t.Fatal(err)
	}
	if err := killed.Kill(); err != nil {
		t.Fatal(err)
	}
	p, err := h.StartKeepalived(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := p.WaitOutput(ctx, "Entering MASTER STATE"); err != nil {
		t.Fatal(err)
	}
	vip := netip.MustParseAddr("192.0.2.100")
	if err := poll(5*time.Second, "no VIP", func() (bool, error) { return h.HasAddress(vip), nil }); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx); err != nil {
		t.Errorf("keepalived ended with %v:\n%s", err, p.Output())
	}
	if h.HasAddress(vip) {
		t.Error("the VIP is still there after a stop")
	}
	if text := console(); text != "" {
		t.Errorf("keepalived wrote to the console of the machine:\n%s", text)
	}
}

func TestFRRBecomesMaster(t *testing.T) {
	needPeers(t, "zebra", "vrrpd")
	l := newLab(t)
	h := addHost(t, l, "a", "192.0.2.1/24")
	console := ownConsole(t, h)
	if err := h.AddVirtualMAC("vrrp4", "eth0", 4, 5, netip.MustParsePrefix("192.0.2.100/24")); err != nil {
		t.Fatal(err)
	}
	f, err := h.StartFRR(`
interface eth0
 vrrp 5 version 3
 vrrp 5 priority 250
 vrrp 5 advertisement-interval 100
 vrrp 5 ip 192.0.2.100
`)
	if err != nil {
		t.Fatal(err)
	}
	master := regexp.MustCompile(`Status \(v4\) +Master `)
	var shown string
	err = poll(15*time.Second, "vrrpd is not master", func() (ok bool, err error) {
		shown, err = f.Show(t.Context(), "show vrrp")
		return master.MatchString(shown), err
	})
	if err != nil {
		t.Fatalf("%v\n%s\n%s\n%s", err, shown, f.VRRPD.Output(), f.Zebra.Output())
	}
	if _, err := f.Show(t.Context(), "show nonsense"); err == nil {
		t.Error("FRR knows nonsense")
	}
	if text := console(); text != "" {
		t.Errorf("FRR wrote to the console of the machine:\n%s", text)
	}
	// Only the host has the groups that FRR wants.
	if groups, err := os.ReadFile("/etc/group"); err != nil || strings.Contains(string(groups), "64999") {
		t.Errorf("the machine's /etc/group was changed: %v", err)
	}
}

func TestNginxServes(t *testing.T) {
	needPeers(t, "nginx")
	l := newLab(t)
	server, client := addHost(t, l, "server", "192.0.2.1/24"), addHost(t, l, "client", "192.0.2.9/24")
	p, err := server.StartNginx()
	if err != nil {
		t.Fatal(err)
	}
	probe, err := client.HTTPProbe(netip.MustParseAddr("192.0.2.1"), 100)
	if err != nil {
		t.Fatal(err)
	}
	awaitServer(t, probe, "server")
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	m := probe.Mark("killed")
	err = poll(5*time.Second, "nobody asked", func() (bool, error) { return probe.Since(m).Sent > 5, nil })
	if err != nil {
		t.Fatal(err)
	}
	if r := probe.Since(m); r.Answered != 0 {
		t.Errorf("a killed nginx answers: %v", r)
	}
}

func TestFindPeer(t *testing.T) {
	if _, err := FindPeer("emacs"); !errors.Is(err, ErrNoPeer) {
		t.Errorf("unknown program: %v", err)
	}

	tree := t.TempDir()
	bin := filepath.Join(tree, ".peers/nginx/usr/sbin/nginx")
	lib := filepath.Join(tree, ".peers/nginx/usr/lib/x/libfoo.so.1")
	for _, path := range []string{bin, lib, filepath.Join(tree, "go.mod"), filepath.Join(tree, "a/b/c.go")} {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(filepath.Join(tree, "a/b"))
	p, err := FindPeer("nginx")
	if err != nil || p.Path != bin {
		t.Fatalf("found %+v, %v; want %s", p, err, bin)
	}
	if want := "LD_LIBRARY_PATH=" + filepath.Dir(lib); len(p.Env) != 1 || p.Env[0] != want {
		t.Errorf("environment %q, want %q", p.Env, want)
	}

	// Anybody could put a program there for root to run.
	if err := os.Chmod(filepath.Join(tree, ".peers"), 0o777); err != nil {
		t.Fatal(err)
	}
	if p, err := FindPeer("nginx"); err == nil && p.Path == bin {
		t.Error("took a program from a folder that all may write to")
	}
}
