package contact

import (
	"context"
	"slices"

	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

// Service is the use cases of contacts and follows.
type Service struct {
	DB  *store.DB
	Log *audit.Log
}

// Limits of what people write, in characters and tags.
const (
	maxDescription = 2000
	maxTags        = 50
)

// held is a contact with its open follows, all locked.
type held struct {
	id         nid.ID
	version    int
	name       string
	company    *string
	importance string
	protected  bool
	gone       bool // archived or erased
	follows    []openFollow
}

type openFollow struct {
	id, member          nid.ID
	version             int
	protected           bool
	remark, description *string
}

// lock locks the contact's open follows in id order and then the contact. All of
// them: a transaction that held one follow and waited for the contact could meet a
// handover that holds the contact and waits for the follow.
func lock(ctx context.Context, tx *store.Tx, id nid.ID, field string) (*held, error) {
	follows, err := store.Select(ctx, tx, func(f *openFollow) []any {
		return []any{&f.id, &f.member, &f.version, &f.protected, &f.remark, &f.description}
	}, `SELECT id, member_id, version, protected, remark, description FROM follows
		WHERE corp_id = $1 AND contact_id = $2 AND ended_at IS NULL ORDER BY id`+tx.DB().ForUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	c, ok, err := store.SelectOne(ctx, tx, func(c *held) []any {
		return []any{&c.id, &c.version, &c.name, &c.company, &c.importance, &c.protected, &c.gone}
	}, `SELECT id, version, name, company, importance, protected, archived_at IS NOT NULL OR erased_at IS NOT NULL FROM contacts
		WHERE corp_id = $1 AND id = $2`+tx.DB().ForUpdate(), tx.Corp(), id)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Missing(field)
	}
	c.follows = follows
	return &c, nil
}

// members are those who follow the contact.
func (c *held) members() []nid.ID {
	out := make([]nid.ID, len(c.follows))
	for i, f := range c.follows {
		out[i] = f.member
	}
	return out
}

// followedBy reports whether the actor follows the contact.
func (c *held) followedBy(a *access.Actor) bool {
	return a.Kind == access.Person && slices.Contains(c.members(), a.ID)
}

// reaches reports whether a scope holds any of the members. The whole corp also
// holds what nobody follows.
func reaches(ctx context.Context, tx *store.Tx, s access.Scope, members ...nid.ID) (bool, error) {
	if s.All {
		return true, nil
	}
	outside, err := store.OutOfScope(ctx, tx, s, members...)
	return len(outside) < len(members), err
}

// see answers NOT_FOUND for a contact that the actor may not see.
func (c *held) see(ctx context.Context, tx *store.Tx, actor *access.Actor, field string) error {
	condition, args := rule.Visible(actor, "contacts")
	if condition == "" {
		return nil
	}
	var w store.Where
	w.And("contacts.corp_id = ?", tx.Corp())
	w.And("contacts.id = ?", c.id)
	w.And(condition, args...)
	where, args := w.SQL(1)
	_, ok, err := store.SelectOne(ctx, tx, func(id *nid.ID) []any { return []any{id} }, `SELECT contacts.id FROM contacts WHERE `+where, args...)
	if err == nil && !ok {
		err = fault.Missing(field)
	}
	return err
}

// changeable answers CONFLICT for what only a handover may change.
func changeable(protected, gone bool) error {
	switch {
	case gone:
		return fault.Clash("input.id", "this has been archived and is not changed any more", "该对象已归档,不能再修改")
	case protected:
		return fault.Clash("input.id", "a leaver looked after this, so it is protected; use a handover", "该对象因成员离开已被保护,请通过交接处理").With("protected", true)
	}
	return nil
}

// line checks a text of one line that may be empty; an empty one is stored as none.
func line(field string, given *string) error {
	if given == nil || *given == "" {
		return nil
	}
	if problem, ok := name.Check(*given); !ok {
		return fault.New(fault.Invalid, field, problem)
	}
	return nil
}

// differs reports whether a given text changes the stored one; none and empty are
// the same.
func differs(given, stored *string) bool { return given != nil && text(given) != text(stored) }

// takesAway reports whether a given text empties the stored one.
func takesAway(given, stored *string) bool { return given != nil && *given == "" && text(stored) != "" }

// leaverDeletes is why somebody who is LEAVING empties nothing: texts can be changed, and what
// was there before the notice can be put back (package notice).
func leaverDeletes() error {
	return fault.Denied("a member who is leaving cannot take away a remark, description, company, tag or key mark; texts can be changed (docs/leaving.md)",
		"离职流程中的成员不能清空备注、描述、企业名称，也不能移除标签或重要标记；可以修改内容（见 docs/leaving.md）")
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// stored is how a text is kept: none rather than empty.
func stored(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// personal seals a text about a contact for the log; none stays none.
func personal(subject nid.ID, s string) any {
	if s == "" {
		return nil
	}
	return audit.Personal{Subject: subject, Value: s}
}
