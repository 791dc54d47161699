package daemon

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

const (
	thisBoot  = "7d1a9b3e-0000-4000-8000-000000000001"
	journaled = time.Hour // since the boot, when the journals of these tests are written
)

// roster is what an Engine has virtual routers of, all on eth0 with an index.
type roster struct {
	index   int
	ids     []vrrp.RouterID
	configs []*vrrp.Config
}

// newRoster has one instance for each VRID, with two addresses of IPv4 and one of
// IPv6.
func newRoster(index int, vrids ...uint8) *roster {
	r := &roster{index: index}
	for _, id := range vrids {
		c := &vrrp.Config{
			Interface: "eth0", VRID: id, AdvertInterval: time.Second,
			Addresses: []netip.Prefix{testVIP, netip.MustParsePrefix("2001:db8::100/128"), netip.PrefixFrom(testVIP.Addr().Next(), 32)},
		}
		for n, f := range c.Families() {
			r.ids = append(r.ids, vrrp.RouterID{Family: f, Serial: 10*uint64(id) + uint64(n)})
			r.configs = append(r.configs, c)
		}
	}
	return r
}

// describe describes the roster in a journal.
func (r *roster) describe(j *journal) *journalFile {
	return j.describe(func(yield func(vrrp.RouterID, *vrrp.Config) bool) {
		for n, id := range r.ids {
			if !yield(id, r.configs[n]) {
				return
			}
		}
	}, map[string]int{"eth0": r.index})
}

// newJournal opens a journal in a directory.
func newJournal(t *testing.T, dir string) *journal {
	t.Helper()
	j, err := openJournal(dir, thisBoot, journaled)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.close)
	return j
}

// describe describes a roster in a journal and writes it.
func describe(t *testing.T, j *journal, r *roster) {
	t.Helper()
	f := r.describe(j)
	if f == nil {
		t.Fatal("nothing has changed")
	}
	if err := j.write(f); err != nil {
		t.Fatal(err)
	}
}

// leaveJournal is the journal of a daemon that was master of one router of IPv4
// at a time, and then was killed.
func leaveJournal(t *testing.T, dir string, last time.Duration) {
	t.Helper()
	j := newJournal(t, dir)
	describe(t, j, newRoster(1, 51))
	j.stamp(510, last)
}

