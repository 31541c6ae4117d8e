// Package reports serves statistics to spreadsheets and reporting tools, which read
// flat rows over plain GET: /api/v1/reports/NAME.csv and NAME.json.
//
// Each report is a saved GraphQL document and a flattener. The document runs in
// process through the API's own executor, as whoever asks, so what a report shows is
// what that actor may read over GraphQL and nothing decides so a second time.
//
// An answer is at most MaxRows rows. They are read in chunks and written into memory
// before the first byte is sent: so an answer is whole or an error, and its ETag and
// its link to the next page are exact.
package reports

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// Path is where the reports are served, followed by a file name.
const Path = "/api/v1/reports/"

// The rows of one answer.
const (
	DefaultRows = 1000
	MaxRows     = 10_000
	chunk       = 1000 // rows that one document reads
)

// atOnce is how many answers are made and sent at a time: with it, and with MaxRows,
// the memory for them is bounded.
const atOnce = 32

// Runner runs a saved document as the context's actor.
type Runner interface {
	Run(ctx context.Context, document string, variables map[string]any) (data []byte, errs gqlerror.List)
}

// Handler answers GET and HEAD for a file below Path.
type Handler struct {
	run  Runner
	now  func() time.Time
	room chan struct{}
}

// New makes the handler. now is the time that the age of things is counted to.
func New(run Runner, now func() time.Time) *Handler {
	return &Handler{run: run, now: now, room: make(chan struct{}, atOnce)}
}

// ServeHTTP answers one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case h.room <- struct{}{}:
		defer func() { <-h.room }()
	default:
		refuse(w, r, fault.New(fault.Unavailable, "", fault.T("too many reports are being made just now; try again in a moment", "正在生成的报表过多,请稍后再试")).After(time.Second))
		return
	}
	body, a, err := h.answer(r)
	if err != nil {
		refuse(w, a.in(r), err)
		return
	}
	sum := sha256.Sum256(body)
	head := w.Header()
	head.Set("Content-Type", a.format.mediaType)
	head.Set("ETag", `"`+hex.EncodeToString(sum[:16])+`"`)
	head.Set("Cache-Control", "private, no-cache") // may be kept, and asked about
	head.Set("Vary", "Authorization, Cookie, Accept-Language")
	if a.format.name == "csv" {
		head.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="%s.csv"`, a.report.name))
	}
	if a.next != "" {
		head.Add("Link", "<"+a.nextURL()+`>; rel="next"`)
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body)) // HEAD and If-None-Match
}

// answer makes the whole body. The question is there even with an error, as far as
// it was understood.
func (h *Handler) answer(r *http.Request) ([]byte, *question, error) {
	a := &question{run: h.run, now: h.now(), lang: access.From(r.Context()).Lang, path: Path + path.Base(r.URL.Path)}
	values, err := a.parameters(r)
	if err != nil {
		return nil, a, err
	}
	a.ctx = a.in(r).Context()
	actor := access.From(a.ctx)
	switch {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return nil, a, wrongMethod
	case !a.named(path.Base(r.URL.Path)):
		return nil, a, fault.New(fault.NotFound, "", fault.T("there is no such report; there are %s, each as .csv and .json", "没有此报表;可用的报表:%s,均支持 .csv 与 .json", names()))
	case !actor.SignedIn():
		return nil, a, fault.New(fault.Unauthenticated, "", fault.T("send a service token as Bearer, or as the password of the user “token”", "请以 Bearer 方式发送服务令牌,或将其作为用户 token 的密码"))
	case !actor.Can(access.ViewStatistics):
		return nil, a, fault.Denied("reports need the permission VIEW_STATISTICS", "查看报表需要 VIEW_STATISTICS 权限")
	}
	if err := a.read(values); err != nil {
		return nil, a, err
	}
	t := &table{columns: a.report.columns, lang: a.lang, labels: a.labels, places: a.zone}
	if a.next, err = a.report.rows(a, t); err != nil {
		return nil, a, err
	}
	body, err := a.format.write(a, t)
	return body, a, err
}

// in is the request with the language that was asked for.
func (a *question) in(r *http.Request) *http.Request {
	actor := *access.From(r.Context())
	actor.Lang = a.lang
	return r.WithContext(access.With(r.Context(), &actor))
}

func names() string {
	all := make([]string, len(reports))
	for i, r := range reports {
		all[i] = r.name
	}
	return strings.Join(all, ", ")
}
