package config

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"

	"github.com/holdfast-vrrp/holdfast/vip"
	"github.com/holdfast-vrrp/holdfast/vrrp"
)

// Parse checks a configuration; name is what messages call it. The error, when
// there is one, is of type [Errors] and lists everything that is wrong.
func Parse(name string, text []byte) (*Config, []Warning, error) {
	return parse(name, text, func(string) bool { return true })
}

// parse is Parse, and warns of a group that this host does not have.
func parse(name string, text []byte, hasGroup func(string) bool) (*Config, []Warning, error) {
	hash := fmt.Sprintf("%.8x", sha256.Sum256(text))
	p := read(&source{file: name, text: string(text), hasGroup: hasGroup})
	if !p.placed && len(p.problems)+len(p.warnings) > 0 {
		p = read(&source{file: name, text: p.text, placed: true, hasGroup: hasGroup})
	}
	if len(p.problems) > 0 {
		return nil, nil, p.sorted()
	}
	p.config.Hash = hash
	return p.config, p.sortedWarnings(), nil
}

// read makes what it can of a text.
func read(src *source) *parser {
	p := &parser{source: src, config: &Config{
		File:    src.file,
		Node:    Node{LogLevel: defaultLogLevel, LogFormat: defaultLogFormat, RunDir: DefaultRunDir},
		Control: Control{Socket: DefaultSocket, Group: DefaultGroup},
	}}
	if data, at, ok := src.decode(); ok {
		p.parse(data, at)
	}
	return p
}

// decode turns the text into values and, unless nobody asked for them, their places.
func (s *source) decode() (map[string]any, *node, bool) {
	if len(s.text) > maxSize {
		s.problem(0, "is it the right file?", "the configuration is larger than %d MiB", maxSize>>20)
		return nil, nil, false
	}
	if at := firstInvalid(s.text); at >= 0 {
		s.problem(at, "save the file as UTF-8", "the file is not UTF-8 text")
		return nil, nil, false
	}
	data, isPlain := plain(s.text)
	if isPlain && !s.placed {
		return data, &node{}, true
	}
	s.placed = true
	at, tooDeep := index(s.text)
	if tooDeep >= 0 {
		s.problem(tooDeep, "", "tables and arrays nest deeper than %d levels", maxDepth)
		return nil, nil, false
	}
	if isPlain {
		return data, at, true
	}
	data = map[string]any{}
	if _, err := toml.Decode(s.text, &data); err != nil {
		s.syntax(err)
		return nil, nil, false
	}
	return data, at, true
}

// firstInvalid returns the offset of the first byte that is not UTF-8, or -1.
func firstInvalid(text string) int {
	for i, r := range text {
		if r == utf8.RuneError && !strings.HasPrefix(text[i:], "\uFFFD") {
			return i
		}
	}
	return -1
}

// keepalivedBlock is how a block begins in keepalived.conf.
var keepalivedBlock = regexp.MustCompile(`(?m)^[ \t]*(global_defs|vrrp_(instance|script|sync_group|track_process|track_file)|virtual_server)\b[^=\n]*(\{|$)`)

var quotedText = regexp.MustCompile(`"[^"]*"|'[^']*'`)

// syntax reports what the TOML decoder says.
func (s *source) syntax(err error) {
	e, ok := errors.AsType[toml.ParseError](err)
	if !ok {
		s.problem(0, "", "%s", err)
		return
	}
	// The decoder does not count a byte order mark.
	offset := e.Position.Start + len(s.text) - len(strings.TrimPrefix(s.text, "\uFEFF"))
	message := strings.TrimSuffix(e.Message, ".")
	if first, size := utf8.DecodeRuneInString(message); unicode.IsUpper(first) {
		message = string(unicode.ToLower(first)) + message[size:]
	}
	hint := ""
	switch {
	case keepalivedBlock.MatchString(s.text):
		hint = "this is a configuration of keepalived: 'holdfast check --reference' shows what to write"
	case strings.HasPrefix(message, "expected value"):
		hint = "text is written in quotes"
	}
	s.problem(offset, hint, "%s", message)
	p := &s.problems[len(s.problems)-1]
	line := strings.TrimSpace(p.Source)
	if passwordValue.MatchString(line) {
		p.Message = quotedText.ReplaceAllString(message, "something") // the decoder may quote the password
	}
	for _, t := range schema {
		if t.many && strings.HasPrefix(line, "["+t.name+"]") {
			p.Hint = fmt.Sprintf("write %v: there may be several", t)
		}
	}
}

// parser builds a Config table by table, then looks at what ties them together.
type parser struct {
	*source
	config    *Config
	instances []*instance
	checks    []*check
	hooks     []*hook
	groups    []*group
}

