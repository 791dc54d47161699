package doctor

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// strangers holds all that was heard in the VRIDs of the configuration against
// it.
func strangers(x *Examination, list []virtual) (found []Finding) {
	for _, v := range list {
		for _, r := range v.others(v.VRID, v.family) {
			switch {
			case v.mine(r):
				found = append(found, v.duplicate(r.source, r.mac))
			case v.stranger(r):
				found = append(found, v.taken(x, r))
			default:
				found = append(found, v.disagree(r)...)
			}
		}
	}
	return found
}

// mine tells whether a router has an address of this host.
func (v *virtual) mine(r *wireRouter) bool {
	return slices.ContainsFunc(v.link.Own(v.family), func(p vip.Present) bool { return p.Prefix.Addr() == r.source })
}

// duplicate tells of another host with an address of this one.
func (v *virtual) duplicate(a netip.Addr, mac sniff.MAC) Finding {
	if slices.Equal(mac[:], v.link.MAC) {
		return Finding{
			Severity: Error, ID: "adverts-return", On: v.Interface,
			Title: fmt.Sprintf("the adverts of this host (%v) come back to it", a),
			Why:   "There is a loop in the network, or a port that mirrors another: switches learn this host in two places and lose its packets.",
			Fix:   "# look for a loop: which ports have this address?\nbridge fdb show | grep -i " + mac.String(),
		}
	}
	return Finding{
		Severity: Error, ID: "duplicate-address", On: v.Interface,
		Title: fmt.Sprintf("%v, an address of this host, is also that of the host with MAC %v", a, mac),
		Why:   "Routers tell each other apart by that address: the two cannot elect, and traffic to it reaches one or the other.",
		Fix:   locate(v.Interface, mac) + fmt.Sprintf("\n# and give one of the two another address in the place of %v", a),
	}
}

// taken tells of a router that uses the VRID for other addresses.
func (v *virtual) taken(x *Examination, r *wireRouter) Finding {
	what := fmt.Sprintf("for %s", andList(words(r.last.Addresses)))
	if r.broken(sniff.KindCARP) {
		what = "for CARP (pfSense, OPNsense, BSD)"
	}
	f := Finding{
		Severity: Error, ID: "vrid-in-use", On: v.Name,
		Title: fmt.Sprintf("%s is used on %s by %v (MAC %v) %s, with priority %d", v.name(), v.Interface, r.source, r.mac, what, r.last.Priority),
		Why:   "Whoever has the higher priority silences the other, though they have nothing to do with each other, and both have the same virtual MAC.",
	}
	if v.refuses(r) {
		f.Severity = Info
		f.Why = "One speaks unicast with its peers and the other does not: each refuses the adverts of the other, and neither disturbs the other."
		return f
	}
	free := v.free(x)
	if free == 0 {
		f.Fix = "# every VRID is used on this link: put the instance on another one"
		return f
	}
	f.Fix = fmt.Sprintf("# on all nodes; not heard on %s within %s, which is no proof: routers that are backup do not speak\n",
		v.Interface, v.wire.took.Round(100*time.Millisecond)) + set(v.Config, "vrid = %d", free)
	return f
}

// refuses tells whether the adverts of a router that is no peer are dropped by the
// way in which they come.
func (v *virtual) refuses(r *wireRouter) bool {
	if len(v.Peers) == 0 {
		return !r.last.Destination.IsMulticast()
	}
	return !slices.Contains(v.Peers, r.source)
}

// free is the next VRID that was not heard on the link, and that no instance on
// it has or was told to take; 0 when there is none.
func (v *virtual) free(x *Examination) uint8 {
	if id, ok := v.proposed[v.Name]; ok && !v.vrids[id] {
		return id
	}
	used := map[uint8]bool{0: true}
	for _, id := range v.proposed {
		used[id] = true
	}
	for n := range x.Config.Instances {
		if c := &x.Config.Instances[n]; c.Interface == v.Interface {
			used[c.VRID] = true
		}
	}
	for n := range 255 {
		if id := uint8((int(v.VRID)+n)%255 + 1); !used[id] && !v.vrids[id] {
			if v.proposed == nil {
				v.proposed = map[string]uint8{}
			}
			v.proposed[v.Name] = id
			return id
		}
	}
	return 0
}

