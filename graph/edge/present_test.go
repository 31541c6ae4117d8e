package edge_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"github.com/openhandover/openhandover/graph/edge"
	"github.com/openhandover/openhandover/graph/edge/testdata/directory"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// TestPresenter: what becomes of each error, in both languages, and that the log alone
// has what the client may not see.
func TestPresenter(t *testing.T) {
	type shown = replyError
	at := func(en, zh, code string, path []any, ext object) (e, z shown) {
		if ext == nil {
			ext = object{}
		}
		ext["code"], ext["requestId"] = code, "req-1"
		return shown{en, path, ext}, shown{zh, path, ext}
	}
	type row struct {
		name, query string
		vars        object
		en, zh      []shown
		logs        string // what the log must have; empty: no line at all
	}
	one := func(name, query string, vars object, en, zh, code string, path []any, ext object, logs string) row {
		e, z := at(en, zh, code, path, ext)
		return row{name, query, vars, []shown{e}, []shown{z}, logs}
	}
	broken := []any{"broken"}
	const rename = "mutation ($input: RenameInput!) { rename(input: $input) { member { id } } }"
	plan := func(v any) object { return object{"input": object{"id": "1", "plan": v}} }
	e1, z1 := at("the name is empty", "名称为空", "INVALID", broken, object{"field": "input.name"})
	e2, z2 := at("the kind is unknown", "类型未知", "INVALID", broken, object{"field": "input.kind"})
	e3, z3 := at("there is no such object, or you may not see it", "对象不存在,或您无权查看", "NOT_FOUND", broken, object{"field": "input.id"})
	rows := []row{
		one("fault", `{ broken(how: "fault") }`, nil, "the case is closed", "案件已关闭", "CONFLICT", broken, object{"field": "input.plan.kind", "currentVersion": 7.0}, ""),
		one("retry after", `{ broken(how: "limited") }`, nil, "too many tries", "尝试次数过多", "RATE_LIMITED", broken, object{"retryAfterSeconds": 2.0}, ""),
		{"several", `{ broken(how: "several") }`, nil, []shown{e1, e2, e3}, []shown{z1, z2, z3}, ""},
		one("wrapped, with a cause", `{ broken(how: "wrapped") }`, nil, "you may not", "您无权操作", "FORBIDDEN", broken, nil, ""),
		one("under an alias, deeper", `{ m: member(id: 1) { b: broken(how: "fault") } }`, nil, "the case is closed", "案件已关闭", "CONFLICT", []any{"m", "b"}, object{"field": "input.plan.kind", "currentVersion": 7.0}, ""),
		one("deadline", `{ broken(how: "deadline") }`, nil, "not done in time", "未能在规定时间内完成", "TIMEOUT", broken, nil, ""),
		one("another package's", `{ broken(how: "foreign") }`, nil, "translated", "已转换", "UPSTREAM", broken, nil, ""),
		one("unknown", `{ broken(how: "x") }`, nil, "internal error", "内部错误", "INTERNAL", broken, nil, directory.Secret),
		one("internal fault", `{ broken(how: "internal") }`, nil, "internal error", "内部错误", "INTERNAL", broken, nil, "cause=disk"),
		one("panic", `{ broken(how: "panic") }`, nil, "internal error", "内部错误", "INTERNAL", broken, nil, "resolvers.go"),

		one("variable of the wrong type", rename, plan("x"), "must be a PlanInput, not a string", "取值的类型不正确", "INVALID", nil, object{"field": "input.plan"}, ""),
		one("variable that is missing", rename, nil, "must be defined", "必须提供", "INVALID", nil, object{"field": "input"}, ""),
		one("variable that is null", rename, object{"input": nil}, "cannot be null", "不能为空", "INVALID", nil, object{"field": "input"}, ""),
		one("unknown field in a variable", rename, plan(object{"kind": "LEFT", "x": 1}), "unknown field", "没有这个字段", "INVALID", nil, object{"field": "input.plan.x"}, ""),
		one("item of a variable", rename, object{"input": object{"id": "1", "plan": object{"kind": "LEFT"}, "notes": []any{object{"text": "a"}, object{}}}},
			"must be defined", "必须提供", "INVALID", nil, object{"field": "input.notes.1.text"}, ""),
		one("enum in a variable", rename, plan(object{"kind": "GONE"}), "GONE is not a valid MemberState", "取值的类型不正确", "INVALID", nil, object{"field": "input.plan.kind"}, ""),
		one("scalar in a variable", rename, plan(object{"kind": "LEFT", "at": "yesterday"}), "the value does not have the right form", "取值的格式不正确", "INVALID", []any{"rename"}, object{"field": "input.plan.at"}, ""),
		one("scalar in an argument", `{ s: since(at: "yesterday") }`, nil, "the value does not have the right form", "取值的格式不正确", "INVALID", []any{"s"}, object{"field": "at"}, ""),

		one("syntax", `{`, nil, "Expected Name, found <EOF>", "Expected Name, found <EOF>", "GRAPHQL_PARSE_FAILED", nil, nil, ""),
		one("validation", `{ helo }`, nil, `Cannot query field "helo" on type "Query".`, `Cannot query field "helo" on type "Query".`, "GRAPHQL_VALIDATION_FAILED", nil, nil, ""),
		one("guard", `{ ... @defer { hello } }`, nil, "@defer is not served here", "此处不支持 @defer", "GRAPHQL_VALIDATION_FAILED", nil, nil, ""),
		one("no query", ``, nil, "the parameter query is missing or has the wrong type", "参数 query 缺失或类型不正确", "BAD_REQUEST", nil, object{"field": "query"}, ""),
	}
	for _, r := range rows {
		for lang, want := range map[string][]shown{"en": r.en, "zh-CN": r.zh} {
			t.Run(r.name+" "+lang, func(t *testing.T) {
				var log bytes.Buffer
				h := serve(edge.Options{
					Logger: slog.New(slog.NewTextHandler(&log, nil)),
					Translate: func(_ context.Context, err error) error {
						if errors.Is(err, directory.ErrForeign) {
							return fault.New(fault.Upstream, "", fault.T("translated", "已转换"))
						}
						return err
					},
				})
				who := person("s")
				who.Lang = lang
				got := do(t, h, call{body: object{"query": r.query, "variables": r.vars}, actor: who})
				if !reflect.DeepEqual(got.Errors, want) {
					t.Errorf("got %s\nwant %v", got.body, want)
				}
				if strings.Contains(got.body, "10.0.0.7") {
					t.Errorf("the client sees the cause: %s", got.body)
				}
				switch {
				case r.logs == "" && log.Len() > 0:
					t.Errorf("logged %s", log.String())
				case r.logs != "" && (!strings.Contains(log.String(), r.logs) || !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), "request_id=req-1")):
					t.Errorf("want %q with the request's id in the log: %s", r.logs, log.String())
				}
			})
		}
	}
}

