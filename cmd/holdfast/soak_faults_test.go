package main

// What may happen to the cluster of the soak test.

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// soakFault is one kind of thing that happens.
type soakFault struct {
	name   string
	weight int
	on     *soakMember // nil for the whole machine
	// fits tells whether it can happen to a member now; nil for a fault of the
	// machine.
	fits func(s *soak, m *soakMember) bool
	// begin makes it happen; end, when there is one, undoes it.
	begin, end func(s *soak, m *soakMember)

	brief    bool          // may end before anybody has noticed
	planned  bool          // moves the addresses without losing a datagram, or not at all
	returns  bool          // so does its end, when the cluster had settled
	restarts bool          // goes on where it ended
	dead     bool          // only the lease takes the addresses away
	splits   bool          // two may serve while it lasts, and clients be torn for a moment
	slack    time.Duration // what noticing takes, beside the protocol's times
}

func (f *soakFault) String() string {
	if f.on == nil {
		return f.name
	}
	return f.on.Name() + " " + f.name
}

func anyMember(*soak, *soakMember) bool  { return true }
func ours(_ *soak, m *soakMember) bool   { return m.ours }
func theirs(_ *soak, m *soakMember) bool { return !m.ours }
func mortal(s *soak, m *soakMember) bool { return m.ours && m.Name() != s.survivor }

// startMost is what starting a daemon and its first check may take.
const startMost = time.Second

// soakFaults lists all kinds.
func soakFaults() []soakFault {
	return slices.Concat(endingFaults(), networkFaults(), otherFaults(), keepalivedFaults())
}

// endingFaults are about the process.
func endingFaults() []soakFault {
	return []soakFault{
		{
			name: "killed", weight: 3, fits: mortal, brief: true, returns: true, dead: true, slack: startMost,
			begin: func(s *soak, m *soakMember) { must(s.t, m.daemon.Kill()); m.out, m.silent = true, true },
			end:   func(s *soak, m *soakMember) { s.launch(m); m.out, m.silent = false, false },
		},
		{
			name: "killed and started again", weight: 2, fits: mortal, restarts: true, slack: startMost, dead: true,
			begin: func(s *soak, m *soakMember) { must(s.t, m.daemon.Kill()); s.launch(m); s.decided(m) },
		},
		{
			name: "restarted", weight: 3, fits: mortal, restarts: true, slack: startMost, dead: true,
			begin: func(s *soak, m *soakMember) { s.terminate(m, syscall.SIGUSR2); s.launch(m); s.decided(m) },
		},
		{
			name: "stopped", weight: 4, fits: mortal, brief: true, planned: true, returns: true, slack: startMost,
			begin: func(s *soak, m *soakMember) { m.out, m.silent = true, true; s.terminate(m, syscall.SIGTERM) },
			end:   func(s *soak, m *soakMember) { s.launch(m); m.out, m.silent = false, false },
		},
		{
			name: "frozen", weight: 4, fits: ours, brief: true, returns: true, dead: true,
			begin: func(s *soak, m *soakMember) {
				must(s.t, m.daemon.Signal(syscall.SIGSTOP))
				m.out, m.silent = true, true
			},
			end: func(s *soak, m *soakMember) {
				must(s.t, m.daemon.Signal(syscall.SIGCONT))
				m.out, m.silent = false, false
			},
		},
	}
}

// terminate ends a daemon that is to end well.
func (s *soak) terminate(m *soakMember, how syscall.Signal) {
	s.t.Helper()
	must(s.t, m.daemon.Signal(how))
	select {
	case <-m.daemon.Done():
	case <-time.After(20 * time.Second):
		s.fail("%s took no notice of %v for 20s", m.Name(), how)
	}
	if err := m.daemon.Wait(s.t.Context()); m.ours && err != nil {
		s.fail("%s ended with %v after %v", m.Name(), err, how)
	}
}

