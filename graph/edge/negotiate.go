package edge

import (
	"mime"
	"net/http"
	"strconv"
	"strings"
)

// The media types of answers.
const (
	mediaJSON    = "application/json; charset=utf-8"
	mediaGraphQL = "application/graphql-response+json; charset=utf-8"
	mediaEvents  = "text/event-stream"
)

// mediaRange is one entry of an Accept header (RFC 9110, 12.5.1).
type mediaRange struct {
	name   string
	params map[string]string
	q      float64
}

// accepted reads all Accept headers in their order, leaving out what is malformed.
func accepted(h http.Header) []mediaRange {
	var out []mediaRange
	for _, part := range strings.Split(strings.Join(h.Values("Accept"), ","), ",") {
		name, params, err := mime.ParseMediaType(strings.TrimSpace(part))
		if err != nil {
			continue
		}
		out = append(out, mediaRange{name, params, quality(params["q"])})
	}
	return out
}

// quality reads a weight (RFC 9110, 12.4.2): 1 where there is none, 0 where it is nonsense.
func quality(s string) float64 {
	if s == "" {
		return 1
	}
	q, err := strconv.ParseFloat(s, 64)
	if err != nil || !(q >= 0 && q <= 1) {
		return 0
	}
	return q
}

// firstAccepted is the first entry alone: clients put every type they can read
// into one header, and only the first says what they want.
func firstAccepted(h http.Header) mediaRange {
	if all := accepted(h); len(all) > 0 {
		return all[0]
	}
	return mediaRange{}
}

// negotiate picks the answer's media type; ok is false when none of ours will do.
// No Accept header means application/json, and so does */*, as old clients expect.
func negotiate(h http.Header) (mediaType string, ok bool) {
	if strings.TrimSpace(strings.Join(h.Values("Accept"), "")) == "" {
		return mediaJSON, true
	}
	ranges := accepted(h)
	bestQ, bestAt := 0.0, 0
	for _, offer := range []string{mediaJSON, mediaGraphQL} {
		q, at, exact := qualityOf(ranges, strings.TrimSuffix(offer, "; charset=utf-8"))
		// A wildcard alone must not bring the new media type to an old client.
		if offer == mediaGraphQL && !exact {
			continue
		}
		if q > bestQ || q == bestQ && q > 0 && at < bestAt {
			mediaType, bestQ, bestAt = offer, q, at
		}
	}
	return mediaType, mediaType != ""
}

// qualityOf finds the quality of a media type by the most specific range that names
// it, and where in the header that range stands.
func qualityOf(ranges []mediaRange, name string) (q float64, at int, exact bool) {
	best := 0
	for i, r := range ranges {
		specific := 0
		switch r.name {
		case name:
			specific = 3
		case "application/*":
			specific = 2
		case "*/*":
			specific = 1
		}
		if specific > best {
			best, q, at = specific, r.q, i
		}
	}
	return q, at, best == 3
}
