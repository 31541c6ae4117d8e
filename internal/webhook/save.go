package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notify"
	"github.com/openhandover/openhandover/internal/outbound"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	maxHooks = 20   // of a corp
	maxURL   = 2000 // bytes
)

// Input is a webhook as it shall be.
type Input struct {
	// ID is the webhook to change; nil makes one.
	ID *nid.ID
	// Version is the one the caller saw; none for a new webhook.
	Version *int
	Name    string
	URL     string
	// Events are those that it is told; none: all, those of later releases too.
	Events []notify.Event
	Active bool
}

func (s *Service) check(in Input) error {
	if (in.ID == nil) != (in.Version == nil) {
		return fault.Bad("input.version", "give the version that you saw with an id, and none without", "修改时请同时提供 id 和版本号,新建时均不提供")
	}
	if problem, ok := name.Check(in.Name); !ok {
		return fault.New(fault.Invalid, "input.name", problem)
	}
	for _, e := range in.Events {
		if !slices.Contains(notify.Events, e) {
			return fault.Bad("input.events", "there is no event of this name; there are %s", "没有此名称的事件;可用事件:%s", strings.Join(texts(notify.Events), ", "))
		}
	}
	return s.checkURL(in.URL)
}

// checkURL refuses early what sending would refuse, and what could not be stored
// or signed as it is. The name is not looked up here: see NewClient.
func (s *Service) checkURL(raw string) error {
	bad := func(en, zh string) error { return fault.New(fault.Invalid, "input.url", fault.Text{EN: en, ZH: zh}) }
	u, err := url.Parse(raw)
	if err != nil || len(raw) > maxURL || u.Hostname() == "" || u.Opaque != "" {
		return bad("write an address such as https://example.com/hook, of 2000 bytes at most", "请填写形如 https://example.com/hook 的地址,最长 2000 字节")
	}
	if u.User != nil || u.Fragment != "" {
		return bad("an address has no user, no password and no #", "地址中不能包含用户名、密码或 #")
	}
	host := strings.TrimSuffix(strings.ToLower(u.Hostname()), ".")
	address, err := netip.ParseAddr(host)
	local := host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && address.Unmap().IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local || !s.AllowPrivate) {
		return bad("the address begins with https://", "地址必须以 https:// 开头")
	}
	if local && !s.AllowPrivate || err == nil && !outbound.Reachable(address, s.AllowPrivate) {
		return bad("webhooks may not be sent to this address; an operator can allow private networks", "不允许向此地址发送;运维人员可以允许专用网络")
	}
	return nil
}

