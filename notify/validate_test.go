package notify

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestValidateAccepts(t *testing.T) {
	tests := map[string]Config{
		"least":      {Exec: []string{"/bin/true"}, Timeout: 1},
		"everything": {On: []string{"master", "backup", "fault", "stop"}, Instances: []string{"web", "inside"}, Exec: []string{"/x", "", "a b"}, Timeout: time.Hour, Style: Keepalived},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if err := c.Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestValidateRefuses(t *testing.T) {
	tests := map[string]struct {
		edit func(*Config)
		want string
	}{
		"state":             {func(c *Config) { c.On = []string{"primary"} }, `on: "primary" must be one of master, backup, fault, stop, rival, check, address`},
		"state in capitals": {func(c *Config) { c.On = []string{"MASTER"} }, `on: "MASTER" must be one of master, backup, fault, stop, rival, check, address`},
		"state twice":       {func(c *Config) { c.On = []string{"stop", "stop"} }, `on: "stop" is listed twice`},
		"empty instance":    {func(c *Config) { c.Instances = []string{""} }, "instances: a name is empty"},
		"instance twice":    {func(c *Config) { c.Instances = []string{"a", "b", "a"} }, `instances: "a" is listed twice`},
		"no command":        {func(c *Config) { c.Exec = nil }, "exec: the command is empty"},
		"relative":          {func(c *Config) { c.Exec = []string{"notify.sh"} }, `exec: program "notify.sh" must be an absolute path`},
		"NUL":               {func(c *Config) { c.Exec = []string{"/x", "\x00"} }, `exec: argument "\x00" contains a NUL byte`},
		"no timeout":        {func(c *Config) { c.Timeout = 0 }, "timeout 0s must be more than 0"},
		"no state":          {func(c *Config) { c.On, c.Style = []string{"stop", "check"}, Keepalived }, `on: "check" is no state: keepalived knows nothing of it`},
		"style":             {func(c *Config) { c.Style = 9 }, "style 9 must be Holdfast or Keepalived"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := Config{Exec: []string{"/bin/true"}, Timeout: time.Second}
			tt.edit(&c)
			err := c.Validate()
			if err == nil {
				t.Fatal("accepted")
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestValidateReportsAll(t *testing.T) {
	c := Config{On: []string{"x"}, Instances: []string{""}, Style: 7}
	err := c.Validate()
	if err == nil {
		t.Fatal("accepted")
	}
	want := []string{
		`on: "x" must be one of master, backup, fault, stop, rival, check, address`,
		"instances: a name is empty",
		"exec: the command is empty",
		"timeout 0s must be more than 0",
		"style 7 must be Holdfast or Keepalived",
	}
	if diff := cmp.Diff(want, strings.Split(err.Error(), "\n")); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

func TestWants(t *testing.T) {
	tests := []struct {
		name            string
		on, instances   []string
		state, instance string
		want            bool
	}{
		{"all", nil, nil, "master", "web", true},
		{"the state", []string{"master", "stop"}, nil, "stop", "web", true},
		{"another state", []string{"master", "stop"}, nil, "fault", "web", false},
		{"the instance", nil, []string{"web"}, "master", "web", true},
		{"another instance", nil, []string{"web"}, "master", "web2", false},
		{"both", []string{"master"}, []string{"web"}, "master", "web", true},
		{"state only", []string{"master"}, []string{"web"}, "master", "mail", false},
		{"instance only", []string{"master"}, []string{"web"}, "backup", "web", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := Config{On: tt.on, Instances: tt.instances}
			if got := c.wants(&Event{State: tt.state, Instance: tt.instance}); got != tt.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestStyleString(t *testing.T) {
	got := []string{Holdfast.String(), Keepalived.String(), Style(9).String()}
	if diff := cmp.Diff([]string{"holdfast", "keepalived", "invalid"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// What is no state is told to those alone who ask for it.
func TestOthersAreAskedFor(t *testing.T) {
	for _, tt := range []struct {
		on   []string
		want bool
	}{
		{nil, false},
		{[]string{StateMaster}, false},
		{[]string{StateRival, StateCheck, StateAddress}, true},
		{[]string{StateMaster, StateRival, StateCheck, StateAddress}, true},
	} {
		for _, state := range []string{StateRival, StateCheck, StateAddress} {
			c := Config{On: tt.on, Exec: []string{"/bin/true"}, Timeout: 1}
			if got := c.wants(&Event{State: state}); got != tt.want {
				t.Errorf("on %q: told of %s: %v, want %v", tt.on, state, got, tt.want)
			}
		}
	}
}
