package doctor

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
)

// byGateway tells whether it is a gateway that answers on a link of unicast
// peers: the networks of clouds answer so for all addresses, whoever has them.
func (v *virtual) byGateway(x *Examination, mac sniff.MAC) bool {
	if len(v.Peers) == 0 {
		return false
	}
	gateways := x.gateways(v.Interface)
	text, _ := x.read("/proc/net/arp")
	for line := range strings.Lines(text) {
		const fields = 6 // address, type, flags, MAC, mask, interface
		w := strings.Fields(line)
		if len(w) == fields && w[5] == v.Interface && strings.EqualFold(w[3], mac.String()) && gateways[w[0]] {
			return true
		}
	}
	return false
}

// gateways are those of the IPv4 routes by an interface.
func (x *Examination) gateways(iface string) map[string]bool {
	all := map[string]bool{}
	text, _ := x.read("/proc/net/route")
	for line := range strings.Lines(text) {
		if w := strings.Fields(line); len(w) > 2 && w[0] == iface {
			if a, err := parseListener(w[2] + ":0"); err == nil && !a.Addr().IsUnspecified() {
				all[a.Addr().String()] = true
			}
		}
	}
	return all
}

// answeredByGateway tells that the network answers for addresses.
func (v *virtual) answeredByGateway(mac sniff.MAC, a netip.Addr) Finding {
	return Finding{
		Severity: Info, ID: "answered-by-gateway", On: v.Interface,
		Title: fmt.Sprintf("the gateway (MAC %v) answers ARP requests for %v and perhaps for all addresses, as in clouds", mac, a),
		Why:   "Whether another host has the virtual addresses cannot be told by asking here.",
	}
}