// edit changes a file.
func edit(t *testing.T, path string, change func([]byte) []byte) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, change(text), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadJournal(t *testing.T) {
	at := journaled + 2*time.Second // when it is read
	for _, c := range []struct {
		name   string
		spoil  func(t *testing.T, list, stamps string) // the two files
		want   []time.Duration                         // ages
		wanted string                                  // part of the error
	}{
		{"as it was left", func(*testing.T, string, string) {}, []time.Duration{2 * time.Second, -1}, ""},
		{"none", func(t *testing.T, list, stamps string) {
			os.Remove(list)
			os.Remove(stamps)
		}, nil, ""},
		{"corrupt", func(t *testing.T, list, _ string) {
			edit(t, list, func(b []byte) []byte { return b[:len(b)/2] })
		}, nil, "the journal is damaged: unexpected end of JSON"},
		{"not what it should be", func(t *testing.T, list, _ string) {
			edit(t, list, func(b []byte) []byte { return []byte(`["routers"]`) })
		}, nil, "the journal is damaged: json: cannot unmarshal array"},
		{"empty", func(t *testing.T, list, _ string) {
			edit(t, list, func([]byte) []byte { return nil })
		}, nil, "the journal is damaged"},
		{"of another version", func(t *testing.T, list, _ string) {
			edit(t, list, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"version":1`, `"version":2`, 1)) })
		}, nil, "the journal has version 2 instead of 1"},
		{"of another boot", func(t *testing.T, list, _ string) {
			edit(t, list, func(b []byte) []byte { return []byte(strings.Replace(string(b), "000001", "000002", 1)) })
		}, nil, "the journal is of an earlier boot"},
		{"a directory", func(t *testing.T, list, _ string) {
			os.Remove(list)
			os.Mkdir(list, 0o700)
		}, nil, "cannot read the journal: read "},
		{"without stamps", func(_ *testing.T, _, stamps string) { os.Remove(stamps) }, nil, "cannot read the journal: open "},
		{"with too few stamps", func(_ *testing.T, _, stamps string) { os.Truncate(stamps, 16) }, nil, "do not belong together"},
		{"without any stamp", func(_ *testing.T, _, stamps string) { os.Truncate(stamps, 0) }, nil, "do not belong together"},
		{"with stamps of another generation", func(t *testing.T, _, stamps string) {
			edit(t, stamps, func(b []byte) []byte {
				binary.NativeEndian.PutUint64(b, binary.NativeEndian.Uint64(b)+1)
				return b
			})
		}, nil, "do not belong together"},
		{"with a stamp of the future", func(t *testing.T, _, stamps string) {
			edit(t, stamps, func(b []byte) []byte {
				binary.NativeEndian.PutUint64(b[8:], uint64(at+1))
				return b
			})
		}, []time.Duration{-1, -1}, ""},
		{"with a stamp that is no time", func(t *testing.T, _, stamps string) {
			edit(t, stamps, func(b []byte) []byte {
				binary.NativeEndian.PutUint64(b[8:], 1<<63)
				return b
			})
		}, []time.Duration{-1, -1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			leaveJournal(t, dir, journaled)
			c.spoil(t, filepath.Join(dir, journalName), filepath.Join(dir, stampsName))
			l, err := readJournal(dir, thisBoot, at)
			switch {
			case c.wanted == "" && err != nil:
				t.Error(err)
			case c.wanted != "" && (err == nil || !strings.Contains(err.Error(), c.wanted)):
				t.Errorf("error %v, want %q", err, c.wanted)
			case err != nil && len(l.Routers)+len(l.ages) > 0:
				t.Errorf("an error and %+v", l)
			}
			if diff := cmp.Diff(c.want, l.ages); diff != "" {
				t.Errorf("ages (-want +got):\n%s", diff)
			}
			if list := l.adoptable(nil); len(list) > 0 {
				t.Errorf("adoptable without any address: %+v", list)
			}
		})
	}
}

// What is read says what was written.
func TestJournalRoundTrip(t *testing.T) {
	dir := t.TempDir()
	leaveJournal(t, dir, journaled)
	l, err := readJournal(dir, thisBoot, journaled)
	if err != nil {
		t.Fatal(err)
	}
	want := []journalRouter{
		{"eth0", 1, 51, vrrp.IPv4, time.Second, []netip.Prefix{testVIP, netip.MustParsePrefix("192.0.2.101/32")}, false, time.Time{}},
		{"eth0", 1, 51, vrrp.IPv6, time.Second, []netip.Prefix{netip.MustParsePrefix("2001:db8::100/128")}, false, time.Time{}},
	}
	for n := range l.Routers {
		if left := time.Until(l.Routers[n].Until); (l.ages[n] >= 0) != (left > 0 && left < vrrp.AdoptWithin(time.Second)) {
			t.Errorf("router %d may go on for %v, age %v", n, left, l.ages[n])
		}
		l.Routers[n].Until = time.Time{}
	}
	if diff := cmp.Diff(want, l.Routers, cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
		t.Errorf("routers (-want +got):\n%s", diff)
	}
}

func TestAdoptable(t *testing.T) {
	second := netip.MustParsePrefix("192.0.2.101/32")
	ours := func(p netip.Prefix, index int) vip.Present {
		return vip.Present{Interface: "eth0", Index: index, Prefix: p, Proto: vip.Proto}
	}
	both := []vip.Present{ours(testVIP, 1), ours(second, 1)}
	const limit = 2750 * time.Millisecond // 3 intervals and no skew, less some to act in
	for _, c := range []struct {
		name     string
		age      time.Duration // since the last advert; negative: was not master
		interval time.Duration
		present  []vip.Present
		want     bool
	}{
		{"at once", 0, time.Second, both, true},
		{"just young enough", limit - 1, time.Second, both, true},
		{"at the limit", limit, time.Second, both, false},
		{"an hour ago", time.Hour, time.Second, both, false},
		{"was not master", -1, time.Second, both, false},
		{"short intervals", 30 * time.Millisecond, 10 * time.Millisecond, both, false},
		{"short intervals, shorter pause", 20 * time.Millisecond, 10 * time.Millisecond, both, true},
		{"long intervals", 27 * time.Second, 10 * time.Second, both, true}, // as version 2 may have
		{"no address", 0, time.Second, nil, false},
		{"one address is missing", 0, time.Second, both[:1], false},
		{"one address is somebody else's", 0, time.Second, []vip.Present{both[0], {Interface: "eth0", Index: 1, Prefix: second}}, false},
		{"one address has another length", 0, time.Second, []vip.Present{both[0], ours(netip.PrefixFrom(second.Addr(), 24), 1)}, false},
		{"another interface of that name", 0, time.Second, []vip.Present{ours(testVIP, 2), ours(second, 2)}, false},
		{"the interface has another name", 0, time.Second, []vip.Present{
			{Interface: "wan", Index: 1, Prefix: testVIP, Proto: vip.Proto}, {Interface: "wan", Index: 1, Prefix: second, Proto: vip.Proto},
		}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := legacy{
				journalFile: journalFile{Routers: []journalRouter{
					{"eth0", 1, 51, vrrp.IPv4, c.interval, []netip.Prefix{testVIP, second}, false, time.Time{}},
					{"eth0", 1, 52, vrrp.IPv4, c.interval, nil, false, time.Time{}}, // nothing to tell by
				}},
				ages: []time.Duration{c.age, 0},
			}
			list := l.adoptable(c.present)
			if got := len(list) == 1 && list[0].VRID == 51; got != c.want || len(list) > 1 {
				t.Errorf("adoptable: %+v, want %t", list, c.want)
			}
			if refused := c.age >= 0 && !c.want; refused != (len(l.refused) == 1) {
				t.Errorf("refused: %+v", l.refused)
			}
		})
	}
}

// Stamps move with their routers when the configuration changes, and what is
// unchanged is not written.
func TestDescribeMovesStamps(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	describe(t, j, newRoster(1, 51, 52))
	j.stamp(510, journaled)
	j.stamp(521, journaled+1)
	if f := newRoster(1, 51, 52).describe(j); f != nil {
		t.Errorf("nothing changed, but there is something to write: %+v", f)
	}
	ages := func() map[uint8][2]time.Duration {
		t.Helper()
		l, err := readJournal(dir, thisBoot, journaled+10)
		if err != nil {
			t.Fatal(err)
		}
		got := map[uint8][2]time.Duration{}
		for n := 0; n < len(l.Routers); n += 2 {
			got[l.Routers[n].VRID] = [2]time.Duration{l.ages[n], l.ages[n+1]}
		}
		return got
	}
	for _, c := range []struct {
		name  string
		index int
		vrids []uint8
		want  map[uint8][2]time.Duration
	}{
		{"one added in front", 1, []uint8{50, 51, 52}, map[uint8][2]time.Duration{50: {-1, -1}, 51: {10, -1}, 52: {-1, 9}}},
		{"turned around", 1, []uint8{52, 51, 50}, map[uint8][2]time.Duration{50: {-1, -1}, 51: {10, -1}, 52: {-1, 9}}},
		{"another interface", 2, []uint8{52, 51, 50}, map[uint8][2]time.Duration{50: {-1, -1}, 51: {10, -1}, 52: {-1, 9}}},
		{"one removed", 2, []uint8{52}, map[uint8][2]time.Duration{52: {-1, 9}}},
		{"the other in its place", 2, []uint8{51}, map[uint8][2]time.Duration{51: {-1, -1}}},
	} {
		describe(t, j, newRoster(c.index, c.vrids...))
		if diff := cmp.Diff(c.want, ages()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
	j.stamp(510, journaled+3)
	j.stamp(520, journaled+4) // gone: no slot
	if diff := cmp.Diff(map[uint8][2]time.Duration{51: {7, -1}}, ages()); diff != "" {
		t.Errorf("stamped anew (-want +got):\n%s", diff)
	}
	j.stamp(510, 0)
	if diff := cmp.Diff(map[uint8][2]time.Duration{51: {-1, -1}}, ages()); diff != "" {
		t.Errorf("no longer master (-want +got):\n%s", diff)
	}
}

// A router may have spoken before it is listed first: that advert counts, not when
// it was listed. One that takes the place of another in the list has its own stamp.
func TestDescribeKnowsWhoSpokeBefore(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	r := newRoster(1, 51)
	j.stampAdvert(510, journaled, true) // the other has not spoken yet
	describe(t, j, r)
	want := func(name string, v4, v6 time.Duration) {
		t.Helper()
		l, err := readJournal(dir, thisBoot, journaled+10)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff([]time.Duration{v4, v6}, l.ages); diff != "" {
			t.Errorf("%s: ages (-want +got):\n%s", name, diff)
		}
		if !l.Routers[0].PseudoHeader {
			t.Errorf("%s: the checksum form is lost", name)
		}
	}
	want("before it was listed", 10, -1)

	r.ids[0].Serial = 900
	j.stampAdvert(900, journaled+4, true)
	if f := r.describe(j); f != nil {
		t.Errorf("the list is the same, but there is something to write: %+v", f)
	}
	want("another in its place", 6, -1)
	j.stampAdvert(900, journaled+7, true)
	want("which speaks", 3, -1)
}

// Between a change and its being written, nobody can take the stamps for those
// of the old list.
func TestJournalChangeIsAtomic(t *testing.T) {
	dir := t.TempDir()
	leaveJournal(t, dir, journaled)
	j := newJournal(t, dir)
	describe(t, j, newRoster(1, 51))
	f := newRoster(1, 52).describe(j)
	if _, err := readJournal(dir, thisBoot, journaled); err == nil || !strings.Contains(err.Error(), "do not belong together") {
		t.Errorf("before the write: %v", err)
	}

	// A write that fails leaves the old file whole.
	before, _ := os.ReadFile(filepath.Join(dir, journalName))
	blocker := filepath.Join(dir, journalName+".new")
	if err := os.Mkdir(blocker, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := j.write(f); err == nil || !strings.Contains(err.Error(), "cannot write the journal: ") {
		t.Errorf("error %v", err)
	}
	if after, _ := os.ReadFile(filepath.Join(dir, journalName)); string(after) != string(before) {
		t.Errorf("the file became %s", after)
	}
	os.Remove(blocker)
	if err := j.write(f); err != nil {
		t.Fatal(err)
	}
	if l, err := readJournal(dir, thisBoot, journaled); err != nil || l.Routers[0].VRID != 52 {
		t.Errorf("after the write: %+v, error %v", l, err)
	}
	if diff := cmp.Diff([]string{journalName, stampsName}, files(t, dir)); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}

// A nil journal, as without a run directory, takes everything.
func TestNoJournal(t *testing.T) {
	var j *journal
	j.stamp(510, journaled)
	j.close()
}

func TestOpenJournalFails(t *testing.T) {
	_, err := openJournal(filepath.Join(t.TempDir(), "gone"), thisBoot, journaled)
	if !errors.Is(err, os.ErrNotExist) || !strings.Contains(err.Error(), "cannot open the journal: ") {
		t.Errorf("error %v", err)
	}
	file := filepath.Join(t.TempDir(), "file")
	werr := os.WriteFile(file, nil, 0o600)
	if _, err = openJournal(file, thisBoot, journaled); werr != nil || !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("error %v", err)
	}
}

// mountTmpfs mounts a file system of a size in memory.
func mountTmpfs(t *testing.T, size string) (dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal("mounting needs root")
		}
		t.Skip("mounting needs root")
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatalf("mount tmpfs: %v", err)
		}
		t.Skipf("mount tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	return dir
}

// On a full disk the journal is refused at the start, rather than by a signal at
// the first stamp; and a list that does not fit leaves the old one whole.
func TestJournalOnFullDisk(t *testing.T) {
	if _, err := openJournal(mountTmpfs(t, "4k"), thisBoot, journaled); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want %v", err, unix.ENOSPC)
	}
	dir := mountTmpfs(t, "256k")
	leaveJournal(t, dir, journaled)
	j := newJournal(t, dir)
	describe(t, j, newRoster(1, 51))
	j.stamp(511, journaled)
	if err := os.WriteFile(filepath.Join(dir, "filler"), make([]byte, 1<<20), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk does not get full: %v", err)
	}
	f := newRoster(1, 52).describe(j)
	if err := j.write(f); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("error %v, want %v", err, unix.ENOSPC)
	}
	text, _ := os.ReadFile(filepath.Join(dir, journalName))
	var old journalFile
	if err := json.Unmarshal(text, &old); err != nil || old.Routers[0].VRID != 51 {
		t.Errorf("the old list became %s (%v)", text, err)
	}
	os.Remove(filepath.Join(dir, "filler"))
	if err := j.write(f); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

// The checksum form of the last advert survives beside its time.
func TestStampsKeepTheChecksumForm(t *testing.T) {
	dir := t.TempDir()
	j := newJournal(t, dir)
	describe(t, j, newRoster(1, 51, 52))
	j.stampAdvert(510, journaled, true)
	j.stampAdvert(520, journaled, false)
	l, err := readJournal(dir, thisBoot, journaled+10)
	if err != nil {
		t.Fatal(err)
	}
	for n, want := range map[int]bool{0: true, 2: false} {
		if l.ages[n] != 10 || l.Routers[n].PseudoHeader != want {
			t.Errorf("router %d: age %v, pseudo-header %v, want 10ns, %v", n, l.ages[n], l.Routers[n].PseudoHeader, want)
		}
	}
}
