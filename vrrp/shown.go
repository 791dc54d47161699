package vrrp

// shown is the state that people and hooks see. A router whose adverts did not leave
// listens like any other before it tries again, becomes master, and knows a moment
// later whether its first advert has left. As long as none does nothing has changed,
// so that until then it is in fault, or the backup that it was when it heard a
// master.
func (r *router) shown() State {
	switch {
	case r.hidden():
		return StateFault
	case r.state == StateMaster && r.unproven:
		return StateBackup
	}
	return r.state
}

// hidden reports whether the router tries again and is in fault to people.
func (r *router) hidden() bool {
	return r.trying && (r.state == StateBackup || r.state == StateMaster)
}

// why is the cause and reason of the shown state.
func (r *router) why() (Cause, string) {
	if r.hidden() {
		return CauseSend, r.cannotSend()
	}
	return r.cause, r.reason
}

func (r *router) cannotSend() string { return "adverts cannot be sent: " + r.sendProblem }
