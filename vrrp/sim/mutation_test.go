package sim

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// mutation is a mistake that somebody could make in package vrrp: a text of a
// file and what stands there instead. The simulation must notice each one.
type mutation struct {
	name, file, old, new string
	// mix finds it within so many seeds, or one of the scenario files does.
	mix   Mix
	seeds int
}

var mutations = []mutation{
	{"skip the skew", "priority.go", "return downIntervals*interval + skew(v, priority, interval)", "return downIntervals*interval + 0*skew(v, priority, interval)", Crash, 100},
	{"ignore priority 0", "hear.go", "\t\tr.timer = r.after(skew(r.inst.cfg.Version, r.inst.effective, interval))\n", "", Operator, 3000},
	{"forget the linger", "rival.go", "\tr.hold(r.linger(), true)\n", "\tr.release()\n", Operator, 100},
	{"let go at once when stopping", "router.go", "\t\tr.hold(handoverBound(r.inst.cfg.AdvertInterval), false)\n", "\t\tr.release()\n", Operator, 100},
	{"release without the short interval", "handover.go", "if r.inst.cfg.Version == Version3 && priority != PriorityRelease {", "if false {", Operator, 100},
	{"adopt a stale journal", "adopt.go", "return downIntervals*interval - interval/4", "return 100 * interval", Crash, 100},
	{"obey a demoted master", "preempt.go", "case theirs <= DemotedMax && r.inst.effective > DemotedMax:", "case false:", Checks, 100},
	{"preempt after a failover", "preempt.go", "\tcase r.inst.standsBack():\n\t\treturn PreemptStandsBack\n", "", Operator, 100},
	{"stay drained though nobody came", "operate.go", "\t\t\tm.endDrain()\n\t\t}\n\t\tm.conclude(false, text)\n", "\t\t}\n\t\tm.conclude(false, text)\n", Operator, 1000},
	{"forget an order during a pause", "operate.go", "r.state == StateMaster && (r.handing || r.listening)\n", "r.state == StateMaster\n", Operator, 1000},
	{"act at once after a pause", "engine.go", "\t\te.late(ev.By, ev.Asleep)\n", "", Freeze, 100},
	{"renew although nothing leaves", "lease.go", "if !r.speaks() || r.listening {", "if r.listening {", Kernel, 300},
	{"forget to renew", "lease.go", "\t\t\tr.do(a)\n", "", Calm, 100},
	{"take addresses for ever", "instance.go", "i := &instance{e: e, cfg: cfg,", "own := *cfg\n\town.Lease = 0\n\ti := &instance{e: e, cfg: &own,", Crash, 100},
	{"leave lost addresses lost", "addresses.go", "\t\tr.addAddresses(lost)\n", "", Kernel, 100},
	{"blame somebody for a lease that ended", "lapse.go", "return l != nil && l.Lease > 0 &&", "return false && l.Lease > 0 &&", Freeze, 100},
	{"blame a lease for what somebody removed", "lapse.go", "return l.possible() && l.Least >= l.Lease", "return l != nil", Kernel, 100},
	{"take over without addresses", "router.go", "\tr.addAddresses(r.prefixes())\n\tr.startRenewing()\n", "\tr.startRenewing()\n", Calm, 100},
	{"take over without a word to the network", "router.go", "\tr.startRenewing()\n\tr.announceBurst()\n", "\tr.startRenewing()\n", Crash, 100},
	{"keep the addresses after leaving", "handover.go", "\tr.removeAddresses(r.prefixes())\n", "", Operator, 100},
	{"announce what was let go", "handover.go", "\tif !r.heard {\n\t\tr.stopAnnouncing()\n\t}\n", "", Busy, 300},
	{"say nothing against a rival", "rival.go", "\t\tr.announceBurst()\n\t\tr.inst.announceGroup()\n\t\tr.outlast()\n", "", Network, 300},
	{"yield without a last word", "rival.go", "\t\tr.sendNow()\n\t}\n\tr.stopAnnouncing()\n", "\t}\n\tr.stopAnnouncing()\n", Network, 300},
	{"run hooks out of order", "instance.go", "\t\ti.flush() // hooks see every state in order\n", "", Everything, 5000},
	{"compare addresses the wrong way", "rival.go", "return priority > own || priority == own && to.Compare(r.source) > 0", "return priority > own || priority == own && to.Compare(r.source) < 0", Everything, 300},
	{"accept what a router passed on", "receive.go", "if ev.TTL != TTL && !r.anyTTL(ev.Source) {", "if false {", Everything, 300},
	{"wait on though the master speaks", "hear.go", "\tr.timer = r.after(r.downInterval())\n\tif changed || r.trying {", "\tif changed || r.trying {", Calm, 100},
	{"learn no interval", "hear.go", "\tif r.inst.cfg.Version == Version3 {\n\t\tr.interval = p.Interval\n\t}\n\tr.timer = r.after(r.downInterval())\n", "\tr.timer = r.after(r.downInterval())\n", Operator, 300},
}