func (p *parser) parse(data map[string]any, at *node) {
	p.unknownTables(data, at)
	if s := p.one(nodeTable, data, at); s != nil {
		p.node(s)
	}
	if s := p.one(controlTable, data, at); s != nil {
		p.control(s)
	}
	if s := p.one(metricsTable, data, at); s != nil {
		p.metrics(s)
	}
	for _, s := range p.all(checkTable, data, at) {
		p.checks = append(p.checks, newCheck(s))
	}
	sections := p.all(instanceTable, data, at)
	p.config.Instances = make([]vrrp.Config, len(sections))
	p.instances = make([]*instance, len(sections))
	for i, s := range sections {
		p.instances[i] = newInstance(s, &p.config.Instances[i])
	}
	for _, s := range p.all(notifyTable, data, at) {
		p.hooks = append(p.hooks, newHook(s))
	}
	for _, s := range p.all(groupTable, data, at) {
		p.groups = append(p.groups, newGroup(s))
	}
	if _, ok := data[instanceTable.name]; !ok {
		p.problem(0, "add at least one, with name, interface, vrid and addresses", "there is no [[instance]]")
	}
	p.relate()
	if len(p.problems) == 0 {
		p.build()
		p.confirm()
	}
	if len(p.problems) == 0 {
		p.warnings = append(p.warnings, p.doubts()...)
	}
}

func (p *parser) unknownTables(data map[string]any, at *node) {
	for key, v := range data {
		if slices.Contains(topLevel(), key) {
			continue
		}
		header := "[" + key + "]"
		switch v.(type) {
		case []map[string]any:
			header = "[[" + key + "]]"
		case map[string]any:
		default:
			p.problem(at.child(key, 0).start, hintForTable(key), "unknown key %q outside of any table", key)
			continue
		}
		p.problem(at.child(key, 0).last().start, hintForTable(key), "unknown table %s", header)
	}
}

// one opens a table that may stand in the file once.
func (p *parser) one(t *table, data map[string]any, at *node) *section {
	switch v := data[t.name].(type) {
	case nil:
	case map[string]any:
		return p.open(t, v, at.child(t.name, 0))
	case []map[string]any:
		p.problem(at.child(t.name, 0).last().start, "", "write %v: there is only one", t)
	default:
		p.problem(at.child(t.name, 0).start, "", "%s must be a table, not %s", t.name, describe(v))
	}
	return nil
}

// all opens the tables of a kind that may be repeated.
func (p *parser) all(t *table, data map[string]any, at *node) []*section {
	n := at.child(t.name, 0)
	var sections []*section
	switch v := tables(data[t.name]).(type) {
	case nil:
	case []map[string]any:
		for i, d := range v {
			item := n
			if i < len(n.items) {
				item = n.items[i]
			}
			sections = append(sections, p.open(t, d, item))
		}
	case map[string]any:
		p.problem(n.start, "", "write %v: there may be several", t)
	default:
		p.problem(n.start, "", "%s must be written as %v tables, not as %s", t.name, t, describe(v))
	}
	return sections
}

// tables makes an array of tables of an array written [{...}, {...}].
func tables(v any) any {
	list, ok := v.([]any)
	if !ok || len(list) == 0 {
		return v
	}
	out := make([]map[string]any, len(list))
	for i, item := range list {
		if out[i], ok = item.(map[string]any); !ok {
			return v
		}
	}
	return out
}

// build fills the Config once everything in it is known to be good.
func (p *parser) build() {
	p.config.VIP = make(map[string]vip.Config, len(p.instances))
	for _, in := range p.instances {
		in.finish(p.checks)
		p.config.VIP[in.Name] = in.vip
	}
	for _, c := range p.checks {
		p.config.Checks = append(p.config.Checks, c.Config)
	}
	for _, h := range p.hooks {
		p.config.Hooks = append(p.config.Hooks, h.Config)
	}
}

// confirm asks the packages that will use the configuration. They find nothing
// that was not found before; if one ever does, better here than at run time.
func (p *parser) confirm() {
	ask := func(s *section, err error) {
		if err != nil {
			p.problem(s.at.start, "", "%s", strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	for _, in := range p.instances {
		ask(in.section, in.vip.Validate())
	}
	for i, c := range p.checks {
		ask(c.section, p.config.Checks[i].Validate())
	}
	for i, h := range p.hooks {
		ask(h.section, p.config.Hooks[i].Validate())
	}
	if len(p.instances) > 0 {
		ask(p.instances[0].section, vrrp.ValidateAll(p.config.Instances))
	}
}
