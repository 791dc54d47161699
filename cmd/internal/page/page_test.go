package page

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// changing is a source that tests change.
type changing struct {
	mu  sync.Mutex
	st  *control.Status
	err error
}

func (c *changing) Status(context.Context) (*control.Status, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.st, c.err
}

func (c *changing) set(st *control.Status, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.st, c.err = st, err
}

func sample(state string) *control.Status {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	return &control.Status{
		Node:   "lb1",
		Daemon: control.Daemon{Version: "1.0.0", Started: at, Config: "/etc/holdfast/holdfast.toml"},
		Instances: []control.Instance{
			{
				Name: "web", State: state, Since: at, Reason: "no master heard for 3.41s", Interface: "eth0", VRID: 51,
				Master:    &control.Master{Address: "192.0.2.1", Priority: 150, Self: true},
				Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}},
				Families:  []control.Family{{Family: "ipv4", State: state}},
			},
			{Name: "other", State: "backup", Since: at, Reason: "listening", Interface: "eth0", VRID: 52},
		},
		Checks: []control.Check{{Name: "nginx", State: "healthy", Since: &at}},
	}
}

// What others choose, such as the output of a check, is text and nothing else.
func TestEscapes(t *testing.T) {
	const bad = `<script>alert("x")</script>'">&`
	st := sample("fault")
	at := st.Daemon.Started
	i := &st.Instances[0]
	i.Reason, i.DemotedWhy, i.Demoted, i.ConflictSince, i.ConflictWith = bad, bad, true, &at, bad
	i.Group, i.Addresses[0].Problem, i.Families[0] = bad, bad, control.Family{Family: bad, State: "init", Reason: bad}
	i.Elsewhere = []control.Elsewhere{{Address: bad, Interface: bad}}
	i.Master = &control.Master{Address: bad}
	i.Refused = &control.RefusedPacket{From: bad, Why: bad}
	st.Node, st.Daemon.ReloadError, st.Daemon.Config, st.Daemon.Version = bad, bad, bad, bad
	st.Checks[0].LastOutput = bad
	st.Instances[1].Name = bad
	p := New(&changing{st: st}, nil)
	w := httptest.NewRecorder()
	p.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	body := w.Body.String()
	if w.Code != http.StatusOK || strings.Contains(body, `<script>alert`) || strings.Contains(body, `'">&`) {
		t.Errorf("answer %d:\n%s", w.Code, body)
	}
	if n := strings.Count(body, "&lt;script&gt;"); n < 15 {
		t.Errorf("only %d of the texts are shown", n)
	}
	for _, rule := range []string{"default-src 'none'", "frame-ancestors 'none'", "script-src 'self'"} {
		if csp := w.Header().Get("Content-Security-Policy"); !strings.Contains(csp, rule) || strings.Contains(csp, "unsafe") {
			t.Errorf("policy %q", csp)
		}
	}
}

