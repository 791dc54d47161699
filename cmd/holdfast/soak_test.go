package main

// The soak test: two daemons, a keepalived and a client, to which things happen
// by chance, from a seed, for as long as asked. What must hold is judged from
// outside.

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const (
	// soakShort is how long the test runs when nobody asks for more.
	soakShort = 20 * time.Second
	// soakRate is how often the client asks each address, in a second.
	soakRate = 300
	// soakLast is how many faults are shown when one of them went wrong.
	soakLast = 12
)

// soakPlan is what the seed decides about the cluster.
type soakPlan struct {
	seed       uint64
	interval   time.Duration
	priorities map[string]int
	survivor   string // the daemon that is never ended, so that a leak shows
	onFailure  string
}

func newSoakPlan(seed uint64, rng *rand.Rand) soakPlan {
	p := soakPlan{
		seed:       seed,
		interval:   []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 200 * time.Millisecond, time.Second}[rng.IntN(4)],
		priorities: map[string]int{"a": 200, "b": 150, "k": 100},
		survivor:   []string{"a", "b", "b", "b"}[rng.IntN(4)],
		onFailure:  []string{"demote", "demote", "release"}[rng.IntN(3)],
	}
	if rng.IntN(2) == 0 {
		p.priorities["k"], p.priorities["b"] = 150, 100
	}
	return p
}

// soakMember is one of the three nodes, and what the faults in force make of it.
type soakMember struct {
	*node
	ours     bool
	port     *lab.Port
	log      *logWatch // of ours
	priority int

	out     bool // does not serve, and the others know it
	may     bool // may hold the addresses besides another
	demoted bool
	silent  bool // cannot be asked: ended or frozen
	cut     bool // the client cannot reach it
}

// soak is a run.
type soak struct {
	soakPlan
	t       *testing.T
	rng     *rand.Rand
	mix     mix
	lab     *lab.Lab
	members []*soakMember // a and b, which are ours, and keepalived
	client  *lab.Host
	load    *lab.Host
	probes  []*lab.Probe
	vips    []netip.Addr
	dir     string

	held  *holdings
	wire  *wire
	late  *starvation
	began time.Time

	excuses []excuse
	deleted []time.Time // addresses, by hand
	loops   []*lab.Process
	steps   []string // what was printed
	totals  soakTotals
	usage   map[int][]resources // of a process at calm moments
}

// soakTotals is the last line.
type soakTotals struct {
	faults, checks, moves, lossless, starved, astray int
	sent, lost                                       int
	worstGap, overlap, lateness                      time.Duration
}

// TestSoak runs for HOLDFAST_SOAK, such as 10m, from HOLDFAST_SOAK_SEED; without
// them for a short time from a seed that is always the same.
func TestSoak(t *testing.T) {
	long, seed := soakShort, uint64(7)
	if text := os.Getenv("HOLDFAST_SOAK"); text != "" {
		var err error
		if long, err = time.ParseDuration(text); err != nil || long <= 0 {
			t.Fatalf("HOLDFAST_SOAK is %q: want a duration such as 10m", text)
		}
		seed = uint64(time.Now().UnixNano()) % 1_000_000
	}
	if text := os.Getenv("HOLDFAST_SOAK_SEED"); text != "" {
		var err error
		if seed, err = strconv.ParseUint(text, 10, 64); err != nil {
			t.Fatalf("HOLDFAST_SOAK_SEED is %q: want a number", text)
		}
	}
	s := newSoak(t, seed)
	s.start()
	for time.Since(s.began) < long {
		s.step()
	}
	s.finish()
}

