package vrrp

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

// fingerprint is what tells one state of a world from another: two worlds with
// the same one have the same future. With 128 bits, two of a billion states
// have the same by accident once in 10^20 explorations.
type fingerprint [16]byte

// printer writes a canonical form. Times are relative to now; what lies further
// back than anything looks is all the same.
type printer struct {
	buf []byte
	now time.Time
}

func (p *printer) sum() fingerprint {
	h := sha256.Sum256(p.buf)
	return fingerprint(h[:16])
}

func (p *printer) byte(b ...byte) { p.buf = append(p.buf, b...) }

func (p *printer) bools(list ...bool) {
	for _, b := range list {
		n := byte(0)
		if b {
			n = 1
		}
		p.byte(n)
	}
}

func (p *printer) int(n int64) { p.buf = binary.AppendVarint(p.buf, n) }

// at writes a time. One that is more than past ago counts as past ago, for
// whoever reads it only asks whether it is longer ago than something shorter.
func (p *printer) at(t time.Time, past time.Duration) {
	if t.IsZero() {
		p.byte(0)
		return
	}
	p.byte(1)
	p.int(int64(max(t.Sub(p.now), -past)))
}

// engine writes all of an Engine that has influence on what it will do.
func (p *printer) engine(e *Engine) {
	p.bools(e.stopping)
	p.int(int64(len(e.adopt)))
	for _, i := range e.instances {
		for _, c := range i.cfg.Checks { // map order is none
			k := e.checks[c.Name]
			p.bools(k.known, k.healthy)
		}
		p.instance(i)
	}
	p.int(int64(len(e.departing)))
	for _, i := range e.departing {
		p.instance(i)
	}
}

func (p *printer) instance(i *instance) {
	p.byte(i.effective, byte(i.state), byte(len(i.notify)))
	p.bools(i.demoted, i.drained, i.removed, i.trouble != "")
	p.bools(i.standsBack(), i.asked.open(), i.asked.failover, i.asked.try)
	p.at(i.drain.Until, 0)
	p.at(i.troubleUntil, 0)
	p.at(i.troubleEnded, troubleForget)
	p.int(int64(i.penalty))
	for _, t := range i.notify {
		p.byte(byte(t.To))
	}
	for _, r := range i.routers {
		p.router(r)
	}
}

func (p *printer) router(r *router) {
	long := 4 * r.inst.cfg.AdvertInterval // of a timer that is due; see expire and late
	p.byte(byte(r.state), byte(r.index), byte(r.form), byte(r.renewNext))
	p.byte(r.source.AsSlice()...)
	p.byte(r.peer.AsSlice()...) // outdone, should this one become master
	p.byte(0xff, r.peerPriority)
	p.int(int64(r.peerInterval))
	if r.state == StateBackup {
		p.at(r.peerHeard, long) // asked for by respectMaster alone
	}
	p.bools(r.handing, r.listening, r.heard, r.unproven, r.trying, r.mute != "", r.sent.sends != nil, r.short)
	p.byte(r.sent.priority)
	for _, t := range [...]time.Time{r.deadline, r.timer, r.readyAt, r.preemptAt, r.holdUntil, r.announceAt, r.againAt, r.repairAt, r.renewAt, r.muteUntil} {
		p.at(t, long)
	}
	for _, d := range [...]time.Duration{r.interval, r.repairWait, r.lease, r.muteFor} {
		p.int(int64(d))
	}
	p.byte(byte(r.announceLeft), byte(r.failures), byte(r.expected))
	for _, a := range r.addresses {
		p.bools(a.Present, a.Problem != "")
	}
	p.at(r.refusedSince, time.Second)
	p.at(r.failedAt, long)
	p.at(r.silentSince, long)
	p.at(r.answeredAt, answerGap)
	p.at(r.rivalTold, rivalGap)
	p.bools(r.rivalWaits)
	p.at(r.announceLate, 0)
	if r.now().Sub(r.rivalTold) < rivalGap {
		p.byte(r.rivalFrom.AsSlice()...)
	}
	p.crossing(r)
	if r.removals > 0 {
		p.int(int64(r.removals))
		p.at(r.removedSince, troubleWindow+1)
	}
	if r.state == StateMaster {
		p.at(r.since, lastWord) // asked for by rival alone
		p.at(r.spokeAt, long)   // and this by late and nextRenewal; it is set anew before any other use
	}
}

