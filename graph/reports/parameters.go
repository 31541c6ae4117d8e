package reports

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/report"
)

// question is one request, understood.
type question struct {
	ctx    context.Context
	run    Runner
	now    time.Time
	report *definition
	format *format
	path   string
	query  url.Values
	given  map[string]bool

	lang        string
	labels, bom bool
	zone        *time.Location
	from, until *time.Time
	bucket      string
	groupBy     []string
	cursor      string
	limit       int

	next string // the cursor of the next page
}

// nextURL is the same question from where this answer ends.
func (a *question) nextURL() string {
	q := url.Values{}
	for name, v := range a.query {
		q[name] = v
	}
	q.Set("cursor", a.next)
	return a.path + "?" + q.Encode()
}

// named finds report and format by the file's name.
func (a *question) named(file string) bool {
	name, ext, _ := strings.Cut(file, ".")
	for i := range reports {
		if reports[i].name == name {
			a.report = &reports[i]
		}
	}
	for i := range formats {
		if formats[i].name == ext {
			a.format = &formats[i]
		}
	}
	return a.report != nil && a.format != nil
}

// parameters reads the URL's query, and at once the language of whatever is said
// about it.
func (a *question) parameters(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Bad("", "the URL's query cannot be read", "无法解析 URL 查询参数")
	}
	if lang, err := oneOf("lang", values.Get("lang"), languages); err == nil {
		a.lang = lang
	}
	a.query = values
	return values, nil
}

var (
	languages  = []string{"en", "zh-CN"}
	headers    = []string{"name", "label"}
	buckets    = []string{"none", "hour", "day", "week", "month"}
	dimensions = []string{"DEPARTMENT", "FROM_DEPARTMENT", "LEAVER", "SUCCESSOR", "KIND", "HANDOVER_KIND", "STATUS", "IMPORTANCE", "REASON", "RULE"}
)

