// Package doctor looks for what makes pairs fail in the field, on this host and
// on the wire, and says what to do about each thing it finds.
//
// A [Test] looks at one thing of an [Examination] and returns what it found; all
// are in one table and run side by side. Nothing it does changes the host.
package doctor
