package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/config"
	"github.com/holdfast-vrrp/holdfast/cmd/internal/control"
)

// choose leaves of a state the instances named, and their checks. No name means
// all.
func choose(st *control.Status, instances []string) error {
	if len(instances) == 0 {
		return nil
	}
	var all []string
	for _, i := range st.Instances {
		all = append(all, i.Name)
	}
	for _, name := range instances {
		if !slices.Contains(all, name) {
			return noInstance(name, all)
		}
	}
	chooseFrom(st, instances)
	return nil
}

// chooseFrom is choose for names that need not be there any more.
func chooseFrom(st *control.Status, instances []string) {
	if len(instances) == 0 {
		return
	}
	st.Instances = slices.DeleteFunc(st.Instances, func(i control.Instance) bool { return !slices.Contains(instances, i.Name) })
	st.Checks = slices.DeleteFunc(st.Checks, func(c control.Check) bool {
		return !slices.ContainsFunc(st.Instances, func(i control.Instance) bool { return slices.Contains(i.Checks, c.Name) })
	})
}

// noInstance tells that there is no instance of a name, and which may be meant.
func noInstance(name string, all []string) error {
	if _, err := time.ParseDuration(name); err == nil {
		return fmt.Errorf("there is no instance %q: how often to watch is written --watch=%s", name, name)
	}
	if near := config.Nearest(name, all); near != "" {
		return fmt.Errorf("there is no instance %q: did you mean %q?", name, near)
	}
	if len(all) > 5 {
		return fmt.Errorf("there is no instance %q: there are %d; 'holdfast status' lists them", name, len(all))
	}
	return fmt.Errorf("there is no instance %q: there is %s", name, andList(all))
}

// chooseJSON leaves of a document what was chosen of it, with each of that as it
// came: also what this program does not know.
func chooseJSON(raw []byte, chosen *control.Status) ([]byte, error) {
	keep := map[string]map[string]bool{"instances": {}, "checks": {}}
	for _, i := range chosen.Instances {
		keep["instances"][i.Name] = true
	}
	for _, c := range chosen.Checks {
		keep["checks"][c.Name] = true
	}
	var short, out bytes.Buffer
	err := keepNamed(&short, raw, keep)
	if err == nil {
		err = json.Indent(&out, short.Bytes(), "", "  ")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read the answer of the daemon: %w", err)
	}
	return append(out.Bytes(), '\n'), nil
}

// keepNamed writes an object of JSON in its order. Of a list that keep has names
// for, the objects with these names are left.
func keepNamed(w *bytes.Buffer, raw []byte, keep map[string]map[string]bool) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	if _, err := d.Token(); err != nil { // the brace
		return err
	}
	for lead := "{"; d.More(); lead = "," {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		if names := keep[fmt.Sprint(key)]; names != nil {
			if value, err = onlyNamed(value, names); err != nil {
				return err
			}
		}
		fmt.Fprintf(w, "%s%q:%s", lead, key, value)
	}
	w.WriteByte('}')
	return nil
}

func onlyNamed(list json.RawMessage, names map[string]bool) (json.RawMessage, error) {
	var all []json.RawMessage
	if err := json.Unmarshal(list, &all); err != nil {
		return nil, err
	}
	left := []json.RawMessage{}
	for _, one := range all {
		var as struct{ Name string }
		if err := json.Unmarshal(one, &as); err != nil {
			return nil, err
		}
		if names[as.Name] {
			left = append(left, one)
		}
	}
	return json.Marshal(left)
}
