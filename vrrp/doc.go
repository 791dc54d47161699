// Package vrrp decides: it implements the virtual router redundancy protocol,
// version 3 of RFC 9568 and version 2 of RFC 3768, as a pure machine.
//
// An [Engine] holds every virtual router of a node. [Engine.Step] takes an
// [Event] and returns the [Action] list to carry out; [Engine.Deadline] says
// when it wants to hear a [Tick]. The Engine reads no clock, opens no socket,
// starts no goroutine, logs nothing and never sleeps, so that the same code
// runs in the daemon, in simulations and in tests.
//
// # Order
//
// Actions must be carried out in the order given. On becoming master the order
// is advert, addresses, announcement, hooks; on leaving it is release, removal
// of the addresses, hooks. The Engine does not wait for an action: what takes
// time is done elsewhere, and its result comes back as an event. An advert
// never waits for anything.
//
// # Letting go
//
// A master that leaves on purpose releases with priority 0 and serves on until
// its successor has spoken and had a moment to announce itself, or until a
// bound has passed. In version 3 it first advertises the shortest interval,
// which backups learn, and with it a skew of at most 10 ms. A demoted or
// drained master that finds no successor stays master at its low priority.
//
// # Health
//
// A failing check demotes: the effective priority moves into the band from 1
// to [DemotedMax], below every base priority. A healthy backup always takes
// over from a master in that band, whatever its preempt setting.
package vrrp
