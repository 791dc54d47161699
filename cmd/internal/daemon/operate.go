package daemon

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// operation is an order of the operator that is being carried out. It stands
// whether or not somebody waits for the answer.
type operation struct {
	what, who string
	// waits are the instances whose outcome is open.
	waits   map[string]bool
	results []control.Result
	note    string
	persist bool // the drains are to be on disk before the answer
	answer  func(*control.Operated, error)
}

// Drain implements [control.Operator].
func (b backend) Drain(ctx context.Context, who string, o *control.DrainOrder) (*control.Operated, error) {
	var long time.Duration
	if o.For != "" {
		var err error
		if long, err = time.ParseDuration(o.For); err != nil || long <= 0 {
			return nil, &control.Refused{Err: fmt.Errorf(`cannot drain for %q: give a duration above zero, such as "30m"`, o.For)}
		}
	}
	if len(o.Why) > mostWhy || strings.ContainsFunc(o.Why, func(r rune) bool { return r < ' ' }) {
		return nil, &control.Refused{Err: fmt.Errorf("the reason must be one line of at most %d bytes", mostWhy)}
	}
	return ask(ctx, b.d, func(answer func(*control.Operated, error)) { b.d.orderDrain(who, o, long, answer) })
}

// mostWhy is how long the reason of a drain may be.
const mostWhy = 200

// Undrain implements [control.Operator].
func (b backend) Undrain(ctx context.Context, who string, s *control.Selection) (*control.Operated, error) {
	return ask(ctx, b.d, func(answer func(*control.Operated, error)) { b.d.orderUndrain(who, s, answer) })
}

// Failover implements [control.Operator].
func (b backend) Failover(ctx context.Context, who string, s *control.Selection) (*control.Operated, error) {
	return ask(ctx, b.d, func(answer func(*control.Operated, error)) { b.d.orderFailover(who, s, answer) })
}

// Announce implements [control.Operator].
func (b backend) Announce(ctx context.Context, who string, s *control.Selection) (*control.Operated, error) {
	return ask(ctx, b.d, func(answer func(*control.Operated, error)) { b.d.orderAnnounce(who, s, answer) })
}

// begin starts an operation on the selected instances, and on those that move
// together with them. When there is one that does not exist nothing is done.
func (d *Daemon) begin(what, who string, s *control.Selection, answer func(*control.Operated, error)) (*operation, []string, error) {
	if d.stopping {
		return nil, nil, errStopping
	}
	names, places := make([]string, len(d.cfg.Instances)), make(map[string]int, len(d.cfg.Instances))
	for n := range d.cfg.Instances {
		names[n] = d.cfg.Instances[n].Name
		places[names[n]] = n
	}
	wanted, groups := setOf(s.Instances), map[string]bool{}
	for _, name := range s.Instances {
		at, ok := places[name]
		if !ok {
			return nil, nil, &control.Refused{Err: nothingDone(noInstance(name, names))}
		}
		if g := d.cfg.Instances[at].Group; g != "" {
			groups[g] = true
		}
	}
	var chosen []string
	for n := range d.cfg.Instances {
		if i := &d.cfg.Instances[n]; len(s.Instances) == 0 || wanted[i.Name] || groups[i.Group] {
			chosen = append(chosen, i.Name)
		}
	}
	d.log.Info("ordered by the operator", "order", what, "asked-by", who, "instances", strings.Join(chosen, " "))
	return &operation{what: what, who: who, waits: map[string]bool{}, answer: answer}, chosen, nil
}

// noInstance tells that there is no instance of a name, and which may be meant.
func noInstance(name string, names []string) error {
	if near := config.Nearest(name, names); near != "" {
		return fmt.Errorf("there is no instance %q: did you mean %q?", name, near)
	}
	if len(names) > 5 {
		names = append(names[:5:5], fmt.Sprintf("and %d more", len(names)-5))
	}
	return fmt.Errorf("there is no instance %q, only %s", name, strings.Join(names, ", "))
}

// nothingDone adds to a refusal that it is all that came of an order.
func nothingDone(err error) error {
	if strings.HasSuffix(err.Error(), "?") {
		return fmt.Errorf("%w Nothing was done", err)
	}
	return fmt.Errorf("%w; nothing was done", err)
}

// standing finds how instances are by their names.
type standing map[string]*vrrp.InstanceStatus

