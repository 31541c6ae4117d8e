-- The second wall between corps: row-level security that fails closed. Every transaction names its corp in
-- handover.corp; with the setting missing no row is visible and none can be written.
-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION handover_corp() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT nullif(current_setting('handover.corp', true), '')::uuid
$$;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOR t IN
    SELECT c.table_name FROM information_schema.columns c
    JOIN information_schema.tables b USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND c.column_name = 'corp_id' AND b.table_type = 'BASE TABLE'
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY corp ON %I USING (corp_id = handover_corp()) WITH CHECK (corp_id = handover_corp())', t);
  END LOOP;
END $$;
-- +goose StatementEnd

-- Signing in starts with a corp's name, before any corp is known. These functions run as the owner of the tables
-- and give out ids only.
CREATE POLICY owner_looks_up ON corps FOR SELECT TO CURRENT_USER USING (true);
-- +goose StatementBegin
CREATE FUNCTION handover_corp_named(wanted text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT id FROM corps WHERE name = wanted
$$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION handover_corps() RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path FROM CURRENT AS $$
  SELECT id FROM corps ORDER BY id
$$;
-- +goose StatementEnd

-- What the program's own role may do: everything but touching the audit log's past.
-- +goose StatementBegin
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'handover_app') AND current_user <> 'handover_app' THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO handover_app', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO handover_app', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO handover_app', current_schema());
    REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries, audit_hashes, checkpoints FROM handover_app;
    REVOKE DELETE, TRUNCATE ON audit_heads FROM handover_app;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'handover_reader') AND current_user <> 'handover_reader' THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO handover_reader', current_schema());
    GRANT SELECT ON corps, departments, department_closure, members, member_departments, member_counters, handovers, transfers, transfer_rollups TO handover_reader;
  END IF;
END $$;
-- +goose StatementEnd