// read checks every parameter. What a report does not have is refused, never ignored.
func (a *question) read(values url.Values) error {
	a.limit, a.bucket, a.groupBy, a.given = DefaultRows, "day", []string{"DEPARTMENT", "KIND"}, map[string]bool{}
	allowed := a.served()
	for _, name := range sorted(values) {
		v := values[name]
		switch {
		case !slices.Contains(allowed, name):
			return fault.Bad(clean(name), "this report has no such parameter; it has %s", "此报表没有该参数;可用参数:%s", strings.Join(allowed, ", "))
		case len(v) != 1:
			return fault.Bad(name, "give it once", "该参数只能出现一次")
		case !utf8.ValidString(v[0]) || len(v[0]) > 4096:
			return fault.Bad(name, "the value does not have the right form", "取值的格式不正确")
		}
		a.given[name] = true
	}
	if a.given["to"] && a.given["until"] {
		return fault.Bad("to", "give to or until, not both", "to 与 until 只能使用其一")
	}
	zone, err := a.place(values.Get("tz"))
	if err != nil {
		return err
	}
	a.zone = zone
	for _, name := range allowed {
		if a.given[name] {
			if err := parameters[name].read(a, values.Get(name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// served are the names of the parameters that the report takes in this format.
func (a *question) served() []string {
	all := slices.Clone(a.report.parameters)
	if !a.format.bom {
		all = slices.DeleteFunc(all, func(n string) bool { return n == "bom" })
	}
	return all
}

func sorted(values url.Values) []string {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// clean makes a name that somebody made up fit to be shown.
func clean(name string) string {
	if !utf8.ValidString(name) || len(name) > 40 {
		return "?"
	}
	return name
}

// place finds the time zone: the one asked for, else the corp's.
func (a *question) place(name string) (*time.Location, error) {
	if !a.given["tz"] {
		var got struct {
			Viewer struct{ Corp struct{ TimeZone string } }
		}
		if err := a.ask(`{ viewer { corp { timeZone } } }`, nil, &got); err != nil {
			return nil, err
		}
		name = got.Viewer.Corp.TimeZone
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fault.Bad("tz", "unknown time zone; write one like Asia/Shanghai", "未知时区,请写成 Asia/Shanghai 这样的名称")
	}
	return zone, nil
}

// ask runs a saved document and decodes its data.
func (a *question) ask(document string, variables map[string]any, into any) error {
	data, errs := a.run.Run(a.ctx, document, variables)
	if len(errs) > 0 {
		return a.faultOf(errs)
	}
	return json.Unmarshal(data, into)
}

// moment reads a date or a moment. plus days are added to a date.
func (a *question) moment(name, v string, plus int) (*time.Time, error) {
	if day, err := time.Parse(time.DateOnly, v); err == nil {
		t := report.Midnight(day.Year(), day.Month(), day.Day()+plus, a.zone).UTC()
		return &t, nil
	}
	t, err := time.Parse(time.RFC3339, v)
	if err != nil {
		return nil, fault.Bad(name, "write a date like 2026-03-01 or a time like 2026-03-01T08:00:00Z; in a URL a + is written %%2B", "请写成 2026-03-01 这样的日期或 2026-03-01T08:00:00Z 这样的时间;URL 中 + 须写作 %%2B")
	}
	t = t.UTC()
	return &t, nil
}

func oneOf(name, v string, words []string) (string, error) {
	for _, w := range words {
		if strings.EqualFold(v, w) {
			return w, nil
		}
	}
	return "", fault.Bad(name, "this is one of %s", "可用取值:%s", strings.Join(words, ", "))
}

// filter is the filter of the documents.
func (a *question) filter() map[string]any {
	f := map[string]any{}
	if a.from != nil {
		f["from"] = a.from.Format(time.RFC3339Nano)
	}
	if a.until != nil {
		f["until"] = a.until.Format(time.RFC3339Nano)
	}
	return f
}

// stamp tells this question from others, for its cursors.
func (a *question) stamp() string {
	b, _ := json.Marshal([]any{a.report.name, a.from, a.until, a.zone.String(), a.bucket, a.groupBy}) // plain values
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:6])
}

// mark makes a cursor of this question of a place in its answer.
func (a *question) mark(place string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(a.stamp() + " " + place))
}

// marked gives the place of the cursor asked for, empty where there is none.
func (a *question) marked() (string, error) {
	if !a.given["cursor"] {
		return "", nil
	}
	b, err := base64.RawURLEncoding.DecodeString(a.cursor)
	stamp, place, _ := strings.Cut(string(b), " ")
	if err != nil || stamp != a.stamp() || place == "" {
		return "", strange()
	}
	return place, nil
}

func strange() error {
	return fault.Bad("cursor", "this cursor is not from this report with these parameters", "该游标不属于此报表或此组参数")
}

func rows(v string) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < 1 || n > MaxRows {
		return 0, fault.Bad("limit", "a page has 1 to %d rows", "每页为 1 至 %d 行", MaxRows)
	}
	return n, nil
}

func dims(v string) ([]string, error) {
	out := []string{}
	if v == "" {
		return out, nil
	}
	for _, word := range strings.Split(v, ",") {
		d, err := oneOf("groupBy", strings.TrimSpace(word), dimensions)
		if err != nil {
			return nil, err
		}
		if slices.Contains(out, d) {
			return nil, fault.Bad("groupBy", "%[1]s is named twice", "%[1]s 重复", d)
		}
		out = append(out, d)
	}
	return out, nil
}

func yes(name, v string) (bool, error) {
	b, err := strconv.ParseBool(v)
	if err != nil {
		return false, fault.Bad(name, "this is true or false", "取值为 true 或 false")
	}
	return b, nil
}

// parameter is what one parameter means.
type parameter struct {
	about   fault.Text
	example string
	schema  map[string]any // JSON Schema
	read    func(a *question, v string) error
}

var text = map[string]any{"type": "string"}

func words(of []string, otherwise string) map[string]any {
	s := map[string]any{"type": "string", "enum": of}
	if otherwise != "" {
		s["default"] = otherwise
	}
	return s
}

// parameters are all there are; each report names its own.
var parameters = map[string]parameter{
	"from": {fault.T("The first day (in tz) or moment of assignment.", "分配时间的起始日期(按 tz)或时刻。"), "2026-03-01", text,
		func(a *question, v string) (err error) { a.from, err = a.moment("from", v, 0); return err }},
	"until": {fault.T("The day (in tz) or moment before which it was assigned.", "分配时间的截止日期(按 tz)或时刻,不含。"), "2026-04-01", text,
		func(a *question, v string) (err error) { a.until, err = a.moment("until", v, 0); return err }},
	"to": {fault.T("The same as until, but a day is the last one counted.", "与 until 相同,但日期包含当天。"), "2026-03-31", text,
		func(a *question, v string) (err error) { a.until, err = a.moment("to", v, 1); return err }},
	"tz": {fault.T("The IANA time zone of days and of *_date columns; absent: the corp's.", "日期与 *_date 列所用的 IANA 时区;缺省为企业时区。"), "Asia/Shanghai", text,
		func(*question, string) error { return nil }}, // place has read it
	"bucket": {fault.T("The length of time that a row is about.", "每行统计的时间粒度。"), "week", words(buckets, "day"),
		func(a *question, v string) (err error) { a.bucket, err = oneOf("bucket", v, buckets); return err }},
	"groupBy": {fault.T("What else tells rows apart, separated by commas; empty: nothing.", "除时间外的分组维度,以逗号分隔;空值表示不分组。"), "DEPARTMENT,STATUS",
		map[string]any{"type": "array", "items": words(dimensions, ""), "default": []string{"DEPARTMENT", "KIND"}},
		func(a *question, v string) (err error) { a.groupBy, err = dims(v); return err }},
	"lang": {fault.T("The language of labels, reasons in words and errors; absent: by Accept-Language.", "标签、说明文字与错误信息的语言;缺省按 Accept-Language。"), "zh-CN", words(languages, ""),
		func(_ *question, v string) error { _, err := oneOf("lang", v, languages); return err }}, // parameters has read it
	"headers": {fault.T("Columns by their names, or by labels for people in lang.", "列名使用字段名,或使用 lang 语言的标签。"), "label", words(headers, "name"),
		func(a *question, v string) error {
			h, err := oneOf("headers", v, headers)
			a.labels = h == "label"
			return err
		}},
	"cursor": {fault.T("Where the page begins: from the link to the next page.", "本页的起点:取自下一页链接。"), "", text,
		func(a *question, v string) error { a.cursor = v; return nil }},
	"limit": {fault.T("How many rows at most.", "最多返回多少行。"), "500", map[string]any{"type": "integer", "minimum": 1, "maximum": MaxRows, "default": DefaultRows},
		func(a *question, v string) (err error) { a.limit, err = rows(v); return err }},
	"bom": {fault.T("Begin with a byte order mark, by which Excel knows UTF-8.", "以字节顺序标记开头,便于 Excel 识别 UTF-8。"), "true", map[string]any{"type": "boolean", "default": false},
		func(a *question, v string) (err error) { a.bom, err = yes("bom", v); return err }},
}

func at(v string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return t, fmt.Errorf("reports: %w", err)
	}
	return t.UTC(), nil
}
