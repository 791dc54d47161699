package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/screen"
)

// liveView is what has the whole terminal.
type liveView interface {
	take(n news)
	press(k screen.Key)
	render(width, height int, now time.Time) []string
}

// untilEnd is a context that ends when this program is to, so that it can give
// the terminal back. A second signal ends it at once.
func untilEnd(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

const (
	// liveTick is how often a view is drawn when there is no news: it has a clock.
	liveTick = time.Second
	// liveSettle is for how long news are gathered before they are drawn: many
	// at once must not cost a drawing each.
	liveSettle = 30 * time.Millisecond
)

// live shows a view until somebody ends it.
func live(ctx context.Context, feed <-chan news, v liveView) (err error) {
	s, err := screen.Open(os.Stdin, os.Stdout)
	if err != nil {
		return err
	}
	defer func() {
		if e := s.Close(); ctx.Err() == nil { // else the terminal may be gone
			err = errors.Join(err, e)
		}
	}()
	tick := time.NewTicker(liveTick)
	defer tick.Stop()
	for {
		width, height := s.Size()
		if err := s.Draw(v.render(width, height, time.Now())); err != nil {
			return err
		}
		select {
		case n, ok := <-feed:
			if !ok {
				return nil
			}
			v.take(n)
			settle(feed, v)
		case k, ok := <-s.Keys:
			if !ok {
				return nil
			}
			if end, err := press(s, v, k); end || err != nil {
				return err
			}
		case sig := <-s.Signals:
			if err := s.Handle(sig); err != nil {
				return err
			}
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// settle takes in what comes soon after something else.
func settle(feed <-chan news, v liveView) {
	t := time.NewTimer(liveSettle)
	defer t.Stop()
	for {
		select {
		case n, ok := <-feed:
			if !ok {
				return // the context has ended
			}
			v.take(n)
		case <-t.C:
			return
		}
	}
}

// press does what a key is for, and reports whether that is the end.
func press(s *screen.Screen, v liveView, k screen.Key) (end bool, err error) {
	switch k {
	case "q", screen.KeyCtrlC:
		return true, nil
	case screen.KeyCtrlZ:
		return false, s.Suspend()
	case screen.KeyCtrlL:
		s.Redraw()
	default:
		v.press(k)
	}
	return false, nil
}
