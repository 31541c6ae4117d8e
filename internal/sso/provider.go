package sso

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Match is what of a member a claim is compared with.
type Match string

// The matches.
const (
	ByLogin  Match = "LOGIN"   // what they sign in with by password
	ByUserID Match = "USER_ID" // the userid of the platform
	// ByExternalID: the externalId that a provider gave the member over SCIM.
	ByExternalID Match = "EXTERNAL_ID"
)

// Matches lists them.
var Matches = []Match{ByLogin, ByUserID, ByExternalID}

// Provider is an OpenID provider by which a corp's people sign in.
type Provider struct {
	ID, Corp  nid.ID
	Version   int
	CreatedAt time.Time
	Name      string
	Issuer    string
	ClientID  string
	secret    []byte // sealed; nil for a public client
	Claim     string
	Matches   Match
	Domain    string
	ACRValues []string
	Active    bool
	acr       []byte
	savedBy   nid.ID // who last said what it is
}

// HasSecret says whether we show the provider a secret, beside PKCE.
func (p *Provider) HasSecret() bool { return p.secret != nil }

// accepts says whether an authentication context is one that proves an identity here.
func (p *Provider) accepts(acr string) bool { return acr != "" && slices.Contains(p.ACRValues, acr) }

const columns = `SELECT id, version, created_at, name, issuer, client_id, client_secret, claim, matches, domain, acr_values, active, saved_by_id FROM identity_providers WHERE corp_id = $1`

func (p *Provider) dest() []any {
	return []any{&p.ID, &p.Version, &p.CreatedAt, &p.Name, &p.Issuer, &p.ClientID, &p.secret, &p.Claim, &p.Matches, &p.Domain, &p.acr, &p.Active, &p.savedBy}
}

// complete reads what is stored as JSON.
func (p *Provider) complete(corp nid.ID) error {
	p.Corp = corp
	return json.Unmarshal(p.acr, &p.ACRValues)
}

// byID reads a provider; nil where there is none.
func byID(ctx context.Context, q store.Querier, id nid.ID, lock string) (*Provider, error) {
	corp := access.From(ctx).Corp
	p, ok, err := store.SelectOne(ctx, q, (*Provider).dest, columns+` AND id = $2`+lock, corp, id)
	if err != nil || !ok {
		return nil, err
	}
	return &p, p.complete(corp)
}

// List gives the corp's providers by name, for who manages the roles of the whole corp;
// FORBIDDEN for others.
func List(ctx context.Context, q *store.Read) ([]*Provider, error) {
	if !access.From(ctx).Scope(access.ManageRoles).All {
		return nil, notYours()
	}
	return list(ctx, q, "")
}

// Options gives the providers with which people of a corp sign in; none for a corp that
// does not exist. Anybody may ask.
func (s *Service) Options(ctx context.Context, corp *string) ([]*Provider, error) {
	named := ""
	if corp != nil {
		named = *corp
	}
	at, err := s.DB.CorpNamed(ctx, named)
	if err != nil || at.IsZero() || !s.on() {
		return nil, err
	}
	var out []*Provider
	err = s.DB.View(somebody(ctx, at), func(ctx context.Context, r *store.Read) (err error) {
		out, err = list(ctx, r, " AND active")
		return err
	})
	return out, err
}

func list(ctx context.Context, q store.Querier, where string) ([]*Provider, error) {
	corp := access.From(ctx).Corp
	rows, err := store.Select(ctx, q, (*Provider).dest, columns+where+` ORDER BY name, id`, corp)
	if err != nil {
		return nil, err
	}
	out := make([]*Provider, len(rows))
	for i := range rows {
		out[i] = &rows[i]
		if err := out[i].complete(corp); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// ByID gives one that the actor may see.
func ByID(ctx context.Context, q *store.Read, id nid.ID) (*Provider, error) {
	if !access.From(ctx).Scope(access.ManageRoles).All {
		return nil, nil
	}
	return byID(ctx, q, id, "")
}

func notYours() *fault.Error {
	return fault.Denied("identity providers need MANAGE_ROLES over the whole corp, and every permission there is: they can say that somebody is anybody",
		"管理身份提供方需要对整个企业的 MANAGE_ROLES 权限以及全部权限:身份提供方可以认定任何人的身份")
}
