package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/nid"
	"github.com/openhandover/openhandover/internal/store"
)

type biCmd struct {
	Grant  biGrantCmd  `cmd:"" help:"Let a role of the PostgreSQL server read one corp's rows for reports."`
	Revoke biRevokeCmd `cmd:"" help:"Let a role read no rows any more."`
	List   biListCmd   `cmd:"" help:"List the roles that read, and which corp."`
}

// readers opens the database as the owner of the tables, who alone decides who reads.
func (e *env) readers() (*program, error) {
	keys, err := e.keys()
	if err != nil {
		return nil, err
	}
	p, err := e.join(setting{url: e.config.MigrationDatabase().Reveal(), keys: keys})
	if err != nil {
		return nil, err
	}
	if err = errors.Join(p.db.Ahead(e.ctx), p.db.Fits(e.ctx)); err == nil && !p.db.Postgres() {
		err = &misuse{errors.New("handover bi needs PostgreSQL; an SQLite file has no roles")}
	}
	if err == nil {
		var role store.Role
		if role, err = p.db.Role(e.ctx); err == nil && !role.Owner {
			err = fmt.Errorf("the role %s does not own the tables; name the owner's connection with --migrate-database-url", role.Name)
		}
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

type biGrantCmd struct {
	Corp string `help:"The corp's name; not needed where there is one." placeholder:"NAME"`
	Role string `required:"" help:"The PostgreSQL role, a member of handover_reader." placeholder:"ROLE"`
}

// Run binds a role to a corp.
func (c *biGrantCmd) Run(e *env) error {
	p, err := e.willing(e.readers())
	if err != nil {
		return err
	}
	defer p.close()
	ctx, corp, err := p.corp(e.ctx, c.Corp)
	if err != nil {
		return err
	}
	err = p.db.Tx(ctx, func(ctx context.Context, tx *store.Tx) error {
		if err := mayRead(ctx, tx, c.Role); err != nil {
			return err
		}
		bound, err := tx.Change(ctx, "bi_readers", `INSERT INTO bi_readers (role_name, corp, created_at) VALUES ($1, $2, $3)
			ON CONFLICT (role_name) DO UPDATE SET corp = excluded.corp WHERE bi_readers.corp = excluded.corp RETURNING corp`, c.Role, corp, tx.Now())
		if err != nil {
			return err
		}
		if len(bound) == 0 {
			return fmt.Errorf("--role: %s reads another corp; revoke that first, or make a role for each corp", c.Role)
		}
		return p.log.Append(ctx, tx, audit.Entry{Action: access.ReaderGrant, Subject: corp, After: map[string]any{"role": c.Role}})
	})
	if err == nil {
		_, err = fmt.Fprintf(e.stdout, "%s reads the rows of %s\n", c.Role, corp)
	}
	return err
}

// mayRead fails unless the role is one that the wall of readers holds.
func mayRead(ctx context.Context, tx *store.Tx, role string) error {
	type facts struct{ reader, above bool }
	f, found, err := store.SelectOne(ctx, tx, func(f *facts) []any { return []any{&f.reader, &f.above} }, `
		SELECT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = 'handover_reader' AND pg_has_role(u.oid, r.oid, 'USAGE')),
			EXISTS (SELECT FROM pg_roles AS r WHERE (r.rolsuper OR r.rolbypassrls OR r.rolname = 'handover_app'
				OR r.oid = (SELECT relowner FROM pg_class WHERE oid = 'bi_readers'::regclass)) AND pg_has_role(u.oid, r.oid, 'MEMBER'))
		FROM pg_roles AS u WHERE u.rolname = $1`, role)
	switch {
	case err != nil:
		return err
	case !found:
		return fmt.Errorf("--role: the server has no role %q; make it with CREATE ROLE … LOGIN IN ROLE handover_reader", role)
	case f.above:
		return fmt.Errorf("--role: %s may do more than read one corp: it is, or may become, a superuser, the tables' owner or the program's role", role)
	case !f.reader:
		return fmt.Errorf("--role: %s is no member of handover_reader; a superuser runs GRANT handover_reader TO %s", role, role)
	}
	return nil
}

type biRevokeCmd struct {
	Role string `required:"" help:"The PostgreSQL role." placeholder:"ROLE"`
}

// Run unbinds a role.
func (c *biRevokeCmd) Run(e *env) error {
	p, err := e.willing(e.readers())
	if err != nil {
		return err
	}
	defer p.close()
	corps, err := p.db.Corps(e.ctx)
	for _, corp := range corps {
		if err != nil {
			return err
		}
		var gone []nid.ID
		err = p.db.Tx(store.System(e.ctx, corp, "command line"), func(ctx context.Context, tx *store.Tx) (err error) {
			gone, err = tx.Change(ctx, "bi_readers", `DELETE FROM bi_readers WHERE role_name = $1 AND corp = $2 RETURNING corp`, c.Role, corp)
			if err != nil || len(gone) == 0 {
				return err
			}
			return p.log.Append(ctx, tx, audit.Entry{Action: access.ReaderRevoke, Subject: corp, Before: map[string]any{"role": c.Role}})
		})
		if err == nil && len(gone) > 0 {
			_, err = fmt.Fprintf(e.stdout, "%s reads nothing any more\n", c.Role)
			return err
		}
	}
	if err == nil {
		err = fmt.Errorf("--role: %s reads no corp", c.Role)
	}
	return err
}

type biListCmd struct{}

// Run lists the readers of every corp.
func (*biListCmd) Run(e *env) error {
	p, err := e.readers()
	if err != nil {
		return err
	}
	defer p.close()
	corps, err := p.db.Corps(e.ctx)
	for _, corp := range corps {
		if err != nil {
			return err
		}
		err = p.db.View(store.System(e.ctx, corp, "list readers"), func(ctx context.Context, r *store.Read) error {
			type reader struct{ role, corp string }
			list, err := store.Select(ctx, r, func(r *reader) []any { return []any{&r.role, &r.corp} }, `
				SELECT b.role_name, c.name FROM bi_readers AS b JOIN corps AS c ON c.corp_id = $1 AND c.id = b.corp WHERE b.corp = $1 ORDER BY b.role_name`, corp)
			for _, l := range list {
				fmt.Fprintf(e.stdout, "%s  %s\n", l.role, l.corp)
			}
			return err
		})
	}
	return err
}
