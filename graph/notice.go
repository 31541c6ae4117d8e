package graph

import (
	"context"
	"sync"

	"github.com/99designs/gqlgen/graphql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

// noticed are the tables whose rows are counted when somebody who is LEAVING reads them.
var noticed = map[string]notice.Kind{"contacts": notice.Contacts, "groups": notice.Groups, "messages": notice.Messages}

// reads counts what a request shows to somebody who is LEAVING.
type reads struct {
	mu    sync.Mutex
	actor *access.Actor
	shown map[notice.Kind]int
}

type readsKey struct{}

// shows notes rows of a table that the viewer is about to see. For everybody who is not LEAVING
// it does nothing. Fails with LIMIT for more of a kind than notice.PageSize in one request.
func shows(ctx context.Context, table string, rows int) error {
	a := access.From(ctx)
	kind, counts := noticed[table]
	if !a.Leaving || !counts || rows == 0 {
		return nil
	}
	r, ok := ctx.Value(readsKey{}).(*reads)
	if !ok {
		return fault.New(fault.Internal, "", fault.T("internal error", "内部错误"))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.actor = a
	if r.shown == nil {
		r.shown = map[notice.Kind]int{}
	}
	if r.shown[kind]+rows > notice.PageSize {
		return fault.New(fault.Limit, "", fault.T("a member who is leaving can read at most %d of these in one request", "离职流程中的成员每次请求最多读取 %d 条", notice.PageSize)).
			With("kind", string(kind)).With("perRequest", notice.PageSize)
	}
	r.shown[kind] += rows
	return nil
}

// noticeReads counts what was shown to somebody who is LEAVING, before the answer is written:
// what could not be counted is not shown. Others' requests only carry an empty counter.
type noticeReads struct{ r *Resolver }

func (noticeReads) ExtensionName() string                   { return "noticeReads" }
func (noticeReads) Validate(graphql.ExecutableSchema) error { return nil }

// InterceptResponse is graphql.ResponseInterceptor: it runs for each answer and each event.
func (n noticeReads) InterceptResponse(ctx context.Context, next graphql.ResponseHandler) *graphql.Response {
	c := &reads{}
	resp := next(context.WithValue(ctx, readsKey{}, c))
	if resp == nil || len(c.shown) == 0 {
		return resp
	}
	store.EndReading(ctx) // nobody holds two connections
	if err := n.r.Use.Notice.Count(access.With(ctx, c.actor), c.shown); err != nil {
		graphql.AddError(ctx, err)
		return &graphql.Response{Errors: graphql.GetErrors(ctx)}
	}
	return resp
}

// findFollow gives follows by id. What it shows is what the member noted about a contact, and
// counts as one.
func findFollow(ctx context.Context, ids []nid.ID) (map[nid.ID]siblings.Entity, error) {
	found, err := find(follows)(ctx, ids)
	if err == nil {
		err = shows(ctx, contacts.name, len(found))
	}
	return found, err
}

// noticeChanges gives a page of what differs from a member's baseline.
func noticeChanges(ctx context.Context, of nid.ID, s span) (*model.NoticeChangeConnection, error) {
	const stamp = "notice_changes FIELD ASC"
	if err := s.read(ctx, stamp); err != nil {
		return nil, err
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	if err := notice.May(ctx, q, of); err != nil {
		return nil, err
	}
	at := func(c *model.NoticeChange) string { return place{string(c.Field), c.FollowID}.cursor(stamp) }
	out := &model.NoticeChangeConnection{Place: at, Count: func(ctx context.Context) (int, error) { return notice.Count(ctx, q, of) }}
	if !selected(ctx, "nodes", "edges", "pageInfo") {
		return out, nil
	}
	var after notice.Place
	if s.from != nil {
		after = notice.Place{FollowID: s.from.id, Field: notice.Field(s.from.value)}
	}
	found, err := notice.Changes(ctx, q, of, after, s.limit)
	if err != nil {
		return nil, err
	}
	out.PageInfo = &model.PageInfo{HasNextPage: len(found) > s.limit, HasPreviousPage: s.after != nil}
	for _, c := range found[:min(len(found), s.limit)] {
		out.Nodes = append(out.Nodes, &model.NoticeChange{Change: c})
	}
	siblings.Join(out.Nodes)
	if n := len(out.Nodes); n > 0 {
		first, last := at(out.Nodes[0]), at(out.Nodes[n-1])
		out.PageInfo.StartCursor, out.PageInfo.EndCursor = &first, &last
	}
	return out, shows(ctx, contacts.name, len(out.Nodes))
}

type noticeTags struct{}

// changed gives the values of a change as people read them: tags by their names.
func changed(ctx context.Context, c *model.NoticeChange, values []string) ([]string, error) {
	if c.Field != notice.Tags && c.Field != notice.ContactTags {
		return values, nil
	}
	names, err := siblings.Load(ctx, c, noticeTags{}, func(ctx context.Context, rows []*model.NoticeChange) (map[string]string, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var ids []nid.ID
		for _, r := range rows {
			if r.Field != notice.Tags && r.Field != notice.ContactTags {
				continue
			}
			for _, v := range append(append([]string{}, r.Was...), r.Is...) {
				if id, err := nid.FromUUID(v); err == nil {
					ids = append(ids, id)
				}
			}
		}
		type tag struct {
			id   nid.ID
			name string
		}
		all, err := store.Select(ctx, q, func(t *tag) []any { return []any{&t.id, &t.name} },
			`SELECT id, name FROM tags WHERE corp_id = $1 AND id `+q.DB().In(2), corpOf(ctx), q.DB().IDs(ids))
		out := make(map[string]string, len(all))
		for _, t := range all {
			out[t.id.UUID()] = t.name
		}
		return out, err
	})
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = names[v]
	}
	return out, err
}

// restored is the answer of restoreBaseline.
func restored(ctx context.Context, of nid.ID, done []notice.Done) (*model.RestoreBaselinePayload, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	out := &model.RestoreBaselinePayload{Results: make([]*notice.Done, len(done))}
	for i := range done {
		out.Results[i] = &done[i]
	}
	out.Remaining, err = notice.Count(ctx, q, of)
	return out, err
}

// departuresDecided is the answer of confirmDepartures and dismissDepartures.
func departuresDecided(ctx context.Context, done []member.Decision) (*model.DecideDeparturesPayload, error) {
	people, err := members.byID(ctx, idsOf(done, func(d member.Decision) nid.ID { return d.MemberID })...)
	out := &model.DecideDeparturesPayload{Results: make([]*model.DepartureDecision, len(done))}
	for i, d := range done {
		r := &model.DepartureDecision{MemberID: d.MemberID, Member: people[d.MemberID], Outcome: model.DepartureOutcomeDone}
		switch {
		case d.NotHeld:
			r.Outcome = model.DepartureOutcomeNotHeld
		case d.Problem != nil:
			code, message := string(d.Problem.Code), said(ctx, d.Problem.Text)
			r.Outcome, r.Code, r.Message = model.DepartureOutcomeRefused, &code, &message
		}
		out.Results[i] = r
	}
	return out, err
}

// askedBy is who asked for a departure, for those who decide on departures or read the log.
func askedBy(ctx context.Context, m *ent.Member) (*ent.Member, error) {
	if !access.From(ctx).Can(access.DeactivateMember, access.ReadAuditLog) {
		return nil, nil
	}
	return one(ctx, m, "departureBy", members, func(m *ent.Member) nid.ID { return m.DepartureByID })
}