// Save makes a webhook, or changes one. A new one's signing secret is returned
// this one time. It needs MANAGE_CONNECTOR in the whole corp and a fresh proof of
// identity. What is still to be sent to a webhook that is switched off FAILS.
//
// Where the settings demand dual control, a webhook that is told more than before waits
// until another person saves the same within 72 hours; the secret of a new one is for that
// person. Until then the id is that of the pending change.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED, NOT_FOUND on input.id, INVALID on
// input.name, url, events and version, CONFLICT for a stale version or a name that
// another webhook has, and LIMIT where there are 20 already.
func (s *Service) Save(ctx context.Context, in Input) (id nid.ID, signing string, err error) {
	err = s.Log.Tx(ctx, s.DB, access.WebhookSave, func(ctx context.Context, tx *store.Tx) error {
		signing = ""
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := manager(actor); err != nil {
			return err
		}
		var was *stored
		if in.ID != nil {
			if was, err = lock(ctx, tx, *in.ID); err != nil {
				return err
			}
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if err := s.check(in); err != nil {
			return err
		}
		if was != nil && *in.Version != was.version {
			return fault.Stale("input.version", was.version)
		}
		d, err := second(ctx, tx, actor, was, in)
		switch {
		case err != nil:
			return err
		case !d.Made:
			id = d.ID
			return s.Log.Append(ctx, tx, d.Entries...)
		case was == nil:
			id, signing, err = s.create(ctx, tx, in, d)
		default:
			id, err = was.id, s.update(ctx, tx, was, in, d)
		}
		if store.Duplicate(err) {
			return fault.Clash("input.name", "another webhook has this name", "已有同名的 Webhook")
		}
		return err
	})
	if err != nil {
		return nid.ID{}, "", err
	}
	return id, signing, nil
}

// second sees to dual control of what a webhook is told, and where.
func second(ctx context.Context, tx *store.Tx, actor *access.Actor, was *stored, in Input) (identity.Decision, error) {
	if !in.Active || was != nil && was.active && in.URL == was.url && !in.widens(was.events) {
		return identity.Decision{Made: true}, nil
	}
	p := identity.Proposal{Operation: "saveWebhook", Subject: tx.Corp(),
		Asked: facts(in.URL, slices.Sorted(slices.Values(in.Events)), in.Active), Needs: []access.Permission{access.ManageConnector},
	}
	if was != nil {
		p.Subject, p.Asked["version"] = was.id, was.version
	}
	return identity.Propose(ctx, tx, actor, p)
}

// widens reports whether there are events that were not told before; none listed are all.
func (in Input) widens(was []notify.Event) bool {
	return len(was) > 0 && (len(in.Events) == 0 || slices.ContainsFunc(in.Events, func(e notify.Event) bool { return !slices.Contains(was, e) }))
}

func (s *Service) create(ctx context.Context, tx *store.Tx, in Input, d identity.Decision) (id nid.ID, signing string, err error) {
	n, _, err := store.SelectOne(ctx, tx, func(n *int) []any { return []any{n} },
		`SELECT count(*) FROM webhooks WHERE corp_id = $1 AND archived_at IS NULL`, tx.Corp())
	if err != nil {
		return id, "", err
	}
	if n >= maxHooks {
		return id, "", fault.New(fault.Limit, "", fault.T("a corp has %d webhooks at most", "每个企业最多 %d 个 Webhook", maxHooks))
	}
	id = tx.NewID(nid.Webhook)
	raw := newSecret()
	if _, err := tx.Change(ctx, "webhooks", `INSERT INTO webhooks (id, corp_id, created_at, updated_at, version, name, url, events, active, secret)
		VALUES ($1, $2, $3, $3, 1, $4, $5, $6, $7, $8) RETURNING id`,
		id, tx.Corp(), tx.Now(), in.Name, in.URL, in.events(), in.Active, s.Box.Seal(raw, place(tx.Corp(), id))); err != nil {
		return id, "", err
	}
	return id, serialize(raw), s.Log.Append(ctx, tx, audit.Entry{
		Action: access.WebhookSave, Subject: id, After: d.Note(facts(in.URL, in.Events, in.Active)), Covers: d.Covers,
	})
}

func (s *Service) update(ctx context.Context, tx *store.Tx, was *stored, in Input, d identity.Decision) error {
	if in.Name == was.name && in.URL == was.url && in.Active == was.active && slices.Equal(in.Events, was.events) {
		return nil
	}
	if _, err := tx.Change(ctx, "webhooks", `UPDATE webhooks SET name = $3, url = $4, events = $5, active = $6, version = version + 1, updated_at = $7
		WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), was.id, in.Name, in.URL, in.events(), in.Active, tx.Now()); err != nil {
		return err
	}
	if was.active && !in.Active {
		if err := drop(ctx, tx, was.id); err != nil {
			return err
		}
	}
	return s.Log.Append(ctx, tx, audit.Entry{
		Action: access.WebhookSave, Subject: was.id, Before: facts(was.url, was.events, was.active),
		After: d.Note(facts(in.URL, in.Events, in.Active)), Covers: d.Covers,
	})
}

// Delete takes a webhook out of the list for good, and its signing secret out of
// the database. What was sent to it stays to be read. It needs what Save needs.
//
// Fails with FORBIDDEN, STEP_UP_REQUIRED and NOT_FOUND on input.id.
func (s *Service) Delete(ctx context.Context, id nid.ID) error {
	return s.Log.Tx(ctx, s.DB, access.WebhookDelete, func(ctx context.Context, tx *store.Tx) error {
		actor, err := identity.Confirm(ctx, tx)
		if err != nil {
			return err
		}
		if err := manager(actor); err != nil {
			return err
		}
		was, err := lock(ctx, tx, id)
		if err != nil {
			return err
		}
		if err := identity.Fresh(actor, tx.Now()); err != nil {
			return err
		}
		if _, err := tx.Change(ctx, "webhooks", `UPDATE webhooks SET archived_at = $3, active = false, secret = $4, version = version + 1, updated_at = $3
			WHERE corp_id = $1 AND id = $2 RETURNING id`, tx.Corp(), id, tx.Now(), []byte{}); err != nil {
			return err
		}
		if err := drop(ctx, tx, id); err != nil {
			return err
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.WebhookDelete, Subject: id, Before: facts(was.url, was.events, was.active)})
	})
}

// stored is a webhook as it is.
type stored struct {
	id        nid.ID
	version   int
	name, url string
	events    []notify.Event
	active    bool
}

// lock finds a webhook that is not deleted and keeps it from changing.
func lock(ctx context.Context, tx *store.Tx, id nid.ID) (*stored, error) {
	type row struct {
		stored
		events []byte
	}
	r, ok, err := store.SelectOne(ctx, tx, func(r *row) []any {
		return []any{&r.id, &r.version, &r.name, &r.url, &r.events, &r.active}
	}, `SELECT id, version, name, url, events, active FROM webhooks WHERE corp_id = $1 AND id = $2 AND archived_at IS NULL`+tx.DB().ForNoKeyUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Missing("input.id")
	}
	return &r.stored, json.Unmarshal(r.events, &r.stored.events)
}

// events are the wanted events as they are stored.
func (in Input) events() string {
	b, _ := json.Marshal(texts(in.Events)) // texts can be written
	return string(b)
}

// facts are what the log keeps of a webhook. Of the address it keeps the host and
// a digest: the rest may hold a password of the receiver's.
func facts(address string, events []notify.Event, active bool) map[string]any {
	sum := sha256.Sum256([]byte(address))
	host := ""
	if u, err := url.Parse(address); err == nil {
		host = u.Host
	}
	return map[string]any{"host": host, "urlDigest": hex.EncodeToString(sum[:]), "events": texts(events), "active": active}
}

func texts(events []notify.Event) []string {
	out := make([]string, len(events))
	for i, e := range events {
		out[i] = string(e)
	}
	return out
}
