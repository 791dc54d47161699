package firewall

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

const (
	nftTool = "nft"
	// xtMark stands in the text of a rule for what iptables put there.
	xtMark = "xt match"
)

// object is JSON as it comes.
type object = map[string]any

// nft reads a ruleset.
type nft struct {
	Ruleset
	sets map[string][]any
}

// ParseNFT reads what nft -j list ruleset prints.
func ParseNFT(text []byte) (*Ruleset, error) {
	var doc struct {
		Items []map[string]json.RawMessage `json:"nftables"`
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, fmt.Errorf("cannot read the answer of nft: %w", err)
	}
	n := &nft{sets: map[string][]any{}}
	for _, item := range doc.Items {
		for _, kind := range []string{"set", "map", "chain"} {
			if raw, ok := item[kind]; ok {
				n.define(kind, raw)
			}
		}
	}
	for _, item := range doc.Items {
		if raw, ok := item["rule"]; ok {
			n.rule(raw)
		}
	}
	return &n.Ruleset, nil
}

func key(family, table, name string) string { return family + "\n" + table + "\n" + name }

func (n *nft) define(kind string, raw json.RawMessage) {
	var d struct {
		Family, Table, Name, Type, Hook, Policy string
		Elem                                    []any
		Dev                                     any
	}
	// The type of a set may be a list, which is of no interest.
	if err := json.Unmarshal(raw, &d); err != nil && d.Name == "" {
		return
	}
	if kind != "chain" {
		n.sets[key(d.Family, d.Table, d.Name)] = d.Elem
		return
	}
	c := &Chain{Tool: nftTool, Family: d.Family, Table: d.Table, Name: d.Name, Hook: d.Hook, Policy: d.Policy, kind: d.Type}
	switch dev := d.Dev.(type) {
	case string:
		c.devices = []string{dev}
	case []any:
		for _, one := range dev {
			c.devices = append(c.devices, word(one))
		}
	}
	n.chains = append(n.chains, c)
}

// rule adds a rule to its chain: one for each verdict there may be.
func (n *nft) rule(raw json.RawMessage) {
	var d struct {
		Family, Table, Chain string
		Expr                 []object
	}
	if json.Unmarshal(raw, &d) != nil {
		return
	}
	var chain *Chain
	for _, c := range n.chains {
		if c.Family == d.Family && c.Table == d.Table && c.Name == d.Chain {
			chain = c
		}
	}
	if chain == nil {
		return
	}
	var conds []func(*Packet) truth
	text := render(d.Expr)
	for _, e := range d.Expr {
		for word, body := range e {
			switch word {
			case "match":
				conds = append(conds, n.match(chain, body))
			case "vmap":
				for _, r := range n.verdicts(chain, body) {
					chain.rules = append(chain.rules, &rule{text, append(conds[:len(conds):len(conds)], r.conds...), r.verdict})
				}
			default:
				v, known := statement(word, body)
				switch {
				case !known:
					conds = append(conds, func(*Packet) truth { return unknown })
				case v.do != goOn:
					chain.rules = append(chain.rules, &rule{text, conds, v})
				}
			}
		}
	}
}

// statement is the verdict of a statement; known is false for one that may end
// the rule.
func statement(word string, body any) (v verdict, known bool) {
	target := ""
	if o, ok := body.(object); ok {
		target, _ = o["target"].(string)
	}
	switch word {
	case "accept":
		return verdict{do: accept}, true
	case "drop", "reject":
		return verdict{do: drop}, true
	case "return":
		return verdict{do: leave}, true
	case "jump":
		return verdict{jump, target}, true
	case "goto":
		return verdict{goTo, target}, true
	case "queue", "fwd", "tproxy", "synproxy":
		return verdict{do: unsure}, true
	case "counter", "log", "continue", "mangle", "notrack", "set", "map", "flow", "dup", "ct helper", "ct timeout", "ct expectation", "meter":
		return verdict{}, true
	case "xt":
		o, _ := body.(object)
		if o["name"] == "comment" || o["name"] == "LOG" || o["name"] == "NFLOG" {
			return verdict{}, true
		}
	}
	return verdict{}, false
}

// verdicts are the entries of a map of verdicts.
func (n *nft) verdicts(c *Chain, body any) (list []rule) {
	o, _ := body.(object)
	for _, entry := range n.elements(c, o["data"]) {
		pair, ok := entry.([]any)
		if !ok || len(pair) != 2 {
			continue
		}
		do, _ := pair[1].(object)
		for word, b := range do {
			v, _ := statement(word, b)
			list = append(list, rule{conds: []func(*Packet) truth{func(p *Packet) truth { return n.compare(c, p, o["key"], pair[0]) }}, verdict: v})
		}
	}
	return list
}

// elements lists those of a set, named or not; nil when it is none.
func (n *nft) elements(c *Chain, set any) []any {
	switch s := set.(type) {
	case string:
		if name, ok := strings.CutPrefix(s, "@"); ok {
			if list := n.sets[key(c.Family, c.Table, name)]; list != nil {
				return list
			}
			return []any{}
		}
	case []any:
		return s
	case object:
		list, _ := s["set"].([]any)
		return list
	}
	return nil
}

// match is a comparison.
func (n *nft) match(c *Chain, body any) func(*Packet) truth {
	o, _ := body.(object)
	op, _ := o["op"].(string)
	return func(p *Packet) truth {
		switch op {
		case "==", "in", "":
			return n.compare(c, p, o["left"], o["right"])
		case "!=":
			if f := fieldOf(o["left"]); f.foreign(p) {
				return no // there is no such field to differ
			}
			return not(n.compare(c, p, o["left"], o["right"]))
		}
		return unknown
	}
}

// compare tells whether a field of the packet is of a value, or in a set.
func (n *nft) compare(c *Chain, p *Packet, left, right any) truth {
	f := fieldOf(left)
	if f.foreign(p) {
		return no
	}
	if list := n.elements(c, right); list != nil {
		var any []truth
		for _, e := range list {
			any = append(any, n.compare(c, p, left, e))
		}
		return either(any)
	}
	if o, ok := right.(object); ok && o["elem"] != nil {
		e, _ := o["elem"].(object)
		return n.compare(c, p, left, e["val"])
	}
	if c.Family == bridgeFamily {
		return f.onBridge(p, right)
	}
	return f.is(p, right)
}

// prefix is an address or a network; a range is none.
func prefix(v any) (netip.Prefix, bool) {
	switch v := v.(type) {
	case string:
		a, err := netip.ParseAddr(v)
		if err != nil {
			p, err := netip.ParsePrefix(v)
			return p, err == nil
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	case object:
		if o, ok := v["prefix"].(object); ok {
			text, _ := o["addr"].(string)
			bits, _ := o["len"].(float64)
			a, err := netip.ParseAddr(text)
			return netip.PrefixFrom(a, int(bits)), err == nil
		}
	}
	return netip.Prefix{}, false
}

// word is a scalar as nft would write it.
func word(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return map[bool]string{true: "exists", false: "missing"}[v]
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return ""
}
