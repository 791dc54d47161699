package vrrp

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

// Whatever happens, what check asserts holds.
func TestStepRandomly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		first := playStart(rapid.Byte().Draw(t, "adopted"), rapid.Byte().Draw(t, "config"))
		runPlay(t, append(first, rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "events")...))
	})
	for seed := range uint64(60) { // long ones
		runPlay(t, randomBytes(seed, 2000))
	}
}

// A caller whose clock ran backwards for a moment moves no timer.
func TestClockRunsBackwards(t *testing.T) {
	te := newTest(t, web())
	te.advance(second)
	te.do(&Tick{}) // the Engine knows the time
	now := te.now
	te.now = now.Add(-time.Hour)
	te.advert(peer, 200)
	te.do(&Tick{})
	te.now = now
	te.wantNone()
	te.wantDue(down150)
}

// A backup that is woken late, and fed first what has been waiting, stays one.
func TestLateWakeUpListensFirst(t *testing.T) {
	te := newTest(t, web())
	te.advert(peer, 200)
	te.now = te.now.Add(time.Hour) // frozen
	te.advert(peer, 200)           // from the socket's queue
	te.do(&Tick{})
	te.wantNone()
	te.wantState("web", StateBackup)

	te = newMaster(t, web()) // and a master yields with no more than a last word
	te.now = te.now.Add(time.Hour)
	te.do(&Late{By: time.Hour})
	te.advert(peer, 200)
	te.do(&Tick{})
	te.wantOnly("advert", "web: advert prio=150 interval=1s to=224.0.0.18")
	te.wantState("web", StateBackup)
}
