package daemon

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// legacy is what an earlier daemon left in its journal.
type legacy struct {
	journalFile
	ages []time.Duration // since the last advert as master; negative for none
	// refused tells why routers that were master may not go on; see adoptable.
	refused []refusal
}

type refusal struct {
	router journalRouter
	reason string
}

// readJournal reads, at a time since a boot, the journal of an earlier daemon.
// What cannot be trusted is an error; none at all is not, and empty.
func readJournal(dir, boot string, now time.Duration) (legacy, error) {
	var l legacy
	read := time.Now()
	text, err := os.ReadFile(filepath.Join(dir, journalName))
	if errors.Is(err, os.ErrNotExist) {
		return l, nil
	}
	if err != nil {
		return l, fmt.Errorf("cannot read the journal: %w", err)
	}
	if err := json.Unmarshal(text, &l.journalFile); err != nil {
		return legacy{}, fmt.Errorf("the journal is damaged: %w", err)
	}
	if l.Version != journalVersion {
		return legacy{}, fmt.Errorf("the journal has version %d instead of %d", l.Version, journalVersion)
	}
	if l.Boot != boot {
		return legacy{}, errors.New("the journal is of an earlier boot")
	}
	stamps, err := os.ReadFile(filepath.Join(dir, stampsName))
	if err != nil {
		return legacy{}, fmt.Errorf("cannot read the journal: %w", err)
	}
	if len(stamps) < 8*(1+len(l.Routers)) || binary.NativeEndian.Uint64(stamps) != l.Generation {
		return legacy{}, errors.New("the journal is damaged: its two files do not belong together")
	}
	for n := range l.Routers {
		word := binary.NativeEndian.Uint64(stamps[8*(1+n):])
		stamp := time.Duration(word &^ stampPseudo)
		l.Routers[n].PseudoHeader = word&stampPseudo != 0
		age := time.Duration(-1)
		if stamp > 0 && stamp <= now {
			age = now - stamp
			l.Routers[n].Until = read.Add(vrrp.AdoptWithin(l.Routers[n].Interval) - age)
		}
		l.ages = append(l.ages, age)
	}
	return l, nil
}

// adoptable lists the routers that may go on as master: they were so less than
// their peers' down time ago, on an interface that is still the same one, with
// all their addresses still in place and ours.
func (l *legacy) adoptable(present []vip.Present) (list []journalRouter) {
	type place struct {
		iface  string
		index  int
		prefix netip.Prefix
	}
	ours := map[place]bool{}
	for _, p := range present {
		if p.Ours() {
			ours[place{p.Interface, p.Index, p.Prefix}] = true
		}
	}
	for n, r := range l.Routers {
		missing := slices.IndexFunc(r.Addresses, func(p netip.Prefix) bool { return !ours[place{r.Interface, r.Index, p}] })
		switch {
		case l.ages[n] < 0 || len(r.Addresses) == 0:
		case !vrrp.MayAdopt(l.ages[n], r.Interval):
			l.refused = append(l.refused, refusal{r, fmt.Sprintf("its last advert was %v ago", round(l.ages[n]))})
		case missing >= 0:
			l.refused = append(l.refused, refusal{r, fmt.Sprintf("%v is gone from the interface, or this is another one", r.Addresses[missing])})
		default:
			list = append(list, r)
		}
	}
	return list
}

// bootID tells this boot of the machine from all others.
func bootID() (string, error) {
	text, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("cannot tell which boot this is: %w", err)
	}
	return strings.TrimSpace(string(text)), nil
}
