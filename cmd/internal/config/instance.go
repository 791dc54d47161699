package config

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// instance is an [[instance]] on its way to a [vrrp.Config].
type instance struct {
	*section
	*vrrp.Config
	vip       vip.Config
	addresses []placed[netip.Prefix]
	peers     []placed[netip.Addr]
	// checks are the names the file lists; without a list all checks count.
	checks    []placed[string]
	allChecks bool
}

func newInstance(s *section, config *vrrp.Config) *instance {
	*config = vrrp.Config{
		Priority:       vrrp.PriorityDefault,
		Version:        vrrp.Version3,
		AdvertInterval: defaultInterval,
		Preempt:        true,
	}
	in := &instance{section: s, Config: config}
	in.Name, _ = s.name()
	in.readInterface()
	in.readNumbers()
	in.readAddresses()
	in.readTimes()
	in.readPeers()
	in.readChecks()
	in.readLater()
	in.Lease = in.readLease()
	in.Checksum = in.readChecksum()
	in.readAnnounce()
	in.readAuth()
	in.vip.Name = in.Name
	return in
}

func (in *instance) readInterface() {
	if !in.has("interface") {
		in.missing("interface", `"eth0"`)
	}
	in.Interface, _ = in.interfaceName("interface")
}

func (in *instance) readNumbers() {
	if !in.has("vrid") {
		in.missing("vrid", "51")
	}
	if v, ok := in.integer("vrid", 1, 255); ok {
		in.VRID = uint8(v)
	}
	in.readPriority()
	if v, ok := in.integer("version", 2, 3); ok {
		in.Version = vrrp.Version(v)
	} else if in.has("version") {
		in.Version = 0 // unknown: what depends on it is not judged
	}
}

func (in *instance) readPriority() {
	v, ok := in.integer("priority", math.MinInt, math.MaxInt)
	if !ok {
		return
	}
	hint := ""
	if v >= 1 && v <= vrrp.DemotedMax {
		hint = fmt.Sprintf("1 to %d belong to demoted nodes, so that every healthy node beats them", vrrp.DemotedMax)
	}
	if v <= vrrp.DemotedMax || v > vrrp.PriorityOwner {
		in.bad("priority", hint, "priority %d must be from %d to %d", v, vrrp.DemotedMax+1, vrrp.PriorityOwner)
		return
	}
	in.Priority = uint8(v)
}

func (in *instance) readTimes() {
	in.readAdvertInterval()
	in.readPreempt()
	if d, ok := in.duration("startup_delay", 0, maxDelay); ok {
		in.StartupDelay = d
	}
}

func (in *instance) readPreempt() {
	const wanted = "true, false or a delay"
	hint := `write true, false or a delay such as "30s"`
	switch v := in.data["preempt"].(type) {
	case nil:
	case bool:
		in.Preempt = v
	case string:
		if _, err := time.ParseDuration(v); err != nil {
			if v == "true" || v == "false" {
				hint = fmt.Sprintf("write preempt = %s without the quotes", v)
			} else if _, err := strconv.Atoi(v); err == nil {
				hint = fmt.Sprintf("write %q", v+"s")
			}
			in.bad("preempt", hint, "preempt %q must be %s", v, wanted)
		} else if d, ok := in.duration("preempt", 0, maxDelay); ok {
			in.PreemptDelay = d
		}
	case int64:
		in.wrongType("preempt", wanted, fmt.Sprintf(`write "%ds" for a delay`, v))
	default:
		in.wrongType("preempt", wanted, hint)
	}
}

func (in *instance) readAdvertInterval() {
	d, ok := in.interval("advert_interval")
	if !ok {
		return
	}
	in.AdvertInterval = d
	if in.Version == 0 {
		return
	}
	lo, hi, step := vrrp.MinInterval, time.Duration(vrrp.MaxInterval), vrrp.IntervalStep
	hint := ""
	if in.Version == vrrp.Version2 {
		lo, hi, step = vrrp.MinIntervalV2, vrrp.MaxIntervalV2, time.Second
		if d >= vrrp.MinInterval && d <= vrrp.MaxInterval && d%vrrp.IntervalStep == 0 {
			hint = "version 2 counts whole seconds: version 3 can do this"
		}
	}
	switch {
	case d < lo || d > hi:
		in.bad("advert_interval", hint, "advert_interval %s must be from %s to %s with version %d", human(d), human(lo), human(hi), in.Version)
	case d%step != 0:
		in.bad("advert_interval", hint, "advert_interval %s must be a multiple of %s with version %d", human(d), human(step), in.Version)
	}
}

func (in *instance) readChecks() {
	in.allChecks = !in.has("checks")
	in.checks, _ = in.strings("checks", `["nginx"]`)
	in.unique("checks", in.checks)
}

// readLater reads what is refused, unless it asks for what is done anyway.
func (in *instance) readLater() {
	in.boolean("accept")
	in.boolean("virtual_mac")
}