// networkFaults are about cables, the switch and interfaces.
func networkFaults() []soakFault {
	return []soakFault{
		{
			name: "unplugged", weight: 3, fits: anyMember, brief: true, returns: true, dead: true, slack: linkMost,
			begin: func(s *soak, m *soakMember) { must(s.t, m.Unplug()); m.out, m.cut = true, true },
			end:   func(s *soak, m *soakMember) { must(s.t, m.PlugIn()); m.out, m.cut = false, false },
		},
		{
			name: "cut off", weight: 3, fits: anyMember, brief: true, splits: true,
			begin: func(s *soak, m *soakMember) { must(s.t, m.Isolate(true)); m.out, m.may, m.cut = true, true, true },
			end:   func(s *soak, m *soakMember) { must(s.t, m.Isolate(false)); m.out, m.may, m.cut = false, false, false },
		},
		{
			// What it says is heard: who obeys it goes on doing so.
			name: "deaf", weight: 2, fits: anyMember, brief: true, splits: true,
			begin: func(s *soak, m *soakMember) { must(s.t, m.Deafen(true)); m.may, m.cut = true, true },
			end:   func(s *soak, m *soakMember) { must(s.t, m.Deafen(false)); m.may, m.cut = false, false },
		},
		{
			name: "mute", weight: 2, fits: anyMember, brief: true, splits: true,
			begin: func(s *soak, m *soakMember) { must(s.t, m.Mute(true)); m.out, m.may, m.cut = true, true, true },
			end:   func(s *soak, m *soakMember) { must(s.t, m.Mute(false)); m.out, m.may, m.cut = false, false, false },
		},
		{
			name: "link down", weight: 2, fits: anyMember, brief: true, dead: true, slack: linkMost,
			begin: func(_ *soak, m *soakMember) { m.linkDown("eth0"); m.out, m.cut = true, true },
			end:   (*soak).linkUp,
		},
	}
}

// linkUp brings an interface up again, with the IPv6 address that the kernel
// took off when it went down.
func (s *soak) linkUp(m *soakMember) {
	s.t.Helper()
	m.linkUp("eth0")
	eventually(s.t, settled, m.Name()+" has carrier", func() bool {
		up, err := m.port.Carrier()
		return err == nil && up
	})
	six := netip.MustParsePrefix(s.address(slices.Index(s.members, m))[1])
	if !m.HasAddress(six.Addr()) {
		must(s.t, m.AddAddress("eth0", six.String()))
	}
	m.out, m.cut = false, false
}

// otherFaults are what operators, services and strangers do.
func otherFaults() []soakFault {
	return []soakFault{
		{
			name: "has another priority", weight: 3, fits: ours, planned: true, returns: true,
			begin: func(s *soak, m *soakMember) {
				m.priority = []int{60, 125, 175, 250}[s.rng.IntN(4)]
				s.reload(m, s.config(m), "configuration reloaded")
			},
			end: func(s *soak, m *soakMember) {
				m.priority = s.priorities[m.Name()]
				s.reload(m, s.config(m), "configuration reloaded")
			},
		},
		{
			name: "has one more instance", weight: 2, fits: ours, planned: true, returns: true,
			begin: func(s *soak, m *soakMember) {
				s.reload(m, s.config(m, otherTOML("more", 153, m.priority, `"192.0.2.153/24", "2001:db8::153/64"`)), "configuration reloaded")
			},
			end: func(s *soak, m *soakMember) { s.reload(m, s.config(m), "configuration reloaded") },
		},
		{
			name: "refuses a configuration", weight: 1, fits: ours, planned: true,
			begin: func(s *soak, m *soakMember) {
				const refused = "configuration refused, the running one goes on"
				m.log.explain(refused)
				s.reload(m, strings.Replace(s.config(m), "priority = ", "priority = 4", 1), refused)
				m.configure(s.config(m))
			},
		},
		{
			name: "fails its check", weight: 4, fits: ours, brief: true, planned: true, returns: true, slack: flagMost,
			begin: func(s *soak, m *soakMember) { s.service(m, false) },
			end:   func(s *soak, m *soakMember) { s.service(m, true) },
		},
		{
			name: "all checks fail", weight: 1, slack: flagMost,
			begin: func(s *soak, _ *soakMember) { s.service(s.members[0], false); s.service(s.members[1], false) },
			end:   func(s *soak, _ *soakMember) { s.service(s.members[0], true); s.service(s.members[1], true) },
		},
		{
			name: "loses its addresses", weight: 3,
			fits: func(s *soak, m *soakMember) bool {
				s.deleted = slices.DeleteFunc(s.deleted, func(t time.Time) bool { return time.Since(t) > 30*time.Second })
				return m.ours && m == s.best() && len(s.deleted) < 3 // more, and it would rightly give up
			},
			begin: func(s *soak, m *soakMember) {
				began := time.Now()
				s.deleted = append(s.deleted, began)
				must(s.t, m.RemoveAddress("eth0", s.vips[0].String()+"/32"))
				must(s.t, m.RemoveAddress("eth0", s.vips[1].String()+"/128"))
				// Or what follows would be judged by how it was before.
				for _, v := range s.vips {
					for !s.held.lost(m.Name(), v, began) {
						if time.Since(began) > 5*time.Second {
							s.fail("%s was not heard to lose %v, which was deleted", m.Name(), v)
						}
						time.Sleep(100 * time.Microsecond)
					}
				}
			},
		},
		{
			name: "busy loops", weight: 2,
			begin: func(s *soak, _ *soakMember) {
				for range 2 * runtime.NumCPU() {
					p, err := s.load.Start("/bin/sh", "-c", "while :; do :; done")
					must(s.t, err)
					s.loops = append(s.loops, p)
				}
				time.Sleep(500 * time.Millisecond)
			},
			end: func(s *soak, _ *soakMember) {
				for _, p := range s.loops {
					must(s.t, p.Kill())
				}
				s.loops = nil
			},
		},
		{name: "bad packets", weight: 2, planned: true, begin: func(s *soak, _ *soakMember) { s.badPackets() }},
	}
}

