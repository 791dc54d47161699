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
