package metrics

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

const examples = "../../../examples/"

// promtool finds Prometheus's own checker.
func promtool(t *testing.T) string {
	t.Helper()
	p, err := lab.FindPeer("promtool")
	if err != nil {
		if os.Getenv("HOLDFAST_REQUIRE") == "1" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	return p.Path
}

// The alerts are what Prometheus takes, and each fires when it should and not
// before.
func TestRules(t *testing.T) {
	tool := promtool(t)
	dir := t.TempDir()
	for _, path := range []string{examples + "prometheus-rules.yml", "testdata/prometheus-rules-test.yml"} {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, filepath.Base(path)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"check", "rules", "--lint-fatal", "prometheus-rules.yml"}, {"test", "rules", "prometheus-rules-test.yml"}} {
		c := exec.Command(tool, args...)
		c.Dir = dir
		if out, err := c.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	rules, err := os.ReadFile(examples + "prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	cases, err := os.ReadFile("testdata/prometheus-rules-test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`- alert: (\w+)`).FindAllStringSubmatch(string(rules), -1) {
		if !strings.Contains(string(cases), "- name: "+m[1]+"\n") {
			t.Errorf("no test of alert %s", m[1])
		}
	}
}

func TestScrapeConfig(t *testing.T) {
	tool := promtool(t)
	dir := t.TempDir()
	for _, name := range []string{"prometheus-scrape.yml", "prometheus-rules.yml"} {
		text, err := os.ReadFile(examples + name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command(tool, "check", "config", filepath.Join(dir, "prometheus-scrape.yml")).CombinedOutput(); err != nil {
		t.Errorf("promtool check config: %v\n%s", err, out)
	}
}

var (
	named   = regexp.MustCompile(`\bholdfast_\w+`)
	grouped = regexp.MustCompile(`(?:by|on|ignoring) \(([^)]*)\)|\{\{ ?(?:\$labels\.)?(\w+) ?\}\}|[{,](\w+)=~?"`)
)

// What alerts and the dashboard ask for is there, by name and by label.
func TestQueriesAskForWhatIsThere(t *testing.T) {
	known, labels := map[string]bool{}, map[string]bool{"job": true, "instance": true, "le": true}
	for _, f := range parse(t, text(t, fixed{st: sample()}, false)) {
		known[f.GetName()] = true
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
	}
	var queries []string
	dashboard, err := os.ReadFile(examples + "grafana-dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct{ List []struct{ Query string } }
	}
	if err := json.Unmarshal(dashboard, &d); err != nil {
		t.Fatal(err)
	}
	tool := promtool(t)
	for _, p := range d.Panels {
		for _, q := range p.Targets {
			queries = append(queries, q.Expr, q.LegendFormat)
			rule := "groups: [{name: x, rules: [{record: x, expr: '" + q.Expr + "'}]}]\n"
			path := filepath.Join(t.TempDir(), "rule.yml")
			if err := os.WriteFile(path, []byte(rule), 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(tool, "check", "rules", path).CombinedOutput(); err != nil {
				t.Errorf("panel %q: %v\n%s", p.Title, err, out)
			}
		}
	}
	for _, v := range d.Templating.List {
		queries = append(queries, v.Query)
	}
	rules, err := os.ReadFile(examples + "prometheus-rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	queries = append(queries, string(rules))
	found := 0
	for _, q := range queries {
		for _, name := range named.FindAllString(q, -1) {
			found++
			if name = strings.TrimSuffix(name, "_bucket"); !known[name] {
				t.Errorf("there is no metric %s", name)
			}
		}
		for _, m := range grouped.FindAllStringSubmatch(q, -1) {
			for _, l := range strings.Split(m[1]+m[2]+m[3], ",") {
				if l = strings.TrimSpace(l); l != "" && l != "group_left" && !labels[l] {
					t.Errorf("there is no label %s in %s", l, m[0])
				}
			}
		}
	}
	if found < 40 {
		t.Errorf("only %d names found", found)
	}
}
