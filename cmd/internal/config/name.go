package config

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// name reads the name of an instance, a check or a group. It appears in the
// environment of hooks, in metrics and on the command line.
func (s *section) name() (string, bool) {
	if !s.has("name") {
		s.missing("name", `"..."`)
		return "", false
	}
	v, ok := s.str("name")
	if !ok {
		return "", false
	}
	if reason := nameFault(v); reason != "" {
		s.bad("name", "", "name %q %s", v, reason)
		return "", false
	}
	return v, true
}

func nameFault(v string) string {
	switch {
	case v == "":
		return "is empty"
	case len(v) > maxNameLen:
		return fmt.Sprintf("is %d characters long: at most %d are allowed", len(v), maxNameLen)
	case strings.ContainsFunc(v, func(r rune) bool { return !strings.ContainsRune(letters+digits+"._-", r) }):
		return "may hold only letters, digits, '.', '_' and '-'"
	case !strings.ContainsRune(letters+digits, rune(v[0])):
		return "must begin with a letter or a digit"
	}
	return ""
}

const (
	letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	digits  = "0123456789"
)

// interfaceName reads the name of a network interface as the kernel allows it.
func (s *section) interfaceName(key string) (string, bool) {
	v, ok := s.text(key)
	if !ok {
		return "", false
	}
	switch {
	case strings.Contains(v, ":"):
		base, _, _ := strings.Cut(v, ":")
		s.bad(key, fmt.Sprintf("write %s = %q: an alias is no interface of its own", key, base), "%s %q is an alias", key, v)
	case len(v) > maxInterfaceNameLen:
		s.bad(key, "", "%s %q is %d bytes long: an interface name has at most %d", key, v, len(v), maxInterfaceNameLen)
	case v == "." || v == ".." || strings.ContainsAny(v, "/ "):
		s.bad(key, "", "%s %q is not a name an interface can have", key, v)
	default:
		return v, true
	}
	return "", false
}

// absolutePath reads the path of a file or folder.
func (s *section) absolutePath(key string) (string, bool) {
	v, ok := s.text(key)
	if ok && !path.IsAbs(v) {
		s.bad(key, "the daemon has no working folder: begin with /", "%s %q must be an absolute path", key, v)
		return "", false
	}
	return v, ok
}

// account reads the name or number of a user or group. That it does not exist is no
// mistake: a file may be checked on another host.
func (s *section) account(key string) (string, bool) {
	v, ok := s.str(key)
	if !ok {
		return "", false
	}
	if len(v) > 32 || strings.ContainsFunc(v, func(r rune) bool { return !strings.ContainsRune(letters+digits+"._-$", r) }) || strings.HasPrefix(v, "-") {
		s.bad(key, "", "%s %q is not a name a user or group can have", key, v)
		return "", false
	}
	return v, true
}

// command reads a program and its arguments.
func (s *section) command(key string) ([]string, bool) {
	if line, isText := s.data[key].(string); isText { // as for a shell
		words := strings.Fields(line)
		for i, w := range words {
			words[i] = strconv.Quote(w)
		}
		s.wrongType(key, "an array of strings", fmt.Sprintf("write %s = [%s]", key, strings.Join(words, ", ")))
		return nil, false
	}
	items, ok := s.stringsNotEmpty(key, `["/path/to/program", "argument"]`, "name a program")
	if !ok {
		return nil, false
	}
	for i, it := range items {
		switch {
		case strings.ContainsRune(it.value, 0):
			s.src.problem(it.at, "", "%s holds a NUL character", key)
			ok = false
		case i == 0 && !path.IsAbs(it.value):
			hint := "there is no shell and no search path: begin with /"
			if strings.Contains(it.value, " ") {
				hint = "there is no shell: write each argument as a string of its own"
			}
			s.src.problem(it.at, hint, "%s program %q must be an absolute path", key, it.value)
			ok = false
		}
	}
	return values(items), ok
}
