package scim

import (
	"net/http"
	"strings"

	"github.com/openhandover/openhandover/internal/roster"
)

// What a provider asks first (RFC 7644 §4). It is the same for everybody.

var config = map[string]any{
	"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"},
	"patch":   map[string]any{"supported": true}, "etag": map[string]any{"supported": true},
	"bulk":           map[string]any{"supported": false, "maxOperations": 0, "maxPayloadSize": 0},
	"filter":         map[string]any{"supported": true, "maxResults": roster.MaxPage},
	"changePassword": map[string]any{"supported": false}, "sort": map[string]any{"supported": false},
	"authenticationSchemes": []any{map[string]any{
		"type": "oauthbearertoken", "name": "Service token", "primary": true,
		"description": "Authorization: Bearer with a service token that has PROVISION_MEMBERS", "specUri": "https://www.rfc-editor.org/info/rfc6750",
	}},
	"meta": map[string]any{"resourceType": "ServiceProviderConfig", "location": Base + "/ServiceProviderConfig"},
}

var resourceTypes = described("ResourceType", "/ResourceTypes/",
	map[string]any{
		"id": "User", "name": "User", "endpoint": "/Users", "description": "A member of the corp", "schema": userURN,
		"schemaExtensions": []any{map[string]any{"schema": companyURN, "required": false}},
	},
	map[string]any{"id": "Group", "name": "Group", "endpoint": "/Groups", "description": "A department of the corp", "schema": groupURN},
)

var schemas = described("Schema", "/Schemas/",
	map[string]any{"id": userURN, "name": "User", "description": "A member of the corp", "attributes": []any{
		attribute("userName", "string", "readWrite", map[string]any{"required": true, "uniqueness": "server"}),
		attribute("displayName", "string", "readWrite", nil),
		attribute("name", "complex", "readWrite", map[string]any{"subAttributes": []any{
			attribute("formatted", "string", "readWrite", nil), attribute("givenName", "string", "readWrite", nil), attribute("familyName", "string", "readWrite", nil),
		}}),
		attribute("emails", "complex", "readWrite", map[string]any{"multiValued": true, "subAttributes": []any{
			attribute("value", "string", "readWrite", nil), attribute("type", "string", "readOnly", map[string]any{"canonicalValues": []string{"work"}}), attribute("primary", "boolean", "readOnly", nil),
		}}),
		attribute("active", "boolean", "readWrite", nil),
		attribute("groups", "complex", "readOnly", map[string]any{"multiValued": true, "subAttributes": references("Group")}),
	}},
	map[string]any{"id": companyURN, "name": "EnterpriseUser", "description": "Where the member is in the corp", "attributes": []any{attribute("department", "string", "readOnly", nil)}},
	map[string]any{"id": groupURN, "name": "Group", "description": "A department of the corp", "attributes": []any{
		attribute("displayName", "string", "readWrite", map[string]any{"required": true}),
		attribute("members", "complex", "readWrite", map[string]any{"multiValued": true, "subAttributes": references("User")}),
	}},
)

// described completes what there is of a kind.
func described(kind, path string, of ...map[string]any) []map[string]any {
	for _, o := range of {
		o["schemas"] = []string{"urn:ietf:params:scim:schemas:core:2.0:" + kind}
		o["meta"] = map[string]any{"resourceType": kind, "location": Base + path + o["id"].(string)}
	}
	return of
}

func attribute(name, kind, mutability string, more map[string]any) map[string]any {
	out := map[string]any{
		"name": name, "type": kind, "mutability": mutability, "multiValued": false, "required": false, "returned": "default",
		"description": name + " of RFC 7643",
	}
	if kind == "string" {
		out["caseExact"], out["uniqueness"] = false, "none"
	}
	for k, v := range more {
		out[k] = v
	}
	return out
}

func references(to string) []any {
	return []any{
		attribute("value", "string", "immutable", map[string]any{"caseExact": true}), attribute("display", "string", "readOnly", nil),
		attribute("type", "string", "readOnly", nil), attribute("$ref", "reference", "readOnly", map[string]any{"referenceTypes": []string{to}}),
	}
}

// unfiltered refuses a filter, as RFC 7644 §4 says.
func unfiltered(r *http.Request) error {
	if r.URL.Query().Has("filter") {
		return fail(http.StatusForbidden, "", "this list takes no filter", "该列表不支持筛选")
	}
	return nil
}

func fixed(v any) endpoint {
	return func(_ http.ResponseWriter, r *http.Request) (int, any, error) { return http.StatusOK, v, unfiltered(r) }
}

func list(of []map[string]any) endpoint {
	return func(_ http.ResponseWriter, r *http.Request) (int, any, error) {
		return http.StatusOK, map[string]any{"schemas": []string{listURN}, "totalResults": len(of), "startIndex": 1, "itemsPerPage": len(of), "Resources": of}, unfiltered(r)
	}
}

func entry(of []map[string]any) endpoint {
	return func(_ http.ResponseWriter, r *http.Request) (int, any, error) {
		for _, o := range of {
			if strings.EqualFold(o["id"].(string), r.PathValue("id")) {
				return http.StatusOK, o, nil
			}
		}
		return 0, nil, fail(http.StatusNotFound, "", "there is no such object", "对象不存在")
	}
}
