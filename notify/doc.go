// Package notify runs hooks: programs of the operator that are told about each
// change of an instance's state.
//
// A [Queue] keeps one line of events an instance. The events of an instance run
// their hooks strictly in order and one at a time; instances do not wait for
// each other; posting never waits at all. What one process did not finish, the
// next one can: see [Queue.Unfinished].
package notify
