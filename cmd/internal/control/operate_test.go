package control

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// said is what a fake was last told.
type said struct {
	What, Who string
	Order     DrainOrder
}

func (f *fake) operate(what, who string, o DrainOrder) (*Operated, error) {
	if f.order == nil {
		return &Operated{Version: Version, Done: true, Results: []Result{}}, nil
	}
	return f.order(said{what, who, o})
}

func (f *fake) Drain(_ context.Context, who string, o *DrainOrder) (*Operated, error) {
	return f.operate("drain", who, *o)
}

func (f *fake) Undrain(_ context.Context, who string, s *Selection) (*Operated, error) {
	return f.operate("undrain", who, DrainOrder{Selection: *s})
}

func (f *fake) Failover(_ context.Context, who string, s *Selection) (*Operated, error) {
	return f.operate("failover", who, DrainOrder{Selection: *s})
}

func (f *fake) Announce(_ context.Context, who string, s *Selection) (*Operated, error) {
	return f.operate("announce", who, DrainOrder{Selection: *s})
}

// Every order comes over whole, and so does its answer.
func TestOrders(t *testing.T) {
	f := sample()
	var got said
	want := &Operated{Version: Version, Done: true, Note: "until then", Warning: "but", Results: []Result{
		{Instance: "web", Done: true, Text: "192.0.2.2 took over after 7ms", State: "backup", Moved: true, Peer: "192.0.2.2", PeerPriority: 100, TookMS: 7.25},
	}}
	f.order = func(s said) (*Operated, error) { got = s; return want, nil }
	path, _ := serve(t, f)
	c := NewClient(path)
	some := &Selection{Instances: []string{"web", "db"}}
	drain := &DrainOrder{Selection: *some, For: "30m", Persist: true, Force: true, Why: "a new kernel"}
	for what, ask := range map[string]func() (*Operated, []byte, error){
		"drain":    func() (*Operated, []byte, error) { return c.Drain(t.Context(), drain) },
		"undrain":  func() (*Operated, []byte, error) { return c.Undrain(t.Context(), some) },
		"failover": func() (*Operated, []byte, error) { return c.Failover(t.Context(), some) },
		"announce": func() (*Operated, []byte, error) { return c.Announce(t.Context(), some) },
	} {
		done, raw, err := ask()
		if diff := cmp.Diff(want, done); err != nil || diff != "" || !strings.Contains(string(raw), `"took_ms": 7.25`) {
			t.Errorf("%s: %v, answer (-want +got):\n%s\n%s", what, err, diff, raw)
		}
		order := DrainOrder{Selection: *some}
		if what == "drain" {
			order = *drain
		}
		if diff := cmp.Diff(order, got.Order); got.What != what || diff != "" || !strings.Contains(got.Who, "(uid ") {
			t.Errorf("%s came as %s by %q (-want +got):\n%s", what, got.What, got.Who, diff)
		}
	}
	f.order = func(said) (*Operated, error) {
		return nil, &Refused{errors.New(`there is no instance "wep"`)}
	}
	if _, _, err := c.Drain(t.Context(), drain); err == nil || err.Error() != `there is no instance "wep"` {
		t.Errorf("a refusal came over as %v", err)
	}
}

// A body that is not understood wholly is refused, and nothing is done.
func TestStrictOrders(t *testing.T) {
	f := sample()
	asked := 0
	f.order = func(said) (*Operated, error) { asked++; return &Operated{Version: Version}, nil }
	path, _ := serve(t, f)
	web := &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.DialTimeout("unix", path, time.Second)
	}}}
	for _, what := range []string{"drain", "undrain", "failover", "announce"} {
		for text, good := range map[string]bool{
			"": true, "{}": true, `{"instances":["web"]}`: true, ` { "instances" : [] } ` + "\n": true,
			`{"instance":"web"}`: false, `{"instances":"web"}`: false, `{} {}`: false, `[]`: false, "web": false, `{"instances":["web"]`: false,
			`{"why":"` + strings.Repeat("x", maxBody) + `"}`: false,
		} {
			asked = 0
			resp, err := web.Post("http://holdfast/v1/"+what, "application/json", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			answer, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			if good != (resp.StatusCode == http.StatusOK && asked == 1) || !good && (resp.StatusCode != http.StatusUnprocessableEntity || asked != 0 || !strings.Contains(string(answer), "cannot read the request as JSON")) {
				t.Errorf("%s %.60q: %s, asked %d times: %.200s", what, text, resp.Status, asked, answer)
			}
		}
		resp, err := web.Post("http://holdfast/v1/"+what, "application/json", strings.NewReader(`{"instances":["`+strings.Repeat("x", maxBody)+`"]}`))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(string(answer), "it is larger than 1024 KiB") {
			t.Errorf("%s of too much: %s %.200s (%v)", what, resp.Status, answer, err)
		}
		resp, err = web.Get("http://holdfast/v1/" + what)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			t.Errorf("GET %s was carried out", what)
		}
	}
}
