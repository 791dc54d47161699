package daemon

import (
	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/page"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/web"
)

// site is what is served over HTTP: all of it beside the loop, which makes a
// snapshot now and then.
type site struct {
	listener *web.Listener
	shared   *web.Shared
	page     *page.Page
}

func (d *Daemon) openSite() {
	d.site.listener = web.NewListener(d.siteChanged)
	d.site.shared = web.NewShared(backend{d})
	d.site.page = page.New(d.site.shared, d.recent)
}

// recent returns the latest events, the last one last.
func (d *Daemon) recent(most int) []*control.Event {
	last := d.events.Read(0, 1).Last
	var list []*control.Event
	for _, e := range d.events.Read(max(last, uint64(most))-uint64(most), most).Entries {
		list = append(list, e.Event)
	}
	return list
}

// siteChanged hears whether an address is served. A port that is taken is no
// reason to end or to refuse a configuration: the addresses matter more.
func (d *Daemon) siteChanged(listening bool, on string, err error) {
	if listening {
		d.record(history.Event{Kind: history.KindDaemon, Text: "metrics and the status page are served on " + on},
			"metrics and the status page are served", "listen", on)
		return
	}
	d.record(history.Event{
		Kind: history.KindDaemon, Severity: history.Warning, Reason: oneLine(err),
		Text: sentence("metrics and the status page cannot be served on "+on+", trying again", err),
	}, "metrics and the status page cannot be served, trying again", "listen", on, "error", err)
}

// setSite serves what a configuration wants.
func (d *Daemon) setSite(cfg *config.Config) {
	c := web.Config{Listen: cfg.Metrics.Listen, Compat: cfg.Metrics.Compat, Node: cfg.Node.Name}
	d.site.listener.Set(c.Listen, web.Handler(c, d.site.shared, d.site.page))
}