// readLease reads how long the kernel keeps the addresses by itself.
func (in *instance) readLease() time.Duration {
	switch v := in.data["lease"].(type) {
	case nil:
	case int64:
		seconds, _ := in.integer("lease", 1, maxLease)
		return time.Duration(seconds) * time.Second
	case string:
		switch v {
		case "auto":
		case "off":
			return 0
		default:
			hint := didYouMean(v, []string{"auto", "off"})
			if d, err := time.ParseDuration(v); err == nil && d >= time.Second {
				hint = fmt.Sprintf("write lease = %d", d/time.Second)
			}
			in.bad("lease", hint, `lease %q must be "auto", "off" or whole seconds`, v)
		}
	default:
		in.wrongType("lease", `"auto", "off" or whole seconds`, "")
	}
	return in.autoLease()
}

// autoLease is the lease of lease = "auto".
func (in *instance) autoLease() time.Duration {
	ipv6 := 0
	for _, a := range in.addresses {
		if a.value.Addr().Is6() {
			ipv6++
		}
	}
	return vrrp.AutoLease(in.AdvertInterval, ipv6)
}

func (in *instance) readChecksum() vrrp.ChecksumMode {
	word, ok := in.choice("checksum", "auto", "rfc9568", "pseudo-header")
	if !ok || word == "auto" {
		return vrrp.ChecksumAuto
	}
	if in.Version == vrrp.Version2 {
		in.bad("checksum", "remove it", "checksum %q is for version 3: version 2 has one form only", word)
	} else if len(in.addresses) > 0 && !in.hasFamily(vrrp.IPv4) {
		in.bad("checksum", "remove it", "checksum %q is for IPv4: over IPv6 there is one form only", word)
	}
	if word == "rfc9568" {
		return vrrp.ChecksumRFC9568
	}
	return vrrp.ChecksumPseudoHeader
}

func (in *instance) readAnnounce() {
	in.Announce = vrrp.Announce{Repeat: defaultRepeat, Interval: defaultRepeatGap, Refresh: defaultRefresh}
	s := in.sub(announceTable, `{ repeat = 5, interval = "200ms" }`)
	if s == nil {
		return
	}
	if v, ok := s.integer("repeat", 1, maxAnnounceRepeat); ok {
		in.Announce.Repeat = v
	}
	if d, ok := s.duration("interval", 10*time.Millisecond, time.Minute); ok {
		in.Announce.Interval = d
	}
	if d, ok := s.interval("refresh"); ok {
		if d != 0 && (d < time.Second || d > maxAnnounceRefresh) {
			s.bad("refresh", "", `refresh %s must be from 1s to %s, or "0s" for none`, human(d), human(maxAnnounceRefresh))
		}
		in.Announce.Refresh = d
	}
	word, _ := s.choice("arp", "request", "reply", "both")
	switch word {
	case "reply":
		in.vip.ARP = vip.ARPReply
	case "both":
		in.vip.ARP = vip.ARPBoth
	}
}

func (in *instance) readAuth() {
	s := in.sub(authTable, `{ type = "pass", password = "..." }`)
	if s == nil {
		return
	}
	if in.Version == vrrp.Version3 {
		in.src.problem(in.keyAt("auth"), "remove auth, or use version = 2", "version 3 has no authentication")
	}
	if !s.has("type") {
		s.missing("type", `"pass"`)
	}
	s.choice("type", "pass")
	if !s.has("password") {
		s.missing("password", `"..."`)
	}
	if _, isText := s.data["password"].(string); !isText && s.has("password") {
		s.bad("password", "write it in quotes", "password must be a string") // and never shown
		return
	}
	const most = 8 // bytes of Authentication Data, RFC 2338
	if v, ok := s.text("password"); ok {
		if len(v) > most {
			s.bad("password", "keepalived uses the first 8 bytes of a longer one", "password is %d bytes long: version 2 carries at most %d", len(v), most)
		}
		in.Password = v
	}
}

// label names the instance in messages about others.
func (in *instance) label() string { return "instance " + strconv.Quote(in.Name) }

func (in *instance) hasFamily(f vrrp.Family) bool {
	return slices.ContainsFunc(in.addresses, func(p placed[netip.Prefix]) bool { return vrrp.FamilyOf(p.value.Addr()) == f })
}

// finish fills what depends on the rest of the file.
func (in *instance) finish(checks []*check) {
	in.Addresses = linkLocalFirst(values(in.addresses), in.VRID)
	in.Peers = values(in.peers)
	for _, c := range in.used(checks) {
		in.Checks = append(in.Checks, vrrp.Check{Name: c.Name, OnFailure: c.onFailure, Weight: c.weight})
	}
}

// used returns the checks that act on the instance, in the order it names them.
func (in *instance) used(checks []*check) []*check {
	if in.allChecks {
		return checks
	}
	var used []*check
	for _, name := range in.checks {
		if i := slices.IndexFunc(checks, func(c *check) bool { return c.Name == name.value }); i >= 0 {
			used = append(used, checks[i])
		}
	}
	return used
}
