package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/lib/pq"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/openhandover/openhandover/ent"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/store/pqcache"
)

var errNoReading = errors.New("the context has no read transaction")

// Transient reports whether the same transaction may well succeed when repeated:
// serialization failure, deadlock, lock not available (PostgreSQL 40001, 40P01,
// 55P03), SQLITE_BUSY, a kept statement that no longer fits the schema.
func Transient(err error) bool {
	if Unsure(err) {
		return false
	}
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code == "40001" || e.Code == "40P01" || e.Code == "55P03"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()&0xff == sqlite3.SQLITE_BUSY
	}
	return pqcache.Stale(err) || errors.Is(err, driver.ErrBadConn)
}

// refused reports whether the database answered that it did not commit.
func refused(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code.Class() != "57" && e.Code.Class() != "08"
	}
	_, ok := errors.AsType[*sqlite.Error](err)
	return ok || strings.Contains(err.Error(), "failed transaction")
}

// Duplicate reports whether err is the violation of a unique index.
func Duplicate(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code == "23505"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY
	}
	return false
}

// Dangling reports whether err is the violation of a foreign key.
func Dangling(err error) bool {
	if e, ok := errors.AsType[*pq.Error](err); ok {
		return e.Code == "23503"
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY
	}
	return false
}

// explain turns what the database said into the nearest fault. Faults stay.
// Explain turns what the database said into the nearest fault; faults stay.
func Explain(ctx context.Context, err error) error { return explain(ctx, err) }

func explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	if ent.IsNotFound(err) {
		return fault.Missing("").Because(err)
	}
	if errors.Is(ctx.Err(), context.DeadlineExceeded) || errors.Is(err, context.DeadlineExceeded) {
		return fault.New(fault.Timeout, "", fault.T("it took too long; nothing was changed", "处理超时,未做任何更改")).Because(err)
	}
	unavailable := func(en, zh string) error {
		return fault.New(fault.Unavailable, "", fault.Text{EN: en, ZH: zh}).After(5 * time.Second).Because(err)
	}
	if Unsure(err) {
		return unavailable("the database did not answer; repeat with the same idempotency key to learn what became of it",
			"数据库未应答,请使用相同的幂等键重试以确认结果")
	}
	if errors.Is(ctx.Err(), context.Canceled) || errors.Is(err, context.Canceled) {
		return fault.New(fault.Timeout, "", fault.T("the request was given up; nothing was changed", "请求已取消，未做任何更改")).Because(err)
	}
	if errors.Is(err, driver.ErrBadConn) || errors.Is(err, sql.ErrConnDone) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return unavailable("the database cannot be reached just now", "暂时无法连接数据库")
	}
	if Transient(err) {
		return fault.Clash("", "somebody else is changing the same things just now; try again", "其他人正在修改同样的数据,请稍后重试").Because(err)
	}
	if Duplicate(err) {
		return fault.Clash("", "there is one like this already", "已存在相同的记录").Because(err)
	}
	if Dangling(err) {
		return fault.Clash("", "something else still needs this", "仍有其他数据依赖于此").Because(err)
	}
	if e, ok := errors.AsType[*pq.Error](err); ok {
		switch {
		case e.Code == "57014": // cancelled, by its deadline or with its client
			return fault.New(fault.Timeout, "", fault.T("it took too long; nothing was changed", "处理超时,未做任何更改")).Because(err)
		case e.Code.Class() == "53" || e.Code.Class() == "57" || e.Code.Class() == "08" || e.Code == "25006" ||
			e.Code == "0A000" && strings.Contains(e.Message, "recovery"):
			return unavailable("the database cannot be used just now", "数据库暂时不可用")
		}
		return err
	}
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		switch e.Code() & 0xff {
		case sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			return unavailable("the disk is full or cannot be written", "磁盘已满或不可写")
		}
		return err
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return unavailable("the database cannot be reached just now", "暂时无法连接数据库")
	}
	return err
}
