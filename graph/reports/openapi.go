package reports

import "encoding/json"

// object is one of JSON.
type object = map[string]any

// OpenAPI describes the reports (OpenAPI 3.1): made of the same tables that serve
// them, so that neither can say what the other does not do.
func OpenAPI() []byte {
	paths := object{}
	for _, r := range reports {
		for _, f := range formats {
			paths[Path+r.name+"."+f.name] = object{"get": operation(&r, &f)}
		}
	}
	b, err := json.MarshalIndent(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "OpenHandover reports", "version": "1",
			"description": "Flat rows for spreadsheets and reporting tools. Everything else is at /graphql. Names and order of columns stay as they are within version 1; new columns come at the end.",
		},
		"paths":    paths,
		"security": []any{object{"bearer": []any{}}, object{"basic": []any{}}},
		"components": object{
			"securitySchemes": object{
				"bearer": object{"type": "http", "scheme": "bearer", "description": "A service token with VIEW_STATISTICS, or a session."},
				"basic":  object{"type": "http", "scheme": "basic", "description": "User “token”, a service token as the password. Reports only."},
			},
			"parameters": shared(),
			"responses":  problems(),
			"schemas": object{"Problem": object{
				"type": "object", "description": "RFC 9457.", "required": []string{"type", "title", "status", "detail", "code"},
				"properties": object{
					"type": text, "title": text, "status": object{"type": "integer"}, "detail": text, "code": text,
					"parameter":         object{"type": "string", "description": "The parameter that is wrong."},
					"requestId":         text,
					"retryAfterSeconds": object{"type": "integer"},
				},
			}},
		},
	}, "", "  ")
	if err != nil { // only what is written here
		panic(err)
	}
	return append(b, '\n')
}

func operation(r *definition, f *format) object {
	a := &question{report: r, format: f}
	list := []any{}
	for _, name := range a.served() {
		list = append(list, object{"$ref": "#/components/parameters/" + name})
	}
	responses := object{
		"200": object{
			"description": "The rows.", "content": object{f.mediaType: object{"schema": body(r, f)}},
			"headers": object{
				"ETag": object{"schema": text, "description": "For If-None-Match."},
				"Link": object{"schema": text, "description": "The next page, rel=\"next\", where there is one."},
			},
		},
		"304": object{"description": "The same as the ETag in If-None-Match."},
	}
	for status := range problems() {
		responses[status] = object{"$ref": "#/components/responses/" + status}
	}
	return object{
		"operationId": r.name + "_" + f.name, "summary": r.about.EN, "description": r.about.ZH, "parameters": list, "responses": responses,
	}
}

// body is the schema of an answer.
func body(r *definition, f *format) object {
	if f.name == "csv" {
		names := ""
		for i, c := range r.columns {
			if i > 0 {
				names += ","
			}
			names += c.name
		}
		return object{"type": "string", "description": "RFC 4180, UTF-8. Columns: " + names}
	}
	properties := object{}
	for _, c := range r.columns {
		p := object{"type": []string{"string", "null"}, "description": c.label.EN + " / " + c.label.ZH}
		switch c.sort {
		case whole, number:
			p["type"] = []string{string(c.sort), "null"}
		case instant:
			p["format"] = "date-time"
		case date:
			p["format"] = "date"
		}
		properties[c.name] = p
	}
	described := object{"type": "object", "properties": object{"name": text, "type": text, "label": text}}
	return object{
		"type": "object", "required": []string{"columns", "rows", "next"},
		"properties": object{
			"columns": object{"type": "array", "items": described},
			"rows":    object{"type": "array", "items": object{"type": "object", "properties": properties}},
			"next":    object{"type": []string{"string", "null"}, "description": "The next page."},
		},
	}
}

func shared() object {
	out := object{}
	for name, p := range parameters {
		o := object{"name": name, "in": "query", "required": false, "description": p.about.EN + " " + p.about.ZH, "schema": p.schema}
		if p.schema["type"] == "array" {
			o["style"], o["explode"] = "form", false
		} else if p.example != "" {
			o["example"] = p.example
		}
		out[name] = o
	}
	return out
}

func problems() object {
	out := object{}
	for status, what := range map[string]string{
		"400": "A parameter is unknown or wrong.", "401": "Nobody is signed in.", "403": "VIEW_STATISTICS is missing.",
		"429": "Too many requests.", "503": "Not available just now.",
	} {
		out[status] = object{"description": what, "content": object{"application/problem+json": object{"schema": object{"$ref": "#/components/schemas/Problem"}}}}
	}
	return out
}
