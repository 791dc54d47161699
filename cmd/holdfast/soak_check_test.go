package main

// What must hold in the soak test.

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

const (
	// starvedMost is how late ordinary threads may run for a step to be judged by
	// what the client lost: an old master serves on for 100 ms while its successor
	// announces itself, and all of it runs on this machine.
	starvedMost = 50 * time.Millisecond
	// neighbourMost is how long the client's kernel takes to find out that a
	// neighbour has gone of which nobody told it, with the times of hastyClient.
	neighbourMost = 10 * time.Second
)

// rank orders the members as the election does.
func (m *soakMember) rank() int {
	if m.demoted {
		return m.priority - 1000
	}
	return m.priority
}

// best is who must serve; nil when nobody can.
func (s *soak) best() (best *soakMember) {
	for _, m := range s.members {
		if !m.out && (best == nil || m.rank() > best.rank()) {
			best = m
		}
	}
	return best
}

// wrong tells what is not as it must be by now; "" when all is well.
func (s *soak) wrong() string {
	best := s.best()
	if best == nil {
		return ""
	}
	for _, v := range s.vips {
		if !s.held.has(best.Name(), v) {
			return fmt.Sprintf("%s, the best there is, has not %v", best.Name(), v)
		}
		for _, m := range s.members {
			if m != best && !m.may && s.held.has(m.Name(), v) {
				return fmt.Sprintf("%s still has %v, besides %s", m.Name(), v, best.Name())
			}
		}
	}
	return ""
}

// bound is within which a fault, or its end, must have settled.
func (s *soak) bound(faults []*soakFault) time.Duration {
	// 3 adverts and the longest skew, one more until who came back is heard, and
	// the handover.
	b := 5*s.interval + handoverGraceMost + lingerMost6 + room
	slack, lease := time.Duration(0), time.Duration(0)
	for _, f := range faults {
		slack += f.slack
		if f.dead {
			lease = max(lease, s.leaseMost())
		}
		if f.on != nil && !f.on.ours {
			slack = max(slack, theirRoom)
		}
	}
	if best := s.best(); best != nil && !best.ours {
		slack = max(slack, theirRoom)
	}
	return max(b, lease+room) + slack
}

// handoverGraceMost is how much longer than the skew a leaving master waits.
const handoverGraceMost = 100 * time.Millisecond

// leaseMost is when the kernel has surely removed what nobody renews.
func (s *soak) leaseMost() time.Duration {
	seconds := max(1, math.Floor(3*s.interval.Seconds()-1))
	return time.Duration(seconds)*time.Second + time.Second
}

// overlapMost is for how long two of ours without an excuse may have an address:
// while a successor announces itself, and where leases are shorter than a
// takeover not longer than those allow.
func (s *soak) overlapMost(faults []*soakFault) time.Duration {
	most := lingerMost6 + room
	for _, f := range faults {
		if f.dead {
			most = max(most, overlapMost(s.interval))
		}
	}
	if len(faults) > 1 { // nobody may hear the successor
		most += s.interval + handoverGraceMost
	}
	return most
}

// excuse notes who may hold the addresses besides another from now on.
func (s *soak) excuse(f *soakFault, at time.Time) {
	if f.on != nil && f.on.may {
		s.excuses = append(s.excuses, excuse{f.on.Name(), at, at.Add(24 * 365 * time.Hour)})
	}
}

// pardon ends the excuses: who comes back learns of the other within an advert.
func (s *soak) pardon(at time.Time) {
	for n := range s.excuses {
		s.excuses[n].to = at.Add(s.interval + lingerMost6 + room)
	}
}

// await waits until all is as it must be.
func (s *soak) await(began time.Time, bound time.Duration, what string) time.Duration {
	s.t.Helper()
	for {
		why := s.wrong()
		now := time.Now()
		if why == "" {
			return now.Sub(began)
		}
		if late := s.late.worst(began, now); now.Sub(began) > bound+2*late {
			s.fail("%s: not settled within %v (the machine was at most %s late): %s", what, bound, ms(late), why)
		}
		time.Sleep(time.Millisecond)
	}
}

// awaitServed waits until the client is served by who should, and returns how
// long that took.
func (s *soak) awaitServed(most time.Duration, what string) time.Duration {
	s.t.Helper()
	best := s.best()
	if best == nil || best.cut || slices.ContainsFunc(s.members, func(m *soakMember) bool { return m.may }) {
		return 0 // it may find another one
	}
	began := time.Now()
	for n, p := range s.probes {
		for {
			now := time.Now()
			r := p.Between(now.Add(-30*time.Millisecond), now)
			if r.LastServer() == best.Name() {
				break
			}
			if late := s.late.worst(began, now); time.Since(began) > most+2*late {
				s.fail("%s: %v is on %s, yet the client is not served by it after %v: %v", what, s.vips[n], best.Name(), most, r)
			}
		}
	}
	return time.Since(began)
}

