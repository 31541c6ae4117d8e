package web

import (
	"regexp"
	"strings"
	"testing"
)

func TestGraphiQLNeedsNoNetwork(t *testing.T) {
	f := newServer(t, nil)
	w := f.do("GET", "/graphiql", "")
	page := w.Body.String()
	policy := w.Header().Get("Content-Security-Policy")
	for _, want := range []string{"default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"} {
		if !strings.Contains(policy, want) {
			t.Errorf("policy has no %s", want)
		}
	}
	for _, never := range []string{"unsafe", "http:", "https:", "*"} {
		if strings.Contains(policy, never) {
			t.Errorf("policy has %s", never)
		}
	}
	if regexp.MustCompile(`(?i)https?:|["']//|<script[^>]*>[^<]|<style|\son\w+=|\sstyle=`).MatchString(page) {
		t.Errorf("refers to the outside, or needs a weaker policy:\n%s", page)
	}

	links := regexp.MustCompile(`(?:src|href)="([^"]*)"`).FindAllStringSubmatch(page, -1)
	served := 0
	for _, l := range links {
		if l[1] == "data:," { // an icon of nothing, so that none is asked for
			continue
		}
		a := f.do("GET", "/"+l[1], "")
		name := strings.TrimPrefix(l[1], "graphiql/")
		if a.Code != 200 || a.Body.Len() == 0 || a.Header().Get("Content-Type") != graphiqlTypes[name] || a.Header().Get("ETag") == "" {
			t.Errorf("%s: %d %v", l[1], a.Code, a.Header())
		}
		served++
	}
	if served != 3 {
		t.Errorf("page refers to %d files: %v", served, links)
	}

	css := f.do("GET", "/graphiql/app.css", "").Body.String()
	if regexp.MustCompile(`@import|url\(["']?(?:https?:)?//`).MatchString(css) || !strings.Contains(css, ".graphiql-container") {
		t.Error("the style sheet loads something, or is not GraphiQL's")
	}
	js := f.do("GET", "/graphiql/app.js", "").Body.String()
	if regexp.MustCompile(`(?:fetch|import|importScripts|WebSocket|EventSource|Worker)\(["'\x60](?:https?|wss?):`).MatchString(js) || strings.Contains(js, "sourceMappingURL") {
		t.Error("the script loads something from elsewhere")
	}
	for _, want := range []string{`"graphql"`, `"schema.graphql"`, "text/event-stream", "same-origin", "sessionStorage"} {
		if !strings.Contains(js, want) {
			t.Errorf("the script has no %s: build it again as graphiql/README.md says", want)
		}
	}
	if size := len(page) + len(css) + len(js); size > 3<<20 {
		t.Errorf("%d bytes", size)
	}
}

func TestGraphiQLComesWithItsLicences(t *testing.T) {
	text := newServer(t, nil).do("GET", "/graphiql/LICENSES.txt", "").Body.String()
	readme, err := graphiqlNotes()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"graphiql", "graphql", "react", "react-dom"} {
		version := regexp.MustCompile(`(?m)^` + name + ` (\d\S+) \(MIT\)$`).FindStringSubmatch(text)
		if version == nil {
			t.Errorf("no licence of %s", name)
		} else if !strings.Contains(readme, name+" "+version[1]) {
			t.Errorf("README.md does not say %s %s", name, version[1])
		}
	}
}
