-- Two people for every handover and every weaker setting, and what that needs: who answers for a plan, what a key mark
-- leaves behind, departures that end access at once, notice periods. Number 3 is PostgreSQL's alone.
--
-- No table is copied. A copy of a big table with its indexes, triggers and searchable names takes minutes and twice the
-- room, and wants foreign keys off, which SQLite ignores in a transaction. ADD COLUMN writes no row, and constraints are
-- in no row either: so the text of a table is changed in sqlite_schema, the second procedure of section 7 of
-- https://sqlite.org/lang_altertable.html. The rows are made to hold the new constraints first. All is one
-- transaction: whatever happens in the middle, the file has the old schema or the new one, whole.
-- +goose Up
CREATE INDEX `audit_entries_hands` ON `audit_entries` (`corp_id`, `subject_id`, `index`) WHERE action IN ('credential.reset', 'credential.set', 'credential.enrol', 'identity.link');
DROP INDEX `leakfinding_corp_id_member_id_at`;
CREATE UNIQUE INDEX `leakfinding_corp_id_member_id_at_kind` ON `leak_findings` (`corp_id`, `member_id`, `at`, `kind`) WHERE message_id IS NULL;

ALTER TABLE `contacts` ADD COLUMN `key_until` datetime NULL;
ALTER TABLE `contacts` ADD COLUMN `key_changed_by_id` uuid NULL;
ALTER TABLE `handovers` ADD COLUMN `authors` json NULL;
ALTER TABLE `handovers` ADD COLUMN `responsible_id` uuid NULL;
ALTER TABLE `history_grants` ADD COLUMN `ended_by_id` uuid NULL;
ALTER TABLE `members` ADD COLUMN `suspended` bool NOT NULL DEFAULT false;
ALTER TABLE `members` ADD COLUMN `departure_by_id` uuid NULL;
ALTER TABLE `review_items` ADD COLUMN `token_id` uuid NULL;
ALTER TABLE `rule_sets` ADD COLUMN `history` json NULL;
ALTER TABLE `rule_sets` ADD COLUMN `department_id` uuid NULL;

-- A person who asked for a handover answers for it, else who executed it. Authors are ids as clients see them (package
-- nid): 26 digits of five bits, of two zero bits and the sixteen bytes.
UPDATE handovers SET responsible_id = coalesce(requested_by_id, executed_by_id), authors = CASE WHEN requested_by_id IS NULL THEN '[]' ELSE (
  WITH RECURSIVE places (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM places WHERE i < 25)
  SELECT '["mbr_' || group_concat(digit, '') || '"]' FROM (
    SELECT substr('0123456789abcdefghjkmnpqrstvwxyz', 1 + ((
      (instr('0123456789abcdef', substr('0' || replace(requested_by_id, '-', ''), 1 + (5*i + 2)/4, 1)) - 1) * 16 +
      (instr('0123456789abcdef', substr('0' || replace(requested_by_id, '-', ''), 2 + (5*i + 2)/4, 1)) - 1)
    ) >> (3 - (5*i + 2) % 4) & 31), 1) AS digit FROM places ORDER BY i)) END;

-- A history grant holds while its successor has the item.
UPDATE history_grants SET ended_at = strftime('%Y-%m-%d %H:%M:%f+00:00', 'now') WHERE ended_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM follows AS f WHERE f.corp_id = history_grants.corp_id AND f.contact_id = history_grants.contact_id
    AND f.member_id = history_grants.successor_id AND f.ended_at IS NULL)
  AND NOT EXISTS (SELECT 1 FROM groups AS g WHERE g.corp_id = history_grants.corp_id AND g.id = history_grants.group_id AND g.owner_id = history_grants.successor_id);

