package reports

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

var wrongMethod = fault.Bad("", "reports are read with GET", "报表仅支持 GET")

var statuses = map[fault.Code]int{
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Invalid:         http.StatusBadRequest,
	fault.Limit:           http.StatusBadRequest,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Timeout:         http.StatusGatewayTimeout,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// refuse answers with a problem (RFC 9457).
func refuse(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		f = fault.New(fault.Internal, "", fault.T("internal error", "内部错误"))
	}
	status, ok := statuses[f.Code]
	head := w.Header()
	switch {
	case f == wrongMethod:
		status = http.StatusMethodNotAllowed
		head.Set("Allow", "GET, HEAD")
	case !ok:
		status = http.StatusInternalServerError
	case status == http.StatusUnauthorized:
		challenge(head, access.Refused(r.Context()))
	}
	actor := access.From(r.Context())
	p := f.Problem(actor.Lang, status, actor.RequestID)
	if p.RetryAfterSeconds > 0 {
		head.Set("Retry-After", strconv.Itoa(p.RetryAfterSeconds))
	}
	body, _ := json.Marshal(p) // plain fields
	head.Set("Content-Type", "application/problem+json; charset=utf-8")
	head.Set("Content-Language", language(actor.Lang))
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}

// challenge says how to sign in here (RFC 9110 §11.6.1, RFC 7617, RFC 6750 §3).
func challenge(head http.Header, refused bool) {
	head.Add("WWW-Authenticate", `Basic realm="OpenHandover reports", charset="UTF-8"`)
	bearer := `Bearer realm="OpenHandover reports"`
	if refused {
		bearer += `, error="invalid_token"`
	}
	head.Add("WWW-Authenticate", bearer)
}

func language(lang string) string {
	if strings.HasPrefix(lang, "zh") {
		return "zh-CN"
	}
	return "en"
}

// fields are the arguments of the documents, and the parameters they come from.
var fields = map[string]string{
	"filter.from": "from", "filter.until": "until", "timeZone": "tz", "bucket": "bucket", "groupBy": "groupBy", "after": "cursor", "first": "limit",
}

// faultOf turns the first error of a document into the fault that it was. Its text
// is in the actor's language already.
func (a *question) faultOf(errs gqlerror.List) error {
	e := errs[0]
	code, _ := e.Extensions["code"].(fault.Code)
	if _, known := statuses[code]; !known {
		code = fault.Internal
	}
	field, _ := e.Extensions["field"].(string)
	field = fields[field]
	if field == "until" && a.given["to"] {
		field = "to"
	}
	f := fault.New(code, field, fault.Text{EN: e.Message, ZH: e.Message})
	if s, ok := e.Extensions["retryAfterSeconds"].(int); ok {
		f.RetryAfter = time.Duration(s) * time.Second
	}
	return f
}
