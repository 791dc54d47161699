// Package screen is what the commands need of a terminal: its size and whether
// it has colours, text measured in cells and made harmless, and for a live view
// the whole of it, with keys, given back as it was.
//
// Text that comes from outside (names, what a check wrote, what a peer sent) goes
// through [Clean] before anything else; what this package adds to it are
// colours alone.
package screen
