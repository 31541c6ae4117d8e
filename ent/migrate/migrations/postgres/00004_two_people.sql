-- Two people for every handover and every weaker setting, and what that needs: who answers for a plan, what a key mark
-- leaves behind, departures that end access at once, notice periods. And closer walls between corps (00003).
--
-- The roles are those of docs/operations.md: whoever migrates owns the tables; handover_app is the program and its
-- members; handover_reader is the group of roles that read for reports. The last two must be there before the migration.
-- Nothing is granted to PUBLIC, and a policy names its roles, so that no other role sees a row.
--
-- All is one transaction. It locks the tables that it changes until it ends: a program that runs meanwhile waits.
-- +goose Up
CREATE INDEX "audit_entries_hands" ON "audit_entries" ("corp_id", "subject_id", "index") WHERE action IN ('credential.reset', 'credential.set', 'credential.enrol', 'identity.link');
DROP INDEX "leakfinding_corp_id_member_id_at";
CREATE UNIQUE INDEX "leakfinding_corp_id_member_id_at_kind" ON "leak_findings" ("corp_id", "member_id", "at", "kind") WHERE message_id IS NULL;

ALTER TABLE "contacts" ADD COLUMN "key_until" timestamptz NULL, ADD COLUMN "key_changed_by_id" uuid NULL;
ALTER TABLE "handovers" ADD COLUMN "authors" jsonb NULL, ADD COLUMN "responsible_id" uuid NULL;
ALTER TABLE "history_grants" ADD COLUMN "ended_by_id" uuid NULL;
ALTER TABLE "members" ADD COLUMN "suspended" boolean NOT NULL DEFAULT false, ADD COLUMN "departure_by_id" uuid NULL;
ALTER TABLE "review_items" ALTER COLUMN "grant_id" DROP NOT NULL, ALTER COLUMN "member_id" DROP NOT NULL, ADD COLUMN "token_id" uuid NULL;
ALTER TABLE "rule_sets" ADD COLUMN "history" json NULL, ADD COLUMN "department_id" uuid NULL;

-- What is read and changed here is of all corps. Row-level security binds the owner too, but for this.
-- +goose StatementBegin
DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['handovers', 'history_grants', 'follows', 'follow_tags', 'contacts', 'contact_tags', 'groups', 'members', 'grants', 'roles',
    'sessions'] LOOP
    EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', t);
  END LOOP;
END $$;
-- +goose StatementEnd

-- A person who asked for a handover answers for it, else who executed it. Authors are ids as clients see them (package
-- nid): 26 digits of five bits, of two zero bits and the sixteen bytes.
UPDATE handovers SET responsible_id = coalesce(requested_by_id, executed_by_id), authors = CASE WHEN requested_by_id IS NULL THEN '[]'::jsonb ELSE (
  SELECT jsonb_build_array('mbr_' || string_agg(substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + substring(bits FROM 5*i + 1 FOR 5)::bit(5)::int, 1), '' ORDER BY i))
  FROM (SELECT B'00' || ('x' || replace(requested_by_id::text, '-', ''))::bit(128) AS bits) AS b, generate_series(0, 25) AS i) END;

-- A history grant holds while its successor has the item.
UPDATE history_grants SET ended_at = now() WHERE ended_at IS NULL
  AND NOT EXISTS (SELECT FROM follows AS f WHERE f.corp_id = history_grants.corp_id AND f.contact_id = history_grants.contact_id
    AND f.member_id = history_grants.successor_id AND f.ended_at IS NULL)
  AND NOT EXISTS (SELECT FROM groups AS g WHERE g.corp_id = history_grants.corp_id AND g.id = history_grants.group_id AND g.owner_id = history_grants.successor_id);

-- A departure that is held back ends access at once. Who administers the corp keeps it where no other member at work does
-- so for good: otherwise nobody could decide.
UPDATE members SET suspended = true, epoch = epoch + 1, version = version + 1, updated_at = now()
WHERE departure_held_at IS NOT NULL AND (
  NOT EXISTS (SELECT FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
    WHERE g.corp_id = members.corp_id AND g.member_id = members.id AND g.department_id IS NULL AND g.revoked_at IS NULL
      AND r.permissions::jsonb ? 'MANAGE_ROLES')
  OR EXISTS (SELECT FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id
    WHERE g.corp_id = members.corp_id AND g.department_id IS NULL AND g.revoked_at IS NULL AND g.expires_at IS NULL
      AND m.answers AND m.departure_held_at IS NULL AND r.permissions::jsonb ? 'MANAGE_ROLES'));
