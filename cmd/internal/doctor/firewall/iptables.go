package firewall

import (
	"slices"
	"strings"
)

// ParseIPTables reads what a program such as iptables-save prints. Family is ip
// or ip6, tool what its chains are changed with, such as iptables-legacy.
func ParseIPTables(text, family, tool string) *Ruleset {
	r := &Ruleset{}
	table := ""
	find := func(name string) *Chain {
		i := slices.IndexFunc(r.chains, func(c *Chain) bool { return c.Table == table && c.Name == name })
		if i < 0 {
			return nil
		}
		return r.chains[i]
	}
	for line := range strings.Lines(text) {
		words := split(line)
		switch {
		case len(words) == 0:
		case strings.HasPrefix(words[0], "*"):
			table = words[0][1:]
		case strings.HasPrefix(words[0], ":") && len(words) > 1:
			c := &Chain{Tool: tool, Family: family, Table: table, Name: words[0][1:], Policy: strings.ToLower(words[1])}
			if words[1] != "-" {
				c.Hook = strings.ToLower(c.Name)
			}
			if c.kind = "filter"; table == "nat" {
				c.kind = "nat"
			}
			r.chains = append(r.chains, c)
		case words[0] == "-A" && len(words) > 1:
			if c := find(words[1]); c != nil {
				c.rules = append(c.rules, iptablesRule(strings.TrimSpace(line), words[2:]))
			}
		}
	}
	return r
}

// split cuts a line at white space that is not in double quotes.
func split(line string) (words []string) {
	var word strings.Builder
	quoted, begun := false, false
	flush := func() {
		if begun {
			words = append(words, word.String())
		}
		word.Reset()
		begun = false
	}
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '\\' && quoted && i+1 < len(line):
			i++
			word.WriteByte(line[i])
		case c == '"':
			quoted, begun = !quoted, true
		case !quoted && (c == ' ' || c == '\t' || c == '\n'):
			flush()
		default:
			begun = true
			word.WriteByte(c)
		}
	}
	flush()
	return words
}

func iptablesRule(text string, words []string) *rule {
	r := &rule{text: text}
	invert := false
	for i := 0; i < len(words); i++ {
		option, value := words[i], ""
		if i+1 < len(words) {
			value = words[i+1]
		}
		switch option {
		case "!":
			invert = true
			continue
		case "-j", "-g":
			r.verdict = target(option, value)
			return r
		case "-m", "--comment":
			i++
			continue
		}
		cond := condition(option, value)
		for i+1 < len(words) && !strings.HasPrefix(words[i+1], "-") && words[i+1] != "!" {
			i++ // its value, and further ones of some
		}
		if invert {
			plain := cond
			cond = func(p *Packet) truth { return not(plain(p)) }
			invert = false
		}
		r.conds = append(r.conds, cond)
	}
	return r
}

func target(option, name string) verdict {
	switch name {
	case "ACCEPT":
		return verdict{do: accept}
	case "DROP", "REJECT":
		return verdict{do: drop}
	case "RETURN":
		return verdict{do: leave}
	case "QUEUE", "NFQUEUE", "STEAL":
		return verdict{do: unsure}
	case "LOG", "NFLOG", "ULOG", "MARK", "CONNMARK", "CT", "NOTRACK", "TRACE", "AUDIT", "SET", "CLASSIFY", "TTL", "HL", "TOS", "DSCP", "TCPMSS", "CHECKSUM", "TEE", "RATEEST", "SECMARK", "CONNSECMARK":
		return verdict{}
	}
	if option == "-g" {
		return verdict{goTo, name}
	}
	return verdict{jump, name}
}

// condition is what an option of a rule wants of a packet.
func condition(option, value string) func(p *Packet) truth {
	list := strings.Split(value, ",")
	switch option {
	case "-p":
		return func(*Packet) truth { return max(protocol(value), is(value == "all" || value == "0")) }
	case "-i":
		return func(p *Packet) truth { return interfaceIs(p.In, value, "+") }
	case "-o":
		return func(p *Packet) truth { return interfaceIs(p.Out, value, "+") }
	case "-s":
		return func(p *Packet) truth { return address(p.Source, value) }
	case "-d":
		return func(p *Packet) truth { return address(p.Destination, value) }
	case "--ctstate", "--state":
		return func(*Packet) truth { return stateIs(list) }
	case "--dst-type":
		return func(p *Packet) truth { return p.typeIs(list) }
	case "--pkt-type":
		return func(p *Packet) truth { return p.linkTypeIs(value) }
	case "--invert": // of rpfilter: there is a way back to a peer on the same link
		return func(*Packet) truth { return no }
	case "--loose", "--validmark":
		return func(*Packet) truth { return yes }
	case "--rt-type": // an advert has no routing header
		return func(*Packet) truth { return no }
	case "--ttl-eq", "--hl-eq":
		return func(*Packet) truth { return is(value == "255") }
	}
	return func(*Packet) truth { return unknown }
}
