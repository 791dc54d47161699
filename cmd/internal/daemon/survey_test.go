package daemon

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// confMany has that many instances, the first of them "web".
func confMany(count int) string {
	text := conf(150, "1s")
	for n := 1; n < count; n++ {
		text += fmt.Sprintf("[[instance]]\nname = \"i%d\"\ninterface = \"eth0\"\nvrid = %d\npriority = 150\naddresses = [\"10.0.0.%d/32\"]\n", n, (51+n)%256, n)
	}
	return text
}

// However many instances there are and however many ask: a turn of the loop looks at
// a slice of them.
func TestSurveyInSlices(t *testing.T) {
	const instances, askers = surveySlice + surveySlice/2, 500
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, confMany(instances))
		synctest.Wait()
		got := make(chan *control.Status, 2*askers)
		answer := func(st *control.Status, err error) {
			if err != nil {
				t.Error(err)
			}
			got <- st
		}
		a.d.post(func() { // on the loop, so that its turns are made here
			s := &a.d.survey
			for range askers {
				a.d.tellState(answer)
			}
			if len(s.asked) > 0 || s.snapshot != nil {
				t.Error("asking alone costs the loop something")
			}
			a.d.surveyMore()
			if n := len(s.snapshot.Instances); n != surveySlice {
				t.Errorf("%d instances in a turn, want %d", n, surveySlice)
			}
			a.d.tellState(answer) // too late for this one
			a.d.surveyMore()
			if s.snapshot != nil || len(s.asked) > 0 || len(s.waiting) != 1 {
				t.Errorf("after the second turn %d wait for this one and %d for the next", len(s.asked), len(s.waiting))
			}
		})
		for range askers + 1 { // the last one by the loop itself
			st := <-got
			if len(st.Instances) != instances || st.Instances[0].Name != "web" || st.Instances[instances-1].Name != fmt.Sprintf("i%d", instances-1) {
				t.Fatalf("%d instances are told", len(st.Instances))
			}
		}
		a.stop()
	})
}

// A reload in the middle begins the look anew: no answer has instances of both.
func TestSurveyAndReload(t *testing.T) {
	const before, after = surveySlice + surveySlice/2, surveySlice + 1
	inBubble(t, func(t *testing.T, lan *network) {
		a := startNode(t, lan, "a", 1, confMany(before))
		synctest.Wait()
		got := make(chan *control.Status, 1)
		a.d.post(func() {
			a.d.tellState(func(st *control.Status, _ error) { got <- st })
			a.d.surveyMore()
			next := *a.d.cfg
			next.Instances = next.Instances[before-after:]
			a.d.apply(&next)
		})
		st := <-got
		if len(st.Instances) != after || st.Instances[0].Name != fmt.Sprintf("i%d", before-after) {
			t.Errorf("%d instances are told, the first one is %s", len(st.Instances), st.Instances[0].Name)
		}
		a.stop()
	})
}

// An order to all of many instances writes their drains once a turn, not once an
// instance.
func TestDrainOfMany(t *testing.T) {
	const instances = 200
	inBubble(t, func(t *testing.T, lan *network) {
		a := newNode(t, lan, "a", 1, confMany(instances))
		a.d.opts.State = t.TempDir()
		a.start()
		await(t, 5*time.Second, "a", a)
		time.Sleep(5 * time.Second)
		o := a.drain(control.DrainOrder{Persist: true, Force: true})
		if !o.Done || len(o.Results) != instances {
			t.Errorf("%d results, done %v", len(o.Results), o.Done)
		}
		synctest.Wait()
		if n := a.d.drains.asked; n > 20 {
			t.Errorf("the drains of %d instances were written %d times", instances, n)
		}
		if kept := len(a.d.drains.last); kept != instances {
			t.Errorf("%d drains are kept, want %d", kept, instances)
		}
		a.stop()
	})
}
