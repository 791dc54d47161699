package metrics

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// fixed is a source that always says the same.
type fixed struct {
	st  *control.Status
	err error
}

func (f fixed) Status(context.Context) (*control.Status, error) { return f.st, f.err }

var at = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sample is a node that has seen a bit of everything.
func sample() *control.Status {
	heard, left := at.Add(-300*time.Millisecond), int64(1500)
	self := &control.Master{Address: "192.0.2.1", Priority: 150, Self: true}
	other := &control.Master{Address: "fe80::2", Priority: 100, LastHeard: &heard}
	return &control.Status{
		Version: control.Version, Node: "lb1",
		Daemon: control.Daemon{
			Version: "1.0.0", PID: 42, Started: at, Config: "/etc/holdfast/holdfast.toml", ReloadError: "line 3", HooksFailed: 1, HooksDropped: 2,
			Dropped: map[string]uint64{"vrid": 7, "ttl": 0},
			Telemetry: control.Telemetry{
				ConfigHash: "0123456789abcdef", ConfigGeneration: 2, ConfigLoaded: at, ReloadsRefused: 1, HooksSucceeded: 4,
				Lateness: control.Lateness{Count: 4, SumMS: 31, Buckets: []control.LatenessBucket{{UpToMS: 1, Count: 3}, {UpToMS: 25, Count: 3}}},
			},
		},
		Instances: []control.Instance{{
			Name: "web", State: "master", Since: at, Interface: "eth0", VRID: 51, Protocol: 3, Group: "edge",
			Priority: control.Priority{Base: 150, Effective: 17}, Demoted: true, Drained: true, Master: self, ConflictSince: &at,
			Addresses: []control.Address{{Address: "192.0.2.100/24", Present: true}, {Address: "192.0.2.101/32", Present: true}, {Address: "2001:db8::100/64"}},
			Elsewhere: []control.Elsewhere{{Address: "192.0.2.100", Interface: "eth1", Since: at}},
			Checks:    []string{"nginx"}, AdvertIntervalMS: 1000, LeaseMS: 2000, LeaseLeftMS: &left,
			Counters: control.Counters{
				AdvertsSent: 3, AdvertsReceived: 4, ReleasesSent: 1, ReleasesReceived: 2, SendErrors: 5, BecameMaster: 1, LeftMaster: 1,
				Transitions: map[string]uint64{"no_master": 1, "outranked": 0}, Dropped: map[string]uint64{"ttl": 6, "length": 7, "short": 1, "type": 0, "auth_data": 2},
			},
			Families: []control.Family{
				{Family: "ipv4", State: "master", Since: at, Source: "192.0.2.1", Master: self},
				{Family: "ipv6", State: "backup", Since: at, Source: "fe80::1", Master: other},
			},
		}},
		Checks: []control.Check{
			{Name: "nginx", State: "failing", Since: &at, LastAt: &at, LastDurationMS: 2.5, Passed: 9, Failed: 3, Changes: 2},
			{Name: "new", State: "unknown"},
		},
	}
}

// text is what a scrape of a source answers.
func text(t testing.TB, source Source, compat bool) []byte {
	t.Helper()
	h := newHandler(source, compat)
	h.now = func() time.Time { return at }
	var b bytes.Buffer
	if err := h.write(&b, h.scrape(t.Context())); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// sampled gathers what Prometheus's own reader finds in a scrape.
func sampled(t testing.TB, st *control.Status, compat bool) prometheus.Gatherer {
	t.Helper()
	families := parse(t, text(t, fixed{st: st}, compat))
	return prometheus.Gatherers{prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return families, nil })} // which sorts
}

// parse is that reader. The families are in the order of their names.
func parse(t interface{ Fatal(args ...any) }, text []byte) []*dto.MetricFamily {
	p := expfmt.NewTextParser(model.UTF8Validation)
	byName, err := p.TextToMetricFamilies(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	var families []*dto.MetricFamily
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		families = append(families, byName[name])
	}
	return families
}

