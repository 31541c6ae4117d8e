package web

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// answer counts what is sent, and sets the cookie at the last moment it can.
type answer struct {
	http.ResponseWriter
	status int // 0: nothing was sent yet
	bytes  int64
	cookie *cookie
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		a.status = status
		a.cookie.send(a.Header())
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Flush is for event streams.
func (a *answer) Flush() { _ = a.FlushError() }

// FlushError is Flush for http.ResponseController.
func (a *answer) FlushError() error {
	if a.status == 0 {
		a.WriteHeader(http.StatusOK)
	}
	return http.NewResponseController(a.ResponseWriter).Flush()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// statuses are what this layer answers for a fault. The API has its own table.
var statuses = map[fault.Code]int{
	fault.Invalid:         http.StatusBadRequest,
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.NotFound:        http.StatusNotFound,
	fault.Timeout:         http.StatusRequestTimeout,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
}

// fail answers with a fault in the shape of a GraphQL error, which is what the
// clients of the API read, below /api/ as a problem, and below /scim/ as SCIM's clients read it.
func fail(w http.ResponseWriter, r *http.Request, f *fault.Error) {
	failWith(w, r, or(statuses[f.Code], http.StatusInternalServerError), f)
}

func failWith(w http.ResponseWriter, r *http.Request, status int, f *fault.Error) {
	actor := access.From(r.Context())
	extensions := map[string]any{"code": f.Code, "requestId": actor.RequestID}
	if f.RetryAfter > 0 {
		seconds := int(math.Ceil(f.RetryAfter.Seconds()))
		extensions["retryAfterSeconds"] = seconds
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	if strings.HasPrefix(r.URL.Path, "/api/") {
		writeAs(w, "application/problem+json; charset=utf-8", status, f.Problem(actor.Lang, status, actor.RequestID))
		return
	}
	if strings.HasPrefix(r.URL.Path, "/scim/") { // RFC 7644 §3.12
		writeAs(w, "application/scim+json; charset=utf-8", status, map[string]any{
			"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:Error"}, "status": strconv.Itoa(status), "detail": f.Text.In(actor.Lang),
		})
		return
	}
	writeJSON(w, status, map[string]any{
		"errors": []any{map[string]any{"message": f.Text.In(actor.Lang), "extensions": extensions}},
	})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	writeAs(w, "application/json; charset=utf-8", status, v)
}

func writeAs(w http.ResponseWriter, mediaType string, status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // only values made here are written
		panic(err)
	}
	w.Header().Set("Content-Type", mediaType)
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

func noSuchPath() *fault.Error {
	return fault.New(fault.NotFound, "", fault.T("there is nothing at this path; the API is at /graphql", "此路径没有内容;API 位于 /graphql"))
}

func wrongMethod() *fault.Error {
	return fault.Bad("", "this path only answers GET", "此路径仅支持 GET")
}

func busy() *fault.Error {
	return fault.New(fault.Unavailable, "", fault.T("the server has as many requests as it can take; try again in a moment", "服务器请求已满,请稍后再试")).After(time.Second)
}

func tooOften(wait time.Duration) *fault.Error {
	return fault.New(fault.RateLimited, "", fault.T("too many requests from your address; try again in a moment", "来自您地址的请求过于频繁,请稍后再试")).After(wait)
}

func internal() *fault.Error {
	return fault.New(fault.Internal, "", fault.T("something went wrong on our side; the log has it under this request's id", "服务器内部错误;日志中可按此请求编号查到详情"))
}
