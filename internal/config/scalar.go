package config

import (
	"encoding"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	prefixType   = reflect.TypeFor[netip.Prefix]()
	addrType     = reflect.TypeFor[netip.Addr]()
)

// isScalarType reports whether values of the type are one word.
func isScalarType(t reflect.Type) bool {
	if reflect.PointerTo(t).Implements(textUnmarshaler) {
		return true
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool:
		return true
	}
	return isInt(t.Kind()) || isUint(t.Kind())
}

func isInt(k reflect.Kind) bool  { return reflect.Int <= k && k <= reflect.Int64 }
func isUint(k reflect.Kind) bool { return reflect.Uint <= k && k <= reflect.Uint64 }

func (d *decoder) scalar(n *yaml.Node, v reflect.Value, at *place) {
	if n.Kind != yaml.ScalarNode {
		hint := ""
		if n.Kind == yaml.MappingNode && (n.Style&yaml.FlowStyle != 0 || len(n.Content) == 2) {
			hint = "; a value with a colon in it needs quotes"
		}
		d.unread(at, "expected %s, found %s%s", example(v.Type()), kind(n), hint)
		return
	}
	if err := setScalar(n.Value, v); err != nil {
		d.unread(at, "%s", err)
	}
}

// setScalar sets v from text, or leaves it unchanged and returns the problem.
func setScalar(text string, v reflect.Value) error {
	switch v.Type() {
	case durationType:
		return set(v, parseDuration, text)
	case prefixType:
		return set(v, parsePrefix, text)
	case addrType:
		return set(v, parseAddr, text)
	}
	if v.Addr().Type().Implements(textUnmarshaler) {
		return unmarshalText(text, v)
	}
	switch k := v.Kind(); {
	case k == reflect.String:
		v.SetString(text)
		return nil
	case k == reflect.Bool:
		return setBool(text, v)
	default:
		return setNumber(text, v)
	}
}

func set[T any](v reflect.Value, parse func(string) (T, error), text string) error {
	value, err := parse(text)
	if err != nil {
		return err
	}
	v.Set(reflect.ValueOf(value))
	return nil
}

// unmarshalText works on a copy: an UnmarshalText may fail after a part of the work.
func unmarshalText(text string, v reflect.Value) error {
	tmp := reflect.New(v.Type())
	tmp.Elem().Set(v)
	err := tmp.Interface().(encoding.TextUnmarshaler).UnmarshalText([]byte(text))
	if err == nil {
		v.Set(tmp.Elem())
		return nil
	}
	problem := brief(strings.ToValidUTF8(err.Error(), "?"))
	if len(err.Error()) < 400 {
		problem = err.Error()
	}
	if !strings.Contains(problem, text) {
		problem = quote(text) + ": " + problem
	}
	return errors.New(problem)
}

func setBool(text string, v reflect.Value) error {
	switch text {
	case "true", "false":
		v.SetBool(text == "true")
		return nil
	}
	switch strings.ToLower(text) {
	case "yes", "on", "y", "1", "true":
		return fmt.Errorf("%s is neither true nor false: write true", quote(text))
	case "no", "off", "n", "0", "false":
		return fmt.Errorf("%s is neither true nor false: write false", quote(text))
	}
	return fmt.Errorf("%s is neither true nor false", quote(text))
}

func setNumber(text string, v reflect.Value) error {
	digits := strings.TrimPrefix(text, "-")
	plain := digits == "0" || digits != "" && digits[0] != '0' && strings.Trim(digits, "0123456789") == ""
	if !plain {
		return fmt.Errorf("%s is not a whole number: write decimal digits alone, without a unit or a leading zero", quote(text))
	}
	bits := v.Type().Bits()
	if isUint(v.Kind()) {
		n, err := strconv.ParseUint(text, 10, bits)
		if err != nil {
			return fmt.Errorf("%s is out of range: write a number from 0 to %d", quote(text), ^uint64(0)>>(64-bits))
		}
		v.SetUint(n)
		return nil
	}
	n, err := strconv.ParseInt(text, 10, bits)
	if err != nil {
		return fmt.Errorf("%s is out of range: write a number up to %d", quote(text), ^uint64(0)>>(65-bits))
	}
	v.SetInt(n)
	return nil
}

func parseDuration(text string) (time.Duration, error) {
	n, err := time.ParseDuration(text)
	switch {
	case err == nil && n >= 0:
		return n, nil
	case err == nil:
		return 0, fmt.Errorf("%s is negative", quote(text))
	}
	if number, err := strconv.ParseUint(text, 10, 32); err == nil {
		return 0, fmt.Errorf("%s has no unit: write %ds, %dm or %dh", quote(text), number, number, number)
	}
	if days, err := strconv.ParseUint(strings.TrimSuffix(text, "d"), 10, 16); err == nil {
		return 0, fmt.Errorf("%s: the largest unit is the hour: write %dh", quote(text), days*24)
	}
	return 0, fmt.Errorf("%s is not a time span: write a number and its unit: 500ms, 2s, 5m, 12h", quote(text))
}

func parsePrefix(text string) (netip.Prefix, error) {
	const form = "write an address or a network: 192.0.2.0/24, 2001:db8::/32"
	if !strings.Contains(text, "/") {
		addr, err := netip.ParseAddr(text)
		switch {
		case err != nil:
			return netip.Prefix{}, fmt.Errorf("%s is not a network: %s", quote(text), form)
		case addr.Zone() != "":
			return netip.Prefix{}, fmt.Errorf("%s names an interface: write the address without %%%s", quote(text), addr.Zone())
		}
		addr = addr.Unmap()
		return netip.PrefixFrom(addr, addr.BitLen()), nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%s is not a network: %s", quote(text), form)
	case p.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%s is an IPv4 network in IPv6 form: write %s", quote(text), unmapped(p))
	case p != p.Masked():
		return netip.Prefix{}, fmt.Errorf("%s has host bits set: write %s for the network or %s for the one host",
			quote(text), p.Masked(), p.Addr())
	}
	return p, nil
}

// unmapped returns the IPv4 network that p writes within ::ffff:0:0/96.
func unmapped(p netip.Prefix) netip.Prefix {
	const mapped = 96
	return netip.PrefixFrom(p.Addr().Unmap(), max(0, p.Bits()-mapped)).Masked()
}

func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}, fmt.Errorf("%s is not an address: write it like 192.0.2.1 or 2001:db8::1", quote(text))
	}
	return addr, nil
}

func quote(s string) string { return strconv.Quote(brief(s)) }

// example returns an example of a value of the type, for a problem's text.
func example(t reflect.Type) string {
	switch t {
	case durationType:
		return "a time span (2s, 5m)"
	case prefixType:
		return `a network (192.0.2.0/24, "2001:db8::/32")`
	case addrType:
		return `an address (192.0.2.1, "2001:db8::1")`
	case reflect.TypeFor[Size]():
		return "a size (64KiB, 150MB)"
	case reflect.TypeFor[Days]():
		return "a number of days (90d)"
	case reflect.TypeFor[FileMode]():
		return `a file mode ("0660")`
	}
	switch k := t.Kind(); {
	case k == reflect.Pointer:
		return example(t.Elem())
	case k == reflect.Struct && !isScalarType(t):
		return "keys with values"
	case k == reflect.Slice:
		return "a list ([a, b], or [] for none)"
	case k == reflect.Bool:
		return "true or false"
	case k == reflect.String:
		return `one value ("" for none)`
	case isInt(k), isUint(k):
		return "a number"
	}
	return "one value"
}