-- A departure that is held back ends access at once. Who administers the corp keeps it where no other member at work does
-- so for good: otherwise nobody could decide.
UPDATE members SET suspended = true, epoch = epoch + 1, version = version + 1, updated_at = strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')
WHERE departure_held_at IS NOT NULL AND (
  NOT EXISTS (SELECT 1 FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id
    WHERE g.corp_id = members.corp_id AND g.member_id = members.id AND g.department_id IS NULL AND g.revoked_at IS NULL
      AND EXISTS (SELECT 1 FROM json_each(r.permissions) AS p WHERE p.value = 'MANAGE_ROLES'))
  OR EXISTS (SELECT 1 FROM grants AS g JOIN roles AS r ON r.corp_id = g.corp_id AND r.id = g.role_id JOIN members AS m ON m.corp_id = g.corp_id AND m.id = g.member_id
    WHERE g.corp_id = members.corp_id AND g.department_id IS NULL AND g.revoked_at IS NULL AND g.expires_at IS NULL
      AND m.answers AND m.departure_held_at IS NULL AND EXISTS (SELECT 1 FROM json_each(r.permissions) AS p WHERE p.value = 'MANAGE_ROLES')));
DELETE FROM sessions WHERE EXISTS (SELECT 1 FROM members AS m WHERE m.corp_id = sessions.corp_id AND m.id = sessions.member_id AND m.suspended);

PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `contacts_accountable` CHECK',
  'CONSTRAINT `contacts_members_key_changed_by` FOREIGN KEY (`corp_id`, `key_changed_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `contacts_accountable` CHECK') WHERE type = 'table' AND name = 'contacts';
UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `handovers_history` CHECK',
  'CONSTRAINT `handovers_members_responsible` FOREIGN KEY (`corp_id`, `responsible_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_requester` CHECK (requested_by_id IS NULL OR responsible_id IS NOT NULL AND requested_by_id = responsible_id),
  CONSTRAINT `handovers_history` CHECK') WHERE type = 'table' AND name = 'handovers';
UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `history_grants_one` CHECK',
  'CONSTRAINT `history_grants_transfers_ended_by` FOREIGN KEY (`corp_id`, `ended_by_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_one` CHECK') WHERE type = 'table' AND name = 'history_grants';
UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `members_answers` CHECK',
  'CONSTRAINT `members_members_departures` FOREIGN KEY (`corp_id`, `departure_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `members_suspended` CHECK (NOT suspended OR departure_held_at IS NOT NULL),
  CONSTRAINT `members_answers` CHECK') WHERE type = 'table' AND name = 'members';
