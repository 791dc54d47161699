package config

import (
	_ "embed"
	"slices"
)

//go:embed reference.toml
var reference []byte

//go:embed minimal.toml
var minimal []byte

// Reference returns a configuration that names every key, with its meaning,
// unit, default and range. It parses.
func Reference() []byte { return slices.Clone(reference) }

// Minimal returns the shortest useful configuration, to begin from. It parses.
func Minimal() []byte { return slices.Clone(minimal) }