// service makes the check of a member pass or fail.
func (s *soak) service(m *soakMember, ok bool) {
	s.t.Helper()
	if ok && !m.silent { // else it may act on a failure that has just ended
		eventually(s.t, flagMost+room, m.Name()+" has seen the failure", func() bool {
			return slices.ContainsFunc(m.status().Checks, func(c control.Check) bool { return c.State == "failing" })
		})
	}
	m.setFlag(ok)
	if s.onFailure == "release" {
		m.out = !ok
	} else {
		m.demoted = !ok
	}
}

// reload has a member read a configuration, and waits until its log tells.
func (s *soak) reload(m *soakMember, config, told string) {
	s.t.Helper()
	before := strings.Count(m.daemon.Output(), told)
	m.configure(config)
	must(s.t, m.daemon.Signal(syscall.SIGHUP))
	eventually(s.t, settled, m.Name()+" tells: "+told, func() bool { return strings.Count(m.daemon.Output(), told) > before })
}

// badPackets sends what would win, were it not for one fault in each.
func (s *soak) badPackets() {
	s.t.Helper()
	port, err := s.client.Port("eth0")
	must(s.t, err)
	wreck := []func(*advert, *packet){
		func(_ *advert, p *packet) { p.ttl = 254 },
		func(_ *advert, p *packet) { p.ttl = 1 },
		func(_ *advert, p *packet) { p.payload[6] ^= 0x55 },
		func(_ *advert, p *packet) { p.payload = p.payload[:7] },
		func(a *advert, p *packet) { a.kind = 2; p.payload = a.bytes(p.src, p.dst) },
		func(a *advert, p *packet) { a.vrid = 99; p.payload = a.bytes(p.src, p.dst) },
		func(a *advert, p *packet) { a.count = 200; p.payload = a.bytes(p.src, p.dst) },
		func(a *advert, p *packet) { a.version = 7; p.payload = a.bytes(p.src, p.dst) },
	}
	for range 50 {
		a := advert{version: 3, kind: 1, vrid: 151, priority: 254, count: -1, word: 20, addresses: s.vips[:1]}
		p := packet{srcMAC: port.MAC(), src: netip.MustParseAddr("192.0.2.200"), dst: vrrpGroup, ttl: 255, protocol: 112}
		if s.rng.IntN(2) == 0 {
			p.src, p.dst = linkLocalOf(s.t, s.client), vrrpGroup6
			a.vrid, a.addresses = 152, []netip.Addr{netip.MustParseAddr(s.mix.dialects[1].linkLocal()), s.vips[1]}
		}
		p.dstMAC = net.HardwareAddr(multicastMAC(p.dst))
		p.payload = a.bytes(p.src, p.dst)
		wreck[s.rng.IntN(len(wreck))](&a, &p)
		must(s.t, s.client.Inject("eth0", p.frame()))
	}
}

