package firewall

import (
	"regexp"
	"slices"
	"strings"
)

// Placeless tells whether it is not known of some chains of which interfaces they
// are: nft 1.0 and older do not say that in JSON.
func (r *Ruleset) Placeless() bool {
	return slices.ContainsFunc(r.chains, func(c *Chain) bool { return c.ofDevice() && c.devices == nil })
}

// deviceList are the words behind device or devices in the head of a chain.
var deviceList = regexp.MustCompile(`\bdevices? (?:= )?(\{[^}]*\}|\S+)`)

// Place takes from what nft list chains prints of which interfaces they are.
func (r *Ruleset) Place(text string) {
	family, table, name := "", "", ""
	for line := range strings.Lines(text) {
		switch w := strings.Fields(line); {
		case len(w) > 2 && w[0] == "table":
			family, table = w[1], w[2]
		case len(w) > 1 && w[0] == "chain":
			name = w[1]
		}
		m := deviceList.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		for _, c := range r.chains {
			if c.Family == family && c.Table == table && c.Name == name {
				c.devices = strings.FieldsFunc(m[1], func(r rune) bool { return strings.ContainsRune(`{}", ;`, r) })
			}
		}
	}
}