DELETE FROM sessions USING members AS m WHERE m.corp_id = sessions.corp_id AND m.id = sessions.member_id AND m.suspended;

ALTER TABLE "contacts" ADD CONSTRAINT "contacts_members_key_changed_by" FOREIGN KEY ("corp_id", "key_changed_by_id") REFERENCES "members" ("corp_id", "id") ON DELETE RESTRICT;
ALTER TABLE "handovers"
  ADD CONSTRAINT "handovers_members_responsible" FOREIGN KEY ("corp_id", "responsible_id") REFERENCES "members" ("corp_id", "id") ON DELETE RESTRICT,
  ADD CONSTRAINT "handovers_requester" CHECK (requested_by_id IS NULL OR responsible_id IS NOT NULL AND requested_by_id = responsible_id);
ALTER TABLE "history_grants" ADD CONSTRAINT "history_grants_transfers_ended_by" FOREIGN KEY ("corp_id", "ended_by_id") REFERENCES "transfers" ("corp_id", "id") ON DELETE RESTRICT;
ALTER TABLE "members"
  ADD CONSTRAINT "members_members_departures" FOREIGN KEY ("corp_id", "departure_by_id") REFERENCES "members" ("corp_id", "id") ON DELETE RESTRICT,
  ADD CONSTRAINT "members_suspended" CHECK (NOT suspended OR departure_held_at IS NOT NULL);
ALTER TABLE "review_items"
  ADD CONSTRAINT "review_items_service_tokens_token" FOREIGN KEY ("corp_id", "token_id") REFERENCES "service_tokens" ("corp_id", "id") ON DELETE RESTRICT,
  ADD CONSTRAINT "review_items_one" CHECK ((grant_id IS NOT NULL AND member_id IS NOT NULL AND token_id IS NULL) OR (grant_id IS NULL AND member_id IS NULL AND token_id IS NOT NULL));
ALTER TABLE "rule_sets" ADD CONSTRAINT "rule_sets_departments_department" FOREIGN KEY ("corp_id", "department_id") REFERENCES "departments" ("corp_id", "id") ON DELETE RESTRICT;

CREATE INDEX "contact_corp_id_key_changed_by_id" ON "contacts" ("corp_id", "key_changed_by_id");
DROP INDEX "handover_corp_id_executed_by_id";
CREATE INDEX "handover_corp_id_responsible_id_updated_at" ON "handovers" ("corp_id", "responsible_id", "updated_at");
CREATE INDEX "handover_corp_id_executed_by_id_updated_at" ON "handovers" ("corp_id", "executed_by_id", "updated_at");
CREATE INDEX "historygrant_corp_id_ended_by_id" ON "history_grants" ("corp_id", "ended_by_id");
CREATE INDEX "member_corp_id_departure_by_id" ON "members" ("corp_id", "departure_by_id");
CREATE UNIQUE INDEX "reviewitem_corp_id_token_id_review_id" ON "review_items" ("corp_id", "token_id", "review_id");
CREATE INDEX "ruleset_corp_id_department_id" ON "rule_sets" ("corp_id", "department_id");

-- own: they linked it themselves, after another proof of identity.
ALTER TABLE member_identities ADD COLUMN own boolean NOT NULL DEFAULT false;

-- Earlier approval policies. One still counts for 24 hours after ended_at: no plan needs less than it would have needed then.
CREATE TABLE approval_policy_history (
  corp_id uuid NOT NULL,
  version integer NOT NULL,
  above integer,
  key_contacts boolean NOT NULL,
  approvals integer NOT NULL,
  expires_after_hours integer NOT NULL,
  ended_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, version),
  FOREIGN KEY (corp_id) REFERENCES corps (id) ON DELETE RESTRICT
);
CREATE INDEX approval_policy_history_ended ON approval_policy_history (corp_id, ended_at);

