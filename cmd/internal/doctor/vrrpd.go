package doctor

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// otherDaemons are the programs that give addresses to hosts as this one does.
var otherDaemons = []string{"keepalived", "vrrpd", "ucarp"}

// testOtherDaemons looks for other VRRP daemons on this host that have the VRID
// or an address of an instance.
func testOtherDaemons(_ context.Context, x *Examination) (found []Finding) {
	for _, p := range x.processes() {
		name := p.name()
		if !slices.Contains(otherDaemons, name) {
			continue
		}
		switch same, _ := x.sameNetwork(p.pid); {
		case !same:
		case name == "keepalived":
			found = append(found, x.keepalived(p)...)
		default:
			found = append(found, Finding{
				Info, "other-vrrp-daemon", "pid " + p.pid, fmt.Sprintf("%s runs on this host, too", name),
				"Let it have other VRIDs and other addresses.", "holdfast sniff --for 5s --summary",
			})
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return strings.Compare(a.Title, b.Title) })
	// It runs as several processes of one configuration.
	return slices.CompactFunc(found, func(a, b Finding) bool { return a.ID == b.ID && a.Title == b.Title })
}

// keepalived compares the configuration that a keepalived runs with ours.
func (x *Examination) keepalived(p process) (found []Finding) {
	text, file, err := x.keepalivedConfig(p)
	if err != nil {
		return []Finding{unseen("keepalived", fmt.Sprintf("keepalived runs on this host, and its configuration %s cannot be read: %v", file, err))}
	}
	for _, k := range parseKeepalived(text) {
		for _, in := range x.Instances {
			if k.vrid == int(in.VRID) && k.iface == in.Interface {
				found = append(found, Finding{
					Error, "vrid-used-by-keepalived", in.Name,
					fmt.Sprintf("keepalived runs on this host with virtual_router_id %d on %s, too (vrrp_instance %s)", k.vrid, k.iface, k.name),
					"Both take part in one election from one host: the addresses follow one of them, and peers hear two routers.",
					"systemctl disable --now keepalived\n# or, to let both run: another vrid, the same on all nodes, in [[instance]] " + in.Name,
				})
			} else if a, ok := shared(k, in); ok {
				found = append(found, Finding{
					Error, "vip-used-by-keepalived", a.String(), fmt.Sprintf("keepalived runs on this host with the address, too (vrrp_instance %s)", k.name),
					"Each adds and removes it as its own election goes.", "systemctl disable --now keepalived",
				})
			}
		}
	}
	return found
}

// keepalivedConfig reads the configuration that a keepalived runs.
func (x *Examination) keepalivedConfig(p process) (text, file string, err error) {
	file = "/etc/keepalived/keepalived.conf"
	for n, arg := range p.args {
		switch {
		case (arg == "-f" || arg == "--use-file") && n+1 < len(p.args):
			file = p.args[n+1]
		case strings.HasPrefix(arg, "--use-file="):
			file = strings.TrimPrefix(arg, "--use-file=")
		}
	}
	// It may see other files than this process does.
	text, err = x.read("/proc/" + p.pid + "/root" + file)
	return text, file, err
}

// ofOtherDaemons names another VRRP daemon that runs on this host, and lists the
// addresses of those that are keepalived, as far as they can be read.
func (x *Examination) ofOtherDaemons() (name string, list []netip.Addr) {
	for _, p := range x.processes() {
		if same, _ := x.sameNetwork(p.pid); !same || !slices.Contains(otherDaemons, p.name()) {
			continue
		}
		if name = p.name(); name != "keepalived" {
			continue
		}
		text, _, _ := x.keepalivedConfig(p) // that it cannot be read another test tells
		for _, k := range parseKeepalived(text) {
			list = append(list, k.addresses...)
		}
	}
	return name, list
}

// keepalivedInstance is a vrrp_instance, as far as it is looked at.
type keepalivedInstance struct {
	name, iface string
	vrid        int
	addresses   []netip.Addr
}

func shared(k keepalivedInstance, in *vrrp.Config) (netip.Addr, bool) {
	for _, a := range in.Addresses {
		if slices.Contains(k.addresses, a.Addr()) {
			return a.Addr(), true
		}
	}
	return netip.Addr{}, false
}

var keepalivedComment = regexp.MustCompile(`[#!].*`)

// parseKeepalived reads the instances of a configuration, without what it
// includes.
func parseKeepalived(text string) (list []keepalivedInstance) {
	text = keepalivedComment.ReplaceAllString(text, "")
	text = strings.NewReplacer("{", " { ", "}", " } ").Replace(text)
	level, block := 0, ""
	words := strings.Fields(text)
	for n, w := range words {
		next := ""
		if n+1 < len(words) {
			next = words[n+1]
		}
		switch {
		case w == "{":
			level++
		case w == "}":
			if level--; level == 1 {
				block = ""
			}
		case level == 0 && w == "vrrp_instance":
			list = append(list, keepalivedInstance{name: next})
		case len(list) == 0 || level == 0:
		case level == 1 && w == "interface":
			list[len(list)-1].iface = next
		case level == 1 && w == "virtual_router_id":
			list[len(list)-1].vrid, _ = strconv.Atoi(next)
		case level == 1 && strings.HasPrefix(w, "virtual_ipaddress"):
			block = w
		case level == 2 && block != "":
			address, _, _ := strings.Cut(w, "/")
			if a, err := netip.ParseAddr(address); err == nil {
				list[len(list)-1].addresses = append(list[len(list)-1].addresses, a)
			}
		}
	}
	return list
}

// isHoldfast tells whether a process is a daemon of this program.
func isHoldfast(p process) bool {
	return strings.HasPrefix(path.Base(p.args[0]), "holdfast") && len(p.args) > 1 && p.args[1] == "run"
}