// What needs somebody's attention is shown.
func TestTrouble(t *testing.T) {
	st := sample("master")
	at := st.Daemon.Started
	i := &st.Instances[0]
	i.Drained, i.Demoted, i.DemotedWhy, i.ConflictSince, i.ConflictWith = true, true, "check nginx fails", &at, "192.0.2.66"
	until := time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC)
	i.Drain = &control.Drain{Since: at, Until: &until, By: "root (uid 0, pid 7)", Why: "new kernel"}
	i.Failover = &control.Failover{Since: at, By: "somebody"}
	i.Addresses[0].Present = false
	st.Daemon.ReloadError = "line 3"
	w := httptest.NewRecorder()
	New(&changing{st: st}, nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	for _, want := range []string{"<title>lb1: 1 master, 1 backup</title>", "Drained by root (uid 0, pid 7) ", ", until 2026-11-25 04:00:00 UTC: new kernel", "Stands back since a failover by somebody ", "Demoted: check nginx fails", "Another master, 192.0.2.66, is heard", "192.0.2.100/24 not here", "<code>line 3</code>"} {
		if !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s is not on the page", want)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	w := httptest.NewRecorder()
	New(&changing{err: errors.New("stuck")}, nil).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	if w.Code != http.StatusServiceUnavailable || strings.Contains(w.Body.String(), "MASTER") {
		t.Errorf("answer %d: %s", w.Code, w.Body)
	}
}

// The latest event comes first, and a page without a history claims none.
func TestEvents(t *testing.T) {
	at := sample("master").Daemon.Started
	events := []*control.Event{
		{Sequence: 1, Time: at, Severity: "info", Text: "web is backup"},
		{Sequence: 2, Time: at.Add(time.Second), Severity: "warning", Text: "<b>another master</b> is heard"},
	}
	for _, recent := range []func(int) []*control.Event{nil, func(int) []*control.Event { return nil }, func(int) []*control.Event { return events }} {
		w := httptest.NewRecorder()
		New(&changing{st: sample("master")}, recent).ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		body := w.Body.String()
		second, first := strings.Index(body, "<strong>warning</strong> &lt;b&gt;another master"), strings.Index(body, "web is backup")
		switch {
		case recent == nil && strings.Contains(body, "Events</h2>"):
			t.Error("it claims to have a history")
		case recent != nil && len(recent(2)) == 0 && !strings.Contains(body, "Nothing has happened yet"):
			t.Error("an empty history is not told")
		case recent != nil && len(recent(2)) == 2 && (second < 0 || first < second):
			t.Errorf("the events are not shown, the latest first:\n%s", body)
		}
	}
}

// The stream begins with all of the page, goes on with what changes and signs of
// life, and tells of a daemon that does not answer.
func TestStream(t *testing.T) {
	source := &changing{st: sample("backup")}
	server := httptest.NewServer(New(source, nil))
	defer server.Close()
	resp, err := http.Get(server.URL + "/live")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	next := func() (kind, data string) {
		for lines.Scan() {
			if v, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				kind = v
			}
			if v, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				return kind, v
			}
		}
		t.Fatal("the stream ended")
		return "", ""
	}
	if kind, data := next(); kind != "state" || !strings.Contains(data, `"instance-web"`) || !strings.Contains(data, `"instance-other"`) {
		t.Errorf("it begins with %s %s", kind, data)
	}
	if kind, data := next(); kind != "state" || strings.Contains(data, "instance-") || !strings.Contains(data, `"at"`) {
		t.Errorf("without a change it says %s %s", kind, data)
	}
	source.set(sample("master"), nil)
	for {
		if _, data := next(); strings.Contains(data, "MASTER") {
			if !strings.Contains(data, `"instance-web":`) || strings.Contains(data, `"instance-other":`) {
				t.Errorf("of a change it says %s", data)
			}
			break
		}
	}
	source.set(nil, errors.New("stuck"))
	for {
		if kind, _ := next(); kind == "lost" {
			break
		}
	}
}

// A loop that stood still for a while does not keep the page waiting for long
// afterwards, or the browser would take the daemon for dead.
func TestStreamAfterAStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalls := true
		h := newHub(func(context.Context) (*frame, error) {
			if stalls {
				stalls = false
				time.Sleep(2 * time.Second)
				return nil, errors.New("no answer")
			}
			return &frame{}, nil
		})
		c := h.join()
		defer func() {
			h.leave(c)
			time.Sleep(time.Minute) // until nothing is made any more
		}()
		if f := <-c; f != nil {
			t.Error("no stall")
		}
		began := time.Now()
		if f := <-c; f == nil || time.Since(began) > 4*time.Second {
			t.Errorf("the next frame came after %v", time.Since(began))
		}
	})
}

// Who asks for no more than the head of the stream takes no place.
func TestStreamHead(t *testing.T) {
	h := newHub(func(context.Context) (*frame, error) { return &frame{}, nil })
	w := httptest.NewRecorder()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	h.stream(w, httptest.NewRequestWithContext(ctx, "HEAD", "/live", nil))
	if w.Code != http.StatusOK || w.Header().Get("Content-Type") != "text/event-stream" || w.Body.Len() != 0 {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
}

// More pages than one node has use for are refused, and those that are closed
// make room.
func TestTooManyPages(t *testing.T) {
	h := newHub(func(context.Context) (*frame, error) { return &frame{}, nil })
	var all []chan *frame
	for range watchersMost {
		all = append(all, h.join())
	}
	if h.join() != nil {
		t.Error("one more was let in")
	}
	w := httptest.NewRecorder()
	h.stream(w, httptest.NewRequest("GET", "/live", nil))
	if w.Code != http.StatusServiceUnavailable {
		t.Errorf("answer %d", w.Code)
	}
	h.leave(all[0])
	if h.join() == nil {
		t.Error("there is no room after one left")
	}
}
