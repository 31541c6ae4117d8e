package pgtest

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/lib/pq"
	"github.com/lib/pq/pqerror"
)

const (
	testPrefix     = "handover_test_"
	templatePrefix = "handover_template_"
	// leftover is the age from which nobody can still be using what a run left.
	leftover = 6 * time.Hour
)

// Template builds a database once per server and gives the name under which
// Database copies it; copying takes a fraction of what migrating does. All
// processes that ask for one name share one: the first builds it as Owner, the
// others wait. So name must say what is in it: put the digest of the migrations
// into it, not only a word.
//
// Connections that build leaves open are cut. If it fails the test fails, and the
// next to ask tries again.
func Template(t testing.TB, name string, build func(ownerURL string) error) string {
	t.Helper()
	h := need(t)
	database := databaseOf(name)
	once, _ := h.built.LoadOrStore(database, new(buildOnce))
	if err := once.(*buildOnce).do(func() error { return h.template(t.Context(), database, build) }); err != nil {
		t.Fatalf("pgtest: build the template %q: %v", name, err)
	}
	return database
}

// buildOnce runs until it has succeeded once.
type buildOnce struct {
	mu   sync.Mutex
	done bool
}

func (o *buildOnce) do(build func() error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.done {
		return nil
	}
	err := build()
	o.done = err == nil
	return err
}

func (h *host) template(ctx context.Context, database string, build func(string) error) error {
	return h.locked(ctx, database, func() error {
		var ready bool
		if err := h.admin.QueryRowContext(ctx,
			"SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate)", database).Scan(&ready); err != nil {
			return err
		}
		if !ready {
			if err := h.build(ctx, database, build); err != nil {
				return err
			}
		}
		return h.mark(ctx, database)
	})
}

// mark notes for the sweep of a later run when the template was last asked for.
func (h *host) mark(ctx context.Context, database string) error {
	return h.exec(ctx, fmt.Sprintf("COMMENT ON DATABASE %s IS '%d'", pq.QuoteIdentifier(database), time.Now().Unix()))
}

func (h *host) build(ctx context.Context, database string, build func(string) error) error {
	quoted := pq.QuoteIdentifier(database)
	// Half of one may be there from a run that was killed.
	if err := h.exec(ctx, "DROP DATABASE IF EXISTS "+quoted+" WITH (FORCE)"); err != nil {
		return err
	}
	if err := errors.Join(h.create(ctx, database, "template0"), h.mark(ctx, database)); err != nil {
		return err
	}
	if err := build(h.as(database, Owner)); err != nil {
		return errors.Join(err, h.exec(context.WithoutCancel(ctx), "DROP DATABASE "+quoted+" WITH (FORCE)"))
	}
	// A database with anybody in it cannot be copied: nobody may come in any more,
	// and who still is leaves.
	if err := h.exec(ctx, "ALTER DATABASE "+quoted+" WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"); err != nil {
		return err
	}
	_, err := h.admin.ExecContext(ctx, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", database)
	return err
}

// locked runs f while no other process of ours on this server is in a locked
// section of the same name. The lock goes with the connection, so a process that
// dies frees it.
func (h *host) locked(ctx context.Context, name string, f func() error) error {
	conn, err := h.admin.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	key := int64(binary.BigEndian.Uint64(digest("lock", name)))
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", key); err != nil {
		return err
	}
	err = f()
	_, unlock := conn.ExecContext(context.WithoutCancel(ctx), "SELECT pg_advisory_unlock($1)", key)
	return errors.Join(err, unlock)
}

// sweep drops what killed runs left on a server that outlives them: a test's
// database carries its time in its name, a template in its comment. What somebody
// is signed in to stays.
func (h *host) sweep(ctx context.Context, now time.Time) error {
	rows, err := h.admin.QueryContext(ctx, `SELECT datname, datistemplate, coalesce(shobj_description(oid, 'pg_database'), '')
		FROM pg_database d WHERE (starts_with(datname, $1) OR starts_with(datname, $2))
		AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = d.datname)`, testPrefix, templatePrefix)
	if err != nil {
		return err
	}
	defer rows.Close()
	var old []string
	for rows.Next() {
		var name, comment string
		var template bool
		if err := rows.Scan(&name, &template, &comment); err != nil {
			return err
		}
		if since, ok := usedAt(name, comment); ok && now.Sub(since) > leftover {
			if template {
				old = append(old, "ALTER DATABASE "+pq.QuoteIdentifier(name)+" WITH IS_TEMPLATE false")
			}
			old = append(old, "DROP DATABASE "+pq.QuoteIdentifier(name))
		}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	for _, q := range old {
		if err := h.exec(ctx, q); err != nil && pq.As(err, pqerror.ObjectInUse) == nil {
			return fmt.Errorf("remove what an earlier run left: %w", err)
		}
	}
	return nil
}

func usedAt(name, comment string) (time.Time, bool) {
	text, base := comment, 10
	if rest, ok := strings.CutPrefix(name, testPrefix); ok {
		text, _, _ = strings.Cut(rest, "_")
		base = 16
	}
	seconds, err := strconv.ParseInt(text, base, 64)
	return time.Unix(seconds, 0), err == nil
}

func digest(parts ...string) []byte {
	sum := sha256.Sum256([]byte("openhandover pgtest\x00" + strings.Join(parts, "\x00")))
	return sum[:]
}

func databaseOf(template string) string {
	return templatePrefix + hex.EncodeToString(digest(template))[:24]
}
