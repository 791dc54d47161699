// Package sniff looks at VRRP on the wire: it decodes every frame as far as it
// goes, says what is wrong with it, and watches what the routers do to each
// other over time.
//
// Frames come from a live [Capture] or from a capture [File]. [DecodeAdvert] and
// [DecodeAnnouncement] take one apart, a [Watch] holds it against what was seen
// before, and a [Printer] tells people or programs. Only Capture knows the
// clock: all else goes by the times of the frames, so that a file and the wire
// give the same.
//
// Unlike [github.com/holdfast-vrrp/holdfast/vrrp.Packet.Parse], which refuses a
// packet at the first fault, this goes on and finds them all.
package sniff
