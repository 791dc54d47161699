package doctor

import (
	"context"
	"fmt"
	"io/fs"
	"net/netip"
	"path"
	"regexp"
	"slices"
	"strings"
)

// testElsewhere looks for VIPs that somebody else has configured on this host: in
// the kernel, and in the files from which the next boot takes them.
func testElsewhere(_ context.Context, x *Examination) (found []Finding) {
	daemon, theirs := x.ofOtherDaemons()
	for _, in := range x.Instances {
		for _, vip := range in.Addresses {
			if in.Priority == 255 || slices.Contains(theirs, vip.Addr()) {
				continue // the address owner has them as its own; of keepalived another test tells
			}
			for _, f := range x.inKernel(in.Interface, vip.Addr()) {
				if daemon != "" && f.Severity == Error { // what its configuration includes was not read
					f.Fix = fmt.Sprintf("# %s runs on this host: if the address is its, stop it, and leave out this line\n%s", daemon, f.Fix)
				}
				found = append(found, f)
			}
		}
	}
	return append(found, x.inFiles()...)
}

// inKernel tells of an address that no holdfast has put where it is.
func (x *Examination) inKernel(iface string, vip netip.Addr) (found []Finding) {
	for _, l := range x.Links {
		for _, a := range l.Addresses {
			if a.Prefix.Addr() != vip || a.Ours() || vip.IsLinkLocalUnicast() && l.Name != iface {
				continue
			}
			loopback := l.Loopback && l.Name != iface // on purpose: so does a host that serves behind a balancer
			if loopback && (vip.Is6() || x.higher(iface, "arp_ignore") > 0) {
				continue // it does not answer for it elsewhere
			}
			f := Finding{
				Error, "vip-configured-statically", vip.String(),
				fmt.Sprintf("somebody else has put the address on %s of this host", l.Name),
				"This host answers for it also while another node is master: two hosts have the address.",
				x.withoutAddress(l, a),
			}
			switch {
			case loopback:
				f.ID = "vip-on-loopback"
				f.Title = fmt.Sprintf("the address is on %s as well, as on a host behind a balancer, and this host answers ARP requests for it on %s", l.Name, iface)
				f.Why = "It does so also while another node is master: two hosts have the address."
				f.Fix = persist(confKey("ipv4", iface, "arp_ignore"), "1") + "\n" + persist(confKey("ipv4", iface, "arp_announce"), "2")
			case l.Name != iface:
				f.ID = "vip-on-other-interface"
			}
			found = append(found, f)
		}
	}
	return found
}

// withoutAddress takes an address from an interface, and leaves it the others of
// the same network: by default the kernel removes them with the first one.
func (x *Examination) withoutAddress(l *Link, a Present) string {
	fix := fmt.Sprintf("ip address del %v dev %s", a.Prefix, l.Name)
	others := slices.ContainsFunc(l.Addresses, func(o Present) bool { return o.Prefix != a.Prefix && o.Prefix.Masked() == a.Prefix.Masked() })
	if a.Prefix.Addr().Is4() && others && x.higher(l.Name, "promote_secondaries") == 0 {
		fix = "# or the other addresses of the same network may go with it\nsysctl -w " + confKey("ipv4", l.Name, "promote_secondaries") + "=1\n" + fix
	}
	return fix
}

// networkFiles are those from which the addresses come at boot, by pattern.
var networkFiles = []string{
	"etc/network/interfaces", "etc/network/interfaces.d/*", "etc/netplan/*.yaml", "etc/netplan/*.yml",
	"etc/NetworkManager/system-connections/*", "etc/systemd/network/*.network", "etc/systemd/network/*.network.d/*.conf",
	"etc/sysconfig/network-scripts/ifcfg-*", "etc/dhcpcd.conf", "etc/cloud/cloud.cfg.d/*.cfg",
}

// anAddress is what could be one: it is parsed then.
var anAddress = regexp.MustCompile(`[0-9A-Fa-f:.]*[0-9A-Fa-f]+[:.][0-9A-Fa-f:.]*`)

