package sso

import (
	"context"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	maxProviders = 10 // of a corp
	maxText      = 500
	maxACR       = 20
)

// Input is a provider as it shall be.
type Input struct {
	// ID is the provider to change; nil makes one.
	ID *nid.ID
	// Version is the one the caller saw; none for a new one.
	Version          *int
	Name             string
	Issuer, ClientID string
	// ClientSecret: nil keeps the one there is, empty takes it away.
	ClientSecret *string
	Claim        string
	Matches      Match
	Domain       string
	ACRValues    []string
	Active       bool
}

var (
	claimName  = regexp.MustCompile(`^[A-Za-z0-9_.:/-]{1,100}$`)
	domainName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?$`)
	plainText  = regexp.MustCompile(`^[!-~]+$`)
)

func (s *Service) check(in Input) error {
	var bad fault.List
	add := func(field, en, zh string) {
		bad = append(bad, fault.New(fault.Invalid, "input."+field, fault.Text{EN: en, ZH: zh}))
	}
	if (in.ID == nil) != (in.Version == nil) {
		add("version", "give the version that you saw with an id, and none without", "修改时请同时提供 id 和版本号,新建时均不提供")
	}
	if problem, ok := name.Check(in.Name); !ok {
		bad = append(bad, fault.New(fault.Invalid, "input.name", problem))
	}
	if u, err := url.Parse(in.Issuer); err != nil || len(in.Issuer) > maxText || !plainText.MatchString(in.Issuer) || u.Host == "" || u.User != nil || strings.ContainsAny(in.Issuer, "?#") || !s.safe(u) {
		add("issuer", "write the issuer as the provider's discovery document has it: an https URL without ? and #", "请按发现文档填写 issuer:不含 ? 和 # 的 https 地址")
	}
	if len(in.ClientID) > maxText || !plainText.MatchString(in.ClientID) {
		add("clientId", "write the client id that the provider gave you", "请填写身份提供方分配的 client id")
	}
	if in.ClientSecret != nil && *in.ClientSecret != "" && (len(*in.ClientSecret) > maxText || !plainText.MatchString(*in.ClientSecret)) {
		add("clientSecret", "this is no client secret: it has blanks, or is too long", "client secret 含有空白或过长")
	}
	if !claimName.MatchString(in.Claim) {
		add("claim", "must name a claim of the ID token that people cannot choose for themselves",
			"请填写 ID token 中的声明名称，且该声明不能由用户自行修改")
	}
	if !slices.Contains(Matches, in.Matches) {
		add("matches", "unknown", "未知的取值")
	}
	if in.Domain != "" && !domainName.MatchString(in.Domain) {
		add("domain", "write a domain in small letters, such as example.com", "请填写小写域名,例如 example.com")
	}
	if len(in.ACRValues) > maxACR || slices.ContainsFunc(in.ACRValues, func(v string) bool { return len(v) > maxText || !plainText.MatchString(v) }) {
		add("acrValues", "write up to 20 values, without blanks", "最多填写 20 个不含空白的值")
	}
	return bad.Err()
}

// Save makes or changes a provider. What it says then of who somebody is holds here, so it
// needs MANAGE_ROLES and every other permission over the whole corp, and a fresh proof of
// identity. Wherever somebody else could, another one switches it on, unchanged. An active
// one is asked for its discovery document first. With another issuer or
// client, or switched off, the sessions that it vouched for end; with another issuer
// nobody is linked any more.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, INVALID on what is wrong,
// on input.issuer where it does not answer as a provider does, CONFLICT for a stale version
// or what there is already, LIMIT for more than ten.
func (s *Service) Save(ctx context.Context, in Input) (id nid.ID, err error) {
	slices.Sort(in.ACRValues)
	in.ACRValues = slices.Compact(in.ACRValues)
	// Who may not, asks nobody for anything.
	if err := s.Log.Tx(ctx, s.DB, access.ProviderSave, func(ctx context.Context, tx *store.Tx) error {
		_, err := s.before(ctx, tx, in)
		return err
	}); err != nil {
		return nid.ID{}, err
	}
	if in.Active {
		if err := s.reach(ctx, in.Issuer); err != nil {
			return nid.ID{}, err
		}
	}
	err = s.Log.Tx(ctx, s.DB, access.ProviderSave, func(ctx context.Context, tx *store.Tx) error {
		was, err := s.before(ctx, tx, in)
		if err != nil {
			return err
		}
		if was == nil {
			id, err = s.create(ctx, tx, in)
		} else {
			id, err = was.ID, s.change(ctx, tx, was, in)
		}
		if store.Duplicate(err) {
			return fault.Clash("input.name", "another provider has this name, or this issuer and client", "已有同名或相同 issuer 与 client 的身份提供方")
		}
		return err
	})
	if err != nil {
		return nid.ID{}, err
	}
	return id, nil
}

// before demands all that must be so to save or delete, and gives what there is, locked.
func (s *Service) before(ctx context.Context, tx *store.Tx, in Input) (was *Provider, err error) {
	actor, err := may(ctx, tx)
	if err != nil {
		return nil, err
	}
	if !s.on() {
		return nil, off()
	}
	if in.ID != nil {
		if was, err = byID(ctx, tx, *in.ID, tx.DB().ForUpdate()); err != nil {
			return nil, err
		}
		if was == nil {
			return nil, fault.Missing("input.id")
		}
	}
	if err := identity.Fresh(actor, tx.Now()); err != nil {
		return nil, err
	}
	if err := s.check(in); err != nil {
		return nil, err
	}
	if was != nil && *in.Version != was.Version {
		return nil, fault.Stale("input.version", was.Version)
	}
	if was != nil && was.HasSecret() && in.ClientSecret == nil && in.Issuer != was.Issuer { // or who may not read it has it sent to them
		return nil, fault.Bad("input.clientSecret", "another issuer is not shown the secret of the former one; give its own, or an empty one", "更换 issuer 后不能沿用原有 client secret,请填写新的,或留空字符串")
	}
	return was, s.second(ctx, tx, actor, was, in)
}

// second demands two people for a provider in use, wherever there are two: whoever wrote
// down what it is does not switch it on, for it could say that they are anybody. The row
// itself is what the first one asked for, so that nobody hands over the client secret.
func (s *Service) second(ctx context.Context, tx *store.Tx, actor *access.Actor, was *Provider, in Input) error {
	if !in.Active || was != nil && was.Active && was.same(in) {
		return nil
	}
	two, err := identity.Another(ctx, tx, actor.ID, access.Permissions...)
	if err == nil && !two {
		two, err = identity.DualControl(ctx, tx, "")
	}
	if err != nil || !two {
		return err
	}
	switch {
	case was == nil || !was.same(in):
		return fault.Clash("input.active", "connecting a provider takes two people: save it with active: false, and have another administrator switch it on unchanged",
			"连接身份提供方须由两人完成：请先以 active: false 保存，再由另一位管理员在不改动其他内容的情况下启用")
	case was.savedBy == actor.ID:
		return fault.Clash("input.active", "this configuration was saved by the same person; another administrator has to switch it on",
			"该配置由同一人填写，须由另一位管理员启用")
	}
	return identity.TwoHands(ctx, tx, actor.ID, was.savedBy)
}

// same says whether a change is of no more than the name and whether it is in use.
func (p *Provider) same(in Input) bool {
	return in.ClientSecret == nil && in.Issuer == p.Issuer && in.ClientID == p.ClientID && in.Claim == p.Claim && in.Matches == p.Matches && in.Domain == p.Domain && slices.Equal(in.ACRValues, p.ACRValues)
}

func may(ctx context.Context, tx *store.Tx) (*access.Actor, error) {
	actor, err := identity.Confirm(ctx, tx)
	if err != nil {
		return nil, err
	}
	lacking, err := identity.Lacking(ctx, tx, actor, nid.ID{}, tx.Now(), access.Permissions...)
	if err == nil && len(lacking) > 0 {
		err = notYours()
	}
	return actor, err
}

func (s *Service) create(ctx context.Context, tx *store.Tx, in Input) (nid.ID, error) {
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} }, `SELECT count(*) FROM identity_providers WHERE corp_id = $1`, tx.Corp())
	if err != nil {
		return nid.ID{}, err
	}
	if n >= maxProviders {
		return nid.ID{}, fault.New(fault.Limit, "", fault.T("a corp has %d identity providers at most", "每个企业最多 %d 个身份提供方", maxProviders))
	}
	p := &Provider{ID: tx.NewID(nid.Provider), Corp: tx.Corp()}
	if _, err := tx.Change(ctx, "identity_providers", `INSERT INTO identity_providers
		(corp_id, id, version, created_at, updated_at, name, issuer, client_id, client_secret, claim, matches, domain, acr_values, active, saved_by_id)
		VALUES ($1, $2, 1, $3, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id`,
		p.Corp, p.ID, tx.Now(), in.Name, in.Issuer, in.ClientID, s.sealed(p, in.ClientSecret), in.Claim, string(in.Matches), in.Domain, in.acr(), in.Active, access.From(ctx).ID); err != nil {
		return nid.ID{}, err
	}
	return p.ID, s.Log.Append(ctx, tx, audit.Entry{Action: access.ProviderSave, Subject: p.ID, After: in.facts(in.ClientSecret != nil && *in.ClientSecret != "")})
}

func (s *Service) change(ctx context.Context, tx *store.Tx, was *Provider, in Input) error {
	before := Input{Name: was.Name, Issuer: was.Issuer, ClientID: was.ClientID, Claim: was.Claim, Matches: was.Matches, Domain: was.Domain, ACRValues: was.ACRValues, Active: was.Active}
	sealed, has := was.secret, was.HasSecret()
	if in.ClientSecret != nil {
		sealed, has = s.sealed(was, in.ClientSecret), *in.ClientSecret != ""
	}
	author := was.savedBy
	if !was.same(in) {
		author = access.From(ctx).ID
	}
	if _, err := tx.Change(ctx, "identity_providers", `UPDATE identity_providers SET name = $3, issuer = $4, client_id = $5, client_secret = $6, claim = $7, matches = $8,
		domain = $9, acr_values = $10, active = $11, version = version + 1, updated_at = $12, saved_by_id = $13 WHERE corp_id = $1 AND id = $2 RETURNING id`,
		tx.Corp(), was.ID, in.Name, in.Issuer, in.ClientID, sealed, in.Claim, string(in.Matches), in.Domain, in.acr(), in.Active, tx.Now(), author); err != nil {
		return err
	}
	covers := []nid.ID{}
	after := in.facts(has)
	if in.Active && !was.Active {
		after["savedBy"] = author // who switches it on is the actor
	}
	entries := []audit.Entry{{Action: access.ProviderSave, Subject: was.ID, Before: before.facts(was.HasSecret()), After: after}}
	if in.Issuer != was.Issuer {
		var err error
		if covers, err = s.unlink(ctx, tx, was.ID); err != nil {
			return err
		}
	}
	entries[0].Covers = covers
	if !in.Active || in.Issuer != was.Issuer || in.ClientID != was.ClientID {
		by := identity.Voucher{Provider: was.ID}
		ended, err := identity.EndVouched(ctx, tx, by, nid.ID{})
		if err != nil {
			return err
		}
		entries = append(entries, identity.Ended(by, ended)...)
	}
	return s.Log.Append(ctx, tx, entries...)
}

// unlink forgets who anybody is at a provider.
func (s *Service) unlink(ctx context.Context, tx *store.Tx, provider nid.ID) ([]nid.ID, error) {
	return tx.Change(ctx, "member_identities", `DELETE FROM member_identities WHERE corp_id = $1 AND provider_id = $2 RETURNING member_id`, tx.Corp(), provider)
}

// Delete takes a provider away; the sessions that it vouched for end. It needs what Save
// needs. FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, CONFLICT for a stale version.
func (s *Service) Delete(ctx context.Context, id nid.ID, version int) error {
	return s.Log.Tx(ctx, s.DB, access.ProviderDelete, func(ctx context.Context, tx *store.Tx) error {
		actor, err := may(ctx, tx)
		if err != nil {
			return err
		}
		was, err := byID(ctx, tx, id, tx.DB().ForUpdate())
		if err != nil {
			return err
		}
		if was == nil {
			return fault.Missing("input.id")
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if version != was.Version {
			return fault.Stale("input.version", was.Version)
		}
		by := identity.Voucher{Provider: id}
		ended, err := identity.EndVouched(ctx, tx, by, nid.ID{})
		if err != nil {
			return err
		}
		covers, err := s.unlink(ctx, tx, id)
		if err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "identity_providers", `DELETE FROM identity_providers WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id); err != nil {
			return err
		}
		entry := audit.Entry{Action: access.ProviderDelete, Subject: id, Covers: covers, Before: map[string]any{"name": was.Name, "issuer": was.Issuer, "clientId": was.ClientID}}
		return s.Log.Append(ctx, tx, append([]audit.Entry{entry}, identity.Ended(by, ended)...)...)
	})
}

// sealed is a client secret as it is kept; nil for none.
func (s *Service) sealed(p *Provider, secret *string) []byte {
	if secret == nil || *secret == "" {
		return nil
	}
	return s.Box.Seal([]byte(*secret), row(p.Corp, p.ID))
}

// row ties a client secret to its provider.
func row(corp, id nid.ID) []byte { return append(corp[:], id[:]...) }

func (in Input) acr() string {
	if in.ACRValues == nil {
		return "[]"
	}
	b, _ := json.Marshal(in.ACRValues) // texts can be written
	return string(b)
}

// facts are what the log says of a provider.
func (in Input) facts(secret bool) map[string]any {
	return map[string]any{"name": in.Name, "issuer": in.Issuer, "clientId": in.ClientID, "secret": secret, "claim": in.Claim, "matches": string(in.Matches),
		"domain": in.Domain, "acrValues": in.acr(), "active": in.Active}
}
