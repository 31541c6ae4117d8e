package model

import (
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/siblings"
)

// NoticeChange is one field of a leaver's contact that differs from the baseline.
type NoticeChange struct {
	siblings.Kin
	notice.Change
}
