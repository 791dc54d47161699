package config

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestLoad(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, text, want string }{
		{"host name", oneInstance, host},
		{"own name", "[node]\nname = \"lb1\"\n" + oneInstance, "lb1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), caseFile)
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			c, _, err := Load(path)
			if err != nil {
				t.Fatal(err)
			}
			if c.Node.Name != tt.want || c.File != path {
				t.Errorf("node %q of file %q, want %q of %q", c.Node.Name, c.File, tt.want, path)
			}
		})
	}
}

func TestLoadRefuses(t *testing.T) {
	dir := t.TempDir()
	file := func(name string, text []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, path string
		want       string
		is         error
	}{
		{"missing", filepath.Join(dir, "none.toml"), "none.toml cannot be read: file does not exist", fs.ErrNotExist},
		{"missing folder", filepath.Join(dir, "no", "none.toml"), "there is no folder " + filepath.Join(dir, "no"), fs.ErrNotExist},
		{"folder", dir, "cannot be read: is a directory", syscall.EISDIR},
		{"too large", file("large.toml", bytes.Repeat([]byte("#\n"), maxSize)), "larger than 4 MiB", nil},
		{"not UTF-8", file("latin1.toml", []byte("# caf\xe9\n")), "latin1.toml:1:6: the file is not UTF-8 text", nil},
		{"UTF-16", file("utf16.toml", []byte("\xff\xfea\x00")), "utf16.toml:1:1: the file is not UTF-8 text", nil},
		{"NUL", file("nul.toml", []byte("a\x00b")), "nul.toml:1:2: ", nil},
		{"wrong", file("wrong.toml", []byte("x = 1\n")), "wrong.toml:1:1: ", nil},
		{"empty", file("empty.toml", nil), "empty.toml:1:1: there is no [[instance]]", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, _, err := Load(tt.path)
			if err == nil {
				t.Fatalf("Load returned %+v", c)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want %q in it", err, tt.want)
			}
			if tt.is != nil && !errors.Is(err, tt.is) {
				t.Errorf("error %q is not %v", err, tt.is)
			}
			if strings.Count(err.Error(), filepath.Base(tt.path)) > 2 {
				t.Errorf("error %q says the path again and again", err)
			}
		})
	}
}

// TestReadError covers what a test as root cannot provoke.
func TestReadError(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want string
	}{
		{"permission", &fs.PathError{Op: "open", Path: "f", Err: syscall.EACCES}, "configuration f cannot be read: permission denied"},
		{"disk", &fs.PathError{Op: "read", Path: "f", Err: syscall.EIO}, "configuration f cannot be read: input/output error"},
		{"other", errors.New("odd"), "configuration f cannot be read: odd"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := readError("f", tt.err).Error(); got != tt.want {
				t.Errorf("error %q, want %q", got, tt.want)
			}
		})
	}
}