// inFiles tells of files that configure a VIP as an address of this host. A
// file that may not be read is told, too.
func (x *Examination) inFiles() (found []Finding) {
	for _, pattern := range networkFiles {
		names, _ := fs.Glob(x.Files, pattern)
		for _, name := range names {
			text, err := fs.ReadFile(x.Files, name)
			if err != nil {
				if info, statErr := fs.Stat(x.Files, name); statErr == nil && info.Mode().IsRegular() {
					found = append(found, unseen("/"+name, "it is readable to root alone"))
				}
				continue
			}
			found = append(found, x.inFile("/"+name, string(text))...)
		}
	}
	return found
}

func (x *Examination) inFile(name, text string) (found []Finding) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		code, _, _ := strings.Cut(line, "#")
		if !configuresAddress(name, code) {
			continue
		}
		for _, word := range anAddress.FindAllString(code, -1) {
			a, err := netip.ParseAddr(strings.Trim(word, "."))
			if err != nil || !x.isVIP(a) || x.owns(a) {
				continue
			}
			found = append(found, Finding{
				Error, "vip-in-network-files", a.String(),
				fmt.Sprintf("%s, line %d, configures the address for this host: %s", name, number, strings.TrimSpace(line)),
				"After the next boot this host has it also while another node is master: two hosts have the address.",
				x.withoutLine(name, code, number),
			})
		}
	}
	return found
}

// withoutLine takes a line out of a file of addresses; by hand, when more than
// the virtual address would go with it.
func (x *Examination) withoutLine(name, code string, number int) string {
	edit := fmt.Sprintf("${EDITOR:-vi} +%d %s", number, name)
	for _, word := range anAddress.FindAllString(code, -1) {
		if a, err := netip.ParseAddr(strings.Trim(word, ".")); err == nil && !x.isVIP(a) {
			return "# take the address out, and leave the others on its line\n" + edit
		}
	}
	if strings.HasPrefix(name, "/etc/network/") && strings.HasPrefix(strings.ToLower(strings.TrimSpace(code)), "address") {
		return "# remove the whole stanza of this line, from its iface on: without an address it fails\n" + edit
	}
	return fmt.Sprintf("sed -i '%ds/^/#/' %s   # or remove the line by hand", number, name)
}

// configuresAddress tells whether a line of such a file can be about an address
// of this host, and not about a gateway or a name server.
func configuresAddress(name, line string) bool {
	line = strings.ToLower(strings.TrimSpace(line))
	switch {
	case strings.Contains(name, "/netplan/"), strings.Contains(name, "/cloud/"):
		// A list item or a flow list: "- 192.0.2.1/24", "addresses: [192.0.2.1/24]".
		return strings.Contains(line, "/") && (strings.HasPrefix(line, "-") || strings.HasPrefix(line, "addresses"))
	}
	return slices.ContainsFunc([]string{"address", "ipaddr", "ipv6addr", "static ip", "up ip a", "post-up ip a", "up ifconfig"}, func(begin string) bool {
		return strings.HasPrefix(line, begin)
	})
}

// owns tells whether this node is the owner of an address, which has it as its own.
func (x *Examination) owns(a netip.Addr) bool {
	for _, in := range x.Instances {
		if in.Priority == 255 && slices.ContainsFunc(in.Addresses, func(p netip.Prefix) bool { return p.Addr() == a }) {
			return true
		}
	}
	return false
}

// process is a program that runs on this host.
type process struct {
	pid  string
	args []string
}

func (p process) name() string { return path.Base(p.args[0]) }

// processes lists the programs that run on this host.
func (x *Examination) processes() (list []process) {
	entries, _ := fs.ReadDir(x.Files, "proc")
	for _, e := range entries {
		if e.Name()[0] < '1' || e.Name()[0] > '9' {
			continue
		}
		// A process may end meanwhile; kernel threads have no arguments.
		text, err := fs.ReadFile(x.Files, "proc/"+e.Name()+"/cmdline")
		if args := strings.Split(strings.TrimRight(string(text), "\x00"), "\x00"); err == nil && args[0] != "" {
			list = append(list, process{e.Name(), args})
		}
	}
	return list
}

// sameNetwork tells whether a process is in the network namespace of this one,
// and whether that is known: of the processes of others only root knows.
func (x *Examination) sameNetwork(pid string) (same, known bool) {
	own, err1 := fs.ReadLink(x.Files, "proc/thread-self/ns/net")
	its, err2 := fs.ReadLink(x.Files, "proc/"+pid+"/ns/net")
	known = err1 == nil && err2 == nil
	return !known || own == its, known
}
