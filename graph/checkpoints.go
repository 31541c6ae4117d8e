package graph

import (
	"context"
	"encoding/hex"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store"
)

// newestCheckpoint is for who may read the whole log: its size tells how much is done.
func newestCheckpoint(ctx context.Context) (*audit.Checkpoint, error) {
	if !access.From(ctx).Scope(access.ReadAuditLog).All {
		return nil, fault.Denied("the audit log needs READ_AUDIT_LOG over the whole corp", "查看操作日志需要对整个企业的 READ_AUDIT_LOG 权限")
	}
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	c, ok, err := audit.Newest(ctx, q)
	if err != nil || !ok {
		return nil, err
	}
	return &c, nil
}

// proof gives a proof of a checkpoint's size as text.
func proof(ctx context.Context, field string, prove func(context.Context, store.Querier, int64, int64) ([][]byte, bool, error), size int64, of int) ([]string, error) {
	q, err := store.Reader(ctx)
	if err != nil {
		return nil, err
	}
	hashes, ok, err := prove(ctx, q, size, int64(of))
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, fault.Bad(field, "this checkpoint covers %d entries", "该检查点包含 %d 条记录", size)
	}
	out := make([]string, len(hashes))
	for i, h := range hashes {
		out[i] = hex.EncodeToString(h)
	}
	return out, nil
}
