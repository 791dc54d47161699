package sniff

import (
	"slices"
	"time"
)

// Session takes frames, from wherever, and tells what it sees in them.
type Session struct {
	Watch   *Watch
	Printer Printer
	// VRIDs are those to look at; none stands for all, and for packets that have
	// none.
	VRIDs []uint8
	// Announcements also tells who announces the addresses of virtual routers.
	Announcements bool

	// Adverts is how many packets were looked at.
	Adverts int
}

// Frame takes the next frame.
func (s *Session) Frame(f Frame) error {
	if a, ok := DecodeAdvert(f); ok {
		if len(s.VRIDs) > 0 && (!a.Decoded || !slices.Contains(s.VRIDs, a.VRID)) {
			return s.events(s.Watch.See(f.Time))
		}
		s.Adverts++
		events := s.Watch.Advert(&a)
		if err := s.events(events); err != nil {
			return err
		}
		return s.Printer.Advert(&a)
	}
	n, ok := Announcement{}, false
	if s.Announcements {
		n, ok = DecodeAnnouncement(f)
	}
	if !ok {
		return s.events(s.Watch.See(f.Time))
	}
	events, ours := s.Watch.Announcement(&n)
	if err := s.events(events); err != nil || !ours {
		return err
	}
	return s.Printer.Announcement(&n)
}

// Advance tells what has happened until now although no frame came.
func (s *Session) Advance(now time.Time) error { return s.events(s.Watch.Advance(now)) }

func (s *Session) events(list []Event) error {
	for _, e := range list {
		if err := s.Printer.Event(e); err != nil {
			return err
		}
	}
	return nil
}

// Silence is a Printer that tells the summary alone.
type Silence struct{ Printer }

// Advert says nothing.
func (Silence) Advert(*Advert) error { return nil }

// Announcement says nothing.
func (Silence) Announcement(*Announcement) error { return nil }

// Event says nothing.
func (Silence) Event(Event) error { return nil }
