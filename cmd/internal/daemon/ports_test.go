package daemon

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
)

// That an interface is a port of another is told once, at the start or when it
// happens, and again when it ends; the instance goes on.
func TestInterfaceIsPort(t *testing.T) {
	inBubble(t, func(t *testing.T, lan *network) {
		kernel := vip.NewFake("eth0", "br0")
		kernel.Install("eth0", netip.MustParsePrefix("192.0.2.1/24"), 0)
		kernel.SetBridge("eth0", "br0")
		a := newNodeOn(t, lan, kernel, "a", 1, conf(150, "1s"))
		a.start()
		defer a.stop()
		time.Sleep(10 * time.Second)
		shows := func(want string, begun, ended int) {
			t.Helper()
			synctest.Wait()
			i := a.instance()
			b, e := a.log.count("interface is a port of another"), a.log.count("interface is no port of another any more")
			if i.State != "master" || i.PortOf != want || b != begun || e != ended {
				t.Errorf("it is %s, a port of %q, told %d and %d times; want master, %q, %d, %d", i.State, i.PortOf, b, e, want, begun, ended)
			}
		}
		shows("bridge br0", 1, 0)
		kernel.Install("eth0", netip.MustParsePrefix("198.51.100.1/24"), 0) // another change
		shows("bridge br0", 1, 0)
		kernel.SetBridge("eth0", "")
		shows("", 1, 1)
		kernel.SetBridge("eth0", "br0")
		shows("bridge br0", 2, 1)
		const text = `interface eth0 is a port of bridge br0, which takes all that arrives: this node hears no peer there; use interface = "br0", or run 'ip link set eth0 nomaster'`
		warned := 0
		lines, _ := a.events(0)
		for _, line := range lines {
			if strings.Contains(line, "warning") && strings.Contains(line, text) {
				warned++
			}
		}
		if warned != 2 {
			t.Errorf("the history warns %d times:\n%s", warned, strings.Join(lines, "\n"))
		}
	})
}
