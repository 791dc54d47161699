package vip

import "sync"

// sender carries out announcements in their order, on a goroutine of its own, while
// their manager goes on with additions. Who adds does not wait for it as a rule:
// it would go on where the sender was, on another processor, whose caches know
// nothing of the list of addresses that the kernel goes through for each addition.
type sender struct {
	mu      sync.Mutex
	less    sync.Cond // when less waits, or nothing is under way
	waiting []func() []Report
	busy    bool
	sent    []Report
	// ready has a token when there may be something to report.
	ready chan struct{}
}

func newSender() *sender {
	s := &sender{ready: make(chan struct{}, 1)}
	s.less.L = &s.mu
	return s
}

// sendersLag is how many slices may wait: others, who must wait for them, do not for
// long.
const sendersLag = 8

// start has announcements sent behind those that wait.
func (s *sender) start(send func() []Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) >= sendersLag {
		s.less.Wait()
	}
	s.waiting = append(s.waiting, send)
	if !s.busy {
		s.busy = true
		go s.run()
	}
}

func (s *sender) run() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.waiting) > 0 {
		send := s.waiting[0]
		s.waiting[0] = nil
		s.waiting = s.waiting[1:]
		s.less.Broadcast()
		s.mu.Unlock()
		reports := send()
		s.mu.Lock()
		s.sent = append(s.sent, reports...)
		select {
		case s.ready <- struct{}{}:
		default:
		}
	}
	s.busy, s.waiting = false, nil
	s.less.Broadcast()
}

// wait waits until nothing waits to be sent.
func (s *sender) wait() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy {
		s.less.Wait()
	}
}

// reports takes what there is to report.
func (s *sender) reports() []Report {
	s.mu.Lock()
	defer s.mu.Unlock()
	reports := s.sent
	s.sent = nil
	return reports
}