-- What one administrator had asked for, dual control switched off, lapses: it stays on until two have asked.
ALTER TABLE corp_settings ADD COLUMN notice_reads_per_day integer NOT NULL DEFAULT 200;
ALTER TABLE corp_settings ADD COLUMN notice_messages_per_day integer NOT NULL DEFAULT 2000;
ALTER TABLE corp_settings ADD COLUMN notice_reads_refused boolean NOT NULL DEFAULT false;
ALTER TABLE corp_settings ADD COLUMN history_for_successors boolean NOT NULL DEFAULT true;
ALTER TABLE corp_settings ADD COLUMN history_max_days integer NOT NULL DEFAULT 90;
ALTER TABLE corp_settings ADD COLUMN read_receipts boolean NOT NULL DEFAULT false;
ALTER TABLE corp_settings DROP COLUMN dual_control_off_by;
ALTER TABLE corp_settings DROP COLUMN dual_control_off_until;

-- That a server could write lately, a row for each. It belongs to the installation and to no corp, whose transactions do not
-- touch it.
CREATE TABLE heartbeats (
  server text NOT NULL,
  at timestamptz NOT NULL,
  pad bytea,
  PRIMARY KEY (server, at)
);

-- Grants that one administrator had asked for and no other given lapse: they have to be asked for again, as any change of
-- two people. Nothing was granted by them.
DROP TABLE pending_grants;

