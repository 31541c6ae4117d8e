package scim_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/identity/secret"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/scim"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/testcorp"
)

// TestOnlyTokens: whatever is wrong with a credential, the answer is the same.
func TestOnlyTokens(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		good := s.token
		s.do("GET", "/Users", "").want(200)
		revoked := s.newToken(access.ProvisionMembers, nil)
		s.must(s.id.RevokeToken(s.Verified(s.Admin), testcorp.Value[nid.ID](s.Corp, `SELECT id FROM service_tokens ORDER BY id DESC LIMIT 1`)))
		foreign := testcorp.New(t, s.DB, s.Clock, "other")
		session := secret.NewToken(secret.Session, s.ID)
		s.mustSession(session)
		said := map[string]bool{}
		for what, token := range map[string]string{
			"none": "", "no token": "x", "unknown": secret.NewToken(secret.Service, s.ID), "of a corp that is not there": secret.NewToken(secret.Service, nid.New(nid.Corp)),
			"unknown of another corp": secret.NewToken(secret.Service, foreign.ID), "revoked": revoked, "a person's session": session,
		} {
			s.token = token
			r := s.do("GET", "/Users", "").want(401)
			said[string(r.raw)] = true
			if r.header.Get("WWW-Authenticate") != "Bearer" {
				t.Errorf("%s: no challenge", what)
			}
			for _, path := range []string{"/ServiceProviderConfig", "/Schemas", "/nothing", "/Users/" + s.lina.String()} {
				said[string(s.do("GET", path, "").want(401).raw)] = true
			}
			s.do("DELETE", "/Users/"+s.lina.String(), "").want(401)
		}
		if len(said) != 1 {
			t.Errorf("%d ways to say 401: %v", len(said), said)
		}
		s.token = s.newToken(access.ViewStatistics, nil)
		s.do("GET", "/Users", "").want(403)
		s.do("POST", "/Users", `{"userName":"x"}`).want(403)
		s.token = good
		s.Clock.Add(91 * 24 * time.Hour)
		s.do("GET", "/Users", "").want(401)
	})
}

// mustSession stores a session of the administrator, who may do anything.
func (s *scene) mustSession(token string) {
	s.t.Helper()
	ctx := s.SignedIn(s.Admin, true)
	hash := access.From(ctx).Session
	s.must(s.DB.Tx(store.System(s.t.Context(), s.ID, "test"), func(ctx context.Context, tx *store.Tx) error {
		_, err := tx.Keep(ctx, "sessions", `UPDATE sessions SET secret_hash = $2 WHERE corp_id = $1 AND secret_hash = $3`, s.ID, secret.Hash(token), hash)
		return err
	}))
}

// TestForeignIsUnknown: another corp's people and departments, and ones that are not
// there, are told alike, everywhere.
func TestForeignIsUnknown(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		other := testcorp.New(t, s.DB, s.Clock, "other")
		theirs := other.Member("theirs", other.Root)
		patch := `{"Operations":[{"op":"add","path":"members","value":[{"value":"ID"}]}]}`
		for kind, ids := range map[string][]string{
			"Users":  {theirs.String(), nid.New(nid.Member).String(), s.sales.String(), "x", "mbr_", "%00", strings.Repeat("a", 300)},
			"Groups": {other.Root.String(), nid.New(nid.Department).String(), s.lina.String(), "x"},
		} {
			said := map[string]bool{}
			for _, id := range ids {
				for method, body := range map[string]string{"GET": "", "PUT": `{"userName":"a","displayName":"b"}`, "PATCH": `{"Operations":[{"op":"add","path":"externalId","value":"b"}]}`} {
					said[string(s.do(method, "/"+kind+"/"+id, body).want(404).raw)] = true
				}
				if kind == "Users" {
					said[string(s.do("DELETE", "/Users/"+id, "").want(404).raw)] = true
				}
			}
			if len(said) != 1 {
				t.Errorf("%s: %d ways to say 404: %v", kind, len(said), said)
			}
		}
		said := map[string]bool{}
		for _, id := range []string{theirs.String(), nid.New(nid.Member).String()} {
			said[string(s.do("PATCH", "/Groups/"+s.sales.String(), strings.ReplaceAll(patch, "ID", id)).want(400, "invalidValue").raw)] = true
			if n := s.do("GET", "/Users?filter="+escape(`id eq "`+id+`"`), "").want(200).body["totalResults"]; n != 0.0 {
				t.Errorf("%v found", n)
			}
			s.do("PATCH", "/Groups/"+s.sales.String(), strings.ReplaceAll(patch, `"add"`, `"remove"`)).want(400)
		}
		if len(said) != 1 {
			t.Errorf("unknown and foreign members are told apart: %v", said)
		}
	})
}

