package lab

import (
	"slices"
	"testing"
	"time"
)

func TestParseStalls(t *testing.T) {
	stalls, watches := ParseStalls("\n1 1700000000000000005 20000000\n0 1700000001000000000 5000000\n1 17000000")
	want := []Stall{
		{Processor: 1, Began: time.Unix(1700000000, 5), Length: 20 * time.Millisecond},
		{Processor: 0, Began: time.Unix(1700000001, 0), Length: 5 * time.Millisecond},
	}
	if !watches || !slices.Equal(stalls, want) {
		t.Errorf("stalls are %v, %v, want %v", stalls, watches, want)
	}
	if stalls, watches := ParseStalls(""); watches || stalls != nil {
		t.Errorf("of nothing stalls are %v, %v", stalls, watches)
	}
}
