package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The table of this source tree: every requirement once, every row with its test,
// every test with its row, and the right numbers in its text.
func TestTable(t *testing.T) {
	rows, tests, err := load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if len(tests) < 100 || len(rows) < len(tests) {
		t.Errorf("%d rows, %d tests: is this the source tree?", len(rows), len(tests))
	}
}

func TestReadRow(t *testing.T) {
	for _, tt := range []struct {
		line, problem string
		want          row
	}{
		{
			"| T1 | 5.1 | MUST | It is so. | met | `TestRFC9568_T1_So` |", "",
			row{id: "T1", section: "5.1", level: "MUST", requirement: "It is so.", result: met, test: "TestRFC9568_T1_So"},
		},
		{
			"| T1 | 5.1 | MUST | It is so. | **not met**: it is: otherwise. | `TestRFC9568OnWire/T1_So` |", "",
			row{id: "T1", section: "5.1", level: "MUST", requirement: "It is so.", result: notMet, note: "it is: otherwise.", test: "TestRFC9568OnWire/T1_So"},
		},
		{
			"| T1 | 5.1 | – | It is so. | not applicable: it is not. | – |", "",
			row{id: "T1", section: "5.1", level: "–", requirement: "It is so.", result: notApplicable, note: "it is not."},
		},
		{line: "| T1 | 5.1 | MUST | It is so. | met |", problem: "6 cells, not 5"},
		{line: "| T1 | | MUST | It is so. | met | `X` |", problem: "cell 2 is empty"},
		{line: "| T1 | 5.1 | OUGHT | It is so. | met | `X` |", problem: `unknown level "OUGHT"`},
		{line: "| T1 | 5.1 | MUST | It is so. | nearly | `X` |", problem: `unknown result "nearly"`},
		{line: "| T1 | 5.1 | MUST | It is so. | not met: why | `X` |", problem: "unknown result"},
		{line: "| T1 | 5.1 | MUST | It is so. | **not met** | `X` |", problem: "not met without a reason"},
		{line: "| T1 | 5.1 | MUST | It is so. | met | – |", problem: "met without a test"},
		{line: "| T1 | 5.1 | MUST | It is so. | met | X |", problem: "not in backquotes"},
	} {
		got, err := readRow(tt.line)
		if (err == nil) != (tt.problem == "") || err != nil && !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%s: error %v, want %q", tt.line, err, tt.problem)
		}
		if err == nil {
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(row{})); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.line, diff)
			}
		}
	}
}

func TestComplete(t *testing.T) {
	whole, _, err := load("../../..")
	if err != nil {
		t.Fatal(err)
	}
	if err := complete(whole); err != nil {
		t.Errorf("the whole table: %v", err)
	}
	last := whole[len(whole)-1]
	for name, rows := range map[string][]row{
		"one lacks":        slices.Delete(slices.Clone(whole), 3, 4),
		"one comes twice":  slices.Insert(slices.Clone(whole), 3, whole[3]),
		"the last lacks":   whole[:len(whole)-1],
		"one is too many":  append(slices.Clone(whole), last),
		"two change place": append([]row{whole[1], whole[0]}, whole[2:]...),
	} {
		if complete(rows) == nil {
			t.Errorf("%s, and nothing is said", name)
		}
	}
}

