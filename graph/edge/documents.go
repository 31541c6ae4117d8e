package edge

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/99designs/gqlgen/graphql"
)

// Documents are trusted documents in memory: text by lower-case SHA-256 in hex.
type Documents map[string]string

// NewDocuments makes the documents of these texts.
func NewDocuments(texts ...string) Documents {
	out := Documents{}
	for _, t := range texts {
		out[digest(t)] = t
	}
	return out
}

// ParseDocuments reads a manifest: one JSON object of id to text, as relay-compiler
// and graphql-codegen write it with SHA-256. An id that is not the text's own digest
// is an error, since a trusted document is trusted by nothing but its digest.
func ParseDocuments(manifest []byte) (Documents, error) {
	var texts map[string]string
	if err := json.Unmarshal(manifest, &texts); err != nil {
		return nil, fmt.Errorf("trusted documents: %w", err)
	}
	out := Documents{}
	for id, text := range texts {
		d := digest(text)
		if documentDigest(id) != d {
			return nil, fmt.Errorf("trusted documents: %q is not the SHA-256 of its document, which is %s", id, d)
		}
		out[d] = text
	}
	return out, nil
}

// Find is for Options.Documents.
func (d Documents) Find(_ context.Context, sha256 string) (string, bool) {
	text, ok := d[sha256]
	return text, ok
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// documentDigest is the digest an id names, in lower case; what is not one names nothing.
func documentDigest(id string) string {
	id = strings.ToLower(strings.TrimPrefix(id, "sha256:"))
	if b, err := hex.DecodeString(id); err != nil || len(b) != sha256.Size {
		return ""
	}
	return id
}

// document puts a trusted document's text into the parameters, or refuses them.
// With both an id and a text, the text must be the document; where only trusted
// documents are served, the text of one will do. Beside a text only documentId
// counts: some clients send a number of their own as "id".
func (e *edge) document(ctx context.Context, raw map[string]json.RawMessage, p *graphql.RawParams) *refusal {
	var id string
	for i, name := range idParameters {
		if i > 0 && p.Query != "" {
			break
		}
		var v *string
		if m, ok := raw[name]; !ok || json.Unmarshal(m, &v) == nil && v == nil {
			continue
		}
		if v == nil || *v == "" || id != "" && *v != id {
			return wrongParameter(name)
		}
		id = *v
	}
	if id == "" && p.Query == "" {
		return wrongParameter("query")
	}
	if id == "" && !e.TrustedOnly {
		return nil
	}
	want := documentDigest(id)
	if id == "" {
		want = digest(p.Query)
	}
	text, found := e.find(ctx, want)
	switch {
	case !found && id == "":
		return trustedOnly
	case !found:
		return unknownDocument
	case p.Query != "" && p.Query != text:
		return otherDocument
	}
	p.Query = text
	return nil
}

func (e *edge) find(ctx context.Context, sha256 string) (string, bool) {
	if e.Documents == nil || sha256 == "" {
		return "", false
	}
	return e.Options.Documents(ctx, sha256)
}
