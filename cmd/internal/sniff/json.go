package sniff

import (
	"encoding/json"
	"io"
	"net/netip"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Version is the version of the JSON documents. It changes only when a reader of
// an earlier one could misunderstand.
const Version = 1

// The kinds of documents.
const (
	docAdvert       = "advert"
	docAnnouncement = "announcement"
	docEvent        = "event"
	docRouter       = "router"
	docSummary      = "summary"
)

// JSON tells programs: one document a line. At the end there is one for each
// router, and one for all.
type JSON struct {
	W io.Writer
	// Password adds passwords of version 2.
	Password bool
}

// common is what all documents have.
type common struct {
	Version int    `json:"version"`
	Kind    string `json:"kind"`
}

// linkJSON says where a frame was seen.
type linkJSON struct {
	Time time.Time `json:"time"`
	// Interface is "" when a capture file does not say.
	Interface string   `json:"interface"`
	VLANs     []uint16 `json:"vlans,omitempty"`
}

type findingJSON struct {
	Kind     Kind   `json:"kind"`
	Severity string `json:"severity"` // news, warning or fault
	Text     string `json:"text"`
}

func findings(list []Finding) []findingJSON {
	out := make([]findingJSON, 0, len(list))
	for _, f := range list {
		out = append(out, findingJSON{f.Kind, f.Severity.String(), f.Text})
	}
	return out
}

// advertJSON is a packet. What its header says is absent when there is none.
type advertJSON struct {
	common
	linkJSON
	Outgoing       bool        `json:"outgoing"`
	SourceMAC      string      `json:"source_mac,omitempty"`
	DestinationMAC string      `json:"destination_mac,omitempty"`
	VirtualMAC     bool        `json:"virtual_mac"`
	Source         netip.Addr  `json:"source"`
	Destination    netip.Addr  `json:"destination"`
	TTL            int         `json:"ttl"`
	IPProtocol     uint8       `json:"ip_protocol"`
	Length         int         `json:"length"`
	Family         string      `json:"family"`
	Header         *headerJSON `json:"vrrp,omitempty"`
	// Findings are never null.
	Findings []findingJSON `json:"findings"`
}

// headerJSON is the VRRP message.
type headerJSON struct {
	Protocol   vrrp.Version `json:"protocol"`
	Type       uint8        `json:"type"`
	VRID       uint8        `json:"vrid"`
	Priority   uint8        `json:"priority"`
	IntervalMS int64        `json:"interval_ms"`
	Count      int          `json:"count"`
	Addresses  []netip.Addr `json:"addresses"`
	AuthType   *uint8       `json:"auth_type,omitempty"` // version 2
	Password   string       `json:"password,omitempty"`
	Checksum   string       `json:"checksum"`
}

// Advert writes a packet.
func (j *JSON) Advert(a *Advert) error {
	d := advertJSON{
		common: common{Version, docAdvert}, linkJSON: linkJSON{a.Time, a.Interface, a.VLANs}, Outgoing: a.Outgoing,
		SourceMAC: a.SourceMAC.known(), DestinationMAC: a.DestinationMAC.known(), VirtualMAC: a.VirtualMAC(),
		Source: a.Source, Destination: a.Destination, TTL: a.TTL, IPProtocol: a.Protocol, Length: a.Length,
		Family: a.Family().String(), Findings: findings(a.Findings),
	}
	if a.Decoded {
		d.Header = &headerJSON{
			Protocol: a.Version, Type: a.Type, VRID: a.VRID, Priority: a.Priority, IntervalMS: a.Interval.Milliseconds(),
			Count: a.Count, Addresses: append([]netip.Addr{}, a.Addresses...), Checksum: a.Checksum.String(),
		}
		if a.Version == vrrp.Version2 {
			d.Header.AuthType = &a.AuthType
			if j.Password && a.AuthType == vrrp.AuthSimple {
				d.Header.Password = password(a)
			}
		}
	}
	return j.write(d)
}

// known is the MAC, or "" when it is not known.
func (m MAC) known() string {
	if m == (MAC{}) {
		return ""
	}
	return m.String()
}

type announcementJSON struct {
	common
	linkJSON
	Outgoing  bool          `json:"outgoing"`
	SourceMAC string        `json:"source_mac,omitempty"`
	Form      string        `json:"form"`
	Address   netip.Addr    `json:"address"`
	MAC       string        `json:"mac"`
	To        *netip.Addr   `json:"to,omitempty"`
	Findings  []findingJSON `json:"findings"`
}

// Announcement writes an announcement.
func (j *JSON) Announcement(n *Announcement) error {
	d := announcementJSON{
		common: common{Version, docAnnouncement}, linkJSON: linkJSON{n.Time, n.Interface, n.VLANs}, Outgoing: n.Outgoing,
		SourceMAC: n.SourceMAC.known(), Form: n.Form.String(), Address: n.Address, MAC: n.MAC.String(), Findings: findings(n.Findings),
	}
	if n.To.IsValid() {
		d.To = &n.To
	}
	return j.write(d)
}

type eventJSON struct {
	common
	linkJSON
	VRID    uint8       `json:"vrid"`
	Source  netip.Addr  `json:"source"`
	Family  string      `json:"family"`
	Finding findingJSON `json:"finding"`
}

// Event writes an event.
func (j *JSON) Event(e Event) error {
	return j.write(eventJSON{
		common{Version, docEvent},
		linkJSON{e.Time, e.Interface, e.VLANs},
		e.VRID, e.Source, vrrp.FamilyOf(e.Source).String(),
		findings([]Finding{e.Finding})[0],
	})
}

type routerJSON struct {
	common
	Interface    string       `json:"interface"`
	VLANs        []uint16     `json:"vlans,omitempty"`
	VRID         uint8        `json:"vrid"`
	Family       string       `json:"family"`
	Source       netip.Addr   `json:"source"`
	Destinations []netip.Addr `json:"destinations"` // the group, or unicast peers
	Stray        bool         `json:"stray"`
	State        string       `json:"state,omitempty"`
	Protocol     vrrp.Version `json:"protocol"`
	Priority     uint8        `json:"priority"`
	IntervalMS   int64        `json:"interval_ms"`
	Addresses    []netip.Addr `json:"addresses"`
	SourceMAC    string       `json:"source_mac,omitempty"`
	Packets      int          `json:"packets"`
	Adverts      int          `json:"adverts"`
	Releases     int          `json:"releases"`
	First        time.Time    `json:"first"`
	Last         time.Time    `json:"last"`
	Rate         float64      `json:"rate"` // a second
	MeanMS       float64      `json:"mean_ms"`
	JitterMS     float64      `json:"jitter_ms"`
	LongestMS    float64      `json:"longest_ms"`
	// Findings counts warnings and faults by kind.
	Findings map[Kind]int `json:"findings"`
	Severity string       `json:"severity"` // the worst
}

type summaryJSON struct {
	common
	First     *time.Time `json:"first"` // null when nothing was seen
	Last      *time.Time `json:"last"`
	Packets   int        `json:"packets"`
	Untracked int        `json:"untracked"`
	Forgotten int        `json:"forgotten"`
	Routers   int        `json:"routers"`
}

// Summary writes the routers, and the end.
func (j *JSON) Summary(s Summary) error {
	end := summaryJSON{common: common{Version, docSummary}, Packets: s.Packets, Untracked: s.Untracked, Forgotten: s.Forgotten}
	if !s.First.IsZero() {
		end.First, end.Last = &s.First, &s.Last
	}
	for _, r := range s.Routers {
		if !r.Stray {
			end.Routers++
		}
		err := j.write(routerJSON{
			common: common{Version, docRouter}, Interface: r.Interface, VLANs: r.VLANs, VRID: r.VRID, Family: r.Family.String(),
			Source: r.Source, Destinations: append([]netip.Addr{}, r.Destinations...), Stray: r.Stray, State: r.State,
			Protocol: r.Version, Priority: r.Priority, IntervalMS: r.Interval.Milliseconds(),
			Addresses: append([]netip.Addr{}, r.Addresses...), SourceMAC: r.SourceMAC.known(),
			Packets: r.Packets, Adverts: r.Adverts, Releases: r.Releases, First: r.First, Last: r.Last,
			Rate: r.Rate(), MeanMS: ms(r.Mean), JitterMS: ms(r.Jitter), LongestMS: ms(r.Longest),
			Findings: r.Counts, Severity: r.Worst.String(),
		})
		if err != nil {
			return err
		}
	}
	return j.write(end)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// write writes a document in one piece.
func (j *JSON) write(d any) error {
	b, err := json.Marshal(d)
	if err != nil {
		return err
	}
	_, err = j.W.Write(append(b, '\n'))
	return err
}
