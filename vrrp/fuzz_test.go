package vrrp

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The random plays reach all that there is to do.
func TestPlayReachesEverything(t *testing.T) {
	want := []string{
		" -> master", " -> backup", " -> fault", " -> init", "prio=0", "10ms", " add ", " remove ", " announce ", " renew ",
		NoticeHandoverFailed.String(), NoticeRival.String(), NoticeAddressRepaired.String(), NoticeAddressFailed.String(),
		NoticeDropped.String(), NoticeOwnPacket.String(), NoticeTwoOwners.String(), NoticeSendFailed.String(), NoticeInterval.String(),
		NoticeEqualPriority.String(), NoticeAddressList.String(), NoticeAddressLapsed.String(),
		"released", "beats", "removed from the configuration", adoptedReason, "adverts cannot be sent", "could not act",
		"address is refused", "handed over to", "no advert from", "stopped",
	}
	reached := map[string]bool{}
	for seed := range uint64(100) {
		te := runPlay(t, randomBytes(seed, 1500))
		for _, l := range te.lines {
			for _, k := range want {
				if strings.Contains(l, k) {
					reached[k] = true
				}
			}
		}
	}
	for _, k := range want {
		if !reached[k] {
			t.Errorf("no play reached %q", k)
		}
	}
	if t.Failed() {
		t.Log(slices.Sorted(maps.Keys(reached)))
	}
}

// The plays that the fuzzer begins with reach what they are named for.
func TestSeedPlays(t *testing.T) {
	want := map[string]string{
		"two-owners":                     NoticeTwoOwners.String(),
		"handed-over-for-a-check":        "handed over to 192.0.2.2, which has priority 100: check nginx fails",
		"nobody-takes-over":              NoticeHandoverFailed.String(),
		"adopted-with-a-lease":           adoptedReason,
		"mute-until-it-gives-up":         "master -> fault (adverts cannot be sent",
		"mute-then-asleep":               "renew 192.0.2.100/24 eth0 for 2s",
		"asleep-while-another-took-over": "192.0.2.2 took over while this node could not act",
		"somebody-keeps-removing":        "somebody keeps removing 192.0.2.100/24",
		"refused-by-the-kernel":          "address is refused",
		"reload-while-handing-over":      "removed from the configuration",
		"stop-while-reports-are-late":    "master -> init (stopped)",
		"flood-of-a-weaker-master":       NoticeRival.String(),
		"lease-ends-in-a-late-wake-up":   NoticeAddressLapsed.String(),
		"moved-between-instances":        "outside: remove 192.0.2.102/24 eth0",
	}
	files, err := filepath.Glob("testdata/fuzz/FuzzEngine/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if want[name] == "" {
			continue // what the fuzzer found
		}
		t.Run(name, func(t *testing.T) {
			te := runPlay(t, seedBytes(t, file))
			if !slices.ContainsFunc(te.lines, func(l string) bool { return strings.Contains(l, want[name]) }) {
				t.Errorf("it does not reach %q:\n%s", want[name], strings.Join(te.lines, "\n"))
			}
		})
		delete(want, name)
	}
	for name := range want {
		t.Errorf("there is no play %s", name)
	}
}

// seedBytes reads a file of the fuzzer's corpus.
func seedBytes(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	_, value, _ := strings.Cut(string(text), "\n")
	value = strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(value), "[]byte("), ")")
	data, err := strconv.Unquote(value)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return []byte(data)
}

// FuzzEngine plays what the fuzzer finds.
func FuzzEngine(f *testing.F) {
	for seed := range uint64(15) { // one for each set of instances
		f.Add(randomBytes(seed, 200))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 { // longer ones find no more, and take long
			return
		}
		runPlay(t, data)
	})
}