func escape(s string) string {
	return strings.NewReplacer(" ", "%20", `"`, "%22", "%", "%25", "&", "%26", "+", "%2B", "#", "%23", ":", "%3A", "[", "%5B", "]", "%5D").Replace(s)
}

// TestDepartmentToken: a token of a department reaches its people and no others.
func TestDepartmentToken(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		inner := s.Department("inner", s.sales)
		deep := s.Member("deep", inner)
		s.token = s.newToken(access.ProvisionMembers, &s.sales)
		if got := s.do("GET", "/Users", "").names(); got != "lina deep" {
			t.Errorf("sees %q", got)
		}
		if got := s.do("GET", "/Groups", "").names(); got != "sales inner" {
			t.Errorf("sees %q", got)
		}
		for _, path := range []string{"/Users/" + s.boss.String(), "/Groups/" + s.Root.String()} {
			s.do("GET", path, "").want(404)
			s.do("PATCH", path, `{"Operations":[{"op":"replace","path":"externalId","value":"b"}]}`).want(404)
		}
		s.do("DELETE", "/Users/"+s.boss.String(), "").want(404)
		add := `{"Operations":[{"op":"add","path":"members","value":[{"value":"` + s.boss.String() + `"}]}]}`
		s.do("PATCH", "/Groups/"+s.sales.String(), add).want(400) // nobody is drawn into its reach
		id := parse(t, s.do("POST", "/Users", `{"userName":"new"}`).want(201).str("id"))
		if s.count(`SELECT count(*) FROM member_departments WHERE member_id = $1 AND department_id = $2`, id, s.sales) != 1 {
			t.Error("the new one is not in the token's department")
		}
		s.do("POST", "/Users", `{"userName":"BOSS"}`).want(409, "uniqueness") // it is taken, though not seen
		s.do("DELETE", "/Users/"+deep.String(), "").want(204)
		g := parse(t, s.do("POST", "/Groups", `{"displayName":"team","members":[{"value":"`+s.lina.String()+`"}]}`).want(201).str("id"))
		if s.count(`SELECT count(*) FROM departments WHERE id = $1 AND parent_id = $2`, g, s.sales) != 1 {
			t.Error("the new department is not below the token's")
		}
	})
}

// TestServersOwnErrors: what the server refuses before the endpoints reads like SCIM as well.
func TestServersOwnErrors(t *testing.T) {
	each(t, func(t *testing.T, s *scene) {
		s.do("POST", "/Users", `{"userName":"`+strings.Repeat("a", 1<<20)+`"}`).want(413)
		s.do("POST", "/Users", `{"userName":"a"}`, "Content-Type", "text/plain").want(415)
		s.do("POST", "/Users", `{"userName":"a"}`, "Sec-Fetch-Site", "cross-site").want(403)
		s.do("GET", "/Me", "").want(501)
		s.do("POST", "/Bulk", `{}`).want(501)
		s.do("GET", "/nothing", "").want(404)
		s.do("GET", "/Schemas?filter=x", "").want(403)
		for _, path := range []string{"/ServiceProviderConfig", "/Schemas", "/ResourceTypes", "/ResourceTypes/User", "/Schemas/urn:ietf:params:scim:schemas:core:2.0:Group"} {
			if r := s.do("GET", path, "").want(200); len(r.body["schemas"].([]any)) == 0 {
				t.Errorf("%s: %s", path, r.raw)
			}
		}
		// The path without the prefix is nobody's.
		r := httptest.NewRequest(http.MethodGet, strings.TrimSuffix(scim.Base, "/v2")+"/v1/Users", nil)
		w := httptest.NewRecorder()
		s.server.ServeHTTP(w, r)
		if w.Code != http.StatusNotFound {
			t.Errorf("another version answers %d", w.Code)
		}
	})
}
