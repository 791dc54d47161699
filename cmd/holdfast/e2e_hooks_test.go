package main

// Hooks: all states, in order, one at a time, and never in the way of an advert.

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// recordHook writes down what it is told: one line an event, the fields
// separated by bars, the JSON last. It overlaps with nothing, or says so.
const recordHook = `#!/bin/sh
mkdir /run/busy 2>/dev/null || echo overlap >> /run/hooks
read -r json
echo "$HOLDFAST_SEQUENCE|$HOLDFAST_INSTANCE|$HOLDFAST_STATE|$HOLDFAST_PREVIOUS|$HOLDFAST_PRIORITY|$HOLDFAST_ADDRESSES|$HOLDFAST_INTERFACE|$HOLDFAST_NODE|$HOLDFAST_PEER|$HOLDFAST_REASON|$*|$json" >> /run/hooks
rmdir /run/busy
`

const recordHookTOML = "[[notify]]\nexec = [\"/run/record.sh\"]\nstyle = \"keepalived\"\n"

// record is what the hook was told once.
type record struct {
	environment []string // up to the reason, as in recordHook
	arguments   string
	message     struct {
		Version   int       `json:"version"`
		Sequence  uint64    `json:"sequence"`
		Node      string    `json:"node"`
		Instance  string    `json:"instance"`
		State     string    `json:"state"`
		Previous  string    `json:"previous"`
		Reason    string    `json:"reason"`
		Priority  int       `json:"priority"`
		Addresses []string  `json:"addresses"`
		Interface string    `json:"interface"`
		Peer      string    `json:"peer"`
		At        time.Time `json:"at"`
	}
}

// records reads what the hook wrote.
func (n *node) records() (list []record) {
	n.t.Helper()
	text, err := n.ReadFile("/run/hooks")
	if err != nil {
		n.t.Fatal(err)
	}
	for line := range strings.Lines(text) {
		parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 12)
		if len(parts) != 12 {
			n.t.Fatalf("hooks ran at the same time: %q in\n%s", line, text)
		}
		r := record{environment: parts[:10], arguments: parts[10]}
		if err := json.Unmarshal([]byte(parts[11]), &r.message); err != nil {
			n.t.Fatalf("the hook's input is no JSON: %v in %q", err, parts[11])
		}
		list = append(list, r)
	}
	return list
}

// check holds what the hook got in the three ways against each other.
func (r *record) check(t *testing.T) {
	t.Helper()
	m := &r.message
	env := []string{
		fmt.Sprint(m.Sequence), m.Instance, m.State, m.Previous, fmt.Sprint(m.Priority),
		strings.Join(m.Addresses, " "), m.Interface, m.Node, m.Peer, m.Reason,
	}
	if !slices.Equal(env, r.environment) {
		t.Errorf("environment and JSON differ:\n%q\n%q", r.environment, env)
	}
	if want := fmt.Sprintf("INSTANCE web %s %d", strings.ToUpper(m.State), m.Priority); r.arguments != want {
		t.Errorf("arguments %q, want %q", r.arguments, want)
	}
	if m.Version != 1 || m.Reason == "" || m.At.IsZero() {
		t.Errorf("the message lacks something: %+v", *m)
	}
}

