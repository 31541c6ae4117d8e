package graph

import (
	"context"
	"time"

	"entgo.io/ent/dialect/sql"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/ent/predicate"
	"github.com/openhandover/openhandover/ent/rule"
	"github.com/openhandover/openhandover/graph/model"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/siblings"
	"github.com/openhandover/openhandover/internal/store"
)

var (
	accessReviews = tableOf("access_reviews", nid.Review, func(v *ent.AccessReview) nid.ID { return v.ID },
		func(c *ent.Client) *ent.AccessReviewQuery { return c.AccessReview.Query() })
	reviewItems = tableOf("review_items", nid.ReviewItem, func(v *ent.ReviewItem) nid.ID { return v.ID },
		func(c *ent.Client) *ent.ReviewItemQuery { return c.ReviewItem.Query() })

	tokenItems = &table[*model.TokenReviewItem]{
		name: "review_items", kind: nid.ReviewItem, id: func(v *model.TokenReviewItem) nid.ID { return v.ID },
		rows: func(ctx context.Context, c *ent.Client, f func(*sql.Selector)) ([]*model.TokenReviewItem, error) {
			found, err := c.ReviewItem.Query().Where(predicate.ReviewItem(f)).All(ctx)
			out := make([]*model.TokenReviewItem, len(found))
			for i, v := range found {
				out[i] = &model.TokenReviewItem{ReviewItem: v}
			}
			return out, err
		},
		count: reviewItems.count,
	}

	reviewsByTime  = order[*ent.AccessReview]{key: timeKey("CREATED_AT", "access_reviews.created_at", func(v *ent.AccessReview) time.Time { return v.CreatedAt }), desc: true}
	sensitiveFirst = order[*ent.ReviewItem]{key: numberKey("RANK", "review_items.rank", func(v *ent.ReviewItem) int64 { return int64(v.Rank) })}
)

func listReviews(ctx context.Context, s span) (*model.AccessReviewConnection, error) {
	return page(ctx, accessReviews, &store.Where{}, reviewsByTime, s)
}

func itemsOf(ctx context.Context, v *ent.AccessReview, s span) (*model.ReviewItemConnection, error) {
	var w store.Where
	w.And("review_items.grant_id IS NOT NULL")
	return nested(ctx, v, accessReviews.id, hangs("items", "review_items", "review_items.review_id"), reviewItems, &w, sensitiveFirst, s)
}

func tokenItemsOf(ctx context.Context, v *ent.AccessReview, s span) (*model.TokenReviewItemConnection, error) {
	var w store.Where
	w.And("review_items.token_id IS NOT NULL")
	o := order[*model.TokenReviewItem]{key: numberKey("RANK", "review_items.rank", func(v *model.TokenReviewItem) int64 { return int64(v.Rank) })}
	return nested(ctx, v, accessReviews.id, hangs("tokenItems", "review_items", "review_items.review_id"), tokenItems, &w, o, s)
}

// findReviewItems gives items as what they are about: a grant or a token.
func findReviewItems(ctx context.Context, ids []nid.ID) (map[nid.ID]siblings.Entity, error) {
	found, err := reviewItems.byID(ctx, ids...)
	if err != nil {
		return nil, err
	}
	out, of := make(map[nid.ID]siblings.Entity, len(found)), []nid.ID(nil)
	for id, item := range found {
		if out[id] = item; !item.TokenID.IsZero() {
			of = append(of, id)
		}
	}
	about, err := tokenItems.byID(ctx, of...)
	for id, item := range about {
		out[id] = item
	}
	return out, err
}

type undecidedOf struct{}

// undecided counts what the viewer sees of a review that still needs a decision.
func undecided(ctx context.Context, v *ent.AccessReview) (int, error) {
	found, err := siblings.Load(ctx, v, undecidedOf{}, func(ctx context.Context, rows []*ent.AccessReview) (map[nid.ID]int, error) {
		q, err := store.Reader(ctx)
		if err != nil {
			return nil, err
		}
		var w store.Where
		w.And("review_items.corp_id = ?", corpOf(ctx))
		w.And("review_items.review_id "+q.DB().InList(), q.DB().IDs(idsOf(rows, accessReviews.id)))
		w.And(`review_items.decision IS NULL AND (g.id IS NOT NULL AND g.revoked_at IS NULL AND (g.expires_at IS NULL OR g.expires_at > ?)
			OR t.id IS NOT NULL AND t.revoked_at IS NULL AND t.expires_at > ?)`, q.DB().Now(), q.DB().Now())
		if condition, args := rule.Visible(access.From(ctx), "review_items"); condition != "" {
			w.And(condition, args...)
		}
		where, args := w.SQL(1)
		type count struct {
			of nid.ID
			n  int
		}
		counts, err := store.Select(ctx, q, func(c *count) []any { return []any{&c.of, &c.n} }, `SELECT review_items.review_id, COUNT(*)
			FROM review_items LEFT JOIN grants AS g ON g.corp_id = review_items.corp_id AND g.id = review_items.grant_id
			LEFT JOIN service_tokens AS t ON t.corp_id = review_items.corp_id AND t.id = review_items.token_id WHERE `+where+` GROUP BY review_items.review_id`, args...)
		out := make(map[nid.ID]int, len(counts))
		for _, c := range counts {
			out[c.of] = c.n
		}
		return out, err
	})
	return found[v.ID], err
}

func reviewOf(ctx context.Context, id nid.ID) (*ent.AccessReview, error) {
	return reread(ctx, func(c *ent.Client) (*ent.AccessReview, error) { return c.AccessReview.Get(ctx, id) })
}

// decided is the item that was decided, of a grant or of a token.
func decided(ctx context.Context, id nid.ID) (*model.DecideReviewItemPayload, error) {
	i, err := reread(ctx, func(c *ent.Client) (*ent.ReviewItem, error) { return c.ReviewItem.Get(ctx, id) })
	switch {
	case err != nil:
		return nil, err
	case i.TokenID.IsZero():
		return &model.DecideReviewItemPayload{Item: i}, nil
	}
	of, err := tokenItems.byID(ctx, id)
	return &model.DecideReviewItemPayload{TokenItem: of[id]}, err
}

func decision(in model.DecideReviewItemInput) review.DecideInput {
	return review.DecideInput{ID: in.ID, Decision: review.Decision(in.Decision), Note: in.Note}
}
