package edge

import (
	"context"
	"net/http"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
)

// The languages of messages.
const (
	English = "en"
	Chinese = "zh-CN"
)

// Language picks the language of an Accept-Language header (RFC 9110, 12.5.4): the
// one with the highest weight, the earlier one of equals, English where none of ours
// is named.
func Language(header string) string {
	best, bestQ := English, 0.0
	for _, part := range strings.Split(header, ",") {
		tag, params, _ := strings.Cut(part, ";")
		q := 1.0
		if name, v, ok := strings.Cut(params, "="); ok && strings.TrimSpace(strings.ToLower(name)) == "q" {
			q = quality(strings.TrimSpace(v))
		}
		primary, _, _ := strings.Cut(strings.ToLower(strings.TrimSpace(tag)), "-")
		var lang string
		switch primary {
		case "zh":
			lang = Chinese
		case "en", "*":
			lang = English
		default:
			continue
		}
		if q > bestQ {
			best, bestQ = lang, q
		}
	}
	return best
}

type languageKey struct{}

func withLanguage(ctx context.Context, h http.Header) context.Context {
	return context.WithValue(ctx, languageKey{}, Language(strings.Join(h.Values("Accept-Language"), ",")))
}

// languageOf is the actor's own language, else the request's.
func languageOf(ctx context.Context) string {
	if l := access.From(ctx).Lang; l != "" {
		return l
	}
	l, _ := ctx.Value(languageKey{}).(string)
	return l
}
