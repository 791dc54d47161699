package daemon

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp/transport"
)

var (
	testBase = netip.MustParsePrefix("192.0.2.1/24")
	testVIP  = netip.MustParsePrefix("192.0.2.100/24")
)

// network is one LAN in memory, with a record of what was sent on it.
type network struct {
	*transport.Memory
	mu   sync.Mutex
	sent []sent
	cut  map[string]bool
}

// sent is an advert as one receiver would get it.
type sent struct {
	at       time.Time
	from     string
	vrid     byte
	priority byte
	interval int // centiseconds
}

func newNetwork() *network {
	n := &network{Memory: transport.NewMemory(), cut: map[string]bool{}}
	n.Drop = func(from, to string, p transport.Packet) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		if to == "tap" && len(p.Payload) >= 8 {
			n.sent = append(n.sent, sent{time.Now(), from, p.Payload[1], p.Payload[2], int(p.Payload[4]&15)<<8 | int(p.Payload[5])})
		}
		return n.cut[from] || n.cut[to]
	}
	n.Host("tap").AddInterface(1, "eth0", "lan")
	return n
}

// isolate cuts a host off the LAN, without its noticing, or connects it again.
func (n *network) isolate(host string, on bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[host] = on
}

// adverts returns those a host sent so far for a VRID.
func (n *network) adverts(from string, vrid byte) (list []sent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, s := range n.sent {
		if s.from == from && s.vrid == vrid {
			list = append(list, s)
		}
	}
	return list
}

// node is a daemon on the LAN, with a kernel in memory.
type node struct {
	t      *testing.T
	name   string
	d      *Daemon
	kernel *vip.Fake
	reload chan os.Signal
	leave  chan struct{}
	log    *logText
	cancel context.CancelFunc
	result chan error

	lan   *network
	host  byte
	ahead atomic.Int64 // of the boot clock: how long the machine was suspended
	mu    sync.Mutex
	next  string // what a reload reads
}

// newNode prepares a node with eth0 and one address, 192.0.2.host/24.
func newNode(t *testing.T, lan *network, name string, host byte, conf string) *node {
	t.Helper()
	kernel := vip.NewFake("eth0")
	kernel.Install("eth0", netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 24), 0)
	return newNodeOn(t, lan, kernel, name, host, conf)
}

// newNodeOn prepares a node on a kernel that is there already.
func newNodeOn(t *testing.T, lan *network, kernel *vip.Fake, name string, host byte, conf string) *node {
	t.Helper()
	base := netip.PrefixFrom(netip.AddrFrom4([4]byte{192, 0, 2, host}), 24)
	n := &node{
		t: t, name: name, kernel: kernel, log: &logText{}, lan: lan, host: host,
		reload: make(chan os.Signal, 1), leave: make(chan struct{}), result: make(chan error, 1), next: conf,
	}
	lan.Host(name).AddInterface(1, "eth0", "lan", base.Addr())
	n.d = New(Options{
		Config: mustParse(t, conf), Version: "test", Log: n.log,
		Kernel: n.kernel, Network: lan.Host(name), Watch: n.kernel.Watch, Boottime: n.boottime, Leave: n.leave,
		Load: func() (*config.Config, []string, error) {
			n.mu.Lock()
			defer n.mu.Unlock()
			c, _, err := config.Parse("test.toml", []byte(n.next))
			return c, nil, err
		},
	})
	return n
}

// boottime is the clock of the bubble, and of times of suspension.
func (n *node) boottime() time.Duration {
	return time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) + time.Duration(n.ahead.Load()) + time.Minute
}

func mustParse(t *testing.T, conf string) *config.Config {
	t.Helper()
	c, _, err := config.Parse("test.toml", []byte(conf))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// start runs the daemon. What does not stop it leaves that to the cleanup,
// which also shows the log when the test failed.
func (n *node) start() {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.result <- n.d.Run(ctx, n.reload)
	}()
	n.t.Cleanup(func() {
		cancel()
		<-done
		if n.t.Failed() {
			n.t.Logf("log of %s:\n%s", n.name, n.log)
		}
	})
}

func startNode(t *testing.T, lan *network, name string, host byte, conf string) *node {
	t.Helper()
	n := newNode(t, lan, name, host, conf)
	n.start()
	return n
}

// stop ends the daemon and fails the test when that goes wrong.
func (n *node) stop() {
	n.t.Helper()
	n.cancel()
	if err := <-n.result; err != nil {
		n.t.Errorf("%s: %v", n.name, err)
	}
}

// edit changes what a reload reads.
func (n *node) edit(conf string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next = conf
}

func (n *node) status() *control.Status {
	n.t.Helper()
	st, err := backend{n.d}.Status(n.t.Context())
	if err != nil {
		n.t.Fatalf("status of %s: %v", n.name, err)
	}
	return st
}

func (n *node) instance() control.Instance {
	n.t.Helper()
	return n.status().Instances[0]
}

func (n *node) holds(p netip.Prefix) bool { return slices.Contains(n.kernel.On("eth0"), p) }

// inBubble runs a test with a clock of its own.
func inBubble(t *testing.T, f func(t *testing.T, lan *network)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newNetwork()) })
}

// holders names the nodes that have the VIP.
func holders(nodes ...*node) string {
	var names []string
	for _, n := range nodes {
		if n.holds(testVIP) {
			names = append(names, n.name)
		}
	}
	return strings.Join(names, "+")
}

// await lets time pass until the nodes named hold the VIP, and returns how long
// that took.
func await(t *testing.T, most time.Duration, want string, nodes ...*node) time.Duration {
	t.Helper()
	began := time.Now()
	for holders(nodes...) != want {
		if time.Since(began) >= most {
			t.Fatalf("after %v the VIP is on %q, want %q", most, holders(nodes...), want)
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
	}
	return time.Since(began)
}

// served lets time pass and fails when nobody has the VIP at some millisecond.
func served(t *testing.T, long time.Duration, nodes ...*node) {
	t.Helper()
	for began := time.Now(); time.Since(began) < long; {
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if holders(nodes...) == "" {
			t.Fatalf("nobody has the VIP %v into the watch", time.Since(began))
		}
	}
}

// conf renders a configuration with one instance and further text.
func conf(priority int, interval string, more ...string) string {
	return fmt.Sprintf(`[node]
name = "test"
[[instance]]
name = "web"
interface = "eth0"
vrid = 51
priority = %d
addresses = ["%v"]
advert_interval = %q
%s
`, priority, testVIP, interval, strings.Join(more, "\n"))
}

// logText is a log in memory.
type logText struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logText) count(text string) int { return strings.Count(l.String(), text) }