// TestManyErrors: an answer tells at most fifty.
func TestManyErrors(t *testing.T) {
	got := query(t, serve(edge.Options{}), `{ broken(how: "many") hello }`, nil)
	if len(got.Errors) != 50 || !strings.Contains(string(got.Data), "hello, world") {
		t.Errorf("%d errors: %.200s", len(got.Errors), got.body)
	}
}

// TestDeadline: a request whose time is up is told so, before and while it runs.
func TestDeadline(t *testing.T) {
	for name, ctx := range map[string]func(context.Context) (context.Context, context.CancelFunc){
		"before": func(ctx context.Context) (context.Context, context.CancelFunc) {
			ctx, cancel := context.WithCancel(ctx)
			cancel()
			return ctx, cancel
		},
		"while": func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r := call{body: object{"query": `{ broken(how: "wait") }`}}.request()
			ctx, cancel := ctx(r.Context())
			defer cancel()
			w := httptest.NewRecorder()
			serve(edge.Options{}).ServeHTTP(w, r.WithContext(ctx))
			if w.Code != 200 || !strings.Contains(w.Body.String(), `"code":"TIMEOUT"`) {
				t.Errorf("status %d: %s", w.Code, w.Body)
			}
		})
	}
}

// TestLanguage: the actor's language first, then the header by weight, then English.
func TestLanguage(t *testing.T) {
	for header, want := range map[string]string{
		"": edge.English, "zh-CN": edge.Chinese, "zh": edge.Chinese, "ZH-hans-cn": edge.Chinese, "zh-TW,en;q=0.9": edge.Chinese,
		"en-GB,zh;q=0.9": edge.English, "en;q=0.5, zh;q=0.8": edge.Chinese, "de, zh-CN;q=0.3": edge.Chinese, "de": edge.English,
		"zh;q=0": edge.English, "*": edge.English, "zh;q=abc, en;q=0.1": edge.English, ";;,,=": edge.English, "zh ; q=0.9 , en ; q=0.8": edge.Chinese,
	} {
		if got := edge.Language(header); got != want {
			t.Errorf("%q: %s, want %s", header, got, want)
		}
	}
	ask := func(lang, header string) string {
		got := do(t, serve(edge.Options{}), call{
			body: object{"query": `{ broken(how: "fault") }`}, header: map[string]string{"Accept-Language": header}, actor: &access.Actor{Lang: lang},
		})
		return got.Errors[0].Message
	}
	for _, r := range []struct{ lang, header, want string }{
		{"", "zh-CN", "案件已关闭"}, {"", "", "the case is closed"}, {"en", "zh-CN", "the case is closed"}, {"zh-CN", "en", "案件已关闭"},
	} {
		if got := ask(r.lang, r.header); got != r.want {
			t.Errorf("actor %q, header %q: %s", r.lang, r.header, got)
		}
	}
}

// shaky is a schema whose execution panics outside any resolver.
type shaky struct{ graphql.ExecutableSchema }

func (s shaky) Exec(ctx context.Context) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation == ast.Query {
		panic(directory.Secret)
	}
	return func(context.Context) *graphql.Response { panic(directory.Secret) }
}

// TestPanicOutsideResolvers: the program goes on, the client is told nothing, the log all.
func TestPanicOutsideResolvers(t *testing.T) {
	var log bytes.Buffer
	h := edge.New(shaky{(&directory.Directory{}).Schema()}, edge.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	got := do(t, h, call{body: object{"query": "{ hello }"}})
	if got.status != 500 || got.code() != "INTERNAL" || got.Data != nil || got.header.Get("Content-Type") != "application/json; charset=utf-8" {
		t.Errorf("status %d: %s", got.status, got.body)
	}
	_, body := whole(t, h, call{accept: events, body: object{"query": "subscription { count(to: 1) { number } }"}})
	if want := ":\n\nevent: next\ndata: {\"errors\":[{\"message\":\"internal error\",\"path\":[\"count\"],\"extensions\":{\"code\":\"INTERNAL\"}}]}\n\nevent: complete\ndata:\n\n"; body != want {
		t.Errorf("got %q, want %q", body, want)
	}
	if n := strings.Count(log.String(), "level=ERROR"); n != 2 || !strings.Contains(log.String(), directory.Secret) {
		t.Errorf("%d lines: %s", n, log.String())
	}
}