func newSoak(t *testing.T, seed uint64) *soak {
	t.Helper()
	_, err := lab.FindPeer("keepalived")
	require(t, err == nil, "keepalived (run .ci/peers)")
	rng := rand.New(rand.NewPCG(seed, 0))
	s := &soak{soakPlan: newSoakPlan(seed, rng), t: t, rng: rng, usage: map[int][]resources{}}
	s.mix = mix{interval: s.interval, dialects: []dialect{
		{name: "four", version: 3, vips: []string{"192.0.2.151"}, checksum: "pseudo-header"},
		{name: "six", version: 3, vips: []string{"2001:db8::152"}},
	}}
	s.vips = []netip.Addr{netip.MustParseAddr("192.0.2.151"), netip.MustParseAddr("2001:db8::152")}
	s.say("seed %d: adverts each %v, a has %d, b %d, keepalived %d; %s is never ended; on_failure = %q",
		seed, s.interval, s.priorities["a"], s.priorities["b"], s.priorities["k"], s.survivor, s.onFailure)
	s.dir = filepath.Join(os.TempDir(), fmt.Sprintf("holdfast-soak-%d-%d", seed, os.Getpid()))
	must(t, os.MkdirAll(s.dir, 0o755))
	t.Cleanup(s.evidence)
	s.lab = newLab(t)
	s.late, s.held = watchStarvation(t), newHoldings(s.vips)
	s.wire = &wire{names: map[string]string{}}
	for n, name := range []string{"a", "b", "k"} {
		s.members = append(s.members, s.member(n, name))
	}
	s.client = newClient(t, s.lab)
	s.hastyClient()
	s.load, err = s.lab.Host("load")
	must(t, err)
	_, err = s.client.Capture("eth0", s.wire.keep)
	must(t, err)
	return s
}

// hastyClient has the client doubt its neighbours sooner than Linux does by
// default, which is for up to a minute: late enough not to hide that it was not
// told of a move.
func (s *soak) hastyClient() {
	s.t.Helper()
	for _, family := range []string{"ipv4", "ipv6"} {
		must(s.t, s.client.SetSysctl("net."+family+".neigh.eth0.base_reachable_time_ms", "2000"))
		must(s.t, s.client.SetSysctl("net."+family+".neigh.eth0.delay_first_probe_time", "2"))
	}
}

func (s *soak) member(n int, name string) *soakMember {
	s.t.Helper()
	h, err := s.lab.Host(name, s.address(n)...)
	must(s.t, err)
	_, err = h.Echo()
	must(s.t, err)
	port, err := h.Port("eth0")
	must(s.t, err)
	m := &soakMember{node: &node{Host: h, t: s.t}, ours: name != "k", port: port, priority: s.priorities[name]}
	s.wire.names[port.MAC().String()] = name
	s.held.follow(s.t, h)
	if m.ours {
		file, err := os.Create(filepath.Join(s.dir, name+".log"))
		must(s.t, err)
		s.t.Cleanup(func() { file.Close() })
		m.log = &logWatch{file: file}
		m.setFlag(true)
	}
	return m
}

// address lists the addresses of the n-th member's own.
func (s *soak) address(n int) []string {
	return []string{fmt.Sprintf("192.0.2.%d/24", n+1), fmt.Sprintf("2001:db8::%d/64", n+1)}
}

// config renders what a member of ours is to run, with more tables behind it.
func (s *soak) config(m *soakMember, tables ...string) string {
	return s.mix.holdfast(m.priority, `checks = ["flag"]`) + strings.Join(tables, "") +
		flagCheckTOML(fmt.Sprintf("on_failure = %q", s.onFailure)) + countHook
}

// launch starts the daemon of a member, or keepalived.
func (s *soak) launch(m *soakMember) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	if !m.ours {
		// Not in real time: the kernel kills it when it is busy for long.
		p, err := m.StartKeepalived(s.mix.keepalived(m.priority))
		must(s.t, err)
		m.daemon = p
		must(s.t, p.WaitOutput(ctx, "Entering BACKUP STATE"))
		return
	}
	c := m.Command(context.Background(), selfPath(), "run", "--config", "/run/holdfast.toml")
	c.Stdout = m.log
	p, err := m.StartCommand(c)
	must(s.t, err)
	m.daemon = p
	must(s.t, p.WaitOutput(ctx, "starting"))
}

// start brings all up and lets the client ask.
func (s *soak) start() {
	s.t.Helper()
	s.began = time.Now()
	for _, m := range s.members {
		if m.ours {
			m.configure(s.config(m))
		}
		s.launch(m)
	}
	s.await(time.Now(), settled, "the start")
	for _, v := range s.vips {
		p, err := s.client.Probe(v, soakRate)
		must(s.t, err)
		s.probes = append(s.probes, p)
	}
	s.awaitServed(settled, "the start")
	s.calm("the start")
}

