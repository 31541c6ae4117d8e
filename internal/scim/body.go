package scim

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
)

// object is a JSON object by lower-case names: those of attributes have no case
// (RFC 7643 §2.1).
type object map[string]json.RawMessage

// UnmarshalJSON refuses the same name in two spellings.
func (o *object) UnmarshalJSON(b []byte) error {
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*o = make(object, len(raw))
	for k, v := range raw {
		k = strings.ToLower(k)
		if _, twice := (*o)[k]; twice {
			return errors.New("an attribute is there twice")
		}
		(*o)[k] = v
	}
	return nil
}

// has reports whether an attribute is there; null is not (RFC 7643 §2.5).
func (o object) has(name string) bool {
	v, ok := o[name]
	return ok && !none(v)
}

func none(v json.RawMessage) bool { return len(v) == 0 || string(v) == "null" }

// body reads a request's JSON object. The server has bounded its length.
func body(r *http.Request) (object, error) {
	if t, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";"); t != "" && !strings.EqualFold(t, "application/scim+json") && !strings.EqualFold(t, "application/json") {
		return nil, fail(http.StatusUnsupportedMediaType, "", "send application/scim+json", "请发送 application/scim+json")
	}
	b, err := io.ReadAll(r.Body)
	if _, long := errors.AsType[*http.MaxBytesError](err); long {
		return nil, fail(http.StatusRequestEntityTooLarge, "tooMany", "the request's body is too long", "请求内容过长")
	}
	if err != nil {
		return nil, bad("invalidSyntax", "the request's body cannot be read", "无法读取请求内容")
	}
	var o object
	if err := json.Unmarshal(bytes.TrimPrefix(b, []byte("\xef\xbb\xbf")), &o); err != nil || o == nil {
		return nil, bad("invalidSyntax", "the body is not a JSON object, or names an attribute twice", "请求内容不是 JSON 对象,或属性重复")
	}
	return o, nil
}

// decode reads a value of a known shape.
func decode[T any](name string, v json.RawMessage) (out T, err error) {
	if none(v) {
		return out, nil
	}
	if json.Unmarshal(v, &out) != nil {
		return out, bad("invalidValue", "%s has a value of the wrong type", "%s 的值类型不正确", name)
	}
	return out, nil
}

// boolean reads true and, as Entra writes it, "True".
func boolean(name string, v json.RawMessage) (bool, error) {
	var s string
	if json.Unmarshal(v, &s) == nil {
		switch strings.ToLower(s) {
		case "true":
			return true, nil
		case "false":
			return false, nil
		}
	}
	var b *bool
	if json.Unmarshal(v, &b) != nil || b == nil {
		return false, bad("invalidValue", "%s is true or false", "%s 只能是 true 或 false", name)
	}
	return *b, nil
}

// several reads an array of objects, or one object for an array of one.
func several(name string, v json.RawMessage) ([]object, error) {
	if none(v) {
		return nil, nil
	}
	if bytes.HasPrefix(bytes.TrimSpace(v), []byte("{")) {
		o, err := decode[object](name, v)
		return []object{o}, err
	}
	return decode[[]object](name, v)
}
