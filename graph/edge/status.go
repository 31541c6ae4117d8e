package edge

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"strconv"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/fault"
)

// The protocol's own codes, beside those of package fault.
const (
	// BadRequest: the HTTP request is not a GraphQL request.
	BadRequest fault.Code = "BAD_REQUEST"
	// ParseFailed: the document is not GraphQL.
	ParseFailed fault.Code = "GRAPHQL_PARSE_FAILED"
	// ValidationFailed: the document does not fit the schema or is too large.
	ValidationFailed fault.Code = "GRAPHQL_VALIDATION_FAILED"
	// DocumentNotFound: no trusted document has this id.
	DocumentNotFound fault.Code = "PERSISTED_DOCUMENT_NOT_FOUND"
	// DocumentRequired: only trusted documents are served here.
	DocumentRequired fault.Code = "PERSISTED_DOCUMENT_REQUIRED"
)

// refusal is the answer to a request that never reaches the executor.
type refusal struct {
	status int
	fault  *fault.Error
	allow  string // the methods that would do, with 405
}

// All the refusals and their status codes. Those of a request that is well formed
// stand in requestErrorStatus. Together they are what the graphql-http audits ask for.
var (
	notAcceptable = &refusal{http.StatusNotAcceptable, fault.New(BadRequest, "", fault.T(
		"the answer can be application/graphql-response+json or application/json", "仅支持以 application/graphql-response+json 或 application/json 返回")), ""}
	wrongMethod = &refusal{http.StatusMethodNotAllowed, fault.New(BadRequest, "", fault.T(
		"use GET or POST", "请使用 GET 或 POST")), "GET, POST"}
	onlyQueries = &refusal{http.StatusMethodNotAllowed, fault.New(BadRequest, "", fault.T(
		"GET runs queries only; use POST", "GET 只能执行查询,请使用 POST")), "POST"}
	wrongContentType = &refusal{http.StatusUnsupportedMediaType, fault.New(BadRequest, "", fault.T(
		"the body must be application/json in UTF-8, not compressed", "请求体必须是未压缩的 UTF-8 application/json")), ""}
	tooLarge = &refusal{http.StatusRequestEntityTooLarge, fault.New(fault.Limit, "", fault.T(
		"the body is too large", "请求体过大")), ""}
	notRead = &refusal{http.StatusBadRequest, fault.New(BadRequest, "", fault.T(
		"the body could not be read", "无法读取请求体")), ""}
	notOneObject = &refusal{http.StatusBadRequest, fault.New(BadRequest, "", fault.T(
		"the body must be one JSON object", "请求体必须是一个 JSON 对象")), ""}
	wrongURL = &refusal{http.StatusBadRequest, fault.New(BadRequest, "", fault.T(
		"the URL's query cannot be read", "无法解析 URL 查询参数")), ""}
	needsStream = &refusal{http.StatusBadRequest, fault.New(BadRequest, "", fault.T(
		"a subscription needs text/event-stream or multipart/mixed;subscriptionSpec=1.0 as the first accepted type",
		"订阅需要将 text/event-stream 或 multipart/mixed;subscriptionSpec=1.0 作为首选的接受类型")), ""}
	unknownDocument = &refusal{http.StatusBadRequest, fault.New(DocumentNotFound, "", fault.T(
		"there is no trusted document with this id", "不存在该标识的受信任文档")), ""}
	trustedOnly = &refusal{http.StatusBadRequest, fault.New(DocumentRequired, "", fault.T(
		"only trusted documents are served here", "此处只接受受信任的文档")), ""}
	otherDocument = &refusal{http.StatusBadRequest, fault.New(BadRequest, "query", fault.T(
		"the query is not the document with this id", "查询内容与文档标识不符")), ""}
	tooManyStreams = &refusal{http.StatusTooManyRequests, fault.New(fault.Limit, "", fault.T(
		"too many open streams; close one first", "打开的实时连接过多,请先关闭一个")), ""}
)

// wrongParameter is the refusal of a request parameter of the wrong type.
func wrongParameter(name string) *refusal {
	return &refusal{http.StatusBadRequest, fault.New(BadRequest, name, fault.T(
		"the parameter %s is missing or has the wrong type", "参数 %s 缺失或类型不正确", name)), ""}
}

// requestErrorStatus is the status of a well-formed request whose document or
// variables are wrong: application/json clients expect 200 (GraphQL over HTTP, 6.4.1).
func requestErrorStatus(mediaType string) int {
	if mediaType == mediaGraphQL {
		return http.StatusBadRequest
	}
	return http.StatusOK
}

// answerStatus is the status of an answer that was executed: 200, unless it has no data
// because the server is out of room or its database cannot be used. Load balancers and
// clients' retries go by the status; it says when to try again.
func answerStatus(h http.Header, r *graphql.Response) int {
	if len(r.Errors) == 0 {
		return http.StatusOK
	}
	var status int
	switch code, _ := r.Errors[0].Extensions["code"].(fault.Code); code {
	case fault.Unavailable:
		status = http.StatusServiceUnavailable
	case fault.RateLimited:
		status = http.StatusTooManyRequests
	default:
		return http.StatusOK
	}
	var fields map[string]json.RawMessage
	if len(r.Data) > 0 && json.Unmarshal(r.Data, &fields) != nil {
		return http.StatusOK
	}
	for _, v := range fields {
		if string(v) != "null" {
			return http.StatusOK
		}
	}
	if after, ok := r.Errors[0].Extensions["retryAfterSeconds"].(int); ok {
		h.Set("Retry-After", strconv.Itoa(after))
	}
	return status
}

// refuse writes a refusal.
func (e *edge) refuse(ctx context.Context, w http.ResponseWriter, mediaType string, r *refusal) {
	if r.allow != "" {
		w.Header().Set("Allow", r.allow)
	}
	if r.fault.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(seconds(r.fault)))
	}
	write(w, mediaType, r.status, requestErrors(e.present.fault(ctx, r.fault)))
}

func seconds(f *fault.Error) int { return int(math.Ceil(f.RetryAfter.Seconds())) }

// errorsOnly is a request error: it has no "data" entry (GraphQL specification, 7.1.2).
type errorsOnly struct {
	Errors     gqlerror.List  `json:"errors"`
	Extensions map[string]any `json:"extensions,omitempty"`
}

func requestErrors(errs ...*gqlerror.Error) errorsOnly { return errorsOnly{Errors: errs} }

// A client that is told fifty things has enough to go on, and an answer made of
// nothing but errors stays small.
const maxErrors = 50

// trim bounds the errors of an answer.
func trim(r *graphql.Response) *graphql.Response {
	if len(r.Errors) > maxErrors {
		r.Errors = r.Errors[:maxErrors]
	}
	return r
}

// encode gives the answer as JSON; what cannot be encoded is our mistake.
func encode(answer any) (body []byte, ok bool) {
	b, err := json.Marshal(answer)
	if err != nil {
		return []byte(`{"errors":[{"message":"internal error","extensions":{"code":"INTERNAL"}}]}`), false
	}
	return b, true
}

// write sends one whole answer.
func write(w http.ResponseWriter, mediaType string, status int, answer any) {
	body, ok := encode(answer)
	if !ok {
		status = http.StatusInternalServerError
	}
	h := w.Header()
	h.Set("Content-Type", mediaType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	h.Add("Vary", "Accept, Accept-Language")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client has gone if this fails
}
