package vrrp

// TermKind is what a [Term] comes from. The words are the same wherever programs
// read them.
type TermKind uint8

// The kinds, in the order in which a sum has them.
const (
	// TermBase is the base priority.
	TermBase TermKind = iota + 1
	// TermCheck is a check: what its weight adds, nothing when it has none or it
	// does not count at present.
	TermCheck
	// TermBounds keeps the sum of the weights within 1 to 254.
	TermBounds
	// TermDemoted moves the sum into the band of demoted nodes.
	TermDemoted
	// TermLast moves it to 1: the node is demoted, and the operator wants it
	// behind, too.
	TermLast
	// TermHandover moves it to the top of that band while an order of the
	// operator to hand over is open, which is void if nobody takes over.
	TermHandover
	// TermDrained moves it to where healthy nodes stand that the operator drained.
	TermDrained
	// TermStandsBack takes from an address owner that has handed over what makes it
	// one: an owner is no backup.
	TermStandsBack

	termKinds
)

var termNames = [termKinds]string{
	TermBase:       "base",
	TermCheck:      "check",
	TermBounds:     "bounds",
	TermDemoted:    "demoted",
	TermLast:       "demoted_and_drained",
	TermHandover:   "handover",
	TermDrained:    "drained",
	TermStandsBack: "stands_back",
}

func (k TermKind) String() string {
	if k > 0 && k < termKinds {
		return termNames[k]
	}
	return "invalid"
}

// Term is one part of the sum that is the effective priority.
type Term struct {
	Kind TermKind
	// Change is what it adds to the terms before it.
	Change int
	// Check is the check that the term is of; the zero Check of the other kinds.
	Check Check
}

// total is the sum of the terms.
func total(terms []Term) uint8 {
	n := 0
	for _, t := range terms {
		n += t.Change
	}
	return uint8(n)
}

// weigh applies the weights of checks as keepalived does: a positive weight
// counts while the check passes, a negative one while it fails; the sum stays
// within 1 to 254; an address owner is not weighed.
func weigh(base uint8, checks []Check, failing func(name string) bool) []Term {
	terms := make([]Term, 1, len(checks)+3)
	terms[0] = Term{Kind: TermBase, Change: int(base)}
	n := int(base)
	for _, c := range checks {
		t := Term{Kind: TermCheck, Check: c}
		if base != PriorityOwner && c.OnFailure == Weigh && (c.Weight < 0) == failing(c.Name) {
			t.Change = c.Weight
		}
		terms = append(terms, t)
		n += t.Change
	}
	if base == PriorityOwner {
		return terms
	}
	if within := min(max(n, 1), PriorityOwner-1); within != n {
		terms = append(terms, Term{Kind: TermBounds, Change: within - n})
	}
	return terms
}

// sum works out the effective priority: the base, the weights, and the band of
// demoted nodes for what a check demotes or the operator wants behind.
func (i *instance) sum() []Term {
	terms := weigh(i.cfg.Priority, i.checks(), i.fails)
	moveTo := func(kind TermKind, priority uint8) {
		terms = append(terms, Term{Kind: kind, Change: int(priority) - int(total(terms))})
	}
	drained, failsOver := i.groupDrained(), i.failsOver()
	switch {
	case i.demoted && (drained || failsOver):
		moveTo(TermLast, 1)
	case i.demoted:
		moveTo(TermDemoted, demotedPriority(i.cfg.Priority))
	case failsOver, i.asked.open() && i.asked.try:
		moveTo(TermHandover, DemotedMax) // whoever is demoted or drained is no successor
	case drained:
		moveTo(TermDrained, drainedPriority)
	}
	if total(terms) == PriorityOwner && i.standsBack() {
		moveTo(TermStandsBack, PriorityOwner-1)
	}
	return terms
}

// demotions are why i is demoted.
func (i *instance) demotions() []string {
	var why []string
	for _, c := range i.checks() {
		if c.OnFailure == Demote && i.fails(c.Name) {
			why = append(why, i.failure(c.Name))
		}
	}
	return append(why, i.troubles()...)
}
