package rehearsal

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/vrrp"
)

var nginx = vrrp.Check{Name: "nginx"}

func rehearse(t *testing.T, o Options, nodes ...Node) *Report {
	t.Helper()
	mustNetwork(t, nodes)
	r, err := Run(nodes, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// row finds what became of an instance in a scenario.
func (r *Report) row(t *testing.T, scenario, instance string) Row {
	t.Helper()
	for _, s := range r.Failures {
		for _, row := range s.Rows {
			if strings.HasPrefix(s.Name, scenario) && row.Instance == instance {
				return row
			}
		}
	}
	t.Fatalf("there is no scenario %q with %s", scenario, instance)
	return Row{}
}

// A pair in good order: everything moves as it should, and nothing surprises.
func TestPairInOrder(t *testing.T) {
	r := rehearse(t, Options{Seed: 1, Pairs: true, Stall: time.Second}, pair(changes{checked(nginx)}, changes{checked(nginx)})...)
	if r.Bad || len(r.Findings) > 0 || len(r.Pairs) > 0 || r.PairsTried != 24*23 {
		t.Errorf("bad %v, %d pairs of %d, findings %+v", r.Bad, len(r.Pairs), r.PairsTried, r.Findings)
	}
	const down = 3*time.Second + 156*time.Second/256 // of priority 100
	tests := []struct {
		scenario, during, after string
		unserved                time.Duration // at most
	}{
		{"all start", "", "lb1", 0},
		{"lb1 loses power", "lb2", "lb1", down + time.Second/10},
		{"lb1's daemon is killed, then", "lb2", "lb1", 2 * time.Second}, // the kernel serves on for a while
		{"lb1's daemon is killed and restarted", "lb1", "lb1", 0},
		{"lb1's daemon freezes", "lb2", "lb1", 2 * time.Second},
		{"lb1's eth0 is unplugged", "lb2", "lb1", down + time.Second/10},
		{"lb1's eth0 passes nothing", "lb2", "lb1", down + time.Second/10},
		{"lb1 is not heard", "lb1 + lb2", "lb1", 0},
		{"lb1 does not hear", "lb1", "lb1", 0},
		{"lb1's check nginx fails", "lb2", "lb1", 0},
		{"lb1 is drained", "lb2", "lb1", 0},
		{"lb1 is stopped", "lb2", "lb1", 0},
		{"lb2 loses power", "lb1", "lb1", 0},
		{"lb2's check nginx fails", "lb1", "lb1", 0},
	}
	for _, tt := range tests {
		got := r.row(t, tt.scenario, "web")
		if got.During != tt.during || got.After != tt.after || got.Unserved > tt.unserved {
			t.Errorf("%s: during %s, after %s, nobody for %v; want %s, %s, at most %v", tt.scenario, got.During, got.After, got.Unserved, tt.during, tt.after, tt.unserved)
		}
	}
}

// Each thing that surprises is told, where it is seen.
func TestSurprises(t *testing.T) {
	weighed := vrrp.Check{Name: "nginx", OnFailure: vrrp.Weigh, Weight: -20}
	tests := []struct {
		name  string
		o     Options
		nodes []Node
		bad   bool
		want  []string
	}{
		{"vrids differ: both serve for ever", Options{}, pair(nil, changes{vrid(52)}), true, []string{
			"vrid 51 on lb1, 52 on lb2", "lb1 + lb2 both serve at the end",
		}},
		{"passwords differ", Options{}, pair(changes{v2, func(c *vrrp.Config) { c.Password = "a" }}, changes{v2}), true, []string{
			"passwords of lb1 and lb2 differ", "lb1 + lb2 both serve at the end",
		}},
		{"a weight too small", Options{}, pair(changes{checked(weighed)}, changes{checked(weighed)}), false, []string{
			"the failure of check nginx on lb1 moves nothing: weight -20 leaves it 130, and lb2 has 100",
		}},
		{"a weight that no peer acts on", Options{}, pair(changes{checked(vrrp.Check{Name: "nginx", OnFailure: vrrp.Weigh, Weight: -60})}, changes{noPreempt}), false, []string{
			"the failure of check nginx on lb1 moves nothing: its priority falls to 90, but preempt = false on the others, which wait until it is silent",
		}},
		{"nobody comes back", Options{}, pair(changes{noPreempt}, nil), false, []string{"lb1 has the highest priority, but preempt = false"}},
		{"equal priorities", Options{}, pair(nil, changes{prio(150)}), false, []string{"both have priority 150"}},
		{"timers too short for pauses", Options{Stall: time.Second}, pair(changes{every(100 * time.Millisecond)}, changes{every(100 * time.Millisecond)}), false, []string{
			"a pause of lb1 is taken for its death: with adverts each 100ms it is given up after 300ms",
		}},
		{"a release that nobody can take", Options{}, []Node{
			pair(changes{checked(vrrp.Check{Name: "nginx", OnFailure: vrrp.Release})}, nil)[0],
			{Name: "lb2", Instances: []vrrp.Config{web(named("db", 9, "192.0.2.9/24"))}},
		}, false, []string{"only lb1 has it", "only lb2 has it"}},
		{"a group torn apart", Options{}, []Node{
			{Name: "a", Instances: []vrrp.Config{web(grouped), web(grouped, named("in", 52, "198.51.100.100/24"), on("eth1"))}},
			{Name: "b", Instances: []vrrp.Config{web(grouped, prio(100)), web(grouped, prio(100), named("in", 52, "198.51.100.100/24"), on("eth1"))}},
		}, false, []string{"group edge is split: web on b, in on a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := rehearse(t, tt.o, tt.nodes...)
			var all []string
			for _, f := range r.Findings {
				all = append(all, f.Text)
			}
			for n, text := range all {
				if slices.Contains(all[:n], text) {
					t.Errorf("%q is told twice", text)
				}
			}
			for _, want := range tt.want {
				if !strings.Contains(strings.Join(all, "\n"), want) {
					t.Errorf("nobody tells %q, only:\n%s", want, strings.Join(all, "\n"))
				}
			}
			if r.Bad != tt.bad {
				t.Errorf("bad is %v", r.Bad)
			}
		})
	}
}

func grouped(c *vrrp.Config) { c.Group = "edge" }

// The same seed gives the same report, and a story is told where asked for.
func TestRepeats(t *testing.T) {
	nodes := pair(changes{checked(nginx)}, changes{checked(nginx)})
	o := Options{Seed: 7, Pairs: true, Trace: "lb1 loses power, then lb2's check nginx fails"}
	a, b := rehearse(t, o, nodes...), rehearse(t, o, nodes...)
	if diff := cmp.Diff(a, b, cmp.AllowUnexported(Row{})); diff != "" {
		t.Errorf("two rehearsals differ:\n%s", diff)
	}
	if len(a.Pairs) != 1 || len(a.Pairs[0].Trace) == 0 {
		t.Fatalf("%d pairs are shown, want the one asked for, with its story", len(a.Pairs))
	}
	story := strings.Join(a.Pairs[0].Trace, "\n")
	for _, want := range []string{"poweroff lb1", "lb2 web: backup -> master", "fail lb2 nginx"} {
		if !strings.Contains(story, want) {
			t.Errorf("the story lacks %q:\n%s", want, story)
		}
	}
}
