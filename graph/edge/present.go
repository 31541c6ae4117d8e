package edge

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"strconv"
	"strings"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// presenter is the one place that turns errors into what clients see.
type presenter struct {
	log       *slog.Logger
	translate func(context.Context, error) error
}

var (
	internal  = fault.New(fault.Internal, "", fault.T("internal error", "内部错误"))
	outOfTime = fault.New(fault.Timeout, "", fault.T("not done in time", "未能在规定时间内完成"))
)

// error presents whatever a resolver, the executor or one of our extensions failed
// with. Several faults become several errors of the same field. What is not a fault
// is logged and shown as INTERNAL.
func (p *presenter) error(ctx context.Context, err error) *gqlerror.Error {
	place := gqlerror.Error{Path: graphql.GetPath(ctx)}
	if own, ok := errors.AsType[*gqlerror.Error](err); ok {
		place.Path, place.Locations = own.Path, own.Locations
		switch code := codeOf(own); {
		case code == ValidationFailed && inVariables(own.Path):
			return p.fault(ctx, badVariable(own))
		case code == ParseFailed, code == ValidationFailed:
			return p.document(ctx, own, code)
		}
	}

	argument := ""
	place.Path, argument = splitPath(ctx, place.Path)
	if p.translate != nil {
		err = p.translate(ctx, err)
	}
	if list, ok := errors.AsType[fault.List](err); ok && len(list) > 0 {
		last := len(list) - 1
		for _, f := range list[:last] {
			// Comes back here for each, with the place it is given.
			graphql.AddError(ctx, &gqlerror.Error{Err: f, Path: place.Path, Locations: place.Locations})
		}
		return p.at(ctx, list[last], place)
	}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		if f.Field == "" && argument != "" {
			c := *f
			c.Field = argument
			f = &c
		}
		return p.at(ctx, f, place)
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return p.at(ctx, outOfTime, place)
	case argument != "":
		return p.at(ctx, fault.Bad(argument, "the value does not have the right form", "取值的格式不正确"), place)
	}
	p.log.ErrorContext(ctx, "internal error", "request_id", access.From(ctx).RequestID, "path", place.Path.String(), "error", err)
	return p.at(ctx, internal, place)
}

// panicked logs a panic with its stack; the client learns nothing of it.
func (p *presenter) panicked(ctx context.Context, v any) error {
	p.log.ErrorContext(ctx, "panic", "request_id", access.From(ctx).RequestID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	return internal
}

// fault presents a fault that belongs to no field.
func (p *presenter) fault(ctx context.Context, f *fault.Error) *gqlerror.Error {
	return p.at(ctx, f, gqlerror.Error{})
}

// at presents a fault at a place in the answer.
func (p *presenter) at(ctx context.Context, f *fault.Error, place gqlerror.Error) *gqlerror.Error {
	if f.Code == fault.Internal && f != internal {
		p.log.ErrorContext(ctx, "internal error", "request_id", access.From(ctx).RequestID, "path", place.Path.String(), "error", f, "cause", errors.Unwrap(f))
		f = internal
	}
	ext := extensions(ctx, f.Code, f.Details)
	if f.Field != "" {
		ext["field"] = f.Field
	}
	if f.RetryAfter > 0 {
		ext["retryAfterSeconds"] = seconds(f)
	}
	return &gqlerror.Error{Message: f.Text.In(languageOf(ctx)), Path: place.Path, Locations: place.Locations, Extensions: ext}
}

// document presents what the parser and the validator say, cut short. It is in
// English: it speaks to whoever wrote the document.
func (p *presenter) document(ctx context.Context, err *gqlerror.Error, code fault.Code) *gqlerror.Error {
	return &gqlerror.Error{Message: brief(err.Message), Locations: err.Locations, Extensions: extensions(ctx, code, nil)}
}

func extensions(ctx context.Context, code fault.Code, details map[string]any) map[string]any {
	ext := maps.Clone(details)
	if ext == nil {
		ext = map[string]any{}
	}
	ext["code"] = code
	if id := access.From(ctx).RequestID; id != "" {
		ext["requestId"] = id
	}
	return ext
}

// codeOf is the code the executor gave to an error of its own.
func codeOf(err *gqlerror.Error) fault.Code {
	if err == nil {
		return ""
	}
	c, _ := err.Extensions["code"].(string)
	return fault.Code(c)
}

// inVariables reports whether the executor's error is about a variable: it writes the
// place as a path that begins with "variable".
func inVariables(path ast.Path) bool {
	return len(path) > 1 && path[0] == ast.PathName("variable")
}

// What gqlparser says of a variable's value, in Chinese. Other texts get a general one.
var variableTexts = map[string]string{
	"must be defined": "必须提供",
	"cannot be null":  "不能为空",
	"unknown field":   "没有这个字段",
}

func badVariable(err *gqlerror.Error) *fault.Error {
	zh, ok := variableTexts[err.Message]
	if !ok {
		zh = "取值的类型不正确"
	}
	return fault.New(fault.Invalid, dotted(err.Path[1:]), fault.Text{EN: brief(err.Message), ZH: zh})
}

// splitPath parts the path of an error in an argument's value into the field's place
// in the answer and the argument's name, which gqlgen writes behind it.
func splitPath(ctx context.Context, path ast.Path) (field ast.Path, argument string) {
	fc := graphql.GetFieldContext(ctx)
	if fc == nil {
		return path, ""
	}
	if base := fc.Path(); len(path) > len(base) {
		return base, dotted(path[len(base):])
	}
	return path, ""
}

// dotted writes a path as "input.items.0.id".
func dotted(path ast.Path) string {
	parts := make([]string, len(path))
	for i, e := range path {
		switch e := e.(type) {
		case ast.PathName:
			parts[i] = string(e)
		case ast.PathIndex:
			parts[i] = strconv.Itoa(int(e))
		}
	}
	return brief(strings.Join(parts, "."))
}
