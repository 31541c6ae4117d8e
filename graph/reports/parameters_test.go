package reports_test

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openhandover/openhandover/internal/fault"
)

func TestWrongParameters(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		w.live()
		for question, parameter := range map[string]string{
			"transfer_daily.csv?form=2026-01-01":                     "form",
			"transfer_items.csv?bucket=day":                          "bucket",
			"transfer_items.csv?groupBy=KIND":                        "groupBy",
			"unassigned_aging.csv?from=2026-01-01":                   "from",
			"transfer_daily.json?bom=true":                           "bom",
			"transfer_daily.csv?from=2026-13-01":                     "from",
			"transfer_daily.csv?from=yesterday":                      "from",
			"transfer_daily.csv?from=":                               "from",
			"transfer_daily.csv?until=2026-10-25T00:00:00+02:00":     "until", // + is a space in a URL
			"transfer_daily.csv?to=2026-01-01&until=2026-01-01":      "to",
			"transfer_daily.csv?from=2026-02-01&to=2026-01-01":       "to",
			"transfer_daily.csv?from=2026-02-01&until=2026-02-01":    "until",
			"transfer_items.csv?from=2026-02-01&until=2026-01-01":    "until",
			"transfer_items.csv?from=2026-01-01&from=2026-01-02":     "from",
			"transfer_daily.csv?tz=Europe/Atlantis":                  "tz",
			"transfer_daily.csv?tz=Local":                            "tz",
			"transfer_daily.csv?tz=":                                 "tz",
			"transfer_daily.csv?tz=../../etc/passwd":                 "tz",
			"transfer_daily.csv?bucket=year":                         "bucket",
			"transfer_daily.csv?groupBy=colour":                      "groupBy",
			"transfer_daily.csv?groupBy=KIND,kind":                   "groupBy",
			"transfer_daily.csv?groupBy=KIND,":                       "groupBy",
			"transfer_daily.csv?lang=de":                             "lang",
			"transfer_daily.csv?headers=none":                        "headers",
			"transfer_daily.csv?limit=0":                             "limit",
			"transfer_daily.csv?limit=10001":                         "limit",
			"transfer_daily.csv?limit=many":                          "limit",
			"transfer_daily.csv?bom=maybe":                           "bom",
			"transfer_items.csv?cursor=":                             "cursor",
			"transfer_items.csv?cursor=!":                            "cursor",
			"transfer_daily.csv?cursor=" + strings.Repeat("x", 5000): "cursor",
			"transfer_daily.csv?" + strings.Repeat("y", 100) + "=1":  "?",
			"transfer_daily.csv?%ff=1":                               "?",
			"transfer_daily.csv?a=%zz":                               "",
		} {
			w.get(base+question).refused(400, fault.Invalid, parameter)
			zh := w.get(base+question, "Accept-Language", "zh-CN")
			zh.refused(400, fault.Invalid, parameter)
			if !strings.ContainsFunc(zh.Problem.Detail, func(r rune) bool { return r >= 0x4e00 && r <= 0x9fff }) || zh.Header.Get("Content-Language") != "zh-CN" {
				t.Errorf("%s: no Chinese: %s", question, zh.Body)
			}
		}
		if r := w.get(base+"transfer_daily.csv?lang=zh-CN&limit=0", "Accept-Language", "en"); r.Problem.Title != "请求有误" {
			t.Errorf("lang counts less than Accept-Language: %s", r.Body)
		}
		for _, file := range []string{"changes.csv", "transfer_daily.xlsx", "transfer_daily", "transfer_daily.csv.csv", ".csv", "TRANSFER_DAILY.csv"} {
			w.get(base+file).refused(404, fault.NotFound, "")
		}
		for _, method := range []string{"POST", "PUT", "DELETE", "PATCH"} {
			r := w.do(method, base+"transfer_daily.csv", "Authorization", "Bearer "+w.token)
			r.refused(405, fault.Invalid, "")
			if r.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s: Allow %q", method, r.Header.Get("Allow"))
			}
		}
	})
}

func TestOpenAPISaysWhatIsServed(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		res := w.do(http.MethodGet, "/api/v1/openapi.json").good()
		var doc struct {
			OpenAPI    string
			Paths      map[string]map[string]struct{ Parameters []map[string]string }
			Components struct {
				Parameters map[string]struct {
					Name, In, Description, Example string
					Schema                         map[string]any
				}
			}
		}
		w.ok(json.Unmarshal([]byte(res.Body), &doc))
		if doc.OpenAPI != "3.1.0" || len(doc.Paths) != 2*len(names) {
			t.Errorf("OpenAPI %s with %d paths", doc.OpenAPI, len(doc.Paths))
		}
		used := map[string]bool{}
		for path, methods := range doc.Paths {
			var documented []string
			for _, p := range methods["get"].Parameters {
				documented = append(documented, strings.TrimPrefix(p["$ref"], "#/components/parameters/"))
			}
			for name, p := range doc.Components.Parameters {
				example := p.Example
				if p.Schema["type"] == "array" {
					example = "STATUS,RULE"
				}
				if p.Name != name || p.In != "query" || p.Description == "" {
					t.Errorf("%s is described as %+v", name, p)
				}
				got := w.get(path + "?" + url.Values{name: {example}}.Encode())
				switch {
				case !slices.Contains(documented, name):
					got.refused(400, fault.Invalid, name)
				case name == "cursor":
					used[name] = true
					got.refused(400, fault.Invalid, "cursor")
					if strings.Contains(got.Problem.Detail, "no such parameter") {
						t.Errorf("%s does not serve %s", path, name)
					}
				default:
					used[name] = true
					got.good()
				}
			}
			// What the server says that it has is what the document says.
			served := w.get(path + "?nonsense=1")
			served.refused(400, fault.Invalid, "nonsense")
			_, list, _ := strings.Cut(served.Problem.Detail, "it has ")
			if got := strings.Split(list, ", "); !slices.Equal(got, documented) {
				t.Errorf("%s serves %v, the document has %v", path, got, documented)
			}
		}
		if len(used) != len(doc.Components.Parameters) {
			t.Errorf("of %d parameters %d are used", len(doc.Components.Parameters), len(used))
		}
	})
}

// Labels stand for names, so no two columns of a report have the same.
func TestLabelsAreDifferent(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		for _, name := range names {
			for _, lang := range []string{"en", "zh-CN"} {
				heads := w.get(base + name + ".csv?headers=label&lang=" + lang).table()[0]
				slices.Sort(heads)
				if n := len(heads); n < 15 || len(slices.Compact(heads)) != n {
					t.Errorf("%s in %s: %q", name, lang, heads)
				}
			}
		}
	})
}
