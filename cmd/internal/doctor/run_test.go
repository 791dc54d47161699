package doctor

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
)

// TestTable wants of each test what people and programs need of it.
func TestTable(t *testing.T) {
	kebab := regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	seen := map[string]bool{}
	for _, test := range tests() {
		if !kebab.MatchString(test.ID) || seen[test.ID] {
			t.Errorf("test %q: its ID is not in kebab case, or there twice", test.ID)
		}
		seen[test.ID] = true
		if test.About == "" || strings.HasSuffix(test.About, ".") {
			t.Errorf("test %s is about %q", test.ID, test.About)
		}
	}
}

// TestRun has tests that find something, that find nothing, that cannot look,
// and that never return.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		finds := func(list ...Finding) func(context.Context, *Examination) []Finding {
			return func(context.Context, *Examination) []Finding { return list }
		}
		end := make(chan struct{})
		x := &Examination{Wait: 2 * time.Second}
		began := time.Now()
		got := x.run(t.Context(), []Test{
			{"fine", "all is fine", finds()},
			{"bad", "nothing is bad", finds(Finding{Severity: Warning, ID: "bad-thing", Title: "it is bad", Fix: "mend it\n"}, Finding{Severity: Error, ID: "worse", Title: "it is worse"})},
			{"blind", "the dark", finds(unseen("eth0", "needs root"))},
			{"obeys", "the clock", func(ctx context.Context, _ *Examination) []Finding {
				<-ctx.Done()
				return []Finding{{Severity: Info, Title: "heard nothing"}}
			}},
			{"stuck", "a hole", func(context.Context, *Examination) []Finding { <-end; return nil }},
		})
		want := []Finding{
			{Severity: Error, ID: "worse", Title: "it is worse"},
			{Severity: Warning, ID: "bad-thing", Title: "it is bad", Fix: "mend it"},
			{Severity: Unseen, ID: "blind", On: "eth0", Title: "the dark: could not be looked at: needs root"},
			{Severity: Unseen, ID: "stuck", Title: "a hole: could not be looked at: this took longer than 7s"},
			{Severity: Info, ID: "obeys", Title: "heard nothing"},
			{Severity: OK, ID: "fine", Title: "all is fine"},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("it took %v: the tests do not run side by side", took)
		}
		if w := Worst(got); w != Error {
			t.Errorf("the worst is %v", w)
		}
		close(end)
	})
}

// TestText is what people get.
func TestText(t *testing.T) {
	x := &Examination{Config: &config.Config{File: "/etc/holdfast/holdfast.toml"}}
	var b bytes.Buffer
	text := &Text{W: &b, Width: 60, Verbose: true}
	err := text.Write(x.Report([]Finding{
		{Error, "closed", "eth0", "the chain drops what it should let through to the daemon", "Both nodes become master.", "nft add rule x\nnft list ruleset"},
		{Severity: Unseen, ID: "caps", Title: "the log: could not be looked at: needs root"},
		{Severity: OK, ID: "a", Title: "one thing"},
		{Severity: OK, ID: "b", Title: "another thing"},
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := `error  eth0: the chain drops what it should let through to
    the daemon
    Both nodes become master.
        nft add rule x
        nft list ruleset

unseen  the log: could not be looked at: needs root

ok  2 things looked at, nothing wrong
    one thing
    another thing

/etc/holdfast/holdfast.toml: 1 error, 1 thing could not be looked at, the daemon does not run
`
	if d := cmp.Diff(want, b.String()); d != "" {
		t.Error(d)
	}
	b.Reset()
	if err := (&Text{W: &b}).Write(x.Report([]Finding{{Severity: OK, ID: "a", Title: "one thing"}})); err != nil {
		t.Fatal(err)
	}
	hostile := "\x1b[2Ja\r\nok  b\x07"
	var told bytes.Buffer
	if err := (&Text{W: &told}).Write(x.Report([]Finding{{Warning, "id", hostile, hostile, hostile, hostile}})); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(told.String(), "\x1b\r\x07") || strings.Contains(told.String(), "\nok") {
		t.Errorf("what others wrote drives the terminal: %q", told.String())
	}
	if want := "ok  1 thing looked at, nothing wrong\n\n/etc/holdfast/holdfast.toml: nothing wrong was found, the daemon does not run\n"; b.String() != want {
		t.Errorf("of a healthy host it says %q", b.String())
	}
}