// crossing writes what crossed asks for, while it may still hold.
func (p *printer) crossing(r *router) {
	soon := func(t, now time.Time) bool { return now.Sub(t) < lastWord }
	if r.now().Sub(r.released) < second/2 && (r.holding() || r.handing) {
		p.at(r.released, second)
		if soon(r.outdoneAt, r.released) {
			p.byte(r.outdone.AsSlice()...)
		}
	}
	if r.state == StateMaster && soon(r.outdoneAt, r.now()) { // it may still release
		p.byte(r.outdone.AsSlice()...)
		p.at(r.outdoneAt, lastWord)
	}
}

// ignored are the fields that have no part in a fingerprint, and why. Every
// other field of these structs must have one; see the test below.
var ignored = map[string]string{
	"Engine.now":           "times are relative to it",
	"Engine.groups":        "there are none",
	"Engine.routers":       "finds what instances has",
	"Engine.serials":       "finds what instances has",
	"Engine.serial":        "a name for a router to come; no reload happens",
	"Engine.links":         "set once when a node starts",
	"Engine.indexes":       "set once when a node starts",
	"Engine.timers":        "follows from the deadlines",
	"Engine.actions":       "valid until the next step",
	"Engine.sequence":      "counts; each step is checked against it",
	"Engine.packet":        "valid in one step",
	"checkState.reason":    "for people",
	"checkState.since":     "for people",
	"instance.e":           "the way back",
	"instance.cfg":         "the same in all states",
	"instance.why":         "for people",
	"instance.since":       "for people",
	"instance.reason":      "for people",
	"instance.transitions": "for people",
	"instance.stays":       "of one step; no reload happens",
	"instance.changed":     "of one step; no reload happens",
	"router.inst":          "the way back",
	"router.id":            "the same in all states; no reload happens",
	"router.queued":        "no later than the deadline, which tells",
	"router.reason":        "for people; whether a master was adopted is asked when it becomes one",
	"router.cause":         "for people",
	"router.onLink":        "set once when a node starts",
	"router.positions":     "follows from the configuration",
	"router.advertised":    "follows from the configuration",
	"router.unwanted":      "empty between steps",
	"router.sendProblem":   "for people",
	"router.presumedDead":  "for a notice",
	"router.flaps":         "for a notice",
	"router.flapsSince":    "for a notice",
	"router.renewDue":      "of large sets alone",
	"router.renewed":       "follows from the addresses",
	"router.oddInterval":   "for a notice",
	"router.spokeBefore":   "asked for when a link fails, which none does",
	"router.goOnUntil":     "set when a link fails, which none does",
	"router.rivalSince":    "for people",
	"router.rivalSeen":     "for people",
	"router.counters":      "for people",
	"router.noticed":       "for notices, which nobody acts on",
	"router.drops":         "for people",
	"router.differs":       "for people",
	"cachedAdvert.sends":   "follows from its key; whether there is one counts",
	"advertKey.interval":   "follows from the configuration",
	"advertKey.form":       "is the router's",
	"advertKey.source":     "is the router's",
	"advertKey.index":      "is the router's",
	"Engine.asked":         "whether any instance is",
	"Engine.woke":          "for a notice",
	"Engine.slept":         "for a notice",
	"Engine.stoodAt":       "asked for when a link fails, which none does",
	"asked.name":           "for people",
	"router.toMove":        "for people",
	"asked.by":             "for people",
	"DrainStatus.Since":    "for people",
	"DrainStatus.By":       "for people",
	"DrainStatus.Why":      "for people",
	"DrainStatus.Trying":   "of snapshots alone",
	"DrainStatus.Persist":  "for people",
	"FailoverStatus.By":    "for people",
}

func printEngine(e *Engine, now time.Time) fingerprint {
	p := printer{now: now}
	p.engine(e)
	return p.sum()
}

