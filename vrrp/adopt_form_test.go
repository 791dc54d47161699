package vrrp

import "testing"

// A master that goes on over a restart sends the checksum form that it sent
// before, for backups that accept no other one never speak.
func TestAdoptedMasterKeepsTheChecksumForm(t *testing.T) {
	for _, pseudo := range []bool{false, true} {
		te := newBare(t)
		var sent *SendAdvert
		te.sent = func(s *SendAdvert) { sent = s }
		te.do(&Adopt{Routers: []Adopted{{Interface: "eth0", VRID: 51, Family: IPv4, PseudoHeader: pseudo}}})
		te.do(eth0())
		te.configure(web())
		te.wantState("web", StateMaster)
		want := formMessage
		if pseudo {
			want = formPseudo
		}
		if sent == nil || sent.PseudoHeader != pseudo || !validChecksum(sent.Payload, want, sent.Source, sent.Destination) {
			t.Errorf("pseudo-header %v: sent %+v", pseudo, sent)
		}
	}
}
