package vrrp

// Standing is how one virtual router stands, in a form that costs nothing to
// ask for after every step.
type Standing struct {
	State State
	// Priority is the effective priority.
	Priority uint8
	// HandingOver is set while a master has released and waits for a successor,
	// or keeps its addresses until that one has announced them.
	HandingOver bool
	// Listening is set while a master that slept does not act yet.
	Listening bool
	// StandsBack is set after a [Failover], until this node is master again.
	StandsBack bool
	// Mute is set while adverts of this router do not leave, or did not lately
	// and it waits before it tries again.
	Mute bool
}

// Standing returns how a virtual router stands; false when there is none.
func (e *Engine) Standing(id RouterID) (Standing, bool) {
	r := e.router(id)
	if r == nil {
		return Standing{}, false
	}
	return Standing{
		State: r.state, Priority: r.inst.effective, HandingOver: r.handing || r.holding(),
		Listening: r.listening, StandsBack: r.inst.standsBack(), Mute: r.mute != "" || r.unproven || r.silent(),
	}, true
}
