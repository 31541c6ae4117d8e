-- What is not in the API and so not in ent: trees, joins, who is signed in, counters, rollups, the log's head.
-- +goose Up
CREATE TABLE department_closure (
  corp_id uuid NOT NULL,
  ancestor_id uuid NOT NULL,
  descendant_id uuid NOT NULL,
  depth integer NOT NULL,
  PRIMARY KEY (corp_id, ancestor_id, descendant_id),
  FOREIGN KEY (corp_id, ancestor_id) REFERENCES departments (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, descendant_id) REFERENCES departments (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX department_closure_up ON department_closure (corp_id, descendant_id, ancestor_id);

CREATE TABLE member_departments (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  department_id uuid NOT NULL,
  position integer NOT NULL,
  PRIMARY KEY (corp_id, member_id, department_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, department_id) REFERENCES departments (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX member_departments_of ON member_departments (corp_id, department_id, member_id);

-- What an identity provider says of a member beyond what the corp's own data has. deleted_at: it deleted the user,
-- which for it is gone while the member is DEPARTED since no later than that.
-- counts_from: until then they are a newcomer, whom a token has made or called to work and who dilutes no guard.
CREATE TABLE scim_users (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  external_id text,
  given_name text,
  family_name text,
  email text,
  deleted_at timestamptz,
  counts_from timestamptz,
  PRIMARY KEY (corp_id, member_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX scim_users_external ON scim_users (corp_id, external_id);

-- The identity provider's own id of a department: departments.external_id is the platform's.
CREATE TABLE scim_groups (
  corp_id uuid NOT NULL,
  department_id uuid NOT NULL,
  external_id text,
  PRIMARY KEY (corp_id, department_id),
  FOREIGN KEY (corp_id, department_id) REFERENCES departments (corp_id, id) ON DELETE RESTRICT
);

CREATE TABLE contact_tags (
  corp_id uuid NOT NULL,
  contact_id uuid NOT NULL,
  tag_id uuid NOT NULL,
  PRIMARY KEY (corp_id, contact_id, tag_id),
  FOREIGN KEY (corp_id, contact_id) REFERENCES contacts (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, tag_id) REFERENCES tags (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX contact_tags_of ON contact_tags (corp_id, tag_id, contact_id);

CREATE TABLE follow_tags (
  corp_id uuid NOT NULL,
  follow_id uuid NOT NULL,
  tag_id uuid NOT NULL,
  PRIMARY KEY (corp_id, follow_id, tag_id),
  FOREIGN KEY (corp_id, follow_id) REFERENCES follows (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, tag_id) REFERENCES tags (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX follow_tags_of ON follow_tags (corp_id, tag_id, follow_id);

CREATE TABLE group_members (
  corp_id uuid NOT NULL,
  group_id uuid NOT NULL,
  member_id uuid NOT NULL,
  joined_at timestamptz NOT NULL,
  added_by_id uuid,
  PRIMARY KEY (corp_id, group_id, member_id),
  FOREIGN KEY (corp_id, group_id) REFERENCES groups (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, added_by_id) REFERENCES transfers (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX group_members_of ON group_members (corp_id, member_id, group_id);
CREATE INDEX group_members_added ON group_members (corp_id, added_by_id);

CREATE TABLE credentials (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  login text NOT NULL,
  password_hash text NOT NULL,
  totp_secret bytea,
  totp_last_step bigint NOT NULL DEFAULT 0,
  totp_pending bytea,
  totp_pending_until timestamptz,
  must_change boolean NOT NULL DEFAULT false,
  reset_until timestamptz,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, member_id),
  UNIQUE (corp_id, login),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);

CREATE TABLE sessions (
  secret_hash bytea PRIMARY KEY,
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  epoch integer NOT NULL,
  method text NOT NULL,
  device text NOT NULL DEFAULT '',
  address text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  last_seen_at timestamptz NOT NULL,
  verified_until timestamptz,
  provider_id uuid,
  provider_session text,
  UNIQUE (corp_id, id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX sessions_of ON sessions (corp_id, member_id);
CREATE INDEX sessions_by_provider ON sessions (corp_id, provider_id, provider_session) WHERE provider_id IS NOT NULL;

-- OpenID providers by which people sign in. claim is what of the ID token is matched, matches what of the member.
CREATE TABLE identity_providers (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  version integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  name text NOT NULL,
  issuer text NOT NULL,
  client_id text NOT NULL,
  client_secret bytea,
  claim text NOT NULL,
  matches text NOT NULL,
  domain text NOT NULL DEFAULT '',
  acr_values jsonb NOT NULL,
  active boolean NOT NULL,
  saved_by_id uuid NOT NULL,
  PRIMARY KEY (corp_id, id),
  UNIQUE (corp_id, name),
  UNIQUE (corp_id, issuer, client_id),
  FOREIGN KEY (corp_id, saved_by_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX identity_providers_by ON identity_providers (corp_id, saved_by_id);

-- Who somebody is at a provider. Made when they first sign in; from then on the subject alone decides.
CREATE TABLE member_identities (
  corp_id uuid NOT NULL,
  provider_id uuid NOT NULL,
  subject text NOT NULL,
  member_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, provider_id, subject),
  UNIQUE (corp_id, provider_id, member_id),
  FOREIGN KEY (corp_id, provider_id) REFERENCES identity_providers (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX member_identities_of ON member_identities (corp_id, member_id);

-- Public keys of WebAuthn credentials; flags and sign_count are those of the authenticator's last answer.
CREATE TABLE passkeys (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  credential_id bytea NOT NULL,
  public_key bytea NOT NULL,
  flags integer NOT NULL,
  sign_count bigint NOT NULL,
  name text NOT NULL,
  created_at timestamptz NOT NULL,
  last_used_at timestamptz,
  PRIMARY KEY (corp_id, id),
  UNIQUE (corp_id, credential_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX passkeys_of ON passkeys (corp_id, member_id, id);

CREATE TABLE recovery_codes (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  hash bytea NOT NULL,
  used_at timestamptz,
  PRIMARY KEY (corp_id, member_id, hash),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);

-- Challenges of passkeys that were answered, until they expire: each is answered once.
CREATE TABLE spent_challenges (
  corp_id uuid NOT NULL,
  hash bytea NOT NULL,
  expires_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, hash)
);

CREATE TABLE lockouts (
  corp_id uuid NOT NULL,
  subject text NOT NULL,
  failures integer NOT NULL,
  last_at timestamptz NOT NULL,
  locked_until timestamptz,
  PRIMARY KEY (corp_id, subject)
);

CREATE TABLE idempotency_keys (
  corp_id uuid NOT NULL,
  actor_id uuid NOT NULL,
  operation text NOT NULL,
  key text NOT NULL,
  fingerprint text NOT NULL,
  answer_id uuid,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, actor_id, operation, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (corp_id, created_at);

CREATE TABLE approval_policies (
  corp_id uuid PRIMARY KEY,
  above integer,
  key_contacts boolean NOT NULL,
  approvals integer NOT NULL,
  expires_after_hours integer NOT NULL,
  version integer NOT NULL,
  updated_at timestamptz NOT NULL,
  FOREIGN KEY (corp_id) REFERENCES corps (id) ON DELETE RESTRICT
);

-- What a corp decides beyond its approval policy. A corp without a row has the defaults.
CREATE TABLE corp_settings (
  corp_id uuid PRIMARY KEY,
  moves_per_contact integer NOT NULL,
  moves_within_days integer NOT NULL,
  groups_per_day integer NOT NULL,
  departures_per_hour integer NOT NULL,
  departures_percent integer NOT NULL,
  revertible_days integer NOT NULL,
  mask_phones boolean NOT NULL DEFAULT false,
  mask_id_cards boolean NOT NULL DEFAULT true,
  mask_bank_cards boolean NOT NULL DEFAULT true,
  dual_control boolean NOT NULL DEFAULT false,
  dual_control_off_by uuid,
  dual_control_off_until timestamptz,
  own text NOT NULL DEFAULT '{}',
  messages_kept_days integer,
  version integer NOT NULL,
  updated_at timestamptz NOT NULL,
  FOREIGN KEY (corp_id) REFERENCES corps (id) ON DELETE RESTRICT
);

-- When a corp has work of a kind to be looked for. A hint, nothing more: what is to be done stands in the rows
-- themselves. Without corp_id, since whoever wakes looks for corps before it is in one; it tells nothing about them.
-- n is raised by whoever wakes, so that who has looked does not silence a later one.
CREATE TABLE alarms (
  corp uuid NOT NULL,
  kind text NOT NULL,
  due_at timestamptz NOT NULL,
  n integer NOT NULL,
  PRIMARY KEY (corp, kind)
);
CREATE INDEX alarms_due ON alarms (due_at);

-- How full the buckets of rates are that replicas share, by the hash of whose they are. Without corp_id, since an
-- address is counted before it is known whose it is. Lost with a crash, as if it had drained.
CREATE UNLOGGED TABLE levels (
  key text PRIMARY KEY,
  level double precision NOT NULL,
  rate double precision NOT NULL,
  at timestamptz NOT NULL
);
CREATE INDEX levels_at ON levels (at);

-- Groups that an owner gave away on a day of the corp's time zone.
CREATE TABLE group_quotas (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  day text NOT NULL,
  n integer NOT NULL,
  PRIMARY KEY (corp_id, member_id, day),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);

CREATE TABLE webhook_deliveries (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  webhook_id uuid NOT NULL,
  event text NOT NULL,
  subject_id uuid NOT NULL,
  body text NOT NULL,
  state text NOT NULL,
  attempts integer NOT NULL,
  created_at timestamptz NOT NULL,
  next_at timestamptz,
  finished_at timestamptz,
  status integer,
  problem text,
  PRIMARY KEY (corp_id, id),
  FOREIGN KEY (corp_id, webhook_id) REFERENCES webhooks (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX webhook_deliveries_of ON webhook_deliveries (corp_id, webhook_id, id);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (corp_id, next_at) WHERE state = 'WAITING';

-- Messages whose detectors are still to run: those with ids from next_id to last_id.
CREATE TABLE chat_scans (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  next_id uuid NOT NULL,
  last_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, id)
);

-- With which detectors, and what of the company's, all messages have been looked at.
CREATE TABLE chat_audits (
  corp_id uuid PRIMARY KEY,
  looked_with text NOT NULL
);

-- Grants of sensitive roles that one administrator has asked for and another has not yet given. The id becomes the grant's.
CREATE TABLE pending_grants (
  corp_id uuid NOT NULL,
  id uuid NOT NULL,
  member_id uuid NOT NULL,
  role_id uuid NOT NULL,
  role_version integer NOT NULL,
  department_id uuid,
  expires_at timestamptz,
  requested_by_id uuid NOT NULL,
  created_at timestamptz NOT NULL,
  lapses_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, role_id) REFERENCES roles (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, department_id) REFERENCES departments (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, requested_by_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX pending_grants_of ON pending_grants (corp_id, member_id, role_id);
CREATE INDEX pending_grants_role ON pending_grants (corp_id, role_id);
CREATE INDEX pending_grants_department ON pending_grants (corp_id, department_id);
CREATE INDEX pending_grants_by ON pending_grants (corp_id, requested_by_id);

-- What a successor has not yet been told, a row for each handover that gave them something.
CREATE TABLE successor_digests (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  handover_id uuid NOT NULL,
  contacts integer NOT NULL,
  groups integer NOT NULL,
  due_at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, member_id, handover_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, handover_id) REFERENCES handovers (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX successor_digests_of ON successor_digests (corp_id, handover_id);
CREATE INDEX successor_digests_due ON successor_digests (corp_id, due_at);

-- Kept with the change, so that no list and no capacity check counts rows.
CREATE TABLE member_counters (
  corp_id uuid NOT NULL,
  member_id uuid NOT NULL,
  contacts integer NOT NULL DEFAULT 0,
  key_contacts integer NOT NULL DEFAULT 0,
  groups integer NOT NULL DEFAULT 0,
  reserved_contacts integer NOT NULL DEFAULT 0,
  waiting_contacts integer NOT NULL DEFAULT 0,
  waiting_key_contacts integer NOT NULL DEFAULT 0,
  waiting_groups integer NOT NULL DEFAULT 0,
  PRIMARY KEY (corp_id, member_id),
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT,
  CHECK (contacts >= 0 AND key_contacts >= 0 AND groups >= 0 AND reserved_contacts >= 0
    AND waiting_contacts BETWEEN 0 AND contacts AND waiting_key_contacts BETWEEN 0 AND key_contacts AND waiting_groups BETWEEN 0 AND groups)
);

-- One row for each combination and UTC quarter-hour of assignment; the zero uuid, '' and -1 stand for "none".
CREATE TABLE transfer_rollups (
  corp_id uuid NOT NULL,
  bucket timestamptz NOT NULL,
  leaver_id uuid NOT NULL,
  successor_id uuid NOT NULL,
  from_department_id uuid NOT NULL,
  to_department_id uuid NOT NULL,
  kind text NOT NULL,
  handover_kind text NOT NULL,
  importance text NOT NULL,
  status text NOT NULL,
  reason text NOT NULL DEFAULT '',
  rule_set_id uuid NOT NULL,
  rule_index integer NOT NULL DEFAULT -1,
  takeover_slot integer NOT NULL DEFAULT -1,
  n integer NOT NULL,
  PRIMARY KEY (corp_id, bucket, leaver_id, successor_id, from_department_id, to_department_id, kind, handover_kind, importance, status, reason, rule_set_id, rule_index, takeover_slot)
);

CREATE TABLE audit_heads (
  corp_id uuid PRIMARY KEY,
  size bigint NOT NULL,
  hash bytea NOT NULL
);

-- The Merkle tree over the log (RFC 6962): hashes of its complete subtrees, n as in golang.org/x/mod/sumdb/tlog, and
-- its signed heads.
CREATE TABLE audit_hashes (
  corp_id uuid NOT NULL,
  n bigint NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (corp_id, n)
);
CREATE TABLE checkpoints (
  corp_id uuid NOT NULL,
  size bigint NOT NULL,
  root bytea NOT NULL,
  note text NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, size)
);
CREATE TABLE subject_keys (
  corp_id uuid NOT NULL,
  subject_id uuid NOT NULL,
  wrapped bytea,
  created_at timestamptz NOT NULL,
  erased_at timestamptz,
  PRIMARY KEY (corp_id, subject_id)
);
-- Who has acknowledged which revision of which data policy.
CREATE TABLE policy_acknowledgements (
  corp_id uuid NOT NULL,
  policy_id uuid NOT NULL,
  member_id uuid NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (corp_id, policy_id, member_id),
  FOREIGN KEY (corp_id, policy_id) REFERENCES data_policies (corp_id, id) ON DELETE RESTRICT,
  FOREIGN KEY (corp_id, member_id) REFERENCES members (corp_id, id) ON DELETE RESTRICT
);
CREATE INDEX policy_acknowledgements_member ON policy_acknowledgements (corp_id, member_id);
CREATE TABLE denials (
  corp_id uuid NOT NULL,
  actor_id uuid NOT NULL,
  action text NOT NULL,
  minute timestamptz NOT NULL,
  n integer NOT NULL,
  PRIMARY KEY (corp_id, actor_id, action, minute)
);

-- Substring search for names of any length: every piece of a name of one to three characters, kept by triggers.
-- Not pg_trgm: under row-level security an index serves leakproof operators only, which LIKE and @> are not.
CREATE TABLE name_grams (
  corp_id uuid NOT NULL,
  gram text COLLATE "C" NOT NULL,
  id uuid NOT NULL,
  PRIMARY KEY (corp_id, gram, id)
);
-- +goose StatementBegin
CREATE FUNCTION handover_add_grams() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO name_grams (corp_id, gram, id)
    SELECT DISTINCT a.corp_id, substr(a.name_key, i, n), a.id
    FROM added AS a, generate_series(1, length(a.name_key)) AS i, generate_series(1, 3) AS n
    WHERE i + n - 1 <= length(a.name_key);
  RETURN NULL;
END $$;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE FUNCTION handover_change_grams() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  DELETE FROM name_grams AS g USING generate_series(1, length(old.name_key)) AS i, generate_series(1, 3) AS n
    WHERE g.corp_id = old.corp_id AND g.gram = substr(old.name_key, i, n) AND g.id = old.id;
  INSERT INTO name_grams (corp_id, gram, id)
    SELECT DISTINCT new.corp_id, substr(new.name_key, i, n), new.id
    FROM generate_series(1, length(new.name_key)) AS i, generate_series(1, 3) AS n
    WHERE i + n - 1 <= length(new.name_key);
  RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER contacts_grams_insert AFTER INSERT ON contacts REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION handover_add_grams();
CREATE TRIGGER contacts_grams_update AFTER UPDATE OF name_key ON contacts FOR EACH ROW WHEN (old.name_key <> new.name_key) EXECUTE FUNCTION handover_change_grams();
CREATE TRIGGER members_grams_insert AFTER INSERT ON members REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION handover_add_grams();
CREATE TRIGGER members_grams_update AFTER UPDATE OF name_key ON members FOR EACH ROW WHEN (old.name_key <> new.name_key) EXECUTE FUNCTION handover_change_grams();
CREATE TRIGGER groups_grams_insert AFTER INSERT ON groups REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION handover_add_grams();
CREATE TRIGGER groups_grams_update AFTER UPDATE OF name_key ON groups FOR EACH ROW WHEN (old.name_key <> new.name_key) EXECUTE FUNCTION handover_change_grams();

-- +goose StatementBegin
CREATE FUNCTION handover_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
  FOR EACH STATEMENT EXECUTE FUNCTION handover_append_only();
CREATE TRIGGER audit_hashes_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_hashes
  FOR EACH STATEMENT EXECUTE FUNCTION handover_append_only();
CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON checkpoints
  FOR EACH STATEMENT EXECUTE FUNCTION handover_append_only();
