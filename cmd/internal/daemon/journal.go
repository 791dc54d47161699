package daemon

import (
	"encoding/json"
	"fmt"
	"iter"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// The journal lets a daemon that is started again go on where the one before it
// ended, however that happened. It is two files in the run directory, which a
// reboot clears: journal.json says which virtual routers there are and changes
// with the configuration; the stamps beside it are a shared mapping with one
// word a router, the boot time of its last advert as master, 0 when it is not.
// A stamp is one store into memory, and survives the process that made it.

const (
	journalName    = "journal.json"
	stampsName     = "journal.stamps"
	journalVersion = 1
	journalSlots   = 1 << 14 // twice what 4080 dual-stack instances take
)

// journalFile is journal.json.
type journalFile struct {
	Version int    `json:"version"`
	Boot    string `json:"boot"`
	// Generation is the first word of the stamps that belong to this file.
	Generation uint64 `json:"generation"`
	// Routers have one stamp each, behind that and in their order.
	Routers []journalRouter `json:"routers"`
}

type journalRouter struct {
	Interface string         `json:"interface"`
	Index     int            `json:"index"`
	VRID      uint8          `json:"vrid"`
	Family    vrrp.Family    `json:"family"`
	Interval  time.Duration  `json:"interval_ns"`
	Addresses []netip.Prefix `json:"addresses"`
	// PseudoHeader is read from the stamp; see stampPseudo.
	PseudoHeader bool `json:"-"`
	// Until is when it may go on as master no more.
	Until time.Time `json:"-"`
}

// stampPseudo is set in a stamp when the checksum of that advert covered the
// pseudo-header.
const stampPseudo = 1 << 63

// journal writes the journal of the running daemon. A nil journal writes none.
type journal struct {
	dir    string
	boot   string
	stamps []uint64
	file   os.FileInfo    // of the stamps
	wrote  atomic.Bool    // journal.json
	slots  map[uint64]int // by serial of the router
	// unlisted are the stamps of routers that have no slot yet, by serial.
	unlisted map[uint64]uint64
	last     journalFile
}

// openJournal makes the mapping, at a time since a boot. Reading what an earlier
// daemon left comes first: see readJournal.
func openJournal(dir, boot string, now time.Duration) (*journal, error) {
	f, err := os.OpenFile(filepath.Join(dir, stampsName), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	defer f.Close()
	// Allocated now, so that a full disk is an error here and not a signal later.
	if err := unix.Fallocate(int(f.Fd()), 0, 0, journalSlots*8); err != nil {
		return nil, fmt.Errorf("cannot make room for the journal in %s: %w", dir, err)
	}
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("cannot open the journal: %w", err)
	}
	mem, err := unix.Mmap(int(f.Fd()), 0, journalSlots*8, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("cannot map the journal: %w", err)
	}
	return &journal{
		dir: dir, boot: boot, file: info, slots: map[uint64]int{}, unlisted: map[uint64]uint64{}, last: journalFile{Generation: uint64(now)},
		stamps: unsafe.Slice((*uint64)(unsafe.Pointer(unsafe.SliceData(mem))), journalSlots),
	}, nil
}

// gone reports whether somebody deleted a file of it, or put another in its place.
// What cannot be told is not gone.
func (j *journal) gone() bool {
	stamps, err := os.Stat(filepath.Join(j.dir, stampsName))
	if err == nil && !os.SameFile(stamps, j.file) || missing(err) {
		return true
	}
	_, err = os.Stat(filepath.Join(j.dir, journalName))
	return j.wrote.Load() && missing(err)
}

// inherit takes over the stamps of the journal that this one replaces.
func (j *journal) inherit(old *journal) {
	if old == nil {
		return
	}
	j.unlisted = old.unlisted
	for serial, slot := range old.slots {
		j.unlisted[serial] = atomic.LoadUint64(&old.stamps[slot])
	}
}

func (j *journal) close() {
	if j != nil {
		_ = unix.Munmap(unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(j.stamps))), journalSlots*8))
	}
}

// stamp notes an advert of a master at a boot time; 0 that it is master no more.
func (j *journal) stamp(serial uint64, at time.Duration) { j.store(serial, uint64(at)) }

