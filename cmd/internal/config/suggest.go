package config

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint that names the candidate nearest to word, or
// nothing when none is near.
func didYouMean(word string, candidates []string) string {
	if c := Nearest(word, candidates); c != "" {
		return fmt.Sprintf("did you mean %q?", c)
	}
	return ""
}

// Nearest returns the candidate with the fewest typing mistakes, whatever the
// case; of equals the first. Nothing is near when more than a third of the
// word would have to change.
func Nearest(word string, candidates []string) string {
	best, limit := "", max(1, len(word)/3)
	for _, c := range candidates {
		d := distance(strings.ToLower(word), strings.ToLower(c))
		// A word of which nothing is left is no typing mistake.
		if d <= limit && d < max(len(word), len(c)) {
			best, limit = c, d-1
		}
		if d == 0 {
			break
		}
	}
	return best
}

// distance counts the characters to insert, remove, replace or swap with their
// neighbour to make b of a (optimal string alignment).
func distance(a, b string) int {
	const longest = 64 // no key is longer, and the cost is quadratic
	if len(a) > longest || len(b) > longest {
		return max(len(a), len(b))
	}
	var older, old, row [longest + 1]int
	for j := range len(b) + 1 {
		old[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(row[j]+1, old[j+1]+1, old[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], older[j-1]+1)
			}
		}
		older, old = old, row
	}
	return old[len(b)]
}
