package fault

import "math"

// Problem is a fault as RFC 9457 describes it to clients of plain HTTP: the body of
// an answer of type application/problem+json.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Code   Code   `json:"code"`
	// Parameter is the one of the request that is wrong.
	Parameter         string `json:"parameter,omitempty"`
	RequestID         string `json:"requestId,omitempty"`
	RetryAfterSeconds int    `json:"retryAfterSeconds,omitempty"`
}

var titles = map[Code]Text{
	Unauthenticated: {"Nobody is signed in", "尚未登录"},
	Forbidden:       {"Not allowed", "没有权限"},
	NotFound:        {"Not found", "未找到"},
	Invalid:         {"The request is wrong", "请求有误"},
	Limit:           {"Too much at once", "超出限制"},
	RateLimited:     {"Too many requests", "请求过于频繁"},
	Timeout:         {"Not done in time", "处理超时"},
	Unavailable:     {"Not available just now", "服务暂不可用"},
	Internal:        {"Something went wrong on our side", "服务器内部错误"},
}

// Problem describes the fault in a language, for an answer with that status.
func (e *Error) Problem(lang string, status int, requestID string) Problem {
	title, ok := titles[e.Code]
	if !ok {
		title = titles[Invalid]
	}
	return Problem{
		Type: "about:blank", Title: title.In(lang), Status: status, Detail: e.Text.In(lang), Code: e.Code, Parameter: e.Field,
		RequestID: requestID, RetryAfterSeconds: int(math.Ceil(e.RetryAfter.Seconds())),
	}
}
