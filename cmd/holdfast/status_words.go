package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// drained tells by whom, since when and for how long.
func drained(d *control.Drain, now time.Time) string {
	if d == nil {
		return " by the operator"
	}
	text := fmt.Sprintf(" for %s by %s", age(now.Sub(d.Since)), d.By)
	if d.Until != nil {
		text += ", ends in " + age(d.Until.Sub(now))
	}
	if d.Why != "" {
		text += ": " + d.Why
	}
	return text
}

func group(i *control.Instance) string {
	if i.Group == "" {
		return ""
	}
	return ", group " + i.Group
}

func priority(i *control.Instance) string {
	if i.Priority.Base == i.Priority.Effective {
		return fmt.Sprint(i.Priority.Base)
	}
	return fmt.Sprintf("%d (base %d)", i.Priority.Effective, i.Priority.Base)
}

// heardAgo tells how long ago the master was.
func heardAgo(m *control.Master, now time.Time) string {
	if m.LastHeard == nil {
		return ""
	}
	return fmt.Sprintf(", heard %s ago", age(now.Sub(*m.LastHeard)))
}

// otherMaster tells who is heard as master beside this one. An older daemon does not
// say it.
func otherMaster(i *control.Instance) string {
	is, list := "is", i.Rivals()
	switch len(list) {
	case 0:
		return "another master is heard"
	case 1:
	default:
		is = "are"
	}
	return fmt.Sprintf("%s %s master, too; 'holdfast doctor' looks why", strings.Join(list, " and "), is)
}

// lease says what becomes of the addresses when this node dies.
func lease(i *control.Instance) string {
	switch {
	case i.State != "master":
		return ""
	case i.LeaseMS == 0:
		return ", no lease"
	}
	return fmt.Sprintf(", lease %ds", i.LeaseMS/1000)
}

// addresses lists the VIPs; when some but not all are here it says which.
func addresses(i *control.Instance) string {
	var here, gone []string
	for _, a := range i.Addresses {
		if a.Present {
			here = append(here, a.Address)
		} else {
			gone = append(gone, a.Address)
		}
	}
	switch {
	case len(gone) == 0:
		return shorten(here) + " (here)"
	case len(here) == 0:
		return shorten(gone) + " (not here)"
	}
	return shorten(here) + " (here), " + shorten(gone) + " (not here)"
}

// onOthers yields the interfaces on which somebody else has put addresses of an
// instance.
func onOthers(i *control.Instance) func(yield func(string, []string) bool) {
	return func(yield func(string, []string) bool) {
		for rest := i.Elsewhere; len(rest) > 0; {
			iface, n := rest[0].Interface, 0
			var list []string
			for ; n < len(rest) && rest[n].Interface == iface; n++ {
				list = append(list, rest[n].Address)
			}
			if !yield(iface, list) {
				return
			}
			rest = rest[n:]
		}
	}
}

func shorten(list []string) string {
	if len(list) > 6 {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:5], " "), len(list)-5)
	}
	return strings.Join(list, " ")
}

func forHow(since *time.Time, now time.Time) string {
	if since == nil {
		return ""
	}
	return " for " + age(now.Sub(*since))
}

// age renders a duration as a person would say it.
func age(d time.Duration) string {
	switch {
	case d < 0:
		return "0s"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d < time.Minute:
		return d.Truncate(time.Second).String()
	case d < time.Hour:
		return fmt.Sprintf("%dm%02ds", int(d.Minutes()), int(d.Seconds())%60)
	case d < 24*time.Hour:
		return fmt.Sprintf("%dh%02dm", int(d.Hours()), int(d.Minutes())%60)
	}
	return fmt.Sprintf("%dd%02dh", int(d.Hours())/24, int(d.Hours())%24)
}
