package sim

import (
	"fmt"
	"net/netip"
	"time"
)

// Options are what a run may tell beside its result.
type Options struct {
	// Trace keeps a line for everything that matters.
	Trace bool
	// Spans keeps who served when, and when several did.
	Spans bool
	// Capture, when not nil, gets all adverts that were on the wire.
	Capture *PcapWriter
	// Lenient goes on without looking at the invariants: the history is of
	// interest, not the Engine.
	Lenient bool
}

// Result is what came of a run.
type Result struct {
	// Violation is the first invariant that did not hold; nil when all did.
	Violation *Violation
	Trace     []string
	// Spans tell for each address who served the client, in order of their ends.
	Spans []Span
	// Overlaps tell when several nodes served an address.
	Overlaps []Overlap
	Totals   Totals
}

// Violation is an invariant that did not hold.
type Violation struct {
	Invariant string
	At        time.Duration
	Text      string
}

func (v *Violation) Error() string { return fmt.Sprintf("%s at %v: %s", v.Invariant, v.At, v.Text) }

// Span is a time in which one node, or nobody, served an address.
type Span struct {
	Address  netip.Addr
	From, To time.Duration
	By       string // empty for nobody
}

// Totals count what a run did.
type Totals struct {
	// Virtual is the simulated time.
	Virtual time.Duration
	// Events are those of the world, Steps those that an Engine was told.
	Events, Steps uint64
	// Adverts left a node; Lost ones did not arrive, or late.
	Adverts, Lost uint64
	// Transitions and Notices are those of all Engines.
	Transitions, Notices uint64
	// Judged counts how often a virtual router had settled and was judged.
	Judged uint64

	pushed uint64
}

// Add adds the counts of another run.
func (t *Totals) Add(o Totals) {
	t.Virtual += o.Virtual
	t.Events += o.Events
	t.Steps += o.Steps
	t.Adverts += o.Adverts
	t.Lost += o.Lost
	t.Transitions += o.Transitions
	t.Notices += o.Notices
	t.Judged += o.Judged
}

// Run lets a history happen. The same history gives the same result.
func Run(h *History, opt Options) *Result {
	w := newWorld(h, opt)
	w.run()
	return &Result{Violation: w.violation, Trace: w.trace, Spans: w.spans, Overlaps: w.overlaps, Totals: w.totals}
}
