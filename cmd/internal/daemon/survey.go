package daemon

import (
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// surveySlice is how many instances a turn of the loop looks at for those who
// want to know the state of all. With thousands of instances a look at all of them
// would hold adverts up for longer than their shortest interval.
const surveySlice = 128

// survey takes the state of all instances, a slice a turn, for all who have asked
// when it begins. Who asks later waits for the next one, and so is never told what
// was before.
type survey struct {
	waiting []stateAnswer // for the next one
	asked   []stateAnswer // for the one under way; none when there is none

	snapshot   *vrrp.Snapshot
	left       []*int64 // of each instance's lease
	generation uint64   // of the configuration
}

// stateAnswer hears the state, on any goroutine.
type stateAnswer = func(*control.Status, error)

// due reports whether there is work for the next turn.
func (s *survey) due() bool { return len(s.asked) > 0 || len(s.waiting) > 0 }

// tellState has the state told soon.
func (d *Daemon) tellState(answer stateAnswer) {
	d.survey.waiting = append(d.survey.waiting, answer)
}

// surveyMore takes the next slice, once a turn.
func (d *Daemon) surveyMore() {
	s := &d.survey
	switch {
	case !s.due():
		return
	case len(s.asked) == 0:
		s.asked, s.waiting = s.waiting, nil
		for key, k := range d.sockets {
			d.countStrangers(key, k)
		}
		fallthrough
	case s.generation != d.telemetry.generation: // a reload came in between
		s.snapshot, s.left, s.generation = &vrrp.Snapshot{}, nil, d.telemetry.generation
	}
	whole := d.engine.Extend(s.snapshot, d.now, surveySlice)
	for n := len(s.left); n < len(s.snapshot.Instances); n++ {
		s.left = append(s.left, d.leaseLeft(&s.snapshot.Instances[n]))
	}
	if whole {
		d.tellSurvey()
	}
}

// tellSurvey has what was found rendered elsewhere and told to all who asked.
func (d *Daemon) tellSurvey() {
	s := &d.survey
	asked, snapshot, left := s.asked, s.snapshot, s.left
	s.asked, s.snapshot, s.left = nil, nil, nil
	st := &control.Status{
		Version: control.Version, Node: d.cfg.Node.Name,
		Daemon: control.Daemon{
			Version: d.opts.Version, PID: os.Getpid(), Started: d.started, Config: d.cfg.File,
			ReloadError: d.reloadError, HooksFailed: d.hooksFailed, HooksDropped: d.hooksDropped,
			ListError: d.listError, JournalError: d.journalError, Telemetry: d.telemetryStatus(),
		},
		Checks: d.checkStatus(snapshot),
	}
	others, counted := d.elsewhereStatus()
	ports := maps.Clone(d.ports)
	go func() {
		render(st, snapshot)
		for n := range st.Instances {
			i := &st.Instances[n]
			i.LeaseLeftMS, i.PortOf = left[n], ports[i.Interface]
			i.Elsewhere, i.Counters.AddressesElsewhere = others[i.Name], counted[i.Name]
			markPresent(i)
		}
		for _, answer := range asked { // who may leave something out of the checks
			own := *st
			own.Checks = slices.Clone(st.Checks)
			answer(&own, nil)
		}
	}()
}

// markPresent notes what somebody else has put on the interface of an instance.
func markPresent(i *control.Instance) {
	for _, e := range i.Elsewhere {
		for n := range i.Addresses {
			if a := &i.Addresses[n]; e.Interface == i.Interface && strings.HasPrefix(a.Address, e.Address+"/") {
				a.Present = true
			}
		}
	}
}