// huntEnv makes the test binary hunt for a violation and print what it finds,
// instead of running tests: a mix, and how many seeds.
const huntEnv = "HOLDFAST_SIM_HUNT"

func TestMain(m *testing.M) {
	if mix, count, ok := strings.Cut(os.Getenv(huntEnv), ":"); ok {
		hunt(mix, count)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// hunt prints the first seed of a mix at which an invariant fails, or else the
// first scenario file.
func hunt(mix, count string) {
	most, err := strconv.ParseUint(count, 10, 64)
	if err != nil {
		fmt.Println("cannot hunt:", err)
		return
	}
	for seed := range most {
		if v := Run(Generate(Mix(mix), seed), Options{}).Violation; v != nil {
			fmt.Printf("caught at seed %d of %s by %s: %s\n", seed, mix, v.Invariant, v.Text)
			return
		}
	}
	files, _ := filepath.Glob("testdata/*.txt")
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			fmt.Println("cannot hunt:", err)
			return
		}
		head, _, _ := strings.Cut(string(text), "----\n")
		h, err := ParseHistory(head)
		if err != nil {
			fmt.Println("cannot hunt:", name, err)
			return
		}
		if v := Run(h, Options{}).Violation; v != nil {
			fmt.Printf("caught in %s by %s: %s\n", filepath.Base(name), v.Invariant, v.Text)
			return
		}
	}
	fmt.Printf("survived %d seeds of %s and %d scenarios\n", most, mix, len(files))
}

// Each mutation is compiled into a copy of the package's tests, which then must
// find it within the seeds that are stated, or in a scenario file.
func TestMutationsAreCaught(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: each mutation compiles the package anew")
	}
	for _, m := range mutations {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			binary := m.build(t)
			c := exec.CommandContext(t.Context(), binary)
			c.Env = append(os.Environ(), fmt.Sprintf("%s=%s:%d", huntEnv, m.mix, m.seeds))
			out, err := c.CombinedOutput()
			text := strings.TrimSpace(string(out))
			// A mutant that panics is caught as well.
			if err == nil && !strings.HasPrefix(text, "caught") {
				t.Errorf("%s: %s", m.name, text)
				return
			}
			first, _, _ := strings.Cut(text, "\n")
			t.Logf("measured: %s: %s", m.name, first)
		})
	}
}

// build compiles the tests of this package with the mistake in package vrrp.
func (m *mutation) build(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	path, err := filepath.Abs(filepath.Join("..", m.file))
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		t.Fatalf("%s has the text to change %d times: the mutation must follow the code", m.file, n)
	}
	write := func(name string, data []byte) string {
		t.Helper()
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	mutant := write("mutant.go", []byte(strings.Replace(string(text), m.old, m.new, 1)))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutant}})
	if err != nil {
		t.Fatal(err)
	}
	binary := filepath.Join(dir, "mutant.test")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", write("overlay.json", overlay), "-o", binary, ".")
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("the mutant does not compile: %v\n%s", err, out)
	}
	return binary
}
