package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/doctor"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// progress tells a person at a terminal what doctor does while it says nothing
// else, and for how long. The function it returns ends that, and leaves no trace.
func progress(w io.Writer, x *doctor.Examination) (end func()) {
	t := screen.Of(w)
	switch {
	case !t.Is():
		return func() {}
	case t.Dumb: // it keeps what was written
		fmt.Fprintln(w, doing(x, x.Wait))
		return func() {}
	}
	finished, stop := make(chan struct{}), make(chan struct{})
	begun := time.Now()
	go func() {
		defer close(finished)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			fmt.Fprintf(w, "\r\x1b[K%s", screen.Cut(doing(x, x.Wait-time.Since(begun)), t.Width-1))
			select {
			case <-tick.C:
			case <-stop:
				fmt.Fprint(w, "\r\x1b[K")
				return
			}
		}
	}()
	return func() {
		close(stop)
		<-finished
	}
}

// doing says what is being done, with some time left.
func doing(x *doctor.Examination, left time.Duration) string {
	if x.Wait == 0 {
		return "looking at this host ..."
	}
	if left = (left + time.Second - 1).Truncate(time.Second); left <= 0 {
		return "looking at what was heard ..."
	}
	return fmt.Sprintf("listening on %s for adverts, and asking who has the addresses: %v left ...", strings.Join(x.Interfaces(), ", "), left)
}
