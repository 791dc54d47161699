package doctor

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/sniff"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// wireTests look at the wire.
func wireTests() []Test {
	return []Test{
		{"wire", "on the wire peers hear each other and agree, and nobody else uses the VRIDs or answers for the addresses", testWire},
	}
}

// testWire listens, and looks at what was heard.
func testWire(ctx context.Context, x *Examination) []Finding {
	w := &wire{links: map[string]*wireLink{}}
	if err := w.hear(ctx, x); err != nil {
		return []Finding{unseen("", err.Error())}
	}
	var list []virtual
	for _, in := range x.Instances {
		if l := w.links[in.Interface]; l != nil {
			for _, f := range in.Families() {
				list = append(list, virtual{in, f, w, l})
			}
		}
	}
	return slices.Concat(heard(x, list), strangers(x, list), answers(x, list), silentPeers(list))
}

// fewAdverts is how many adverts that are lost, or that are sent beside a better
// master, are no accident of the moment.
const fewAdverts = 3

// virtual is a virtual router of an instance with what was heard of it.
type virtual struct {
	*vrrp.Config
	family vrrp.Family
	wire   *wire
	*wireLink
}

// name is what people call it.
func (v *virtual) name() string {
	return fmt.Sprintf("VRID %d (%s)", v.VRID, strings.Replace(v.family.String(), "ip", "IP", 1))
}

// vips are its addresses but for link-local ones, which other routers may derive
// from the VRID, too.
func (v *virtual) vips() (list []netip.Addr) {
	for _, p := range v.Addresses {
		if a := p.Addr(); vrrp.FamilyOf(a) == v.family && !(a.Is6() && a.IsLinkLocalUnicast()) {
			list = append(list, a)
		}
	}
	return list
}

// stranger tells whether a router has nothing to do with the instance.
func (v *virtual) stranger(r *wireRouter) bool {
	mine := v.vips()
	return r.broken(sniff.KindCARP) || len(mine) > 0 && r.sound() &&
		!slices.ContainsFunc(r.last.Addresses, func(a netip.Addr) bool { return slices.Contains(mine, a) })
}

// sound tells whether the addresses of its adverts can be believed.
func (r *wireRouter) sound() bool {
	return !r.broken(sniff.KindChecksum) && !r.broken(sniff.KindLength) && !r.broken(sniff.KindFragment)
}

func (r *wireRouter) broken(kind sniff.Kind) bool {
	return slices.ContainsFunc(r.faults, func(f sniff.Finding) bool { return f.Kind == kind })
}

// peers are the other routers of the instance.
func (v *virtual) peers() []*wireRouter {
	return slices.DeleteFunc(v.others(v.VRID, v.family), v.stranger)
}

// heard looks for adverts that arrive and are not delivered, and for masters that
// do not hear each other.
func heard(x *Examination, list []virtual) (found []Finding) {
	told := map[string]bool{}
	short := map[time.Duration][]string{}
	for _, v := range list {
		if need := (fewAdverts + 1) * v.AdvertInterval; v.wire.took < need {
			if !slices.Contains(short[need], v.Name) {
				short[need] = append(short[need], v.Name)
			}
			continue
		}
		for _, f := range append(v.undelivered(x), v.deafness(x)...) {
			if k := f.ID + f.On + f.Title; !told[k] {
				told[k] = true
				found = append(found, f)
			}
		}
	}
	for _, need := range slices.Sorted(maps.Keys(short)) {
		found = append(found, unseen("", fmt.Sprintf("the adverts of %s come every %v: --wait %v hears enough of them",
			andList(short[need]), need/(fewAdverts+1), need)))
	}
	return found
}

// undelivered finds routers whose adverts arrive and go no further.
func (v *virtual) undelivered(x *Examination) (found []Finding) {
	if x.above(v.link) != nil {
		return nil // what it is a port of takes them, which is told
	}
	if err := v.deaf[v.family]; err != nil {
		return []Finding{unseen(v.Interface, err.Error())}
	}
	var lost []string
	for _, r := range v.others(v.VRID, v.family) {
		if v.mine(r) {
			continue // the kernel drops what has a source of its own; another test tells
		}
		if r.adverts >= fewAdverts && v.delivered[r.source] == 0 && !r.broken(sniff.KindIPHeader) && !r.broken(sniff.KindFragment) {
			lost = append(lost, r.source.String())
		}
	}
	if len(lost) == 0 {
		return nil
	}
	f := Finding{
		Severity: Error, ID: "adverts-not-delivered", On: v.Interface,
		Title: fmt.Sprintf("the %s adverts of %s arrive, and this host drops them before any program sees them", strings.Replace(v.family.String(), "ip", "IP", 1), andList(lost)),
		Why:   "This node does not hear its peers, and becomes master beside them: two hosts have the addresses. A firewall drops IP protocol 112, or rp_filter does.",
		Fix:   fmt.Sprintf("# which rule: look for what drops protocol 112 on %s\nnft list ruleset\niptables-save; ip6tables-save\n# and whether the path back to the sender is over %s\nip route get %s", v.Interface, v.Interface, lost[0]),
	}
	if v.family == vrrp.IPv4 && v.wire.filtered {
		f.Why = "This node does not hear its peers, and becomes master beside them: two hosts have the addresses. " +
			"The kernel counted packets dropped by rp_filter meanwhile: the way back to their sender is not over the interface on which they came."
		f.Fix = fmt.Sprintf("# see the way back, and mend it; or let go of the check:\nip route get %s\n%s", lost[0], persist(confKey("ipv4", v.Interface, "rp_filter"), "2"))
	}
	return []Finding{f}
}