func TestNames(t *testing.T) {
	for _, compat := range []bool{false, true} {
		problems, err := promlint.New(bytes.NewReader(text(t, fixed{st: sample()}, compat))).Lint()
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// Every metric that is described is there, so that none is forgotten.
func TestAllDescribed(t *testing.T) {
	var want, got []string
	for _, m := range described(true) {
		want = append(want, m.name)
	}
	for _, f := range parse(t, text(t, fixed{st: sample()}, true)) {
		got = append(got, f.GetName())
		if prefix, _, _ := strings.Cut(f.GetName(), "_"); !slices.Contains([]string{"holdfast", "keepalived", "go", "process"}, prefix) {
			t.Errorf("%s is of nobody", f.GetName())
		}
		if f.GetHelp() == "" {
			t.Errorf("%s has no help", f.GetName())
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-described +there):\n%s", diff)
	}
}

// Whatever the status counts is in the metrics: each counter is given a number
// of its own, which must turn up.
func TestEveryCounterHasAMetric(t *testing.T) {
	st := sample()
	next := uint64(1_000_000)
	want := map[uint64]string{}
	var fill func(v reflect.Value, path string)
	fill = func(v reflect.Value, path string) {
		switch v.Kind() {
		case reflect.Pointer:
			if !v.IsNil() && v.Type().Elem().PkgPath() == reflect.TypeFor[control.Status]().PkgPath() {
				fill(v.Elem(), path)
			}
		case reflect.Struct:
			for n := range v.NumField() {
				if v.Type().PkgPath() == reflect.TypeFor[control.Status]().PkgPath() {
					fill(v.Field(n), path+"."+v.Type().Field(n).Name)
				}
			}
		case reflect.Slice:
			for n := range v.Len() {
				fill(v.Index(n), fmt.Sprintf("%s[%d]", path, n))
			}
		case reflect.Map:
			for _, k := range v.MapKeys() {
				next++
				want[next] = path + "." + k.String()
				v.SetMapIndex(k, reflect.ValueOf(next))
			}
		case reflect.Uint64:
			next++
			want[next] = path
			v.SetUint(next)
		}
	}
	fill(reflect.ValueOf(st), "status")
	if len(want) < 30 {
		t.Fatalf("only %d counters found", len(want))
	}
	for _, f := range parse(t, text(t, fixed{st: st}, false)) {
		for _, m := range f.GetMetric() {
			delete(want, uint64(m.GetCounter().GetValue()))
			delete(want, m.GetHistogram().GetSampleCount())
			for _, b := range m.GetHistogram().GetBucket() {
				delete(want, b.GetCumulativeCount())
			}
		}
	}
	for _, path := range want {
		t.Errorf("%s has no metric", path)
	}
}

func TestValues(t *testing.T) {
	const want = `
# HELP holdfast_instance_state 1 for the state that the instance is in, the strongest of its address families: init, backup, master or fault.
# TYPE holdfast_instance_state gauge
holdfast_instance_state{state="backup",vrrp_instance="web"} 0
holdfast_instance_state{state="fault",vrrp_instance="web"} 0
holdfast_instance_state{state="init",vrrp_instance="web"} 0
holdfast_instance_state{state="master",vrrp_instance="web"} 1
# HELP holdfast_instance_adverts_dropped_total Packets for the instance that were refused, by reason. A reason appears when it first happens.
# TYPE holdfast_instance_adverts_dropped_total counter
holdfast_instance_adverts_dropped_total{reason="auth_data",vrrp_instance="web"} 2
holdfast_instance_adverts_dropped_total{reason="length",vrrp_instance="web"} 7
holdfast_instance_adverts_dropped_total{reason="short",vrrp_instance="web"} 1
holdfast_instance_adverts_dropped_total{reason="ttl",vrrp_instance="web"} 6
# HELP holdfast_instance_transitions_total Changes of the state by the kind of their reason.
# TYPE holdfast_instance_transitions_total counter
holdfast_instance_transitions_total{reason="no_master",vrrp_instance="web"} 1
holdfast_instance_transitions_total{reason="outranked",vrrp_instance="web"} 0
# HELP holdfast_instance_info What the instance is: always 1.
# TYPE holdfast_instance_info gauge
holdfast_instance_info{group="edge",interface="eth0",version="3",vrid="51",vrrp_instance="web"} 1
# HELP holdfast_instance_addresses_present How many of these are on its interface of this host.
# TYPE holdfast_instance_addresses_present gauge
holdfast_instance_addresses_present{family="ipv4",vrrp_instance="web"} 2
holdfast_instance_addresses_present{family="ipv6",vrrp_instance="web"} 0
# HELP holdfast_instance_lease_remaining_seconds What is left of the lease since the last renewal; absent while the addresses are not here.
# TYPE holdfast_instance_lease_remaining_seconds gauge
holdfast_instance_lease_remaining_seconds{vrrp_instance="web"} 1.5
# HELP holdfast_master_silence_seconds How long ago the master that this node listens to was heard.
# TYPE holdfast_master_silence_seconds gauge
holdfast_master_silence_seconds{family="ipv6",master="fe80::2",vrrp_instance="web"} 0.3
# HELP holdfast_loop_lateness_seconds How late the loop woke, of all times it was to wake by itself. Adverts that leave later than three intervals cost the mastership.
# TYPE holdfast_loop_lateness_seconds histogram
holdfast_loop_lateness_seconds_bucket{le="0.001"} 3
holdfast_loop_lateness_seconds_bucket{le="0.025"} 3
holdfast_loop_lateness_seconds_bucket{le="+Inf"} 4
holdfast_loop_lateness_seconds_sum 0.031
holdfast_loop_lateness_seconds_count 4
# HELP holdfast_config_hash A number that tells one text of the configuration in force from another.
# TYPE holdfast_config_hash gauge
holdfast_config_hash 1.250999896491e+12
# HELP holdfast_config_last_reload_successful Whether the last reload was not refused.
# TYPE holdfast_config_last_reload_successful gauge
holdfast_config_last_reload_successful 0
# HELP holdfast_check_state 1 for the state that the check is in: unknown, healthy or failing.
# TYPE holdfast_check_state gauge
holdfast_check_state{check="new",state="failing"} 0
holdfast_check_state{check="new",state="healthy"} 0
holdfast_check_state{check="new",state="unknown"} 1
holdfast_check_state{check="nginx",state="failing"} 1
holdfast_check_state{check="nginx",state="healthy"} 0
holdfast_check_state{check="nginx",state="unknown"} 0
# HELP holdfast_check_duration_seconds How long the last probe took.
# TYPE holdfast_check_duration_seconds gauge
holdfast_check_duration_seconds{check="nginx"} 0.0025
`
	names := []string{}
	for line := range strings.Lines(want) {
		if rest, ok := strings.CutPrefix(line, "# TYPE "); ok {
			name, _, _ := strings.Cut(rest, " ")
			names = append(names, name)
		}
	}
	if err := testutil.GatherAndCompare(sampled(t, sample(), false), strings.NewReader(want), names...); err != nil {
		t.Error(err)
	}
}

// What dashboards for keepalived ask for, with the labels and values that the
// exporter has: one series of state for each address, as 0 to 3.
func TestCompat(t *testing.T) {
	const want = `
# HELP keepalived_up Whether the daemon answers; for dashboards of keepalived.
# TYPE keepalived_up gauge
keepalived_up 1
# HELP keepalived_vrrp_state State of an address: 0 init, 1 backup, 2 master, 3 fault; for dashboards of keepalived.
# TYPE keepalived_vrrp_state gauge
keepalived_vrrp_state{iname="web",intf="eth0",ip_address="192.0.2.100/24",vrid="51"} 2
keepalived_vrrp_state{iname="web",intf="eth0",ip_address="192.0.2.101",vrid="51"} 2
keepalived_vrrp_state{iname="web",intf="eth0",ip_address="2001:db8::100/64",vrid="51"} 1
# HELP keepalived_packet_length_errors_total Packets of a wrong length; for dashboards of keepalived.
# TYPE keepalived_packet_length_errors_total counter
keepalived_packet_length_errors_total{iname="web",intf="eth0",vrid="51"} 8
# HELP keepalived_ip_ttl_errors_total Packets with a TTL that is not 255; for dashboards of keepalived.
# TYPE keepalived_ip_ttl_errors_total counter
keepalived_ip_ttl_errors_total{iname="web",intf="eth0",vrid="51"} 6
# HELP keepalived_script_status Whether a check is healthy; for dashboards of keepalived.
# TYPE keepalived_script_status gauge
keepalived_script_status{name="nginx"} 0
`
	err := testutil.GatherAndCompare(sampled(t, sample(), true), strings.NewReader(want), "keepalived_up", "keepalived_vrrp_state",
		"keepalived_packet_length_errors_total", "keepalived_ip_ttl_errors_total", "keepalived_script_status")
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{
		"advertisements_received", "advertisements_sent", "become_master", "release_master", "packet_length_errors",
		"advertisements_interval_errors", "ip_ttl_errors", "invalid_type_received", "address_list_errors",
		"authentication_invalid", "authentication_mismatch", "authentication_failure", "priority_zero_received",
		"priority_zero_sent", "gratuitous_arp_delay",
	} {
		if n, err := testutil.GatherAndCount(sampled(t, sample(), true), "keepalived_"+name+"_total"); n != 1 || err != nil {
			t.Errorf("%d series of %s, %v", n, name, err)
		}
	}
	if n, _ := testutil.GatherAndCount(sampled(t, sample(), false), "keepalived_up"); n != 0 {
		t.Error("they are there without being asked for")
	}
}

// A daemon that does not answer is down, and nothing else is claimed of it but
// what its process takes.
func TestNoAnswer(t *testing.T) {
	for _, compat := range []bool{false, true} {
		var got []string
		for _, f := range parse(t, text(t, fixed{err: errors.New("stuck")}, compat)) {
			if prefix, _, _ := strings.Cut(f.GetName(), "_"); prefix != "go" && prefix != "process" {
				got = append(got, fmt.Sprintf("%s %v", f.GetName(), f.GetMetric()[0].GetGauge().GetValue()))
			}
		}
		want := "holdfast_up 0"
		if compat {
			want += " keepalived_up 0"
		}
		if g := strings.Join(got, " "); g != want {
			t.Errorf("got %s, want %s", g, want)
		}
	}
}

// many is a node with that many instances.
func many(count int) *control.Status {
	st := sample()
	one := st.Instances[0]
	st.Instances = nil
	for n := range count {
		one.Name = fmt.Sprintf("i%d", n)
		st.Instances = append(st.Instances, one)
	}
	return st
}

// The number of series follows from the configuration alone, whatever happens.
func TestSeriesAreBounded(t *testing.T) {
	count := func(n int) (series int) {
		for _, f := range parse(t, text(t, fixed{st: many(n)}, true)) {
			series += len(f.GetMetric())
		}
		return series
	}
	one, ten := count(1), count(10)
	each := (ten - one) / 9
	t.Logf("measured: %d series of the daemon, %d of each dual-stack instance", one-each, each)
	if each > 80 {
		t.Errorf("%d series of each instance", each)
	}
}
