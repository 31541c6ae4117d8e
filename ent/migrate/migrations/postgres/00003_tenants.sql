-- The second wall between corps: row-level security that fails closed. Every transaction names its corp in
-- handover.corp; with the setting missing no row is visible and none can be written.
--
-- The roles are those of docs/operations.md: whoever migrates owns the tables; handover_app is the program and its
-- members; handover_reader is the group of roles that read for reports. The last two must be there before the migration.
-- Nothing is granted to PUBLIC, and a policy names its roles, so that no other role sees a row.
--
-- Bodies of functions are parsed here (RETURN, BEGIN ATOMIC): what they name is bound now, whatever the caller's
-- search_path and temporary tables say later.
-- +goose Up
-- +goose StatementBegin
CREATE FUNCTION handover_corp() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('handover.corp', true), '')::uuid;
-- +goose StatementEnd
-- +goose StatementBegin
DO $$
DECLARE t text; program text := quote_ident(current_user);
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'handover_app') AND current_user <> 'handover_app' THEN
    program := program || ', handover_app';
  END IF;
  FOR t IN
    SELECT c.table_name FROM information_schema.columns c
    JOIN information_schema.tables b USING (table_schema, table_name)
    WHERE c.table_schema = current_schema() AND c.column_name = 'corp_id' AND b.table_type = 'BASE TABLE'
  LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY corp ON %I TO %s USING (corp_id = handover_corp()) WITH CHECK (corp_id = handover_corp())', t, program);
  END LOOP;
  -- Whoever looks for work does so before being in a corp, and only reads; a corp sees and changes its own alarms.
  ALTER TABLE alarms ENABLE ROW LEVEL SECURITY;
  ALTER TABLE alarms FORCE ROW LEVEL SECURITY;
  EXECUTE format('CREATE POLICY corp ON alarms TO %s USING (corp = handover_corp()) WITH CHECK (corp = handover_corp())', program);
  EXECUTE format('CREATE POLICY looking ON alarms FOR SELECT TO %s USING (handover_corp() IS NULL)', program);
  -- Rates are counted outside of every corp. No corp's transaction reads or resets them.
  ALTER TABLE levels ENABLE ROW LEVEL SECURITY;
  ALTER TABLE levels FORCE ROW LEVEL SECURITY;
  EXECUTE format('CREATE POLICY outside ON levels TO %s USING (handover_corp() IS NULL) WITH CHECK (handover_corp() IS NULL)', program);
END $$;
-- +goose StatementEnd

-- Signing in starts with a corp's name, before any corp is known. These functions run as the owner of the tables
-- and give out ids only.
CREATE POLICY owner_looks_up ON corps FOR SELECT TO CURRENT_USER USING (true);
-- +goose StatementBegin
CREATE FUNCTION handover_corp_named(wanted text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  RETURN (SELECT id FROM corps WHERE name = wanted);
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION handover_corps() RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT id FROM corps ORDER BY id;
END;
-- +goose StatementEnd

-- Which corp a role reads for reports: `handover bi grant`. It is about the server's roles and so has no corp_id, is in no
-- backup, and only the owner of the tables writes it. The session's role decides, which neither SET ROLE nor a setting changes.
CREATE TABLE bi_readers (
  role_name text PRIMARY KEY,
  corp uuid NOT NULL,
  created_at timestamptz NOT NULL,
  FOREIGN KEY (corp) REFERENCES corps (id) ON DELETE RESTRICT
);
CREATE INDEX bi_readers_of ON bi_readers (corp);
ALTER TABLE bi_readers ENABLE ROW LEVEL SECURITY;
ALTER TABLE bi_readers FORCE ROW LEVEL SECURITY;
CREATE POLICY owner ON bi_readers TO CURRENT_USER USING (true) WITH CHECK (true);
-- +goose StatementBegin
CREATE FUNCTION handover_reader_corp() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  RETURN (SELECT corp FROM bi_readers WHERE role_name = session_user::text);
-- +goose StatementEnd

-- Who may do what. The program: everything but touching the audit log's past, the migrations and who reads reports.
-- +goose StatementBegin
DO $$
DECLARE f regprocedure; t text;
BEGIN
  FOR f IN SELECT oid FROM pg_proc WHERE pronamespace = current_schema()::regnamespace AND proname LIKE 'handover\_%' LOOP
    EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', f);
  END LOOP;
  BEGIN -- PostgreSQL 14 lets everybody make tables in the schema public
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', current_schema());
  EXCEPTION WHEN insufficient_privilege THEN NULL;
  END;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'handover_app') AND current_user <> 'handover_app' THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO handover_app', current_schema());
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO handover_app', current_schema());
    EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA %I GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO handover_app', current_schema());
    GRANT EXECUTE ON FUNCTION handover_corp(), handover_corp_named(text), handover_corps() TO handover_app;
    REVOKE UPDATE, DELETE, TRUNCATE ON audit_entries, audit_hashes, checkpoints FROM handover_app;
    REVOKE DELETE, TRUNCATE ON audit_heads FROM handover_app;
    REVOKE INSERT, UPDATE, DELETE ON handover_migrations FROM handover_app;
    REVOKE ALL ON bi_readers FROM handover_app;
  END IF;
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'handover_reader') AND current_user <> 'handover_reader' THEN
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO handover_reader', current_schema());
    GRANT EXECUTE ON FUNCTION handover_reader_corp() TO handover_reader;
    FOREACH t IN ARRAY ARRAY['corps', 'departments', 'department_closure', 'members', 'member_departments', 'member_counters', 'handovers',
      'transfers', 'transfer_rollups'] LOOP
      EXECUTE format('GRANT SELECT ON %I TO handover_reader', t);
      EXECUTE format('CREATE POLICY reader ON %I FOR SELECT TO handover_reader USING (corp_id = (SELECT handover_reader_corp()))', t);
    END LOOP;
  END IF;
END $$;
-- +goose StatementEnd
