package config

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkParse reads a file of 4080 instances.
func BenchmarkParse(b *testing.B) {
	var text strings.Builder
	for n := range 4080 {
		fmt.Fprintf(&text, "[[instance]]\nname = \"i%d\"\ninterface = \"eth%d\"\nvrid = %d\npriority = 150\nadvert_interval = \"1s\"\naddresses = [\"10.58.%d.%d/16\"]\n\n",
			n, n/255, n%255+1, n/250, n%250+2)
	}
	file := []byte(text.String())
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		if _, _, err := Parse("holdfast.toml", file); err != nil {
			b.Fatal(err)
		}
	}
}