// stampAdvert notes an advert with its checksum form.
func (j *journal) stampAdvert(serial uint64, at time.Duration, pseudo bool) {
	word := uint64(at)
	if pseudo {
		word |= stampPseudo
	}
	j.store(serial, word)
}

func (j *journal) store(serial, word uint64) {
	if j == nil {
		return
	}
	if slot, ok := j.slots[serial]; ok {
		atomic.StoreUint64(&j.stamps[slot], word)
		return
	}
	j.unlisted[serial] = word
}

// describe sets which virtual routers there are, on which interfaces, by their
// indexes. Their stamps move with them. It returns what to write, or nil when
// nothing has changed, which is most often so and costs a look at each.
func (j *journal) describe(routers iter.Seq2[vrrp.RouterID, *vrrp.Config], indexes map[string]int) *journalFile {
	count, same, moved := 0, j.last.Version == journalVersion, len(j.unlisted) > 0
	for id, c := range routers {
		if count == journalSlots-1 {
			break
		}
		now := listed(id, c, indexes)
		same = same && count < len(j.last.Routers) && j.last.Routers[count].same(&now)
		count++
		moved = moved || j.slots[id.Serial] != count // there may be others in the same places
	}
	same = same && count == len(j.last.Routers)
	moved = moved || count != len(j.slots)
	var next *journalFile
	if !same {
		next = &journalFile{
			Version: journalVersion, Boot: j.boot, Generation: j.last.Generation + 1,
			Routers: make([]journalRouter, 0, count),
		}
		for id, c := range routers {
			if len(next.Routers) == count {
				break
			}
			next.Routers = append(next.Routers, listed(id, c, indexes))
		}
		j.last = *next
		atomic.StoreUint64(&j.stamps[0], next.Generation) // until it is written, the old file fits no more
	}
	if moved {
		j.moveStamps(routers, count)
	}
	return next
}

// moveStamps gives the first count routers the slots in their order.
func (j *journal) moveStamps(routers iter.Seq2[vrrp.RouterID, *vrrp.Config], count int) {
	serials, words := make([]uint64, 0, count), make([]uint64, 0, count)
	for id := range routers {
		if len(serials) == count {
			break
		}
		word := j.unlisted[id.Serial]
		if slot, ok := j.slots[id.Serial]; ok {
			word = atomic.LoadUint64(&j.stamps[slot])
		}
		serials, words = append(serials, id.Serial), append(words, word)
	}
	clear(j.slots)
	j.unlisted = map[uint64]uint64{}
	for n, serial := range serials {
		j.slots[serial] = 1 + n
		atomic.StoreUint64(&j.stamps[1+n], words[n])
	}
}

// listed is a router as the journal lists it.
func listed(id vrrp.RouterID, c *vrrp.Config, indexes map[string]int) journalRouter {
	return journalRouter{
		Interface: c.Interface, Index: indexes[c.Interface], VRID: c.VRID, Family: id.Family,
		Interval: c.AdvertInterval, Addresses: ofFamily(c.Addresses, id.Family),
	}
}

func (r *journalRouter) same(o *journalRouter) bool {
	return r.Interface == o.Interface && r.Index == o.Index && r.VRID == o.VRID && r.Family == o.Family &&
		r.Interval == o.Interval && slices.Equal(r.Addresses, o.Addresses)
}

// ofFamily lists the addresses of a family: the same list, if all are.
func ofFamily(all []netip.Prefix, f vrrp.Family) []netip.Prefix {
	other := func(p netip.Prefix) bool { return vrrp.FamilyOf(p.Addr()) != f }
	if !slices.ContainsFunc(all, other) {
		return all
	}
	return slices.DeleteFunc(slices.Clone(all), other)
}

// write replaces journal.json whole. It may be slow: not for the loop.
func (j *journal) write(f *journalFile) error {
	text, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("cannot encode the journal: %w", err)
	}
	path := filepath.Join(j.dir, journalName)
	if err := os.WriteFile(path+".new", text, 0o600); err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("cannot write the journal: %w", err)
	}
	j.wrote.Store(true)
	return nil
}