// Ten quick moves of the address: each node's hooks tell every state, in
// order, one at a time.
func TestHooksInOrder(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	for _, n := range []*node{lb1, lb2} {
		n.setFlag(true)
		if err := n.WriteFile("/run/record.sh", recordHook, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	const check = "[[check]]\nname = \"flag\"\nexec = [\"/usr/bin/test\", \"-s\", \"/run/ok\"]\ninterval = \"20ms\"\ntimeout = \"2s\"\nfall = 1\nrise = 1\non_failure = \"release\"\n"
	lb1.run(lifeTOML(150, check, recordHookTOML))
	lb2.run(lifeTOML(100, check, recordHookTOML))
	only(t, 10*time.Second, lifeVIP, lb1, lb2)
	began := time.Now()
	for range 5 {
		lb1.setFlag(false)
		only(t, flagMost+handoverMost+room, lifeVIP, lb2, lb1)
		lb1.setFlag(true)
		only(t, flagMost+detection(lifeInterval, 150)+handoverMost+room, lifeVIP, lb1, lb2)
	}
	t.Logf("measured: ten moves in %v", time.Since(began).Round(time.Millisecond))
	lb1.stop()
	only(t, handoverMost+room, lifeVIP, lb2, lb1)
	lb2.stop()

	// A machine that is too busy may add a move of its own.
	checkRecords(t, lb1, 5*3+3)
	checkRecords(t, lb2, 5*2+3)
}

// Hooks that ask for it hear of checks and of addresses, in order with the states.
func TestHooksOnOccasions(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	const hook = `#!/bin/sh
read -r json
echo "$HOLDFAST_STATE $HOLDFAST_CHANGE $HOLDFAST_CHECK, $HOLDFAST_PREVIOUS $HOLDFAST_PRIORITY: $HOLDFAST_REASON" >> /run/hooks
echo "$json" | grep -q "\"state\":\"$HOLDFAST_STATE\".*\"check\":\"$HOLDFAST_CHECK\",\"change\":\"$HOLDFAST_CHANGE\"" || echo "$json" >> /run/hooks
`
	must(t, lb1.WriteFile("/run/record.sh", hook, 0o755))
	must(t, lb1.WriteFile("/run/states.sh", "#!/bin/sh\necho $* >> /run/states\n", 0o755))
	lb1.setFlag(true)
	lb1.run(lifeTOML(150, flagCheckTOML("fall = 1", "rise = 1", `on_failure = "release"`),
		"[[notify]]\non = [\"master\", \"fault\", \"check\", \"address\"]\nexec = [\"/run/record.sh\"]\n",
		"[[notify]]\nexec = [\"/run/states.sh\"]\nstyle = \"keepalived\"\n"))
	lb1.state(5*time.Second, "web", "master")
	hooks := func(want ...string) {
		t.Helper()
		var got string
		defer func() {
			if t.Failed() {
				t.Logf("the hooks were told\n%s", got)
			}
		}()
		eventually(t, 5*time.Second, fmt.Sprintf("hooks tell %q", want), func() bool {
			got, _ = lb1.ReadFile("/run/hooks")
			lines := strings.Split(strings.TrimSpace(got), "\n")
			return slices.EqualFunc(lines, want, func(line, begin string) bool { return strings.HasPrefix(line, begin) })
		})
	}
	told := []string{"master  , backup 150: "}
	hooks(told...)
	must(t, lb1.RemoveAddress("eth0", lifeVIP+"/24"))
	told = append(told, "address repaired , master 150: address was removed by somebody else and put back: "+lifeVIP+"/24")
	hooks(told...)
	must(t, lb1.AddAddress("lo", lifeVIP+"/32"))
	told = append(told, "address elsewhere , master 150: "+lifeVIP+" also on lo, where this host may answer for it")
	hooks(told...)
	must(t, lb1.RemoveAddress("lo", lifeVIP+"/32"))
	lb1.setFlag(false)
	told = append(told, "check failing flag, master 150: check flag fails", "fault  , master ")
	hooks(told...)
	lb1.setFlag(true)
	told = append(told, "check healthy flag, fault 150: check flag passes", "master  , backup 150: ")
	hooks(told...)
	lb1.stop()
	states, err := lb1.ReadFile("/run/states")
	must(t, err)
	if strings.Contains(states, "CHECK") || strings.Contains(states, "ADDRESS") || !strings.Contains(states, "INSTANCE web FAULT ") {
		t.Errorf("a script for keepalived was told\n%s", states)
	}
	t.Logf("measured: hooks were told %d things in order", len(told))
}

// checkRecords checks that the hooks of a node were told of every transition
// that its log has, at least so many, and that each follows from the one
// before.
func checkRecords(t *testing.T, n *node, least int) {
	t.Helper()
	var states []string
	previous := "init"
	list := n.records()
	for k, r := range list {
		r.check(t)
		m := &r.message
		if m.Sequence != uint64(k+1) || m.Previous != previous || m.Node != n.Name() {
			t.Errorf("event %d on %s: sequence %d, previous %q of node %q, want previous %q", k+1, n.Name(), m.Sequence, m.Previous, m.Node, previous)
		}
		if k > 0 && m.At.Before(list[k-1].message.At) {
			t.Errorf("event %d on %s is older than the one before", k+1, n.Name())
		}
		if !slices.Equal(m.Addresses, []string{lifeVIP + "/24"}) || m.Interface != "eth0" {
			t.Errorf("event %d on %s: addresses %v on %s", k+1, n.Name(), m.Addresses, m.Interface)
		}
		previous = m.State
		states = append(states, m.State)
	}
	var logged []string
	for line := range strings.Lines(n.daemon.Output()) {
		if _, rest, ok := strings.Cut(line, "state changed: instance=web from="); ok {
			to := strings.Fields(rest)[1]
			logged = append(logged, strings.Replace(strings.TrimPrefix(to, "to="), "init", "stop", 1))
		}
	}
	t.Logf("measured: hooks of %s: %s", n.Name(), strings.Join(states, " "))
	if !slices.Equal(states, logged) {
		t.Errorf("hooks of %s were told\n%v, its log has\n%v", n.Name(), states, logged)
	}
	if len(states) < least {
		t.Errorf("%d transitions on %s, want %d at least", len(states), n.Name(), least)
	}
}

// advertCapture keeps the IPv4 adverts of one virtual router.
type advertCapture struct{ *lab.Capture }

func captureAdverts(t testing.TB, h *lab.Host, ifname string, vrid byte) advertCapture {
	t.Helper()
	c, err := h.Capture(ifname, func(f lab.Frame) bool { return isAdvert(f, vrid) })
	if err != nil {
		t.Fatal(err)
	}
	return advertCapture{c}
}

func isAdvert(f lab.Frame, vrid byte) bool {
	d := f.Data // Ethernet, IPv4 without options, VRRP
	return len(d) >= 42 && d[12] == 8 && d[13] == 0 && d[14] == 0x45 && d[23] == 112 && d[35] == vrid
}

// source is who sent an advert.
func source(f lab.Frame) netip.Addr { return netip.AddrFrom4([4]byte(f.Data[26:30])) }

func (c advertCapture) count() int { return len(c.Frames()) }

// result ends the capture and returns the longest time between two adverts, and
// the addresses that sent them, in order.
func (c advertCapture) result(t *testing.T) (longest time.Duration, sources []netip.Addr) {
	t.Helper()
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	frames := c.Frames()
	for k, f := range frames {
		if from := source(f); k == 0 || from != sources[len(sources)-1] {
			sources = append(sources, from)
		}
		if k > 0 {
			longest = max(longest, f.Time.Sub(frames[k-1].Time))
		}
	}
	return longest, sources
}

// A slow hook holds nothing up: neither the adverts of its own instance nor
// what happens to others.
func TestSlowHookDelaysNoAdvert(t *testing.T) {
	l := newLab(t)
	lb1, lb2 := newPair(t, l)
	const interval = 10 * time.Millisecond
	const hook = "#!/bin/sh\necho \"$HOLDFAST_STATE begins\" >> /run/slow\nsleep 2\necho \"$HOLDFAST_STATE ends\" >> /run/slow\n"
	if err := lb1.WriteFile("/run/slow.sh", hook, 0o755); err != nil {
		t.Fatal(err)
	}
	lb1.run(instanceTOML(150, "10ms", []string{lifeVIP + "/24"}) + "[[notify]]\non = [\"master\"]\nexec = [\"/run/slow.sh\"]\n")
	slow := func() string { text, _ := lb1.ReadFile("/run/slow"); return text }
	eventually(t, 5*time.Second, "the hook begins", func() bool { return slow() != "" })
	adverts := captureAdverts(t, lb2.Host, "eth0", 51)
	eventually(t, 5*time.Second, "the hook ends", func() bool { return slow() == "master begins\nmaster ends\n" })
	longest, sources := adverts.result(t)
	count := adverts.count()
	t.Logf("measured: %d adverts while a hook ran for 2s, longest gap %v", count, longest)
	if longest > interval+room || len(sources) != 1 {
		t.Errorf("longest gap between adverts %v, want %v at most; sources %v", longest, interval+room, sources)
	}
	if count < 100 {
		t.Errorf("%d adverts in 2s at an interval of %v", count, interval)
	}
}

// A hook that does not end is ended with all it started, is told in the log
// with its output, and the next one runs.
func TestHookTimesOut(t *testing.T) {
	l := newLab(t)
	lb1 := newNode(t, l, "lb1", "192.0.2.1/24")
	const mark = "65432.0625"
	const hook = "#!/bin/sh\necho \"calling the pager for $HOLDFAST_STATE\"\n[ $HOLDFAST_STATE = backup ] || exit 0\nsleep " + mark + " &\nsleep " + mark + "\n"
	for path, text := range map[string]string{"/run/hang.sh": hook, "/run/record.sh": recordHook} {
		if err := lb1.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	lb1.run(lifeTOML(150, "[[notify]]\nexec = [\"/run/hang.sh\"]\ntimeout = \"600ms\"\n", recordHookTOML))
	lb1.state(5*time.Second, "web", "master")
	const died = "hook failed: instance=web state=backup hook=/run/hang.sh error=\"timed out after 600ms\""
	lb1.wantLog(died, "calling the pager for backup")
	if left := running(t, mark); len(left) > 0 {
		t.Errorf("the hook left processes behind: %v", left)
	}
	if n := lb1.status().Daemon.HooksFailed; n != 1 {
		t.Errorf("status counts %d failed hooks, want 1", n)
	}
	lb1.stop()
	var states []string
	for _, r := range lb1.records() {
		states = append(states, r.message.State)
	}
	if got := strings.Join(states, " "); got != "backup master stop" {
		t.Errorf("the hook behind the one that hung was told %q", got)
	}
	t.Logf("measured: a hook that hung was killed, and the others were told %v", states)
}