UPDATE sqlite_schema SET sql = replace(replace(replace(sql, '`grant_id` uuid NOT NULL', '`grant_id` uuid NULL'), '`member_id` uuid NOT NULL', '`member_id` uuid NULL'),
  'CONSTRAINT `review_items_members_decided_by` FOREIGN KEY',
  'CONSTRAINT `review_items_service_tokens_token` FOREIGN KEY (`corp_id`, `token_id`) REFERENCES `service_tokens` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `review_items_one` CHECK ((grant_id IS NOT NULL AND member_id IS NOT NULL AND token_id IS NULL) OR (grant_id IS NULL AND member_id IS NULL AND token_id IS NOT NULL)),
  CONSTRAINT `review_items_members_decided_by` FOREIGN KEY') WHERE type = 'table' AND name = 'review_items';
UPDATE sqlite_schema SET sql = replace(sql, 'CONSTRAINT `rule_sets_members_fallback` FOREIGN KEY',
  'CONSTRAINT `rule_sets_departments_department` FOREIGN KEY (`corp_id`, `department_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `rule_sets_members_fallback` FOREIGN KEY') WHERE type = 'table' AND name = 'rule_sets';
-- RESET reads the schema again. The statements behind it raise schema_version, so that other connections do as well.
PRAGMA writable_schema = RESET;
-- It fails, and nothing has happened, where a text was not as expected.
CREATE TABLE constraints_added (n integer NOT NULL CHECK (n = 10));
INSERT INTO constraints_added SELECT (SELECT count(*) FROM pragma_foreign_key_list('contacts') WHERE "from" = 'key_changed_by_id')
  + (SELECT count(*) FROM pragma_foreign_key_list('handovers') WHERE "from" = 'responsible_id')
  + (SELECT count(*) FROM pragma_foreign_key_list('history_grants') WHERE "from" = 'ended_by_id')
  + (SELECT count(*) FROM pragma_foreign_key_list('members') WHERE "from" = 'departure_by_id')
  + (SELECT count(*) FROM pragma_foreign_key_list('review_items') WHERE "from" = 'token_id')
  + (SELECT count(*) FROM pragma_foreign_key_list('rule_sets') WHERE "from" = 'department_id')
  + (SELECT count(*) FROM pragma_table_info('review_items') WHERE name IN ('grant_id', 'member_id') AND NOT "notnull")
  + (SELECT count(*) FROM sqlite_schema WHERE name = 'handovers' AND sql LIKE '%handovers_requester%' OR name = 'members' AND sql LIKE '%members_suspended%');
DROP TABLE constraints_added;

CREATE INDEX `contact_corp_id_key_changed_by_id` ON `contacts` (`corp_id`, `key_changed_by_id`);
DROP INDEX `handover_corp_id_executed_by_id`;
CREATE INDEX `handover_corp_id_responsible_id_updated_at` ON `handovers` (`corp_id`, `responsible_id`, `updated_at`);
CREATE INDEX `handover_corp_id_executed_by_id_updated_at` ON `handovers` (`corp_id`, `executed_by_id`, `updated_at`);
CREATE INDEX `historygrant_corp_id_ended_by_id` ON `history_grants` (`corp_id`, `ended_by_id`);
CREATE INDEX `member_corp_id_departure_by_id` ON `members` (`corp_id`, `departure_by_id`);
CREATE UNIQUE INDEX `reviewitem_corp_id_token_id_review_id` ON `review_items` (`corp_id`, `token_id`, `review_id`);
CREATE INDEX `ruleset_corp_id_department_id` ON `rule_sets` (`corp_id`, `department_id`);

-- own: they linked it themselves, after another proof of identity.
ALTER TABLE member_identities ADD COLUMN own bool NOT NULL DEFAULT false;

-- Earlier approval policies. One still counts for 24 hours after ended_at: no plan needs less than it would have needed then.
CREATE TABLE approval_policy_history (
  corp_id uuid NOT NULL,
  version integer NOT NULL,
  above integer,
  key_contacts bool NOT NULL,
  approvals integer NOT NULL,
  expires_after_hours integer NOT NULL,
  ended_at datetime NOT NULL,
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

-- That a server could write lately, a row for each. It belongs to the installation and to no corp.
CREATE TABLE heartbeats (
  server text NOT NULL,
  at datetime NOT NULL,
  pad blob,
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
  fingerprint blob NOT NULL,
  requested_by_id uuid NOT NULL,
  created_at datetime NOT NULL,
  lapses_at datetime,
  effective_at datetime,
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
  at datetime NOT NULL,
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
  taken_at datetime NOT NULL,
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
SELECT f.corp_id, f.member_id, f.id, f.contact_id, strftime('%Y-%m-%d %H:%M:%f+00:00', 'now'), f.remark, f.description,
  (SELECT coalesce(group_concat(o.tag_id, ','), '') FROM (SELECT t.tag_id FROM follow_tags AS t WHERE t.corp_id = f.corp_id AND t.follow_id = f.id ORDER BY t.tag_id) AS o),
  c.importance, (SELECT coalesce(group_concat(o.tag_id, ','), '') FROM (SELECT t.tag_id FROM contact_tags AS t WHERE t.corp_id = c.corp_id AND t.contact_id = c.id ORDER BY t.tag_id) AS o), c.name, c.company
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
CREATE TRIGGER contacts_key_until BEFORE UPDATE OF importance ON `contacts`
  WHEN old.importance = 'KEY' AND new.importance <> 'KEY' AND (new.key_until IS NULL OR new.key_until < new.updated_at) BEGIN
  SELECT RAISE(ABORT, 'a contact that stops being KEY needs key_until');
END;
-- +goose StatementEnd