// say prints a line, at once when the test runs with -v.
func (s *soak) say(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if !s.began.IsZero() {
		line = fmt.Sprintf("%7.1fs %s", time.Since(s.began).Seconds(), line)
	}
	if s.steps = append(s.steps, line); len(s.steps) > soakLast {
		s.steps = slices.Delete(s.steps, 1, 2) // the first line tells the seed
	}
	s.t.Log(line)
}

// fail ends the run.
func (s *soak) fail(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("seed %d: %s", s.seed, fmt.Sprintf(format, args...))
}

// evidence keeps what is needed to understand a failure, and else nothing.
func (s *soak) evidence() {
	if !s.t.Failed() {
		if err := os.RemoveAll(s.dir); err != nil {
			s.t.Error(err)
		}
		return
	}
	err := s.wire.writePcap(filepath.Join(s.dir, "wire.pcap"))
	var b strings.Builder
	for _, v := range s.vips {
		fmt.Fprintf(&b, "%v in this step: %s\n", v, s.held.story(v, s.began))
	}
	err = errors.Join(err, os.WriteFile(filepath.Join(s.dir, "story.txt"), []byte(strings.Join(s.steps, "\n")+"\n"+b.String()), 0o644))
	for _, m := range s.members {
		if !m.ours && m.daemon != nil {
			err = errors.Join(err, os.WriteFile(filepath.Join(s.dir, m.Name()+".log"), []byte(m.daemon.Output()), 0o644))
		}
	}
	if err != nil {
		s.t.Error(err)
	}
	s.t.Logf("the last faults:\n%s\n%slogs, capture and story are in %s; again with: make soak SEED=%d", strings.Join(s.steps, "\n"), b.String(), s.dir, s.seed)
}

// step has one thing happen, or two at once, and ends; between and after it all
// must be as the design says.
func (s *soak) step() {
	s.t.Helper()
	one := s.pick(nil)
	faults := []*soakFault{one}
	if one.end != nil && s.rng.IntN(4) == 0 {
		faults = append(faults, s.pick(one))
	}
	var names []string
	for _, f := range faults {
		names = append(names, f.String())
	}
	what := strings.Join(names, ", ")
	before := s.best()
	began := time.Now()
	for _, f := range faults {
		f.begin(s, f.on)
		s.excuse(f, began)
	}
	lasting := one.end != nil
	short := lasting && one.brief && s.rng.IntN(3) == 0
	first := "over at once"
	if short {
		time.Sleep(time.Duration(s.rng.Float64() * float64(3*s.interval)))
	} else {
		first = s.phase(what, faults, began, before, false, false)
	}
	report := what + ": " + first
	if lasting {
		before, healed := s.best(), time.Now()
		for _, f := range slices.Backward(faults) {
			if f.end != nil {
				f.end(s, f.on)
			}
		}
		s.pardon(time.Now())
		report += "; ended: " + s.phase(what+", ended", faults, healed, before, true, short)
	}
	s.afterStep(report, what, began, faults)
}

// afterStep looks at what has no moment of its own, and forgets the step.
func (s *soak) afterStep(report, what string, began time.Time, faults []*soakFault) {
	s.t.Helper()
	now := time.Now()
	worst := s.late.worst(began, now)
	for n, p := range s.probes {
		r := p.Between(began, now)
		s.totals.sent += r.Sent
		s.totals.lost += r.Lost
		s.totals.worstGap = max(s.totals.worstGap, r.LongestGap)
		report += fmt.Sprintf("; %s: %d of %d lost, gap %s", []string{"four", "six"}[n], r.Lost, r.Sent, ms(r.LongestGap))
	}
	if worst > starvedMost {
		s.totals.starved++
		report += fmt.Sprintf("; the machine was starved for %s", ms(worst))
	}
	s.totals.faults += len(faults)
	s.totals.lateness = max(s.totals.lateness, worst)
	s.say("%s", report)
	s.calm(what)
	s.held.forget()
	s.wire.forget()
	s.late.forget()
	s.excuses = nil
	for _, p := range s.probes {
		p.Forget(now)
	}
}
