package lab

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const ms = time.Millisecond

// script plays a record: each letter is a question, one a millisecond, answered
// half a millisecond later by the server of that name. '.' is never answered,
// '!' is answered by a after the patience of 10 ms.
func script(t *testing.T, text string) (*record, time.Time) {
	t.Helper()
	start := time.Now()
	r := newRecord(start, 10*ms)
	for i, c := range text {
		at := start.Add(time.Duration(i) * ms)
		if n := r.ask(at, at); n != i {
			t.Fatalf("question %d has number %d", i, n)
		}
		switch c {
		case '.':
		case '!':
			r.answer(i, "a", at.Add(11*ms))
		default:
			r.answer(i, string(c), at.Add(ms/2))
			r.answer(i, "late copy", at.Add(ms))
		}
	}
	return r, start
}

func TestReport(t *testing.T) {
	start := time.Time{}
	at := func(i int) time.Time { return start.Add(time.Duration(i) * ms) }
	tests := []struct {
		name, script string
		from, to     int // ms
		want         func() Report
	}{
		{"nothing", "", 0, 5, func() Report { return Report{} }},
		{"all answered", "aaa", 0, 3, func() Report {
			return Report{Sent: 3, Answered: 3, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(2), 3}}}
		}},
		{"hole", "aa...a", 0, 6, func() Report {
			return Report{Sent: 6, Answered: 3, Lost: 3, LongestGap: 3 * ms, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(5), 3}}}
		}},
		{"the longest of two holes", "a.a..a", 0, 6, func() Report {
			return Report{Sent: 6, Answered: 3, Lost: 3, LongestGap: 2 * ms, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(5), 3}}}
		}},
		{"open hole", "a..", 0, 3, func() Report {
			return Report{Sent: 3, Answered: 1, Lost: 2, LongestGap: 2 * ms, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(0), 1}}}
		}},
		{"never", "..", 0, 4, func() Report { return Report{Sent: 2, Lost: 2, LongestGap: 4 * ms} }},
		{"too late is lost", "a!!a", 0, 4, func() Report {
			return Report{Sent: 4, Answered: 2, Lost: 2, Late: 2, LongestGap: 2 * ms, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(3), 2}}}
		}},
		{"there and back", "aabba", 0, 5, func() Report {
			return Report{Sent: 5, Answered: 5, WorstRTT: ms / 2, Servers: []Span{{"a", at(0), at(1), 2}, {"b", at(2), at(3), 2}, {"a", at(4), at(4), 1}}}
		}},
		{"part", "a..ab.", 3, 5, func() Report {
			return Report{Sent: 2, Answered: 2, WorstRTT: ms / 2, Servers: []Span{{"a", at(3), at(3), 1}, {"b", at(4), at(4), 1}}}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var r *record
			r, start = script(t, tt.script)
			got := r.report(at(tt.from), at(tt.to))
			opts := cmp.Options{
				cmpopts.IgnoreFields(Report{}, "From", "To"),
				cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
			}
			if diff := cmp.Diff(tt.want(), got, opts); diff != "" {
				t.Errorf("report (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReportOwnsUpToLateness(t *testing.T) {
	start := time.Now()
	r := newRecord(start, 10*ms)
	// The machine was away for 30 ms; nothing that was sent was lost.
	for _, q := range []struct{ due, sent time.Duration }{{0, 0}, {ms, 31 * ms}, {2 * ms, 31 * ms}, {32 * ms, 32 * ms}} {
		n := r.ask(start.Add(q.due), start.Add(q.sent))
		r.answer(n, "a", start.Add(q.sent+ms))
	}
	rep := r.report(start, start.Add(time.Second))
	if rep.LongestGap != 0 || rep.Lost != 0 || rep.WorstLateness != 30*ms {
		t.Errorf("gap %v, lost %d, lateness %v; want 0, 0, 30ms", rep.LongestGap, rep.Lost, rep.WorstLateness)
	}
}

func TestSettled(t *testing.T) {
	tests := []struct {
		name, script string
		to, now      time.Duration
		want         bool
	}{
		{"nothing asked", "", ms, ms, true},
		{"all answered", "aaa", 3 * ms, 3 * ms, true},
		{"under way", "aa.", 3 * ms, 4 * ms, false},
		{"given up", "aa.", 3 * ms, 13 * ms, true},
		{"under way, but sent later than asked about", "aa.", 2 * ms, 4 * ms, true},
		{"an older one under way", "a.a", 3 * ms, 4 * ms, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, start := script(t, tt.script)
			if got := r.settled(start.Add(tt.to), start.Add(tt.now)); got != tt.want {
				t.Errorf("settled: %v, want %v", got, tt.want)
			}
		})
	}
}

func TestAnswersToNothing(t *testing.T) {
	r, start := script(t, "a")
	for _, n := range []int{-1, 1, 1 << 40} {
		r.answer(n, "b", start)
	}
	if rep := r.report(start, start.Add(time.Second)); rep.Answered != 1 || rep.LastServer() != "a" {
		t.Errorf("%v", rep)
	}
}

func TestReportString(t *testing.T) {
	r, start := script(t, "aa..b")
	want := "sent 5, lost 2, longest gap 2ms, served by a, then b"
	if got := r.report(start, start.Add(5*ms)).String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// What was forgotten is not reported, and the numbers of the questions go on.
func TestForget(t *testing.T) {
	r, start := script(t, "a.a..")
	r.forget(start.Add(2 * ms))
	r.answer(1, "b", start.Add(3*ms)) // forgotten
	r.repeat(0)
	r.answer(4, "b", start.Add(5*ms))
	if n := r.ask(start.Add(5*ms), start.Add(5*ms)); n != 5 {
		t.Errorf("the next question has number %d, want 5", n)
	}
	rep := r.report(start, start.Add(5*ms))
	if rep.Sent != 3 || rep.Answered != 2 || rep.Repeated != 0 || rep.LastServer() != "b" {
		t.Errorf("report %+v, want 2 of 3 answered, the last by b", rep)
	}
	r.forget(start.Add(time.Second))
	if rep := r.report(start, start.Add(time.Second)); rep.Sent != 0 {
		t.Errorf("report %+v of a record that forgot all", rep)
	}
}
