package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Format writes a history as a scenario file.
func (h *History) Format() string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSpace(h.Comment), "\n") {
		if line != "" {
			fmt.Fprintf(&b, "# %s\n", line)
		}
	}
	fmt.Fprintf(&b, "seed %d\nend %v\n", h.Seed, h.End)
	for i := range h.Nodes {
		n := &h.Nodes[i]
		fmt.Fprintf(&b, "\nnode %s", n.Name)
		if n.Plain != "" {
			fmt.Fprintf(&b, " plain=%s", n.Plain)
		}
		if n.Off {
			b.WriteString(" off")
		}
		b.WriteString("\n")
		for _, p := range n.Ports {
			fmt.Fprintf(&b, "  port %s %s", p.Interface, p.Segment)
			for _, a := range p.Addresses {
				fmt.Fprintf(&b, " %v", a)
			}
			b.WriteString("\n")
		}
		for k, list := range n.Configs {
			if k > 0 {
				b.WriteString("  config\n")
			}
			for j := range list {
				b.WriteString("  " + formatInstance(&list[j]) + "\n")
			}
		}
	}
	b.WriteString("\n")
	for i := range h.Steps {
		b.WriteString(h.Steps[i].String() + "\n")
	}
	return b.String()
}

func formatInstance(c *vrrp.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "instance %s %s vrid=%d priority=%d interval=%v addresses=%s",
		c.Name, c.Interface, c.VRID, c.Priority, c.AdvertInterval, join(c.Addresses))
	if c.Version != vrrp.Version3 {
		fmt.Fprintf(&b, " version=%d", c.Version)
	}
	switch {
	case !c.Preempt:
		b.WriteString(" preempt=no")
	case c.PreemptDelay > 0:
		fmt.Fprintf(&b, " preempt=%v", c.PreemptDelay)
	}
	if c.StartupDelay > 0 {
		fmt.Fprintf(&b, " startup=%v", c.StartupDelay)
	}
	if c.Lease != vrrp.AutoLease(c.AdvertInterval, 0) {
		fmt.Fprintf(&b, " lease=%v", c.Lease)
	}
	if c.Group != "" {
		fmt.Fprintf(&b, " group=%s", c.Group)
	}
	if c.Password != "" {
		fmt.Fprintf(&b, " password=%s", c.Password)
	}
	if c.Checksum != vrrp.ChecksumAuto {
		fmt.Fprintf(&b, " checksum=%d", c.Checksum)
	}
	if c.Source.IsValid() {
		fmt.Fprintf(&b, " source=%v", c.Source)
	}
	if len(c.Peers) > 0 {
		fmt.Fprintf(&b, " peers=%s", join(c.Peers))
	}
	if c.Announce.Repeat != 5 {
		fmt.Fprintf(&b, " repeat=%d", c.Announce.Repeat)
	}
	for n, k := range c.Checks {
		b.WriteString([2]string{" checks=", ","}[min(n, 1)] + k.Name)
		switch k.OnFailure {
		case vrrp.Release:
			b.WriteString(":release")
		case vrrp.Weigh:
			fmt.Fprintf(&b, ":%d", k.Weight)
		}
	}
	return b.String()
}

func join[T fmt.Stringer](list []T) string {
	words := make([]string, len(list))
	for n, v := range list {
		words[n] = v.String()
	}
	return strings.Join(words, ",")
}

// String returns the step as its line in a scenario file.
func (s *Step) String() string {
	words := []string{"at", s.At.String(), string(s.Op)}
	for _, w := range []string{s.Node, s.Other, s.Name} {
		if w != "" {
			words = append(words, w)
		}
	}
	if s.Address.IsValid() {
		words = append(words, s.Address.String())
	}
	add := func(key string, n int) {
		if n != 0 {
			words = append(words, fmt.Sprintf("%s=%d", key, n))
		}
	}
	add("config", s.Config)
	if s.NoJournal {
		words = append(words, "nojournal=yes")
	}
	add("ppm", s.PPM)
	add("loss", s.Quality.Loss)
	add("duplicate", s.Quality.Duplicate)
	add("reorder", s.Quality.Reorder)
	for _, d := range []struct {
		key string
		d   time.Duration
	}{{"delay", s.Quality.Delay}, {"jitter", s.Quality.Jitter}} {
		if d.d != 0 {
			words = append(words, fmt.Sprintf("%s=%v", d.key, d.d))
		}
	}
	return strings.Join(words, " ")
}