func (d *Daemon) standing(names []string) standing {
	wanted, found := setOf(names), make(standing, len(names))
	list := d.engine.Select(d.now, func(c *vrrp.Config) bool { return wanted[c.Name] })
	for n := range list {
		found[list[n].Config.Name] = &list[n]
	}
	return found
}

func (s standing) of(name string) *vrrp.InstanceStatus {
	if i := s[name]; i != nil {
		return i
	}
	return &vrrp.InstanceStatus{}
}

func (d *Daemon) orderDrain(who string, o *control.DrainOrder, long time.Duration, answer func(*control.Operated, error)) {
	op, names, err := d.begin("drain", who, &o.Selection, answer)
	if err != nil {
		answer(nil, err)
		return
	}
	op.persist = o.Persist
	op.note = "until 'holdfast undrain' or a restart of the daemon"
	switch {
	case o.Persist && d.opts.State == d.opts.Journal:
		op.note = "until 'holdfast undrain' or a reboot"
	case o.Persist:
		op.note = "until 'holdfast undrain'"
	}
	ev := vrrp.Drain{Try: !o.Force, By: who, Why: o.Why, Persist: o.Persist}
	if long > 0 {
		ev.Until = d.now.Add(long)
		op.note = fmt.Sprintf("until %s, or %s", ev.Until.Format("2006-01-02 15:04:05"), strings.TrimPrefix(op.note, "until "))
	}
	op.note = "drained " + op.note
	for _, name := range names {
		op.waits[name] = true
	}
	d.operations = append(d.operations, op)
	for _, name := range d.each(names) {
		ev.Instance = name
		d.step(&ev)
	}
}

// each names one instance of those that move together.
func (d *Daemon) each(names []string) (list []string) {
	wanted, seen := setOf(names), map[string]bool{}
	for n := range d.cfg.Instances {
		i := &d.cfg.Instances[n]
		if !wanted[i.Name] || i.Group != "" && seen[i.Group] {
			continue
		}
		seen[i.Group] = true
		list = append(list, i.Name)
	}
	return list
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, name := range names {
		set[name] = true
	}
	return set
}

func (d *Daemon) orderFailover(who string, s *control.Selection, answer func(*control.Operated, error)) {
	op, names, err := d.begin("failover", who, s, answer)
	if err != nil {
		answer(nil, err)
		return
	}
	now := d.standing(names)
	serving := map[string]bool{} // groups that this node is master of any instance of
	for _, name := range names {
		if i := now.of(name); i.State == vrrp.StateMaster {
			op.waits[name], serving[i.Config.Group] = true, true
		}
	}
	if len(op.waits) > 0 {
		op.note = "this node does not take over by preemption until it is master again or 'holdfast undrain'"
	}
	var leaving []string
	for _, name := range names {
		i := now.of(name)
		switch {
		case op.waits[name], i.Config.Group != "" && serving[i.Config.Group]:
			op.waits[name] = true
			leaving = append(leaving, name)
		default:
			// Of all, those that others serve are no failure.
			r := d.notMaster(i)
			r.Done = len(s.Instances) == 0 && len(serving) > 0
			op.add(r)
		}
	}
	d.operations = append(d.operations, op)
	for _, name := range d.each(leaving) {
		d.step(&vrrp.Failover{Instance: name, By: who})
	}
	d.conclude(op)
}

// notMaster says that an instance is not master here, and where it is.
func (d *Daemon) notMaster(i *vrrp.InstanceStatus) control.Result {
	r := result(i)
	switch {
	case i.State == vrrp.StateBackup && r.Peer != "":
		r.Text = fmt.Sprintf("this node is backup; run it on %s, which is master", r.Peer)
	case i.State == vrrp.StateBackup:
		r.Text = "this node is backup and hears no master"
	default:
		r.Text = fmt.Sprintf("this node is in %v: %s", i.State, i.Reason)
	}
	return r
}

// result begins a result with who is master.
func result(i *vrrp.InstanceStatus) control.Result {
	r := control.Result{Instance: i.Config.Name, State: i.State.String()}
	for n := range i.Routers {
		if q := &i.Routers[n]; q.State == vrrp.StateBackup && q.Master.IsValid() && r.Peer == "" {
			r.Peer, r.PeerPriority = q.Master.String(), int(q.MasterPriority)
		}
	}
	return r
}

