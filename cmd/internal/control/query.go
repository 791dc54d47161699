package control

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/history"
)

// EventQuery is which events somebody wants.
type EventQuery struct {
	// Since is where to begin: see [Since]. The zero value is the beginning of
	// what is kept.
	Since Since
	// Limit is how many there may be, the latest ones; negative for any number.
	Limit int
	// Instances, Kinds: none means all. Severity is the mildest one wanted.
	Instances, Kinds []string
	Severity         string
}

// Since is a place in a history.
type Since struct {
	// After is the sequence of the event before; History, when not empty, is the
	// history that it is one of. What follows is wanted, or all when that is
	// another history.
	After   uint64
	History string
	// Time, when not zero, is the time of the first event instead.
	Time time.Time
}

var (
	number = regexp.MustCompile(`^[0-9]+$`)
	place  = regexp.MustCompile(`^([0-9a-f]{8})-([0-9]+)$`)
)

// ParseSince reads a place in the forms that people use: the number of an event,
// that with its history (6925a0f3-57), how long ago (90s, 1h30m, 2d), or a time
// in RFC 3339 or shortened, which is local.
func ParseSince(text string, now time.Time) (Since, error) {
	if number.MatchString(text) {
		seq, err := strconv.ParseUint(text, 10, 63)
		if err != nil {
			return Since{}, fmt.Errorf("%q is no number of an event", text)
		}
		return Since{After: seq}, nil
	}
	if m := place.FindStringSubmatch(text); m != nil {
		seq, err := strconv.ParseUint(m[2], 10, 63)
		if err != nil {
			return Since{}, fmt.Errorf("%q is no number of an event", text)
		}
		return Since{After: seq, History: m[1]}, nil
	}
	if long, err := parseAgo(text); err == nil && long >= 0 {
		return Since{Time: now.Add(-long)}, nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02T15:04", "2006-01-02 15:04:05", "2006-01-02 15:04", "2006-01-02"} {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return Since{Time: t}, nil
		}
	}
	for _, layout := range []string{"15:04:05", "15:04"} { // the last time that it was so late
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			t = time.Date(now.Year(), now.Month(), now.Day(), t.Hour(), t.Minute(), t.Second(), 0, now.Location())
			if t.After(now) {
				t = t.AddDate(0, 0, -1)
			}
			return Since{Time: t}, nil
		}
	}
	return Since{}, fmt.Errorf(`%q is no time such as "1h", "03:00", "2006-01-02T15:04", and no number of an event`, text)
}

// parseAgo knows days beside what Go knows.
func parseAgo(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok || !number.MatchString(days) {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil {
		return 0, err
	}
	more := time.Duration(0)
	if rest != "" {
		more, err = time.ParseDuration(rest)
	}
	return time.Duration(n)*24*time.Hour + more, err
}

// String is a form that ParseSince reads.
func (s Since) String() string {
	switch {
	case !s.Time.IsZero():
		return s.Time.Format(time.RFC3339Nano)
	case s.History != "":
		return fmt.Sprintf("%s-%d", s.History, s.After)
	}
	return strconv.FormatUint(s.After, 10)
}

// values is the query as a URL has it.
func (q *EventQuery) values() url.Values {
	v := url.Values{"since": {q.Since.String()}}
	if q.Limit >= 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	if q.Severity != "" {
		v.Set("severity", q.Severity)
	}
	v["instance"], v["kind"] = q.Instances, q.Kinds
	return v
}

// parseEventQuery reads the query of a request. What is not known is refused, so
// that nobody takes a wrong answer for a right one.
func parseEventQuery(v url.Values, now time.Time) (q EventQuery, follow bool, err error) {
	q.Limit = -1
	for key, list := range v {
		value := list[len(list)-1]
		switch key {
		case "since":
			q.Since, err = ParseSince(value, now)
		case "limit":
			if q.Limit, err = strconv.Atoi(value); err != nil || q.Limit < 0 {
				err = fmt.Errorf("limit is a whole number, not %q", value)
			}
		case "instance":
			q.Instances = words(list)
		case "kind":
			q.Kinds = words(list)
		case "severity":
			q.Severity = value
		case "follow":
			if follow, err = strconv.ParseBool(value); err != nil {
				err = fmt.Errorf("follow is true or false, not %q", value)
			}
		default:
			err = fmt.Errorf("there is no parameter %q: there are since, limit, instance, kind, severity and follow", key)
		}
		if err != nil {
			return q, false, err
		}
	}
	if follow && !v.Has("since") && !v.Has("limit") {
		q.Limit = 0
	}
	return q, follow, q.Validate()
}

// words takes lists apart, which may be given as several or with commas.
func words(list []string) (all []string) {
	for _, l := range list {
		for w := range strings.SplitSeq(l, ",") {
			if w != "" {
				all = append(all, w)
			}
		}
	}
	return all
}

// Validate reports kinds and severities that do not exist.
func (q *EventQuery) Validate() error {
	for _, k := range q.Kinds {
		if !slices.Contains(history.Kinds(), k) {
			return fmt.Errorf("there is no kind %q: there are %s", k, strings.Join(history.Kinds(), ", "))
		}
	}
	if q.Severity != "" && !slices.Contains(history.Severities(), q.Severity) {
		return fmt.Errorf("there is no severity %q: there are %s", q.Severity, strings.Join(history.Severities(), ", "))
	}
	return nil
}

// wants reports whether an event is of the kind, instance and severity asked for.
func (q *EventQuery) wants(e *Event) bool {
	rank := func(s string) int { return slices.Index(history.Severities(), s) }
	return (len(q.Instances) == 0 || slices.Contains(q.Instances, e.Instance)) &&
		(len(q.Kinds) == 0 || slices.Contains(q.Kinds, e.Kind)) &&
		rank(e.Severity) >= rank(q.Severity)
}

// past returns what there is of the events wanted, and the sequence of the latest
// event that was looked at. lost is how many are not kept any more.
func (q *EventQuery) past(h *history.History) (list []history.Entry, last, lost uint64) {
	after := q.Since.After
	latest := h.Read(0, 0).Last
	if after > latest || q.Since.History != "" && q.Since.History != h.ID() {
		after = 0 // of another history: all is news
	}
	if q.Limit == 0 {
		return nil, latest, 0
	}
	begin := after
	for {
		b := h.Read(after, batchSize)
		if len(b.Entries) == 0 {
			return list, after, lost
		}
		if begin > 0 {
			lost += b.Lost
		}
		for _, e := range b.Entries {
			if !e.Time.Before(q.Since.Time) && q.wants(e.Event) {
				list = append(list, e)
			}
		}
		if q.Limit > 0 && len(list) > q.Limit {
			list, lost = list[len(list)-q.Limit:], 0
		}
		after = b.Entries[len(b.Entries)-1].Sequence
	}
}
