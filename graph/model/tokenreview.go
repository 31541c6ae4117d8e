package model

import "github.com/openhandover/openhandover/ent"

// TokenReviewItem is a review's item that is about a service token.
type TokenReviewItem struct{ *ent.ReviewItem }