-- What one person has asked for and a second one has to ask for as well. It lapses, or takes effect by itself where nobody
-- else could second it. asked is JSON, fingerprint its SHA-256; field is the part of the subject that changes.
CREATE TABLE pending_changes (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  operation text NOT NULL,
  subject_id uuid NOT NULL,
  field text NOT NULL DEFAULT '',
  asked text NOT NULL,
  fingerprint bytea NOT NULL,
  requested_by_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  lapses_at timestamptz,
  effective_at timestamptz,
  PRIMARY KEY (corp_id, id),
  UNIQUE (corp_id, operation, subject_id, field, fingerprint),
  CHECK ((lapses_at IS NULL) <> (effective_at IS NULL)),
  FOREIGN KEY (corp_id, requested_by_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX pending_changes_by ON pending_changes (corp_id, requested_by_id);
CREATE INDEX pending_changes_lapse ON pending_changes (corp_id, lapses_at);

-- Who read a member's messages by a history grant, for that member, while the corp's settings keep receipts. The log
-- has each reading whatever they say.
CREATE TABLE read_receipts (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  reader_id uuid NOT NULL,
  contact_id uuid,
  group_id uuid,
  messages integer NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, id),
  CHECK ((contact_id IS NULL) <> (group_id IS NULL)),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, reader_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, contact_id) REFERENCES contacts (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, group_id) REFERENCES groups (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX read_receipts_of ON read_receipts (corp_id, member_id, at, id);
CREATE INDEX read_receipts_by ON read_receipts (corp_id, reader_id);
CREATE INDEX read_receipts_contact ON read_receipts (corp_id, contact_id);
CREATE INDEX read_receipts_group ON read_receipts (corp_id, group_id);
CREATE INDEX read_receipts_at ON read_receipts (corp_id, at);

-- contacts_back and groups_back: what they had been told of that was taken back.
ALTER TABLE successor_digests ADD COLUMN contacts_back integer NOT NULL DEFAULT 0;
ALTER TABLE successor_digests ADD COLUMN groups_back integer NOT NULL DEFAULT 0;

-- What a member who leaves, and what they follow, looked like when their notice began: a row for each open follow.
-- Tags are the ids of tags, sorted, with commas between.
CREATE TABLE notice_baselines (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  follow_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  taken_at timestamptz NOT NULL,
  remark text,
  description text,
  tags text NOT NULL,
  importance text NOT NULL,
  contact_tags text NOT NULL,
  name text NOT NULL,
  company text,
  PRIMARY KEY (corp_id, member_id, follow_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, follow_id) REFERENCES follows (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, contact_id) REFERENCES contacts (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX notice_baselines_follow ON notice_baselines (corp_id, follow_id);
CREATE INDEX notice_baselines_contact ON notice_baselines (corp_id, contact_id);

-- Nobody knows how it looked when the notice of those who leave already began: theirs begins now.
INSERT INTO notice_baselines (corp_id, member_id, follow_id, contact_id, taken_at, remark, description, tags, importance, contact_tags, name, company)
SELECT f.corp_id, f.member_id, f.id, f.contact_id, now(), f.remark, f.description,
  (SELECT coalesce(string_agg(t.tag_id::text, ',' ORDER BY t.tag_id::text COLLATE "C"), '') FROM follow_tags AS t WHERE t.corp_id = f.corp_id AND t.follow_id = f.id),
  c.importance, (SELECT coalesce(string_agg(t.tag_id::text, ',' ORDER BY t.tag_id::text COLLATE "C"), '') FROM contact_tags AS t WHERE t.corp_id = c.corp_id AND t.contact_id = c.id), c.name, c.company
FROM members AS m JOIN follows AS f ON f.corp_id = m.corp_id AND f.member_id = m.id AND f.ended_at IS NULL
JOIN contacts AS c ON c.corp_id = f.corp_id AND c.id = f.contact_id AND c.archived_at IS NULL AND c.erased_at IS NULL
WHERE m.status = 'LEAVING';

-- How much a member who leaves has read on a day of the corp's time zone, until the log has it. told: their budget was passed, and the log and the auditor know.
CREATE TABLE notice_reads (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  day text NOT NULL,
  kind text NOT NULL,
  requests integer NOT NULL,
  items integer NOT NULL,
  refused integer NOT NULL,
  told boolean NOT NULL,
  PRIMARY KEY (corp_id, member_id, day, kind),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX notice_reads_day ON notice_reads (corp_id, day);

-- A key mark that is taken off leaves its date, whoever takes it off: contacts count as KEY for approval for a while after.
-- +goose StatementBegin
CREATE FUNCTION handover_key_until() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'a contact that stops being KEY needs key_until' USING ERRCODE = 'check_violation';
END $$;
-- +goose StatementEnd
CREATE TRIGGER contacts_key_until BEFORE UPDATE OF importance ON contacts FOR EACH ROW
  WHEN (old.importance = 'KEY' AND new.importance <> 'KEY' AND (new.key_until IS NULL OR new.key_until < new.updated_at))
  EXECUTE FUNCTION handover_key_until();

-- Bodies of functions are parsed here (RETURN, BEGIN ATOMIC): what they name is bound now, whatever the caller's
-- search_path and temporary tables say later.
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION handover_corp() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  RETURN nullif(current_setting('handover.corp', true), '')::uuid;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION handover_corp_named(wanted text) RETURNS uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  RETURN (SELECT id FROM corps WHERE name = wanted);
-- +goose StatementEnd
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION handover_corps() RETURNS SETOF uuid LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
BEGIN ATOMIC
  SELECT id FROM corps ORDER BY id;
END;
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
    EXECUTE format('DROP POLICY IF EXISTS corp ON %I', t);
    EXECUTE format('CREATE POLICY corp ON %I TO %s USING (corp_id = handover_corp()) WITH CHECK (corp_id = handover_corp())', t, program);
  END LOOP;
  -- Whoever looks for work does so before being in a corp, and only reads; a corp sees and changes its own alarms.
  ALTER TABLE alarms ENABLE ROW LEVEL SECURITY;
  ALTER TABLE alarms FORCE ROW LEVEL SECURITY;
  EXECUTE format('CREATE POLICY corp ON alarms TO %s USING (corp = handover_corp()) WITH CHECK (corp = handover_corp())', program);
  EXECUTE format('CREATE POLICY looking ON alarms FOR SELECT TO %s USING (handover_corp() IS NULL)', program);
  -- Rates are counted, and servers say that they can write, outside of every corp. No corp's transaction reads or resets them.
  FOREACH t IN ARRAY ARRAY['levels', 'heartbeats'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY outside ON %I TO %s USING (handover_corp() IS NULL) WITH CHECK (handover_corp() IS NULL)', t, program);
  END LOOP;
END $$;
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
DECLARE f regprocedure; t text; columns text;
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
    -- Not what people wrote, nor what was planned. A column of a later migration is for readers only where that says so.
    FOREACH t IN ARRAY ARRAY['handovers', 'transfers'] LOOP
      SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO columns FROM pg_attribute
      WHERE attrelid = t::regclass AND attnum > 0 AND NOT attisdropped AND CASE t
        WHEN 'handovers' THEN attname NOT IN ('reason', 'message', 'plan', 'hold_reason', 'approval_reasons')
        ELSE attname NOT IN ('detail', 'because', 'undo') END;
      EXECUTE format('REVOKE SELECT ON %I FROM handover_reader', t);
      EXECUTE format('GRANT SELECT (%s) ON %I TO handover_reader', columns, t);
    END LOOP;
  END IF;
END $$;
-- +goose StatementEnd