// servedMost is within which the client must find who serves. A keepalived that
// was master in another part of the network yields without a last word, so that
// the winner does not know that clients may have learned of it, and announces
// itself only at its next refresh; what it leaves when it is killed or frozen
// answers on.
func (s *soak) servedMost(faults []*soakFault) time.Duration {
	splits := slices.ContainsFunc(faults, func(f *soakFault) bool { return f.splits })
	if best := s.best(); splits && best != nil && best.ours && s.held.everHad("k") {
		return neighbourMost
	}
	return s.interval + room
}

// phase waits until a fault, or its end, has settled, and checks what must hold
// until then and a while after. It returns what was measured.
func (s *soak) phase(what string, faults []*soakFault, began time.Time, before *soakMember, ended, unsettled bool) string {
	s.t.Helper()
	bound := s.bound(faults)
	took := s.await(began, bound, what)
	if ended {
		// Who was about to take over does, until it hears the best.
		time.Sleep(s.interval + room)
		if s.wrong() != "" {
			took = s.await(began, bound, what)
		}
	}
	best := s.best()
	if served := s.awaitServed(s.servedMost(faults), what); served > s.interval+room {
		s.totals.astray++
		what += fmt.Sprintf(" (the client stayed with keepalived for %s)", ms(served))
	}
	from, stay := time.Now(), 2*s.interval+50*time.Millisecond
	if !ended && s.rng.IntN(2) == 0 { // long enough for who is cut off to take over
		stay += time.Duration(s.rng.Float64() * float64(5*s.interval))
	}
	for time.Since(from) < stay { // it must remain so
		if why := s.wrong(); why != "" && !s.onlyTheirs(best) {
			s.fail("%s: settled after %s, but then: %s", what, ms(took), why)
		}
		time.Sleep(2 * time.Millisecond)
	}
	s.checkWire(what, from, time.Now(), began)
	s.checkStatus(what)
	over := s.checkOverlap(what, faults, began)
	name := "nobody"
	if best != nil {
		name = best.Name()
	}
	report := fmt.Sprintf("%s after %s (bound %v)", name, ms(took), bound)
	if _, more, found := strings.Cut(what, " (the client"); found {
		report += " (the client" + more
	}
	if before != best {
		s.totals.moves++
	}
	if over > 0 {
		report += ", two for " + ms(over)
	}
	if s.mustBeLossless(faults, before, best, ended, unsettled) {
		report += s.checkLossless(what, began)
	}
	s.totals.checks++
	return report
}

// onlyTheirs tells whether nothing is wrong but what keepalived, which no
// real-time priority helps on a busy machine, does for a moment.
func (s *soak) onlyTheirs(best *soakMember) bool {
	if best == nil || !best.ours {
		return true
	}
	for _, v := range s.vips {
		for _, m := range s.members {
			if has := s.held.has(m.Name(), v); m.ours && (m == best && !has || m != best && !m.may && has) {
				return false
			}
		}
	}
	return true
}

// mustBeLossless tells whether nothing may be lost: a planned move between two
// of ours, and all that does not concern who serves.
func (s *soak) mustBeLossless(faults []*soakFault, before, after *soakMember, ended, unsettled bool) bool {
	if len(faults) != 1 || unsettled || before == nil || after == nil || !before.ours || !after.ours {
		return false
	}
	f := faults[0]
	// With a second between adverts, a daemon that starts again is not missed.
	planned := f.planned || f.restarts && s.interval >= time.Second
	if before == after {
		return !f.splits && (f.on != before || planned)
	}
	return planned && !ended || f.returns && ended
}

// checkLossless checks that no datagram was lost, unless the machine was too
// busy for anybody to say why.
func (s *soak) checkLossless(what string, began time.Time) string {
	s.t.Helper()
	now := time.Now()
	if late := s.late.worst(began, now); late > starvedMost {
		return ""
	}
	for n, p := range s.probes {
		r := p.Between(began, now)
		if gone := r.Lost - r.Late; gone > 0 {
			s.fail("%s: %d of %d datagrams to %v were lost, %s: %v; holders: %s", what, gone, r.Sent, s.vips[n], whenLost(p, began), r, s.held.story(s.vips[n], began))
		}
	}
	s.totals.lossless++
	return ", nothing lost"
}

