package lab

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Browser is a headless Chromium on a host, driven by the DevTools protocol
// over a pair of pipes.
type Browser struct {
	process *Process
	in      *os.File
	session string

	mu      sync.Mutex
	next    int
	answers map[int]chan reply
	// Complaints are errors on the console and of loading; Requests what was
	// asked for.
	complaints, requests []string
}

type reply struct {
	Result json.RawMessage
	Error  *struct{ Message string }
}

// StartChromium starts a browser, with its files in a folder of the machine.
func (h *Host) StartChromium(dir string) (*Browser, error) {
	p, err := FindPeer("chromium-headless-shell")
	if err != nil {
		return nil, err
	}
	fonts := filepath.Join(dir, "fonts.conf")
	root := filepath.Dir(filepath.Dir(filepath.Dir(filepath.Dir(p.Path))))
	text := fmt.Sprintf("<?xml version=\"1.0\"?><fontconfig><dir>%s/usr/share/fonts</dir><cachedir>%s/cache</cachedir></fontconfig>\n", root, dir)
	if err := os.WriteFile(fonts, []byte(text), 0o600); err != nil {
		return nil, err
	}
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	from, to, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	c := h.PeerCommand(context.Background(), p, "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir="+dir, "about:blank")
	c.Env = append(c.Env, "FONTCONFIG_FILE="+fonts, "HOME="+dir)
	c.ExtraFiles = []*os.File{theirs, to} // 3 and 4
	b := &Browser{in: ours, answers: map[int]chan reply{}}
	b.process, err = h.StartCommand(c)
	theirs.Close()
	to.Close()
	if err != nil {
		return nil, err
	}
	go b.read(from)
	return b, b.open()
}

// open makes a tab and has it tell what happens.
func (b *Browser) open() error {
	var target struct{ TargetID string }
	if err := b.Call("Target.createTarget", map[string]any{"url": "about:blank"}, &target); err != nil {
		return err
	}
	var s struct{ SessionID string }
	if err := b.Call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &s); err != nil {
		return err
	}
	b.session = s.SessionID
	for _, domain := range []string{"Page", "Runtime", "Log", "Network"} {
		if err := b.Call(domain+".enable", nil, nil); err != nil {
			return err
		}
	}
	return nil
}

// read takes what the browser says until it ends.
func (b *Browser) read(from *os.File) {
	defer from.Close()
	r := bufio.NewReaderSize(from, 1<<16)
	for {
		line, err := r.ReadBytes(0)
		if err != nil {
			return
		}
		var m struct {
			ID     int
			Method string
			Params struct {
				Type    string
				Request struct{ URL string }
				Entry   struct{ Level, Text, URL string }
			}
			reply
		}
		if json.Unmarshal(line[:len(line)-1], &m) != nil {
			continue
		}
		b.mu.Lock()
		switch {
		case m.ID != 0:
			if c := b.answers[m.ID]; c != nil {
				c <- m.reply
			}
		case m.Method == "Network.requestWillBeSent":
			b.requests = append(b.requests, m.Params.Request.URL)
		case m.Method == "Log.entryAdded" && m.Params.Entry.Level == "error":
			b.complaints = append(b.complaints, m.Params.Entry.Text+" "+m.Params.Entry.URL)
		case m.Method == "Runtime.exceptionThrown", m.Method == "Runtime.consoleAPICalled" && m.Params.Type == "error":
			b.complaints = append(b.complaints, string(line[:len(line)-1]))
		}
		b.mu.Unlock()
	}
}

// Call asks the browser for a thing and waits for the answer.
func (b *Browser) Call(method string, params, into any) error {
	b.mu.Lock()
	b.next++
	id, answer := b.next, make(chan reply, 1)
	b.answers[id] = answer
	b.mu.Unlock()
	if params == nil {
		params = map[string]any{}
	}
	m := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if _, err := b.in.Write(append(text, 0)); err != nil {
		return fmt.Errorf("ask the browser for %s: %w", method, err)
	}
	select {
	case r := <-answer:
		if r.Error != nil {
			return fmt.Errorf("%s: %s", method, r.Error.Message)
		}
		if into == nil {
			return nil
		}
		return json.Unmarshal(r.Result, into)
	case <-b.process.Done():
		return fmt.Errorf("the browser ended; it wrote:\n%s", b.process.Output())
	case <-time.After(20 * time.Second):
		return fmt.Errorf("the browser does not answer %s", method)
	}
}

// Visit goes to a page.
func (b *Browser) Visit(url string) error {
	return b.Call("Page.navigate", map[string]any{"url": url}, nil)
}

// Evaluate runs a script in the page and reads its value.
func (b *Browser) Evaluate(script string, into any) error {
	var r struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct{ Text string }
	}
	if err := b.Call("Runtime.evaluate", map[string]any{"expression": script, "returnByValue": true}, &r); err != nil {
		return err
	}
	if r.ExceptionDetails != nil {
		return errors.New(r.ExceptionDetails.Text)
	}
	return json.Unmarshal(r.Result.Value, into)
}

// Screenshot is the page as PNG.
func (b *Browser) Screenshot() ([]byte, error) {
	var r struct{ Data []byte }
	err := b.Call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &r)
	return r.Data, err
}

// Complaints are the errors so far, Requests all URLs that were asked for.
func (b *Browser) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}

// Requests are all URLs that were asked for.
func (b *Browser) Requests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.requests...)
}

// Close ends the browser.
func (b *Browser) Close() error {
	b.in.Close()
	return b.process.Kill()
}
