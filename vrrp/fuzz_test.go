package vrrp

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// The random plays reach all that there is to do.
func TestPlayReachesEverything(t *testing.T) {
	want := []string{
		" -> master", " -> backup", " -> fault", " -> init", "prio=0", "10ms", " add ", " remove ", " announce ", " renew ",
		NoticeHandoverFailed.String(), NoticeRival.String(), NoticeAddressRepaired.String(), NoticeAddressFailed.String(),
		NoticeDropped.String(), NoticeOwnPacket.String(), NoticeTwoOwners.String(), NoticeSendFailed.String(), NoticeInterval.String(),
		NoticeEqualPriority.String(), NoticeAddressList.String(),
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

// FuzzEngine plays what the fuzzer finds.
func FuzzEngine(f *testing.F) {
	for seed := range uint64(20) {
		f.Add(randomBytes(seed, 200))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 600 { // longer ones find no more, and take long
			return
		}
		runPlay(t, data)
	})
}
