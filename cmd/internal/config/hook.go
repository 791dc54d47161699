package config

import (
	"net/url"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/notify"
)

// hookEvents are the words notify.on knows.
var hookEvents = append([]string{"master", "backup", "fault", "stop"}, hookOccasions...)

// hookOccasions are those that are no states.
var hookOccasions = []string{"rival", "check", "address"}

// hook is a [[notify]] on its way to a [notify.Config].
type hook struct {
	*section
	notify.Config
	on        []placed[string]
	instances []placed[string]
}

func newHook(s *section) *hook {
	h := &hook{section: s, Config: notify.Config{Timeout: defaultHookTimeout}}
	h.readOn()
	h.instances, _ = s.stringsNotEmpty("instances", `["web"]`, "leave it out for all instances")
	s.unique("instances", h.instances)
	h.Instances = values(h.instances)
	h.readKind()
	if d, ok := s.duration("timeout", 100*time.Millisecond, time.Hour); ok {
		h.Timeout = d
	}
	if word, ok := s.choice("style", "holdfast", "keepalived"); ok && word == "keepalived" {
		h.Style = notify.Keepalived
		h.onlyStates()
	}
	return h
}

func (h *hook) readOn() {
	items, _ := h.stringsNotEmpty("on", `["master", "backup"]`, "leave it out for every transition")
	h.unique("on", items)
	for _, it := range items {
		if !slices.Contains(hookEvents, it.value) {
			h.src.problem(it.at, didYouMean(it.value, hookEvents), "on %q must be %s", it.value, orList(hookEvents))
		}
	}
	h.on, h.On = items, values(items)
}

// onlyStates refuses what keepalived's scripts never hear of.
func (h *hook) onlyStates() {
	for _, it := range h.on {
		if slices.Contains(hookOccasions, it.value) {
			h.src.problem(it.at, `make another [[notify]] for it, without style`, "on %q is no state: style = \"keepalived\" tells only what keepalived knows", it.value)
		}
	}
}

func (h *hook) readKind() {
	kind := ""
	for _, k := range hookKinds {
		if !h.has(k) {
			continue
		}
		if kind != "" {
			h.src.problem(h.keyAt(k), "make two [[notify]] of it", "a hook is reached in one way: this one has %s and %s", kind, k)
			return
		}
		kind = k
	}
	switch kind {
	case "":
		h.src.problem(h.at.start, `add exec = ["/path/to/hook"]`, "%v does not say what to run", h.table)
	case "exec":
		h.Exec, _ = h.command("exec")
	case "webhook":
		if v, ok := h.text("webhook"); ok {
			if u, err := url.Parse(v); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
				h.bad("webhook", "", "webhook %q is not an http or https URL", v)
			}
		}
	case "fifo":
		h.absolutePath("fifo")
	}
}
