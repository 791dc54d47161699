package lab

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Mark is a moment in the life of a probe, with a name for it.
type Mark struct {
	Name string
	At   time.Time
}

// Span is a time in which one server answered all that was answered.
type Span struct {
	Server   string
	From, To time.Time // when the first and the last question answered were sent
	Answered int
}

// Report says what a probe saw of the questions sent in a stretch of time.
type Report struct {
	From, To time.Time
	Sent     int
	Answered int // in time
	Lost     int // not answered, or later than the probe's patience
	Late     int // those of Lost to which an answer did come, too late
	Repeated int // those of Answered whose first connection was cut; see HTTPProbe

	// LongestGap is the longest time without service as the client saw it: from
	// the sending of a question that was lost, with all that follow lost too, to
	// the sending of the next one that was answered. At 1000 questions a second
	// it is right to about a millisecond.
	LongestGap time.Duration
	// WorstRTT is the slowest answer that came in time.
	WorstRTT time.Duration
	// WorstLateness is how much later than due a question was sent, at worst.
	// Where it is large the machine was too busy to measure: a gap can then be
	// wrong by as much.
	WorstLateness time.Duration
	// Servers is who served when, in order. The same name may come again.
	Servers []Span
}

// LastServer is who gave the last answer, or "".
func (r Report) LastServer() string {
	if len(r.Servers) == 0 {
		return ""
	}
	return r.Servers[len(r.Servers)-1].Server
}

// String is the report in one line, for people.
func (r Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "sent %d, lost %d, longest gap %v", r.Sent, r.Lost, r.LongestGap.Round(100*time.Microsecond))
	if r.Repeated > 0 {
		fmt.Fprintf(&b, ", repeated %d", r.Repeated)
	}
	for i, s := range r.Servers {
		sep := ", served by "
		if i > 0 {
			sep = ", then "
		}
		fmt.Fprintf(&b, "%s%s", sep, s.Server)
	}
	return b.String()
}

// question is what a record keeps of each. Times are since the record's start;
// 0 means never.
type question struct {
	due, sent, answered time.Duration
	server              int
	repeated            bool
}

// record keeps what a probe asked and what was answered. Its times come from
// the callers; they carry monotonic readings.
type record struct {
	start    time.Time
	patience time.Duration

	mu        sync.Mutex
	forgotten int // how many questions are not kept any more
	questions []question
	servers   []string
}

func newRecord(start time.Time, patience time.Duration) *record {
	// Time 0 stands for never.
	return &record{start: start.Add(-time.Nanosecond), patience: patience}
}

// ask notes a question about to be sent and returns its number.
func (r *record) ask(due, now time.Time) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.questions = append(r.questions, question{due: due.Sub(r.start), sent: now.Sub(r.start)})
	return r.forgotten + len(r.questions) - 1
}

// forget drops the questions sent before a moment.
func (r *record) forget(before time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := slices.IndexFunc(r.questions, func(q question) bool { return !r.start.Add(q.sent).Before(before) })
	if n < 0 {
		n = len(r.questions)
	}
	r.forgotten += n
	r.questions = append([]question(nil), r.questions[n:]...)
}

// answer notes the first answer to question n; numbers never given are ignored.
func (r *record) answer(n int, server string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n -= r.forgotten
	if n < 0 || n >= len(r.questions) || r.questions[n].answered != 0 {
		return
	}
	i := slices.Index(r.servers, server)
	if i < 0 {
		i = len(r.servers)
		r.servers = append(r.servers, server)
	}
	r.questions[n].answered, r.questions[n].server = now.Sub(r.start), i
}

// repeat notes that question n was asked once more.
func (r *record) repeat(n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n -= r.forgotten; n >= 0 {
		r.questions[n].repeated = true
	}
}

// settled tells whether it is known, for each question sent before to, whether
// it was answered in time.
func (r *record) settled(to, now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, q := range slices.Backward(r.questions) {
		if r.start.Add(q.sent + r.patience).Before(now) {
			return true // and all before it
		}
		if q.answered == 0 && r.start.Add(q.sent).Before(to) {
			return false
		}
	}
	return true
}

// report sums up the questions sent in [from, to).
func (r *record) report(from, to time.Time) Report {
	r.mu.Lock()
	defer r.mu.Unlock()
	rep := Report{From: from, To: to}
	begin, end := from.Sub(r.start), to.Sub(r.start)
	gap := time.Duration(-1) // since when nothing is answered
	for _, q := range r.questions {
		if q.sent < begin || q.sent >= end {
			continue
		}
		rep.Sent++
		rep.WorstLateness = max(rep.WorstLateness, q.sent-q.due)
		if rtt := q.answered - q.sent; q.answered != 0 && rtt <= r.patience {
			rep.Answered++
			rep.WorstRTT = max(rep.WorstRTT, rtt)
			if q.repeated {
				rep.Repeated++
			}
			rep.served(r.servers[q.server], r.start.Add(q.sent))
			if gap >= 0 {
				rep.LongestGap = max(rep.LongestGap, q.sent-gap)
			}
			gap = -1
			continue
		}
		rep.Lost++
		if q.answered != 0 {
			rep.Late++
		}
		if gap < 0 {
			gap = q.sent
		}
	}
	if gap >= 0 { // it has not ended yet
		rep.LongestGap = max(rep.LongestGap, end-gap)
	}
	return rep
}

// served extends the last span or begins one.
func (rep *Report) served(server string, at time.Time) {
	if rep.LastServer() != server {
		rep.Servers = append(rep.Servers, Span{Server: server, From: at})
	}
	s := &rep.Servers[len(rep.Servers)-1]
	s.To = at
	s.Answered++
}