// disagree lists in what a peer differs from the configuration.
func (v *virtual) disagree(r *wireRouter) (found []Finding) {
	if r.own {
		return nil
	}
	a := &r.last
	add := func(how Severity, id, title, why, fix string) {
		found = append(found, Finding{how, id, v.Name, fmt.Sprintf("%s: %v %s", v.name(), r.source, title), why, fix})
	}
	for _, f := range r.faults {
		switch f.Kind {
		case sniff.KindVersion, sniff.KindIntervalZero, sniff.KindCARP, sniff.KindDestination:
		default:
			add(Error, "bad-adverts", "sends bad adverts: "+f.Text, "Routers refuse them, so that they do not hear that one, and become master beside it.",
				fmt.Sprintf("holdfast sniff -i %s --vrid %d", v.Interface, v.VRID))
		}
	}
	if a.Version != v.Version {
		add(Error, "version-differs", fmt.Sprintf("speaks VRRP version %d, this node version %d", a.Version, v.Version),
			"Each ignores the other, and both become master.", "# on one of the two; keepalived has vrrp_version\n"+set(v.Config, "version = %d", a.Version))
		return found
	}
	if !r.sound() {
		return found
	}
	v.disagreeV2(a, add)
	unicast := !a.Destination.IsMulticast()
	switch known := slices.Contains(v.Peers, r.source); {
	case unicast != (len(v.Peers) > 0):
		add(Error, "delivery-differs", fmt.Sprintf("sends to %v, this node to %s", a.Destination, v.to()),
			"One speaks unicast, the other multicast: they may not hear each other, and then both become master.",
			v.samePeers(r))
	case unicast && !known:
		add(Error, "peer-unknown", "sends to this node, and is not among its peers",
			"This node does not send to that one, which becomes master beside it.", set(v.Config, "peers = [%s]", quoted(append(slices.Clone(v.Peers), r.source))))
	}
	if mode := map[vrrp.ChecksumMode]sniff.Checksum{vrrp.ChecksumRFC9568: sniff.ChecksumRFC9568, vrrp.ChecksumPseudoHeader: sniff.ChecksumPseudo}[v.Checksum]; mode != a.Checksum &&
		mode != sniff.ChecksumUnknown && (a.Checksum == sniff.ChecksumRFC9568 || a.Checksum == sniff.ChecksumPseudo) {
		add(Error, "checksum-differs", fmt.Sprintf("sends checksums of the form %v, this node %v", a.Checksum, mode),
			"A router that knows one form alone, such as keepalived, refuses the other's adverts, and both become master.", set(v.Config, `checksum = "auto"`))
	}
	v.disagreeAddresses(r, add)
	return found
}

// disagreeV2 adds what must be the same in version 2.
func (v *virtual) disagreeV2(a *sniff.Advert, add func(how Severity, id, title, why, fix string)) {
	if v.Version != vrrp.Version2 {
		return
	}
	if a.Interval != v.AdvertInterval {
		add(Error, "interval-differs", fmt.Sprintf("sends an advert every %v, this node every %v", a.Interval, v.AdvertInterval),
			"In version 2 each refuses the adverts of the other, and both become master.", "# the same on all nodes\n"+set(v.Config, "advert_interval = %q", a.Interval))
	}
	var mine [8]byte
	copy(mine[:], v.Password)
	kind := uint8(vrrp.AuthNone)
	if v.Password != "" {
		kind = vrrp.AuthSimple
	}
	const refuse = "Each refuses the adverts of the other, and both become master."
	switch {
	case a.AuthType != kind && kind == vrrp.AuthNone:
		add(Error, "auth-differs", fmt.Sprintf("sends authentication of type %d, this node none", a.AuthType), refuse, set(v.Config, `auth = { type = "pass", password = "…" }   # that of the other`))
	case a.AuthType != kind:
		add(Error, "auth-differs", fmt.Sprintf("sends authentication of type %d, this node a password", a.AuthType), refuse, fmt.Sprintf("# remove the key auth in [[instance]] %q, or set the same password there", v.Name))
	case kind == vrrp.AuthSimple && a.Auth != mine:
		add(Error, "auth-differs", "sends another password than this node", refuse, "# compare the two\n"+set(v.Config, `auth = { type = "pass", password = "…" }`))
	}
}

// disagreeAddresses adds what is in one list of addresses alone.
func (v *virtual) disagreeAddresses(r *wireRouter, add func(how Severity, id, title, why, fix string)) {
	mine := v.vips()
	var here, there []string
	var theirs []netip.Prefix
	for _, a := range mine {
		if !slices.Contains(r.last.Addresses, a) {
			here = append(here, a.String())
		}
	}
	for _, a := range r.last.Addresses {
		if !slices.Contains(mine, a) && !(a.Is6() && a.IsLinkLocalUnicast()) {
			there = append(there, a.String())
			theirs = append(theirs, single(a))
		}
	}
	var parts []string
	if len(here) > 0 {
		parts = append(parts, "only here "+andList(here))
	}
	if len(there) > 0 {
		parts = append(parts, "only there "+andList(there))
	}
	if len(parts) == 0 {
		return
	}
	fix := "# the same on all nodes: see which are right"
	if all := append(slices.Clone(v.Addresses), theirs...); len(all) <= 16 {
		fix += "\n" + set(v.Config, "addresses = [%s]", quoted(all))
	}
	add(Warning, "addresses-differ", "has other addresses: "+strings.Join(parts, ", "), "After a take-over some addresses are on no host.", fix)
}

// to says where this node sends.
func (v *virtual) to() string {
	if len(v.Peers) > 0 {
		return andList(words(v.Peers))
	}
	if v.family == vrrp.IPv6 {
		return vrrp.GroupIPv6.String()
	}
	return vrrp.GroupIPv4.String()
}

// samePeers makes this node send as another one does.
func (v *virtual) samePeers(r *wireRouter) string {
	const all = "# the same on all nodes: each lists all others as peers, or none does\n"
	if len(v.Peers) > 0 { // and that one has none
		return fmt.Sprintf(all+"# remove the key peers in [[instance]] %q, or set it there", v.Name)
	}
	return all + set(v.Config, "peers = [%s]", quoted([]netip.Addr{r.source}))
}

func words(addrs []netip.Addr) (list []string) {
	for _, a := range addrs {
		list = append(list, a.String())
	}
	return list
}