// deafness finds masters that go on beside a better one, and says who does not
// hear whom.
func (v *virtual) deafness(x *Examination) (found []Finding) {
	for _, s := range v.wire.summary.Routers {
		if !v.about(&s) || s.Counts[sniff.KindTwoMasters] < fewAdverts || s.State != "conflict" {
			continue
		}
		better := v.better(&s)
		if better == nil {
			continue
		}
		switch r, o := v.find(s.Source), v.find(better.Source); {
		case r == nil || o == nil || v.stranger(r) || v.stranger(o) || len(v.disagree(r)) > 0 || len(v.disagree(o)) > 0:
			// Which the other test tells.
		case r.own && v.delivered[o.source] == 0:
			// Which is told already.
		case r.own:
			found = append(found, v.ignoring(x, &s, better))
		default:
			found = append(found, v.notHearing(&s, better, o.own))
		}
	}
	return found
}

// about tells whether a router that was heard is one of this virtual router.
func (v *virtual) about(s *sniff.RouterSummary) bool {
	return s.Interface == v.Interface && s.VRID == v.VRID && s.Family == v.family && len(s.VLANs) == 0 && !s.Stray
}

// better is the best master beside a router.
func (v *virtual) better(s *sniff.RouterSummary) (best *sniff.RouterSummary) {
	for n := range v.wire.summary.Routers {
		o := &v.wire.summary.Routers[n]
		if !v.about(o) || o.Source == s.Source || o.State != "master" && o.State != "conflict" {
			continue
		}
		if best == nil || o.Priority > best.Priority || o.Priority == best.Priority && best.Source.Less(o.Source) {
			best = o
		}
	}
	return best
}

func (v *virtual) find(source netip.Addr) *wireRouter {
	if r := v.routers[routerID{v.VRID, source, true}]; r != nil {
		return r
	}
	return v.routers[routerID{v.VRID, source, false}]
}

// notHearing tells of another host that does not hear a better master.
func (v *virtual) notHearing(s, better *sniff.RouterSummary, here bool) Finding {
	who := better.Source.String()
	if here {
		who = "this node (" + who + ")"
	}
	return Finding{
		Severity: Error, ID: "peer-deaf", On: v.Name,
		Title: fmt.Sprintf("two masters: %v does not hear %s: it goes on as master with priority %d beside priority %d", s.Source, who, s.Priority, better.Priority),
		Why: fmt.Sprintf("Both hosts have the addresses, and each client reaches one or the other. The adverts of %v get here; those of %s do not get there: a firewall on %v drops IP protocol 112, or a switch or a link between them does not pass them on in that direction.",
			s.Source, who, s.Source),
		Fix: fmt.Sprintf("# on %v, all of it: do the adverts arrive there?\ntcpdump -ni %s 'ip proto 112 or ip6 proto 112'\n# they do: what drops them\nnft list ruleset; iptables-save; sysctl -a | grep '[.]rp_filter'\n# they do not: look at the switch (IGMP or MLD snooping without a querier), the filters of a hypervisor, and the cable",
			s.Source, v.Interface),
	}
}

// ignoring tells that this host goes on beside a better master whose adverts get
// through to it.
func (v *virtual) ignoring(x *Examination, s, better *sniff.RouterSummary) Finding {
	f := Finding{
		Severity: Error, ID: "ignores-master", On: v.Name,
		Title: fmt.Sprintf("two masters: this node (%v) goes on with priority %d beside %v with priority %d, whose adverts reach it", s.Source, s.Priority, better.Source, better.Priority),
		Why:   "Both hosts have the addresses, and each client reaches one or the other. What runs here refuses the adverts, or runs with another configuration than this one.",
		Fix:   "# what is dropped, and why\nholdfast status --json | grep -A9 '\"dropped\"'\n# and whether another program speaks VRRP here\npgrep -a 'keepalived|vrrpd'",
	}
	if x.Status == nil {
		f.Why = "Both hosts have the addresses, and each client reaches one or the other. No holdfast of this configuration runs here: another program sends these adverts."
	}
	return f
}

// andList joins words for people, and cuts long lists.
func andList(words []string) string {
	const most = 4
	if n := len(words) - most; n > 1 {
		words = append(slices.Clone(words[:most]), fmt.Sprintf("%d more", n))
	}
	if n := len(words) - 1; n > 0 {
		return strings.Join(words[:n], ", ") + " and " + words[n]
	}
	return strings.Join(words, "")
}