// Each field of the state has its part in the fingerprint or a reason why not:
// a change of it is seen.
func TestFingerprintSeesEveryField(t *testing.T) {
	seen, noticed := map[string]bool{}, map[string]bool{}
	var walk func(v reflect.Value, e *Engine, now time.Time)
	walk = func(v reflect.Value, e *Engine, now time.Time) {
		for n := range v.NumField() {
			name := v.Type().Name() + "." + v.Type().Field(n).Name
			f := open(v.Field(n))
			if seen[name] = true; ignored[name] != "" {
				continue
			}
			if f.Kind() == reflect.Struct && f.Type() != reflect.TypeFor[time.Time]() && f.Type().PkgPath() != "net/netip" {
				walk(f, e, now)
				continue
			}
			old := reflect.New(f.Type()).Elem()
			old.Set(f)
			before := printEngine(e, now)
			change(t, name, f, e, now)
			noticed[name] = noticed[name] || printEngine(e, now) != before
			f.Set(old)
		}
	}
	te := newTest(t, web(nginx, leased(2*second)))
	te.health("nginx", true, "")
	te.advance(down150 + 500*time.Millisecond)
	te.wantState("web", StateMaster)
	e, i := te.e, te.e.instances[0]
	r := i.routers[0]
	r.removals, r.handing, r.outdoneAt, r.released = 1, true, te.now, te.now
	r.rivalTold = te.now
	walk(reflect.ValueOf(e).Elem(), e, te.now)
	walk(reflect.ValueOf(i).Elem(), e, te.now)
	walk(reflect.ValueOf(r).Elem(), e, te.now)
	backup := newBackup(t, web())
	walk(reflect.ValueOf(backup.e.instances[0].routers[0]).Elem(), backup.e, backup.now)
	for name, yes := range noticed {
		if !yes {
			t.Errorf("a change of %s is not seen, and no reason is given", name)
		}
	}
	seen["checkState.reason"], seen["checkState.since"] = true, true
	for _, c := range []checkState{{}, {known: true}, {healthy: true}} {
		before := printEngine(e, te.now)
		e.checks["nginx"] = c
		if printEngine(e, te.now) == before {
			t.Errorf("check %v is not seen", c)
		}
	}
	seen["cachedAdvert.sends"] = true
	for name := range ignored {
		if !seen[name] && !strings.HasPrefix(name, "advertKey") {
			t.Errorf("there is no field %s to ignore", name)
		}
	}
}

// change gives a field another value.
func change(t *testing.T, name string, f reflect.Value, e *Engine, now time.Time) {
	t.Helper()
	switch v := f.Interface().(type) {
	case time.Time:
		if now := now.Add(7 * time.Millisecond); v.Equal(now) {
			f.Set(reflect.ValueOf(now.Add(1)))
		} else {
			f.Set(reflect.ValueOf(now))
		}
		return
	case []*instance:
		f.Set(reflect.ValueOf(append(v[:len(v):len(v)], newMaster(t, web()).e.instances...)))
		return
	case []*router:
		f.Set(reflect.ValueOf(append(v[:len(v):len(v)], newMaster(t, web()).e.instances[0].routers...)))
		return
	case map[string]checkState:
		f.Set(reflect.ValueOf(map[string]checkState{}))
		return
	case map[routerKey]Adopted:
		f.Set(reflect.ValueOf(map[routerKey]Adopted{{}: {}}))
		return
	case []Transition:
		f.Set(reflect.ValueOf(append(v[:len(v):len(v)], Transition{})))
		return
	case []AddressState:
		f.Set(reflect.ValueOf([]AddressState{{Address: v[0].Address, Present: !v[0].Present}}))
		return
	}
	switch f.Kind() {
	case reflect.Bool:
		f.SetBool(!f.Bool())
	case reflect.String:
		f.SetString(f.String() + "x")
	case reflect.Int, reflect.Int64:
		f.SetInt(f.Int() + 1)
	case reflect.Uint8, reflect.Uint64:
		f.SetUint(f.Uint() + 1)
	default:
		if f.Type() == reflect.TypeFor[netip.Addr]() {
			f.Set(reflect.ValueOf(peer))
			return
		}
		t.Fatalf("field %s has a type that is new to the fingerprint", name)
	}
}
