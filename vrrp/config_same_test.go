package vrrp

import (
	"reflect"
	"testing"
)

// Each field of a Config makes a difference.
func TestConfigSame(t *testing.T) {
	c := web(func(*Config) {})
	if d := c; !c.Same(&d) {
		t.Error("a copy is not the same")
	}
	var differ func(path string, field func(*Config) reflect.Value)
	differ = func(path string, field func(*Config) reflect.Value) {
		d := c
		switch v := field(&d); v.Kind() {
		case reflect.String:
			v.SetString(v.String() + "x")
		case reflect.Bool:
			v.SetBool(!v.Bool())
		case reflect.Int, reflect.Int64:
			v.SetInt(v.Int() + 1)
		case reflect.Uint8:
			v.SetUint(v.Uint() + 1)
		case reflect.Slice:
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		case reflect.Struct:
			if v.Type().PkgPath() == "net/netip" {
				v.Set(reflect.ValueOf(peer))
				break
			}
			for n := range v.NumField() {
				differ(path+"."+v.Type().Field(n).Name, func(c *Config) reflect.Value { return field(c).Field(n) })
			}
			return
		default:
			t.Fatalf("%s is a %v, which this test cannot change", path, v.Kind())
		}
		if c.Same(&d) {
			t.Errorf("%s makes no difference", path)
		}
	}
	differ("Config", func(c *Config) reflect.Value { return reflect.ValueOf(c).Elem() })
}
