package identity

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"log/slog"
	"net/netip"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

const (
	maxFailures = 5
	// lockTime is both how long a lock lasts and how long it must be quiet until
	// failures are forgotten. With both the same, no 15 minutes see a sixth guess.
	lockTime = 15 * time.Minute

	// maxFromAddress is for an office behind one address, where some mistype.
	maxFromAddress = 50
	// maxInCorp is for guesses at many logins from many addresses. Past it the corp
	// takes one attempt a minute; sessions, tokens and passkeys go on.
	maxInCorp    = 1000
	corpLockTime = time.Minute
)

// counter is one count of failed attempts.
type counter struct {
	subject string
	most    int           // failures within lockTime
	lock    time.Duration // for which nothing is compared after them
}

// doors are the counts of an attempt to sign in.
type doors struct {
	// everywhere is the count of the address that it comes from, over all corps.
	everywhere []counter
	// here are those of the account and of the corp, in the order in which their rows are
	// locked. All corps that do not exist have one count together; an account of one is
	// counted by the corp's name and locks as an account that exists does. From a device
	// that its member has signed in at before it is the device's own, and no other:
	// nobody else's guesses keep its member out.
	here []counter
}

func doorsOf(ctx context.Context, corp, login, device string) (d doors) {
	if device != "" {
		d.here = []counter{{"device:" + digest(device), maxFailures, lockTime}}
		return d
	}
	if n := network(access.From(ctx).Address); n != "" {
		d.everywhere = []counter{{"from:" + digest(n), maxFromAddress, lockTime}}
	}
	d.here = []counter{{signInSubject(corp + login), maxFailures, lockTime}, {"corp", maxInCorp, corpLockTime}}
	return d
}

// proofs are the counts of attempts to prove an identity in a session.
func proofs(ctx context.Context, member nid.ID) []counter {
	out := []counter{{verifySubject(member), maxFailures, lockTime}}
	if n := network(access.From(ctx).Address); n != "" {
		out = append(out, counter{"from:" + digest(n), maxFromAddress, lockTime})
	}
	return out
}

// network is whose failures an address counts for. This machine's own is nobody's:
// where the operator forgot to say that there is a proxy, it stands for everybody, and
// one who guesses would lock all others out.
func network(address string) string {
	if a, err := netip.ParseAddr(address); err != nil || a.IsLoopback() {
		return ""
	}
	return subscriber(address)
}

// subscriber is what one subscriber has: an IPv4 address, or 64 bits of an IPv6 one.
func subscriber(address string) string {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p.String()
}

// signInSubject and verifySubject name the counts of an account.
func signInSubject(login string) string  { return "sign-in:" + digest(login) }
func verifySubject(member nid.ID) string { return "verify:" + member.String() }