func TestTestsOfRows(t *testing.T) {
	const source = `package x
func TestRFC9568_T1_Source(t *testing.T) {}
func TestRFC3768_V2_Type(t *testing.T) { f(t, "V3_IsNoSubtest") }
func TestOther(t *testing.T) { t.Run("T9_Other", nil) }
func TestRFC9568OnWire(t *testing.T) {
	b.row("T4_TTL", b.ttl)
	t.Run("B1_Silent", func(t *testing.T) {})
	b.run("just text", "T5_IsSecond")
}
func (x X) TestRFC9568_T2_Method(t *testing.T) {}
func helper() { b.row("T6_Nowhere") }
`
	file, err := parser.ParseFile(token.NewFileSet(), "x_test.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]test{}
	if err := testsIn(file, "vrrp", got); err != nil {
		t.Fatal(err)
	}
	want := map[string]test{
		"TestRFC9568_T1_Source":       {"T1", "9568", "vrrp"},
		"TestRFC3768_V2_Type":         {"V2", "3768", "vrrp"},
		"TestRFC9568OnWire/T4_TTL":    {"T4", "9568", "vrrp"},
		"TestRFC9568OnWire/B1_Silent": {"B1", "9568", "vrrp"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(test{})); diff != "" {
		t.Errorf("tests (-want +got):\n%s", diff)
	}
	if err := testsIn(file, "vip", got); err == nil {
		t.Error("two tests have one name, and nothing is said")
	}
}

func TestAgree(t *testing.T) {
	tests := map[string]test{
		"TestRFC9568_T1_A": {"T1", "9568", "vrrp"},
		"TestRFC9568_T2_B": {"T2", "9568", "vrrp"},
		"TestRFC9568_T4_C": {"T4", "9568", "vrrp"},
		"TestRFC9568_V1_D": {"V1", "9568", "vrrp"},
	}
	rows := []row{{id: "T1", test: "TestRFC9568_T1_A"}, {id: "T2", test: "TestRFC9568_T1_A"}, {id: "T3", test: "TestRFC9568_T3_Gone"}, {id: "T5"}, {id: "V1", test: "TestRFC9568_V1_D"}}
	got := agree(rows, tests)
	slices.Sort(got)
	want := []string{
		"T2: the row does not name the test TestRFC9568_T2_B of vrrp",
		"T2: the test TestRFC9568_T1_A is called after another row",
		"T3: there is no test TestRFC9568_T3_Gone",
		"T4: the row does not name the test TestRFC9568_T4_C of vrrp",
		"V1: the test TestRFC9568_V1_D is called after another row",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
	if got := agree(rows[:1], map[string]test{"TestRFC9568_T1_A": tests["TestRFC9568_T1_A"]}); len(got) > 0 {
		t.Errorf("problems %v where there are none", got)
	}
}

// A row is only as good as the worst of its test and the subtests, and what did
// not run does not count as passed.
func TestReport(t *testing.T) {
	const events = `{"Action":"run","Test":"TestA"}
{"Action":"output","Test":"TestA","Output":"all right\n"}
{"Action":"pass","Test":"TestA"}
{"Action":"output","Test":"TestB/one","Output":"b_test.go:1: it is otherwise\n"}
{"Action":"fail","Test":"TestB/one"}
{"Action":"fail","Test":"TestB"}
{"Action":"skip","Test":"TestC/sub"}
{"Action":"pass","Test":"TestC"}
{"Action":"build-output","Output":"d_test.go:7: undefined: d\n"}
`
	all := []row{
		{id: "T1", section: "5.1", level: "MUST", result: met, test: "TestA", requirement: "It is so."},
		{id: "T2", section: "5.2", level: "MUST", result: notMet, note: "it is not.", test: "TestB", requirement: "It is otherwise."},
		{id: "T3", section: "5.3", level: "MUST", result: met, test: "TestC", requirement: "It is."},
		{id: "V1", section: "5.4", level: "MUST", result: met, test: "TestD", requirement: "It was."},
		{id: "V2", section: "5.5", level: "MAY", result: notApplicable, note: "no.", requirement: "It may."},
	}
	o, err := readOutcomes(strings.NewReader(events))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if report(&b, all, o) {
		t.Error("three tests did not pass, and all is well")
	}
	for _, want := range []string{
		"T1   RFC 9568 5.1        MUST        met             pass  It is so.\n",
		"T2   RFC 9568 5.2        MUST        not met         fail  It is otherwise.\n     not met: it is not.\n",
		"T3   RFC 9568 5.3        MUST        met             skip  It is.\n",
		"V1   RFC 3768 5.4        MUST        met             did not run  It was.\n",
		"V2   RFC 3768 5.5        MAY         not applicable  –     It may.\n",
		"Of 5 requirements 3 are met, 1 are not met, and 1 are not applicable.\n",
		"T2: TestB: fail\nb_test.go:1: it is otherwise\n",
		"3 of 4 tests did not pass: the table is not true.\nd_test.go:7: undefined: d\n",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the report lacks %q:\n%s", want, b.String())
		}
	}
	if strings.Contains(b.String(), "all right") {
		t.Error("the report shows what a test wrote that passed")
	}
	if !report(&b, []row{all[0], all[4]}, o) {
		t.Error("all passed, and the report says otherwise")
	}
}