// keepalivedFaults are about the neighbour's process. What it leaves behind when
// it is killed or frozen is not ours to judge.
func keepalivedFaults() []soakFault {
	return []soakFault{
		{
			name: "killed", weight: 2, fits: theirs, brief: true, splits: true,
			begin: func(s *soak, m *soakMember) { must(s.t, m.daemon.Kill()); m.out, m.may, m.silent = true, true, true },
			end: func(s *soak, m *soakMember) {
				s.clear(m) // as a restart of the host would
				s.launch(m)
				m.out, m.may, m.silent = false, false, false
			},
		},
		{
			name: "frozen", weight: 2, fits: theirs, brief: true, splits: true,
			begin: func(s *soak, m *soakMember) {
				must(s.t, m.signalAll(syscall.SIGSTOP))
				m.out, m.may, m.silent = true, true, true
			},
			end: func(s *soak, m *soakMember) {
				must(s.t, m.signalAll(syscall.SIGCONT))
				m.out, m.may, m.silent = false, false, false
			},
		},
		{
			name: "stopped", weight: 2, fits: theirs, brief: true,
			begin: func(s *soak, m *soakMember) { m.out, m.silent = true, true; s.terminate(m, syscall.SIGTERM) },
			end:   func(s *soak, m *soakMember) { s.launch(m); m.out, m.silent = false, false },
		},
		{
			name: "restarted", weight: 2, fits: theirs,
			begin: func(s *soak, m *soakMember) { s.terminate(m, syscall.SIGTERM); s.launch(m) },
		},
	}
}

// decided waits until a daemon that was started again goes on or starts anew: on a
// busy machine it may come too late to go on.
func (s *soak) decided(m *soakMember) {
	s.t.Helper()
	eventually(s.t, startMost+room, m.Name()+" has decided whether it goes on", func() bool {
		return strings.Contains(m.daemon.Output(), "state changed")
	})
}

// signalAll reaches the process that speaks, too: keepalived's first one only
// looks after it.
func (m *soakMember) signalAll(sig syscall.Signal) error {
	pid := m.daemon.PID()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return err
	}
	children := strings.Fields(string(text))
	if len(children) == 0 {
		return fmt.Errorf("process %d has no child", pid)
	}
	for _, c := range children {
		child, err := strconv.Atoi(c)
		if err != nil {
			return err
		}
		if err := syscall.Kill(child, sig); err != nil {
			return fmt.Errorf("send %v to %d: %w", sig, child, err)
		}
	}
	return m.daemon.Signal(sig)
}

// clear takes off what a killed keepalived left.
func (s *soak) clear(m *soakMember) {
	s.t.Helper()
	prefixes, err := m.Addresses("eth0")
	must(s.t, err)
	for _, p := range prefixes {
		if slices.Contains(s.mix.addresses(), p.Addr()) {
			must(s.t, m.RemoveAddress("eth0", p.String()))
		}
	}
}

// pick chooses a fault and whom it hits, other than the one before.
func (s *soak) pick(other *soakFault) *soakFault {
	var list []soakFault
	total := 0
	for _, f := range soakFaults() {
		var fit []*soakMember
		for _, m := range s.members {
			if f.fits != nil && (other == nil || m != other.on) && f.fits(s, m) {
				fit = append(fit, m)
			}
		}
		if f.fits != nil && fit == nil || f.fits == nil && other != nil && other.on == nil {
			continue
		}
		if f.fits != nil {
			f.on = fit[s.rng.IntN(len(fit))]
			// Most faults are to hit where it hurts.
			if best := s.best(); slices.Contains(fit, best) && s.rng.IntN(2) == 0 {
				f.on = best
			}
		} else if f.name == "all checks fail" && other != nil {
			continue // it would hit the same nodes
		}
		list = append(list, f)
		total += f.weight
	}
	if other != nil && other.name == "all checks fail" {
		list = slices.DeleteFunc(list, func(f soakFault) bool {
			if f.on == nil || !f.on.ours {
				return false
			}
			total -= f.weight
			return true
		})
	}
	at := s.rng.IntN(total)
	for k := range list {
		if at -= list[k].weight; at < 0 {
			return &list[k]
		}
	}
	panic(fmt.Sprintf("no fault of %d", len(list))) // cannot be: at is below the sum
}