// checkOverlap checks for how long two of ours had an address, by the kernels
// and by the adverts on the wire.
func (s *soak) checkOverlap(what string, faults []*soakFault, began time.Time) (longest time.Duration) {
	s.t.Helper()
	now := time.Now()
	late := 2 * s.late.worst(began, now)
	most := s.overlapMost(faults)
	names := []string{"a", "b"}
	for _, v := range s.vips {
		over := s.held.overlap(v, names, began, now, s.excuses)
		if longest = max(longest, over); over > most+late {
			s.fail("%s: two had %v for %v, at most %v allowed (the machine was %s late): %s", what, v, over, most, ms(late/2), s.held.story(v, began))
		}
	}
	for _, d := range s.mix.dialects {
		over := s.wire.masters(byte(d.vrid()), names, began, now, s.excuses, 4*s.interval)
		if most := max(most, 2*s.interval+room); over > most+late {
			s.fail("%s: two of ours advertised %s in turns for %v, at most %v allowed", what, d.name, over, most)
		}
	}
	s.totals.overlap = max(s.totals.overlap, longest)
	return longest
}

// checkWire checks that, since it settled, only who serves advertises, and that
// nobody advertised more than it should at any time.
func (s *soak) checkWire(what string, from, to, began time.Time) {
	s.t.Helper()
	best := s.best()
	for _, d := range s.mix.dialects {
		heard := s.wire.speakers(byte(d.vrid()), from, to)
		for _, m := range s.members {
			switch {
			case m == best && !m.cut && m.ours && heard[m.Name()] == 0:
				s.fail("%s: %s serves but does not advertise %s: %v", what, m.Name(), d.name, heard)
			case m != best && best != nil && best.ours && m.ours && !m.may && heard[m.Name()] > 0:
				s.fail("%s: %s advertises %s though %s serves: %v", what, m.Name(), d.name, best.Name(), heard)
			}
		}
		most := int(4*to.Sub(began)/s.interval) + 30
		for name, count := range s.wire.speakers(byte(d.vrid()), began, to) {
			if count > most {
				s.fail("%s: %s sent %d adverts of %s in %v", what, name, count, d.name, to.Sub(began))
			}
		}
	}
}

