package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/notify"
)

// leaveHooks writes the file of a daemon that did not finish its hooks.
func leaveHooks(t *testing.T, dir string, f hooksFile) {
	t.Helper()
	text, err := json.Marshal(f)
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, hooksName), text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadSpool(t *testing.T) {
	event := notify.Unfinished{Event: notify.Event{Sequence: 7, Instance: "web", State: "master"}, Ran: []string{"/one"}}
	for _, c := range []struct {
		name, text, want string
	}{
		{"none", "", ""},
		{"another boot", `{"version": 1, "boot": "another", "events": [{}, {}]}`, "2 hooks are of an earlier boot"},
		{"another version", `{"version": 2}`, "the file of unfinished hooks has version 2 instead of 1"},
		{"half a file", `{"version": 1, "bo`, "the file of unfinished hooks is damaged: "},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			if c.text != "" {
				if err := os.WriteFile(filepath.Join(dir, hooksName), []byte(c.text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			list, err := readSpool(dir, thisBoot)
			if len(list) > 0 || (err == nil) != (c.want == "") || err != nil && !strings.HasPrefix(err.Error(), c.want) {
				t.Errorf("%v, error %v, want %q", list, err, c.want)
			}
		})
	}
	dir := t.TempDir()
	leaveHooks(t, dir, hooksFile{Version: hooksVersion, Boot: thisBoot, Events: []notify.Unfinished{event}})
	list, err := readSpool(dir, thisBoot)
	if err != nil || len(list) != 1 || list[0].Event.Sequence != 7 || list[0].Ran[0] != "/one" {
		t.Errorf("%+v, error %v", list, err)
	}
}

// A daemon runs what the one before did not finish, before its own hooks, and
// leaves no file when it ends.
func TestHooksOfAnEarlierRun(t *testing.T) {
	boot, err := bootID()
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{boot, "another"} {
		t.Run(from, func(t *testing.T) {
			dir := t.TempDir()
			out := filepath.Join(dir, "out")
			command := func(n int) string { return fmt.Sprintf("echo %d $HOLDFAST_SEQUENCE $HOLDFAST_STATE >>%s", n, out) }
			hook := ""
			for n := range 2 {
				hook += fmt.Sprintf("[[notify]]\nexec = [\"/bin/sh\", \"-c\", %q]\n", command(n))
			}
			at := time.Now()
			leaveHooks(t, dir, hooksFile{Version: hooksVersion, Boot: from, Events: []notify.Unfinished{
				{Event: notify.Event{Sequence: 7, Instance: "web", State: "fault", At: at}, Ran: []string{fmt.Sprintf("/bin/sh -c %q", command(0))}},
				{Event: notify.Event{Sequence: 8, Instance: "web", State: "backup", At: at}},
			}})
			inBubble(t, func(t *testing.T, lan *network) {
				a := newNode(t, lan, "a", 1, conf(150, "1s", hook)).journaling(dir)
				a.start()
				await(t, 5*time.Second, "a", a)
				time.Sleep(time.Second)
				synctest.Wait()
				a.stop()
				told := a.log.count("running hooks that a restart cut off")
				refused := a.log.count(`hooks of an earlier run are not run: reason="2 hooks are of an earlier boot"`)
				if same := from == boot; (told == 2) != same || (refused == 1) == same {
					t.Errorf("log:\n%s", a.log)
				}
			})
			got, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			want := "0 1 backup\n1 1 backup\n0 2 master\n1 2 master\n0 3 stop\n1 3 stop\n"
			if from == boot {
				want = "1 7 fault\n0 8 backup\n1 8 backup\n" + want
			}
			if string(got) != want {
				t.Errorf("hooks ran:\n%swant:\n%s", got, want)
			}
			if _, err := os.Stat(filepath.Join(dir, hooksName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file stays: %v", err)
			}
		})
	}
}

// What an earlier run left stays in the file until all of it is in the queue again:
// else who is killed in between loses some.
func TestSpoolBeginsWithAll(t *testing.T) {
	dir := t.TempDir()
	left := []notify.Unfinished{
		{Event: notify.Event{Sequence: 7, Instance: "web", State: "fault"}},
		{Event: notify.Event{Sequence: 8, Instance: "db", State: "fault"}},
	}
	leaveHooks(t, dir, hooksFile{Version: hooksVersion, Boot: thisBoot, Events: left})
	q := notify.NewQueue([]notify.Config{{Exec: []string{"/bin/sleep", "60"}, Timeout: time.Minute}}, func(notify.Outcome) {})
	s := newSpool(dir, thisBoot, q, func(err error) {
		if err != nil {
			t.Error(err)
		}
	})
	for _, u := range left {
		if err := q.Resume(u); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * hooksGap) // in which a spool that has begun writes
		if list, err := readSpool(dir, thisBoot); err != nil || len(list) != 2 {
			t.Errorf("the file has %d events, %v, want both", len(list), err)
		}
	}
	s.begin()
	now, cancel := context.WithCancel(t.Context())
	cancel()
	q.Leave(now)
	if err := s.close(); err != nil {
		t.Fatal(err)
	}
	if list, err := readSpool(dir, thisBoot); err != nil || len(list) != 2 {
		t.Errorf("in the end the file has %d events, %v, want both", len(list), err)
	}
}

// Without room for the file hooks run all the same, and people hear once.
func TestHooksCannotBeRemembered(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, hooksName+".new"), 0o700); err != nil {
		t.Fatal(err)
	}
	inBubble(t, func(t *testing.T, lan *network) {
		out := filepath.Join(dir, "out")
		hook := fmt.Sprintf("[[notify]]\nexec = [\"/bin/sh\", \"-c\", \"sleep 0.05; echo $HOLDFAST_STATE >>%s\"]\n", out)
		a := newNode(t, lan, "a", 1, conf(150, "1s", hook)).journaling(dir)
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(time.Second)
		a.stop()
		if n := a.log.count("hooks will not survive a restart"); n != 1 {
			t.Errorf("told %d times:\n%s", n, a.log)
		}
		if got, err := os.ReadFile(out); err != nil || string(got) != "backup\nmaster\nstop\n" {
			t.Errorf("hooks ran: %q, %v", got, err)
		}
	})
}
