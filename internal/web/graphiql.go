package web

import (
	"embed"
	"io/fs"
	"net/http"
)

// GraphiQL as graphiql/README.md says how to build it.
//
//go:embed graphiql/index.html graphiql/page.css graphiql/app.css graphiql/app.js graphiql/LICENSES.txt
var graphiql embed.FS

// graphiqlTypes are the files of the page, each with its media type.
var graphiqlTypes = map[string]string{
	"app.js":       "text/javascript; charset=utf-8",
	"app.css":      "text/css; charset=utf-8",
	"page.css":     "text/css; charset=utf-8",
	"LICENSES.txt": "text/plain; charset=utf-8",
}

// graphiqlPolicy lets the page load what we serve and talk to us, and nothing else.
const graphiqlPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func graphiqlAsset(name, contentType string) http.Handler {
	b, err := fs.ReadFile(graphiql, "graphiql/"+name)
	if err != nil { // the compiler put it there
		panic(err)
	}
	return fixed(name, contentType, b)
}

func graphiqlPage() http.Handler {
	page := graphiqlAsset("index.html", "text/html; charset=utf-8")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", graphiqlPolicy)
		page.ServeHTTP(w, r)
	})
}

func graphiqlFile() http.Handler {
	files := map[string]http.Handler{}
	for name, contentType := range graphiqlTypes {
		files[name] = graphiqlAsset(name, contentType)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := files[r.PathValue("file")]
		if h == nil {
			fail(w, r, noSuchPath())
			return
		}
		h.ServeHTTP(w, r)
	})
}