// checkStatus checks that what each of our daemons tells is what its kernel
// holds, and that they know who serves.
func (s *soak) checkStatus(what string) {
	s.t.Helper()
	if err := s.held.err(); err != nil {
		s.fail("%s: not all changes of addresses were seen: %v", what, err)
	}
	best := s.best()
	for _, m := range s.members {
		for _, v := range s.vips {
			if seen, is := s.held.has(m.Name(), v), m.HasAddress(v); seen != is && m.ours {
				s.fail("%s: the kernel of %s told that it has %v: %v, and now says %v", what, m.Name(), v, seen, is)
			}
		}
		if !m.ours || m.silent {
			continue
		}
		// What is asked while something changes may differ; it must come right.
		why := ""
		for range 20 {
			if why = s.statusWrong(m, best); why == "" {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if why != "" {
			s.fail("%s: status of %s: %s", what, m.Name(), why)
		}
	}
}

func (s *soak) statusWrong(m, best *soakMember) string {
	s.t.Helper()
	out, code := m.command("status", "--json", "--config", "/run/holdfast.toml")
	st := &control.Status{}
	if err := json.Unmarshal([]byte(out), st); err != nil {
		return fmt.Sprintf("exit status %d, %v: %s", code, err, out)
	}
	for n, v := range s.vips {
		i := st.Instances[n]
		has := m.HasAddress(v)
		if (i.State == "master") != has {
			return fmt.Sprintf("%s is %s (%s), the kernel has %v: %v", i.Name, i.State, i.Reason, v, has)
		}
		for _, a := range i.Addresses {
			text, _, _ := strings.Cut(a.Address, "/")
			if a.Present != m.has(text) {
				return fmt.Sprintf("%s: %s present: %v, in the kernel: %v", i.Name, a.Address, a.Present, m.has(text))
			}
		}
		if i.Priority.Base != m.priority || i.Demoted != m.demoted {
			return fmt.Sprintf("%s: base priority %d and demoted %v, want %d and %v", i.Name, i.Priority.Base, i.Demoted, m.priority, m.demoted)
		}
		want := hostAddr(s.address(max(0, slices.Index(s.members, best))), "192.0.2.0")
		if n == 0 && best != nil && m != best && !m.out && !m.may && (i.Master == nil || i.Master.Address != want) {
			return fmt.Sprintf("%s names master %+v, want %s", i.Name, i.Master, want)
		}
	}
	return ""
}

// calm looks, when no fault is in force, at the logs and at what the daemons use.
func (s *soak) calm(what string) {
	s.t.Helper()
	for _, m := range s.members {
		if isDone(m.daemon) {
			s.fail("%s: the daemon on %s has ended: %s", what, m.Name(), lastLines(m.daemon.Output()))
		}
		if !m.ours {
			continue
		}
		if bad := m.log.trouble(); bad != nil {
			s.fail("%s: the log of %s has what no fault explains:\n%s", what, m.Name(), strings.Join(bad, "\n"))
		}
		m.log.explain("")
		u, err := use(m.daemon.PID())
		must(s.t, err)
		s.usage[m.daemon.PID()] = append(s.usage[m.daemon.PID()], u)
	}
}

func lastLines(text string) string {
	all := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(all[max(0, len(all)-5):], "\n")
}

// goroutines ends a daemon with SIGQUIT and counts what it dumps, but for those
// of the runtime, which starts and ends its own as it likes.
func (s *soak) goroutines(m *soakMember) (count int) {
	s.t.Helper()
	m.log.silence()
	before := len(m.daemon.Output())
	must(s.t, m.daemon.Signal(syscall.SIGQUIT))
	<-m.daemon.Done()
	text := m.daemon.Output()
	for block := range strings.SplitSeq(text[min(before, len(text)):], "\n\n") {
		if strings.HasPrefix(block, "goroutine ") && !strings.Contains(block, "created by runtime.") {
			count++
		}
	}
	return count
}

// finish compares the daemon that was never ended with what it was after it had
// warmed up, and with one that has just been started, and prints the totals.
func (s *soak) finish() {
	s.t.Helper()
	survivor := s.members[slices.IndexFunc(s.members, func(m *soakMember) bool { return m.Name() == s.survivor })]
	other := s.members[1-slices.Index(s.members, survivor)]
	list := s.usage[survivor.daemon.PID()]
	third := max(1, len(list)/3)
	warm, end := summary(list[:third]), summary(list[len(list)-third:])

	s.terminate(other, syscall.SIGTERM)
	s.launch(other)
	s.await(time.Now(), settled, "the end")
	time.Sleep(s.interval)
	young, err := use(other.daemon.PID())
	must(s.t, err)
	old, fresh := s.goroutines(survivor), s.goroutines(other)

	d := &s.totals
	s.say("total of seed %d: %d faults, %d times settled, %d moves, %d of them and of quiet faults without loss, %d starved (worst lateness %s); "+
		"%d datagrams, %d lost, longest gap %s, %d times astray with keepalived; two holders for at most %s; "+
		"%s in the first third and in the last: RSS %d and %d kB (a new one %d), threads %d and %d, descriptors %d and %d; goroutines %d (a new one %d)",
		s.seed, d.faults, d.checks, d.moves, d.lossless, d.starved, ms(d.lateness), d.sent, d.lost, ms(d.worstGap), d.astray, ms(d.overlap),
		s.survivor, warm.rss, end.rss, young.rss, warm.threads, end.threads, warm.descrip, end.descrip, old, fresh)
	// Garbage is collected when there is about as much of it as all the rest.
	if most := warm.rss*5/4 + young.rss; end.rss > most {
		s.t.Errorf("%s uses %d kB of memory at the end, %d at first: at most %d allowed", s.survivor, end.rss, warm.rss, most)
	}
	if end.descrip > warm.descrip+1 {
		s.t.Errorf("%s has %d descriptors open at the end, %d at first", s.survivor, end.descrip, warm.descrip)
	}
	// One of them may be master, run a check or answer just now.
	if old == 0 || fresh == 0 || old > fresh+4 {
		s.t.Errorf("%s had %d goroutines at the end, a daemon just started %d", s.survivor, old, fresh)
	}
	if end.threads > warm.threads+8 { // the runtime keeps each that ever waited
		s.t.Errorf("%s had %d threads at the end, %d at first", s.survivor, end.threads, warm.threads)
	}
	if d.moves == 0 {
		s.t.Error("nothing was shown: the addresses never moved")
	}
	if d.lossless == 0 { // by chance, or because the machine was too busy
		s.t.Logf("loss was not judged: %d of %d faults starved", d.starved, d.faults)
	}
}

// summary takes the most of memory and threads, and of the descriptors the least:
// a check that runs just now has some for itself.
func summary(list []resources) (m resources) {
	m.descrip = list[0].descrip
	for _, r := range list {
		m.rss, m.threads, m.descrip = max(m.rss, r.rss), max(m.threads, r.threads), min(m.descrip, r.descrip)
	}
	return m
}
