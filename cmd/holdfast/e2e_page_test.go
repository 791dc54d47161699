package main

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/holdfast-vrrp/holdfast/cmd/internal/lab"
)

// browse opens the status page of a node in a browser on it.
func browse(t *testing.T, n *node) *lab.Browser {
	t.Helper()
	_, err := lab.FindPeer("chromium-headless-shell")
	require(t, err == nil, "chromium (.ci/peers chromium fetches it)")
	b, err := n.StartChromium(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := b.Visit("http://127.0.0.1:9650/"); err != nil {
		t.Fatal(err)
	}
	return b
}

// sees evaluates a script and reports its truth.
func sees(t *testing.T, b *lab.Browser, script string) bool {
	t.Helper()
	var yes bool
	if err := b.Evaluate("Boolean("+script+")", &yes); err != nil {
		t.Log(err)
		return false
	}
	return yes
}

const shown = `document.querySelector('#instance-web .state')?.textContent === `

// The page in a real browser: it shows states, follows a fail-over by itself,
// says so aloud, asks nobody else for anything, fits a phone, can be used by
// keyboard, and never claims to know of a daemon that is gone.
func TestPage(t *testing.T) {
	l := newLab(t)
	list := nodes(t, l, 2)
	a, c := list[0], list[1]
	const check = "\n[[check]]\nname = \"service\"\nexec = [\"/bin/true\"]\n"
	a.run("[node]\nname = \"lb1\"\n" + metricsTOML + instanceTOML(150, "100ms", []string{vipFour + "/24", vipSix + "/64"}) + check)
	c.run(metricsTOML + instanceTOML(100, "100ms", []string{vipFour + "/24", vipSix + "/64"}) + check)
	only(t, settled, vipFour, a, c)
	b := browse(t, a)
	eventually(t, settled, "the page shows the master", func() bool { return sees(t, b, shown+`"MASTER"`) })
	eventually(t, settled, "the page is live", func() bool { return sees(t, b, `document.getElementById('at').textContent.includes('live')`) })

	usable(t, b)
	if path := os.Getenv("HOLDFAST_SCREENSHOT"); path != "" {
		picture(t, b, path)
	}

	if err := a.Unplug(); err != nil {
		t.Fatal(err)
	}
	took := eventually(t, settled, "the page shows the fault by itself", func() bool { return sees(t, b, shown+`"FAULT"`) })
	t.Logf("measured: the page follows within %s", ms(took))
	if !sees(t, b, `document.getElementById('said').textContent.includes('web is now FAULT')`) {
		t.Error("it is not said aloud")
	}
	eventually(t, settled, "the page shows what happened", func() bool {
		return sees(t, b, `[...document.querySelectorAll('#events li')].some(e => e.textContent.includes('web') && e.textContent.includes('fault'))`)
	})
	if list := b.Complaints(); len(list) > 0 {
		t.Errorf("complaints: %s", strings.Join(list, "\n"))
	}
	for _, url := range b.Requests() {
		if !strings.HasPrefix(url, "http://127.0.0.1:9650/") && !strings.HasPrefix(url, "data:") && url != "about:blank" {
			t.Errorf("it asked for %s", url)
		}
	}
	honestPage(t, a, b)
}

// usable checks the page on a phone, and with the keyboard.
func usable(t *testing.T, b *lab.Browser) {
	t.Helper()
	phone := map[string]any{"width": 360, "height": 740, "deviceScaleFactor": 1, "mobile": true}
	if err := b.Call("Emulation.setDeviceMetricsOverride", phone, nil); err != nil {
		t.Fatal(err)
	}
	var width int
	if err := b.Evaluate("document.documentElement.scrollWidth", &width); err != nil || width > 360 {
		t.Errorf("on a phone of 360 px the page is %d px wide, %v", width, err)
	}
	var order []string
	for range 4 {
		for _, kind := range []string{"keyDown", "keyUp"} {
			key := map[string]any{"type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9}
			if err := b.Call("Input.dispatchKeyEvent", key, nil); err != nil {
				t.Fatal(err)
			}
		}
		var text string
		if err := b.Evaluate("document.activeElement.textContent", &text); err != nil {
			t.Fatal(err)
		}
		order = append(order, text)
	}
	if got := strings.Join(order, ", "); got != "Skip to the instances, Metrics, Health, Readiness" {
		t.Errorf("the keyboard goes to %s", got)
	}
	for _, landmark := range []string{"header", "main", "footer", "h1", `[role="status"][aria-live="polite"]`, `[role="alert"]`, `html[lang="en"]`} {
		if !sees(t, b, "document.querySelector('"+landmark+"')") {
			t.Errorf("there is no %s", landmark)
		}
	}
}

// honestPage freezes the daemon: what the page showed is not claimed any more,
// until it is heard of again.
func honestPage(t *testing.T, n *node, b *lab.Browser) {
	t.Helper()
	if err := n.daemon.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stale := `!document.getElementById('stale').hidden && document.getElementById('stale').textContent.startsWith('No answer since') && document.body.classList.contains('gone') && document.title.startsWith('?')`
	took := eventually(t, settled, "the page says that it is stale", func() bool { return sees(t, b, stale) })
	t.Logf("measured: the page tells of a frozen daemon after %s", ms(took))
	if err := n.daemon.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	eventually(t, settled, "the page is current again", func() bool {
		return sees(t, b, `document.getElementById('stale').hidden && !document.body.classList.contains('gone')`)
	})
	if err := n.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	eventually(t, settled, "the page says that the daemon is gone", func() bool { return sees(t, b, stale) })
}

// picture keeps what the page looks like: with
// HOLDFAST_SCREENSHOT=../../examples/status-page.png the one of the README.
func picture(t *testing.T, b *lab.Browser, path string) {
	t.Helper()
	if err := b.Evaluate("document.activeElement.blur() || 0", new(int)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(1500 * time.Millisecond) // the ages are counted
	desk := map[string]any{"width": 760, "height": 710, "deviceScaleFactor": 1, "mobile": false}
	if err := b.Call("Emulation.setDeviceMetricsOverride", desk, nil); err != nil {
		t.Fatal(err)
	}
	png, err := b.Screenshot()
	if err == nil {
		err = os.WriteFile(path, png, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("measured: the picture has %d bytes", len(png))
}
