package vrrp

import (
	"testing"
	"time"
)

func TestMayAdopt(t *testing.T) {
	tests := []struct {
		name          string
		age, interval time.Duration
		want          bool
	}{
		{"just now", 0, second, true},
		{"a quarter interval before the peers give up", 2750*time.Millisecond - 1, second, true},
		{"too late for the next advert", 2750 * time.Millisecond, second, false},
		{"fast adverts", 28 * time.Millisecond, 10 * time.Millisecond, false},
		{"never", -1, second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := MayAdopt(tt.age, tt.interval); got != tt.want {
				t.Errorf("MayAdopt(%v, %v) = %v", tt.age, tt.interval, got)
			}
		})
	}
}

// A daemon that was held up between reading what it may go on with and doing so
// starts like any other, and takes off what was left in place for it.
func TestTooLateToGoOn(t *testing.T) {
	tests := []struct {
		name string
		hold func(te *engineTest)
		want State
	}{
		{"in time", func(te *engineTest) { te.advance(second - 1) }, StateMaster},
		{"the interface comes late", func(te *engineTest) { te.advance(second) }, StateBackup},
		{"a pause", func(te *engineTest) {
			te.now = te.now.Add(second)
			te.do(&Late{By: second})
		}, StateBackup},
		{"a busy host", func(te *engineTest) { // woken late for something else
			te.now = te.now.Add(second / 10)
			te.do(&Late{By: second / 10})
		}, StateMaster},
		// The clock stands still in a suspension.
		{"a suspension", func(te *engineTest) { te.do(&Late{By: second, Asleep: second}) }, StateBackup},
		{"several, and the interface comes late", func(te *engineTest) {
			for range 3 {
				te.do(&Late{By: second / 4, Asleep: second / 4})
			}
			te.advance(second / 4)
		}, StateBackup},
		{"a shorter suspension", func(te *engineTest) { te.do(&Late{By: second - 1, Asleep: second - 1}) }, StateMaster},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			te := newBare(t)
			te.do(&Adopt{Routers: []Adopted{{Interface: "eth0", VRID: 51, Family: IPv4, Until: te.now.Add(second)}}})
			te.configure(web())
			if _, ok := te.e.Deadline(); !ok {
				t.Error("nobody looks whether it is too late")
			}
			te.lines = nil
			tt.hold(te)
			te.do(eth0())
			te.wantState("web", tt.want)
			if tt.want == StateBackup {
				te.wantOnly("remove", "web: remove 192.0.2.100/24 eth0")
			}
			te.advance(10 * second)
			te.wantState("web", StateMaster)
		})
	}
}