// charge counts an attempt as a failure before anything is compared, in the
// database that all replicas share, so that a thousand guesses at once are no more
// than a thousand in a row: five. Who succeeds is paid back (refund). It fails
// with RATE_LIMITED while one of the counts is locked.
func charge(ctx context.Context, tx *store.Tx, at ...counter) error {
	for _, c := range at {
		if err := chargeOne(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

func chargeOne(ctx context.Context, tx *store.Tx, c counter) error {
	now := tx.Now()
	charged, err := store.KeepInto(ctx, tx, func(n *int) []any { return []any{n} }, "lockouts", `
		INSERT INTO lockouts (corp_id, subject, failures, last_at) VALUES ($1, $2, 1, $3)
		ON CONFLICT (corp_id, subject) DO UPDATE SET last_at = excluded.last_at,
			failures = CASE WHEN lockouts.last_at <= $4 THEN 1 ELSE lockouts.failures + 1 END,
			locked_until = CASE WHEN lockouts.last_at > $4 AND lockouts.failures + 1 >= $5 THEN $6 ELSE excluded.locked_until END
		WHERE lockouts.locked_until IS NULL OR lockouts.locked_until <= $3
		RETURNING failures`,
		tx.Corp(), c.subject, now, now.Add(-lockTime), c.most, now.Add(c.lock))
	if err != nil || len(charged) > 0 {
		return err
	}
	until, _, err := store.SelectOne(ctx, tx, func(t *sql.NullTime) []any { return []any{t} },
		`SELECT locked_until FROM lockouts WHERE corp_id = $1 AND subject = $2`, tx.Corp(), c.subject)
	if err != nil {
		return err
	}
	return fault.New(fault.RateLimited, "", fault.T("too many failed attempts; try again later", "失败次数过多,请稍后再试")).
		After(max(until.Time.Sub(now), time.Second))
}

// refund takes back a charge whose attempt succeeded. Failures of others stay
// counted, so nobody buys new guesses with a success in between.
func refund(ctx context.Context, tx *store.Tx, at ...counter) error {
	for _, c := range at {
		if _, err := tx.Keep(ctx, "lockouts", `UPDATE lockouts SET failures = failures - 1, locked_until = NULL
			WHERE corp_id = $1 AND subject = $2 AND failures > 0`, tx.Corp(), c.subject); err != nil {
			return err
		}
	}
	return nil
}

// try charges an attempt and then finds the account. The address is counted apart from
// the corp, so that who guesses in many corps is one who guesses.
func (s *Service) try(ctx context.Context, at doors, find func(ctx context.Context, tx *store.Tx) error) error {
	if len(at.everywhere) > 0 {
		err := s.DB.Tx(as(ctx, Nowhere, nid.ID{}, ""), func(ctx context.Context, tx *store.Tx) error { return charge(ctx, tx, at.everywhere...) })
		if err != nil {
			return err
		}
	}
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := charge(ctx, tx, at.here...); err != nil {
			return err
		}
		return find(ctx, tx)
	})
	if err != nil { // nothing was compared
		s.uncharge(as(ctx, Nowhere, nid.ID{}, ""), at.everywhere...)
	}
	return err
}

// untry takes an attempt back.
func (s *Service) untry(ctx context.Context, at doors) {
	s.uncharge(ctx, at.here...)
	s.uncharge(as(ctx, Nowhere, nid.ID{}, ""), at.everywhere...)
}

// uncharge is refund for an attempt that could not be compared at all, because the
// request ended before its turn came, or that was right and leads no further.
func (s *Service) uncharge(ctx context.Context, at ...counter) {
	if len(at) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	err := s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error { return refund(ctx, tx, at...) })
	if err != nil {
		slog.WarnContext(ctx, "an attempt that was never compared stays counted", "err", err)
	}
}

// forgive forgets an account's failures, for whoever gives it new credentials.
func forgive(ctx context.Context, tx *store.Tx, member nid.ID, login string) error {
	_, err := tx.Keep(ctx, "lockouts", `DELETE FROM lockouts WHERE corp_id = $1 AND subject IN ($2, $3)`, tx.Corp(), signInSubject(login), verifySubject(member))
	return err
}

// failed records that an attempt failed: one entry for each subject and minute. An
// unknown login takes the same statements as a known one and tells nothing but
// where it came from; what was typed may be somebody's password.
func (s *Service) failed(ctx context.Context, subject string, of account, what string) error {
	row := sha256.Sum256([]byte(subject)) // stands for the subject where an actor's id would
	return s.DB.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		counts, err := store.KeepInto(ctx, tx, func(n *int) []any { return []any{n} }, "denials",
			`INSERT INTO denials (corp_id, actor_id, action, minute, n) VALUES ($1, $2, $3, $4, 1)
			ON CONFLICT (corp_id, actor_id, action, minute) DO UPDATE SET n = denials.n + 1 RETURNING n`,
			tx.Corp(), nid.ID(row[:16]), string(access.SessionFail), tx.Now().Truncate(time.Minute))
		if err != nil || counts[0] > 1 {
			return err
		}
		about, after := of.member, map[string]any{"attempt": what, "known": !of.member.IsZero()}
		if about.IsZero() {
			about = tx.Corp()
		}
		// A person's address stands in the entry already.
		if a := access.From(ctx); a.Kind != access.Person && a.Address != "" {
			after["address"] = audit.Personal{Subject: about, Value: a.Address}
		}
		if of.login != "" {
			after["login"] = audit.Personal{Subject: about, Value: of.login}
		}
		return s.Log.Append(ctx, tx, audit.Entry{Action: access.SessionFail, Subject: of.member, After: after})
	})
}
