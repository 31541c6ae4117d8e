package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
)

// curlMain is curl for the tests: a stranger's machine may have none, and the tests
// need Go and a shell alone. TestMain puts it into PATH.
func curlMain() {
	if err := littleCurl(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "curl:", err)
		os.Exit(1)
	}
}

// littleCurl knows what the tour and the demo's greeting use: -s, -b, -c, -H, -d.
func littleCurl(args []string) error {
	var url, body, jar string
	method, header := http.MethodGet, http.Header{}
	for i := 0; i < len(args); i++ {
		switch args[i] {
		case "-s":
		case "-b", "-c":
			i++
			jar = args[i]
		case "-H":
			i++
			name, value, _ := strings.Cut(args[i], ": ")
			header.Set(name, value)
		case "-d":
			i++
			method = http.MethodPost
			if body = args[i]; body == "@-" {
				b, err := io.ReadAll(os.Stdin)
				if err != nil {
					return err
				}
				body = string(b)
			}
		default:
			url = args[i]
		}
	}
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header = header
	if cookie, err := os.ReadFile(jar); err == nil {
		r.Header.Set("Cookie", string(cookie))
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if jar != "" && len(resp.Cookies()) > 0 {
		kept := map[string]string{}
		for _, c := range append(r.Cookies(), resp.Cookies()...) {
			kept[c.Name] = c.Value
		}
		var all []string
		for name, value := range kept {
			all = append(all, name+"="+value)
		}
		if err := os.WriteFile(jar, []byte(strings.Join(all, "; ")), 0o600); err != nil {
			return err
		}
	}
	_, err = io.Copy(os.Stdout, resp.Body)
	return err
}

// output is a command's output, readable while the command writes.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{}, 1)} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	select {
	case o.more <- struct{}{}:
	default:
	}
	return o.b.Write(p)
}

func (o *output) String() string { o.mu.Lock(); defer o.mu.Unlock(); return o.b.String() }