func (d *Daemon) orderAnnounce(who string, s *control.Selection, answer func(*control.Operated, error)) {
	op, names, err := d.begin("announce", who, s, answer)
	if err != nil {
		answer(nil, err)
		return
	}
	if len(s.Instances) > 0 {
		// What is announced moves nothing, so the group has no part in it.
		wanted := setOf(s.Instances)
		names = slices.DeleteFunc(names, func(n string) bool { return !wanted[n] })
	}
	now := d.standing(names)
	masters := 0
	for _, name := range names {
		if now.of(name).State == vrrp.StateMaster {
			masters++
		}
	}
	for _, name := range names {
		i := now.of(name)
		if i.State != vrrp.StateMaster {
			r := d.notMaster(i)
			r.Done = len(s.Instances) == 0 && masters > 0
			op.add(r)
			continue
		}
		d.step(&vrrp.AnnounceNow{Instance: name})
		count := 0
		for n := range i.Routers {
			if i.Routers[n].State == vrrp.StateMaster {
				count += len(i.Routers[n].Addresses)
			}
		}
		r := result(i)
		r.Done = true
		r.Text = fmt.Sprintf("announced %s on %s", plural(count, "address", "addresses"), i.Config.Interface)
		if times := i.Config.Announce.Repeat; times > 1 {
			r.Text += fmt.Sprintf(", %d times within %v", times, time.Duration(times-1)*i.Config.Announce.Interval)
		}
		op.add(r)
	}
	d.conclude(op)
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (d *Daemon) orderUndrain(who string, s *control.Selection, answer func(*control.Operated, error)) {
	op, names, err := d.begin("undrain", who, s, answer)
	if err != nil {
		answer(nil, err)
		return
	}
	before := d.standing(names)
	for _, name := range d.each(names) {
		d.step(&vrrp.Undrain{Instance: name})
	}
	after := d.standing(names)
	for _, name := range names {
		was, i := before.of(name), after.of(name)
		r := result(i)
		r.Done = true
		r.Text = d.whatFollows(i)
		if !was.Drained && was.Failover.Since.IsZero() {
			r.Text = "was not drained; " + r.Text
		}
		op.add(r)
	}
	op.persist = d.drains != nil // that they are drained no more
	d.tellDue, d.tellStatus = true, true
	d.conclude(op)
}

// whatFollows says what an instance does now that it may compete again.
func (d *Daemon) whatFollows(i *vrrp.InstanceStatus) string {
	r := result(i)
	// Whoever is healthy takes over from who is not, whatever preempt says.
	overrules := r.PeerPriority <= vrrp.DemotedMax && i.Effective > vrrp.DemotedMax
	switch {
	case i.State == vrrp.StateMaster:
		return fmt.Sprintf("stays master, with priority %d", i.Effective)
	case i.State != vrrp.StateBackup:
		return fmt.Sprintf("is in %v: %s", i.State, i.Reason)
	case r.Peer == "":
		return "is backup and hears no master"
	case r.PeerPriority >= int(i.Effective):
		return fmt.Sprintf("stays backup: %s is master with priority %d, this node has %d", r.Peer, r.PeerPriority, i.Effective)
	case !overrules && !i.Config.Preempt && i.Config.Priority != vrrp.PriorityOwner:
		return fmt.Sprintf("stays backup of %s: preempt = false", r.Peer)
	case !overrules && i.Config.PreemptDelay > 0:
		return fmt.Sprintf("takes over from %s after the preempt delay of %v", r.Peer, i.Config.PreemptDelay)
	}
	at := time.Time{}
	for n := range i.Routers {
		if t := i.Routers[n].Deadline; i.Routers[n].State == vrrp.StateBackup && t.After(at) {
			at = t
		}
	}
	return fmt.Sprintf("takes over from %s within %v", r.Peer, roundUp(at.Sub(d.now)))
}

// roundUp makes a short word of a time that is not to be exceeded.
func roundUp(t time.Duration) time.Duration {
	step := 100 * time.Millisecond
	if t < time.Second {
		step = 10 * time.Millisecond
	}
	return max(step, (t + step - 1).Truncate(step))
}

func (op *operation) add(r control.Result) { op.results = append(op.results, r) }

// outcome hears what became of a drain or failover.
func (d *Daemon) outcome(o *vrrp.Outcome) {
	d.tellDue, d.tellStatus = true, true
	for _, op := range slices.Clone(d.operations) {
		if op.waits[o.Instance] {
			delete(op.waits, o.Instance)
			op.add(outcomeResult(op, o))
			if op.what == "failover" && !o.Failover {
				op.note = "another order drained it"
			}
			d.conclude(op)
		}
	}
	d.drainsDue = true
}

// outcomeResult puts an outcome into words.
func outcomeResult(op *operation, o *vrrp.Outcome) control.Result {
	r := control.Result{Instance: o.Instance, Done: o.Done, State: o.State.String(), Moved: o.Moved, PeerPriority: int(o.PeerPriority)}
	if o.Peer.IsValid() {
		r.Peer = o.Peer.String()
	}
	if o.Moved {
		r.TookMS = float64(o.Took.Microseconds()) / 1000
	}
	drain := op.what == "drain"
	switch {
	case o.Removed:
		r.Text = o.Reason + ": it is handed over"
	case !drain && !o.Failover && !o.Moved:
		r.Done, r.Text = false, "a drain took the place of the failover: "+o.Reason
	case !o.Done && o.Moved:
		r.Text = fmt.Sprintf("%s; the rest is at %s: 'holdfast status' tells", o.Reason, r.Peer)
	case o.Done && o.Moved:
		r.Text = fmt.Sprintf("%s took over after %v", r.Peer, round(o.Took))
	case !o.Done && drain:
		r.Text = o.Reason + ": not drained, this node goes on as it was; with --force it is drained all the same"
	case !o.Done:
		r.Text = o.Reason + ": this node goes on as it was"
	case o.State == vrrp.StateMaster:
		r.Text = o.Reason + ": drained, and this node serves until a healthy one does"
	case o.State == vrrp.StateBackup && r.Peer != "":
		r.Text = fmt.Sprintf("drained as backup of %s (priority %d): takes over only when no healthy node is left", r.Peer, r.PeerPriority)
	case o.State == vrrp.StateBackup:
		r.Text = "drained as backup, and hears no master: takes over when there is no healthy node"
	default:
		r.Text = fmt.Sprintf("drained, in %v", o.State)
	}
	return r
}

// conclude answers an operation once nothing of it is open.
func (d *Daemon) conclude(op *operation) {
	if len(op.waits) > 0 {
		return
	}
	d.operations = slices.DeleteFunc(d.operations, func(o *operation) bool { return o == op })
	order := map[string]int{}
	for n := range d.cfg.Instances {
		order[d.cfg.Instances[n].Name] = n
	}
	slices.SortStableFunc(op.results, func(a, b control.Result) int { return order[a.Instance] - order[b.Instance] })
	done := &control.Operated{Version: control.Version, Done: true, Results: op.results}
	some := false
	for _, r := range op.results {
		done.Done = done.Done && r.Done
		some = some || r.Done
		args := []any{"order", op.what, "asked-by", op.who, "instance", r.Instance, "result", r.Text}
		e := operatorEvent(r.Instance, op.who, fmt.Sprintf("%s: %s, ordered by %s: %s", r.Instance, op.what, op.who, r.Text))
		if r.Done {
			d.record(e, "order carried out", args...)
		} else {
			e.Severity = history.Warning
			d.record(e, "order refused", args...)
		}
	}
	if some {
		done.Note = op.note
	}
	if !op.persist || !some {
		op.answer(done, nil)
		return
	}
	d.drainsChanged(func(err error) {
		if err != nil {
			done.Done, done.Warning = false, "a restart of the daemon will not know of it: "+err.Error()
		}
		op.answer(done, nil)
	})
}

// dropOperations answers those that wait when the daemon ends.
func (d *Daemon) dropOperations(why error) {
	for _, op := range d.operations {
		op.answer(nil, why)
	}
	d.operations = nil
}

// operatorEvent is the event of an order to one instance.
func operatorEvent(instance, who, text string) history.Event {
	return history.Event{Kind: history.KindOperator, Instance: instance, Who: who, Text: text}
}

// drainEnded tells that a drain ended at its time.
func (d *Daemon) drainEnded(e *vrrp.DrainEnded) {
	d.record(operatorEvent(e.Instance, e.Drain.By, e.Instance+": the drain ended at its time"),
		"drain ended at its time", "instance", e.Instance, "asked-by", e.Drain.By)
	d.tellDue, d.tellStatus = true, true
	d.drainsDue = true
}
