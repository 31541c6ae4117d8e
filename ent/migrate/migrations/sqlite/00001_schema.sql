-- The tables of ent/schema. Written by ent/migrate/diff, then by hand: accountability is checked at commit.
-- +goose Up
CREATE TABLE `approvals` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `decision` text NOT NULL,
  `digest` text NOT NULL,
  `comment` text NULL,
  `decided_at` datetime NOT NULL,
  `expires_at` datetime NOT NULL,
  `handover_id` uuid NOT NULL,
  `approver_id` uuid NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `approvals_handovers_handover` FOREIGN KEY (`corp_id`, `handover_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `approvals_members_approver` FOREIGN KEY (`corp_id`, `approver_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `approval_corp_id_id` ON `approvals` (`corp_id`, `id`);
CREATE UNIQUE INDEX `approval_corp_id_handover_id_digest_approver_id` ON `approvals` (`corp_id`, `handover_id`, `digest`, `approver_id`);
CREATE INDEX `approval_corp_id_approver_id` ON `approvals` (`corp_id`, `approver_id`);
CREATE TABLE `audit_entries` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `index` integer NOT NULL,
  `at` datetime NOT NULL,
  `actor_id` uuid NULL,
  `actor_kind` text NOT NULL,
  `action` text NOT NULL,
  `subject_id` uuid NULL,
  `handover_id` uuid NULL,
  `request_id` text NULL,
  `leaf` blob NOT NULL,
  `hash` blob NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `auditentry_corp_id_id` ON `audit_entries` (`corp_id`, `id`);
CREATE UNIQUE INDEX `auditentry_corp_id_index` ON `audit_entries` (`corp_id`, `index`);
CREATE INDEX `auditentry_corp_id_actor_id_index` ON `audit_entries` (`corp_id`, `actor_id`, `index`);
CREATE INDEX `auditentry_corp_id_subject_id_index` ON `audit_entries` (`corp_id`, `subject_id`, `index`);
CREATE INDEX `auditentry_corp_id_handover_id_index` ON `audit_entries` (`corp_id`, `handover_id`, `index`);
CREATE INDEX `auditentry_corp_id_action_index` ON `audit_entries` (`corp_id`, `action`, `index`);
CREATE INDEX `auditentry_corp_id_at_index` ON `audit_entries` (`corp_id`, `at`, `index`);
CREATE TABLE `contacts` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `external_user_id` text NULL,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `type` text NOT NULL DEFAULT ('WECHAT'),
  `company` text NULL,
  `importance` text NOT NULL DEFAULT ('NORMAL'),
  `chat_consent` text NOT NULL DEFAULT ('UNKNOWN'),
  `accountable_answers` bool NOT NULL DEFAULT (true),
  `protected` bool NOT NULL DEFAULT (false),
  `accountable_id` uuid NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `contacts_members_accountable` FOREIGN KEY (`corp_id`, `accountable_id`, `accountable_answers`) REFERENCES `members` (`corp_id`, `id`, `answers`) ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT `contacts_accountable` CHECK (accountable_answers)
);
CREATE UNIQUE INDEX `contact_corp_id_id` ON `contacts` (`corp_id`, `id`);
CREATE UNIQUE INDEX `contact_corp_id_external_user_id` ON `contacts` (`corp_id`, `external_user_id`) WHERE archived_at IS NULL;
CREATE INDEX `contact_corp_id_name_key_id` ON `contacts` (`corp_id`, `name_key`, `id`);
CREATE INDEX `contact_corp_id_importance_id` ON `contacts` (`corp_id`, `importance`, `id`);
CREATE INDEX `contact_corp_id_created_at_id` ON `contacts` (`corp_id`, `created_at`, `id`);
CREATE INDEX `contact_corp_id_updated_at_id` ON `contacts` (`corp_id`, `updated_at`, `id`);
CREATE INDEX `contact_corp_id_accountable_id` ON `contacts` (`corp_id`, `accountable_id`);
CREATE INDEX `contact_corp_id_protected_id` ON `contacts` (`corp_id`, `protected`, `id`) WHERE protected;
CREATE TABLE `corps` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `name` text NOT NULL,
  `time_zone` text NOT NULL DEFAULT ('Asia/Shanghai'),
  `fallback_id` uuid NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `corp_corp_id_id` ON `corps` (`corp_id`, `id`);
CREATE UNIQUE INDEX `corp_name` ON `corps` (`name`);
CREATE TABLE `departments` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `external_id` text NULL,
  `name` text NOT NULL,
  `parent_id` uuid NULL,
  `manager_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `departments_departments_children` FOREIGN KEY (`corp_id`, `parent_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `departments_members_manager` FOREIGN KEY (`corp_id`, `manager_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `department_corp_id_id` ON `departments` (`corp_id`, `id`);
CREATE UNIQUE INDEX `department_corp_id_external_id` ON `departments` (`corp_id`, `external_id`) WHERE archived_at IS NULL;
CREATE INDEX `department_corp_id_parent_id` ON `departments` (`corp_id`, `parent_id`);
CREATE INDEX `department_corp_id_manager_id` ON `departments` (`corp_id`, `manager_id`);
CREATE TABLE `follows` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `remark` text NULL,
  `description` text NULL,
  `add_way` integer NULL,
  `since` datetime NOT NULL,
  `ended_at` datetime NULL,
  `protected` bool NOT NULL DEFAULT (false),
  `owner_version` integer NOT NULL DEFAULT (1),
  `contact_id` uuid NOT NULL,
  `member_id` uuid NOT NULL,
  `ended_by_id` uuid NULL,
  `reserved_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `follows_contacts_contact` FOREIGN KEY (`corp_id`, `contact_id`) REFERENCES `contacts` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `follows_members_member` FOREIGN KEY (`corp_id`, `member_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `follows_transfers_ended_by` FOREIGN KEY (`corp_id`, `ended_by_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `follows_transfers_reserved_by` FOREIGN KEY (`corp_id`, `reserved_by_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `follow_corp_id_id` ON `follows` (`corp_id`, `id`);
CREATE UNIQUE INDEX `follow_corp_id_member_id_contact_id` ON `follows` (`corp_id`, `member_id`, `contact_id`) WHERE ended_at IS NULL;
CREATE INDEX `follow_corp_id_contact_id_id` ON `follows` (`corp_id`, `contact_id`, `id`);
CREATE INDEX `follow_corp_id_member_id_id` ON `follows` (`corp_id`, `member_id`, `id`);
CREATE INDEX `follow_corp_id_ended_by_id` ON `follows` (`corp_id`, `ended_by_id`);
CREATE INDEX `follow_corp_id_reserved_by_id` ON `follows` (`corp_id`, `reserved_by_id`);
CREATE TABLE `grants` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `expires_at` datetime NULL,
  `last_reviewed_at` datetime NULL,
  `revoked_at` datetime NULL,
  `member_id` uuid NOT NULL,
  `role_id` uuid NOT NULL,
  `department_id` uuid NULL,
  `granted_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `grants_members_member` FOREIGN KEY (`corp_id`, `member_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `grants_roles_role` FOREIGN KEY (`corp_id`, `role_id`) REFERENCES `roles` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `grants_departments_department` FOREIGN KEY (`corp_id`, `department_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `grants_members_granted_by` FOREIGN KEY (`corp_id`, `granted_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `grant_corp_id_id` ON `grants` (`corp_id`, `id`);
CREATE INDEX `grant_corp_id_member_id_id` ON `grants` (`corp_id`, `member_id`, `id`);
CREATE INDEX `grant_corp_id_role_id_id` ON `grants` (`corp_id`, `role_id`, `id`);
CREATE INDEX `grant_corp_id_department_id` ON `grants` (`corp_id`, `department_id`);
CREATE INDEX `grant_corp_id_granted_by_id` ON `grants` (`corp_id`, `granted_by_id`);
CREATE TABLE `groups` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `chat_id` text NULL,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `status` text NOT NULL DEFAULT ('NORMAL'),
  `member_count` integer NOT NULL DEFAULT (0),
  `protected` bool NOT NULL DEFAULT (false),
  `accountable_answers` bool NOT NULL DEFAULT (true),
  `owner_version` integer NOT NULL DEFAULT (1),
  `owner_id` uuid NOT NULL,
  `accountable_id` uuid NOT NULL,
  `reserved_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `groups_members_owner` FOREIGN KEY (`corp_id`, `owner_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `groups_members_accountable` FOREIGN KEY (`corp_id`, `accountable_id`, `accountable_answers`) REFERENCES `members` (`corp_id`, `id`, `answers`) ON DELETE NO ACTION DEFERRABLE INITIALLY DEFERRED,
  CONSTRAINT `groups_transfers_reserved_by` FOREIGN KEY (`corp_id`, `reserved_by_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `groups_accountable` CHECK (accountable_answers)
);
CREATE UNIQUE INDEX `group_corp_id_id` ON `groups` (`corp_id`, `id`);
CREATE UNIQUE INDEX `group_corp_id_chat_id` ON `groups` (`corp_id`, `chat_id`) WHERE archived_at IS NULL;
CREATE INDEX `group_corp_id_owner_id_id` ON `groups` (`corp_id`, `owner_id`, `id`);
CREATE INDEX `group_corp_id_name_key_id` ON `groups` (`corp_id`, `name_key`, `id`);
CREATE INDEX `group_corp_id_created_at_id` ON `groups` (`corp_id`, `created_at`, `id`);
CREATE INDEX `group_corp_id_updated_at_id` ON `groups` (`corp_id`, `updated_at`, `id`);
CREATE INDEX `group_corp_id_accountable_id` ON `groups` (`corp_id`, `accountable_id`);
CREATE INDEX `group_corp_id_reserved_by_id` ON `groups` (`corp_id`, `reserved_by_id`);
CREATE TABLE `handovers` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `kind` text NOT NULL,
  `state` text NOT NULL,
  `reason` text NULL,
  `message` text NULL,
  `history_mode` text NOT NULL DEFAULT ('NONE'),
  `history_from` datetime NULL,
  `history_until` datetime NULL,
  `history_expires_at` datetime NULL,
  `digest` text NOT NULL,
  `plan` json NOT NULL,
  `approvals_required` integer NOT NULL DEFAULT (0),
  `approval_reasons` json NULL,
  `start_at` datetime NULL,
  `resume_at` datetime NULL,
  `hold_reason` text NULL,
  `cancel_requested_at` datetime NULL,
  `submitted_at` datetime NULL,
  `started_at` datetime NULL,
  `finished_at` datetime NULL,
  `revertible_until` datetime NULL,
  `run_token` integer NOT NULL DEFAULT (0),
  `lease_until` datetime NULL,
  `total` integer NOT NULL DEFAULT (0),
  `planned` integer NOT NULL DEFAULT (0),
  `waiting` integer NOT NULL DEFAULT (0),
  `completed` integer NOT NULL DEFAULT (0),
  `refused` integer NOT NULL DEFAULT (0),
  `limit_reached` integer NOT NULL DEFAULT (0),
  `failed` integer NOT NULL DEFAULT (0),
  `skipped` integer NOT NULL DEFAULT (0),
  `cancelled` integer NOT NULL DEFAULT (0),
  `reverted` integer NOT NULL DEFAULT (0),
  `leaver_id` uuid NOT NULL,
  `requested_by_id` uuid NULL,
  `executed_by_id` uuid NULL,
  `reverted_by_id` uuid NULL,
  `revert_of_id` uuid NULL,
  `follow_up_of_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `handovers_members_leaver` FOREIGN KEY (`corp_id`, `leaver_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_members_requested_by` FOREIGN KEY (`corp_id`, `requested_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_members_executed_by` FOREIGN KEY (`corp_id`, `executed_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_handovers_reverts` FOREIGN KEY (`corp_id`, `reverted_by_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_handovers_reversals` FOREIGN KEY (`corp_id`, `revert_of_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_handovers_follow_ups` FOREIGN KEY (`corp_id`, `follow_up_of_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `handovers_history` CHECK ((history_mode = 'WINDOW') = (history_from IS NOT NULL AND history_until IS NOT NULL)),
  CONSTRAINT `handovers_progress` CHECK (total = planned + waiting + completed + refused + limit_reached + failed + skipped + cancelled + reverted)
);
CREATE UNIQUE INDEX `handover_corp_id_id` ON `handovers` (`corp_id`, `id`);
CREATE INDEX `handover_corp_id_created_at_id` ON `handovers` (`corp_id`, `created_at`, `id`);
CREATE INDEX `handover_corp_id_updated_at_id` ON `handovers` (`corp_id`, `updated_at`, `id`);
CREATE INDEX `handover_corp_id_state_id` ON `handovers` (`corp_id`, `state`, `id`);
CREATE INDEX `handover_corp_id_leaver_id_id` ON `handovers` (`corp_id`, `leaver_id`, `id`);
CREATE INDEX `handover_corp_id_requested_by_id_created_at` ON `handovers` (`corp_id`, `requested_by_id`, `created_at`);
CREATE INDEX `handover_corp_id_executed_by_id` ON `handovers` (`corp_id`, `executed_by_id`);
CREATE INDEX `handover_corp_id_reverted_by_id` ON `handovers` (`corp_id`, `reverted_by_id`);
CREATE INDEX `handover_corp_id_revert_of_id` ON `handovers` (`corp_id`, `revert_of_id`);
CREATE INDEX `handover_corp_id_follow_up_of_id` ON `handovers` (`corp_id`, `follow_up_of_id`);
CREATE TABLE `history_grants` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `from_at` datetime NULL,
  `until_at` datetime NULL,
  `expires_at` datetime NULL,
  `ended_at` datetime NULL,
  `successor_id` uuid NOT NULL,
  `leaver_id` uuid NOT NULL,
  `contact_id` uuid NULL,
  `group_id` uuid NULL,
  `handover_id` uuid NOT NULL,
  `transfer_id` uuid NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `history_grants_members_successor` FOREIGN KEY (`corp_id`, `successor_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_members_leaver` FOREIGN KEY (`corp_id`, `leaver_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_contacts_contact` FOREIGN KEY (`corp_id`, `contact_id`) REFERENCES `contacts` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_groups_group` FOREIGN KEY (`corp_id`, `group_id`) REFERENCES `groups` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_handovers_handover` FOREIGN KEY (`corp_id`, `handover_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_transfers_transfer` FOREIGN KEY (`corp_id`, `transfer_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `history_grants_one` CHECK ((contact_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX `historygrant_corp_id_id` ON `history_grants` (`corp_id`, `id`);
CREATE INDEX `historygrant_corp_id_successor_id_contact_id` ON `history_grants` (`corp_id`, `successor_id`, `contact_id`);
CREATE INDEX `historygrant_corp_id_successor_id_group_id` ON `history_grants` (`corp_id`, `successor_id`, `group_id`);
CREATE INDEX `historygrant_corp_id_leaver_id` ON `history_grants` (`corp_id`, `leaver_id`);
CREATE INDEX `historygrant_corp_id_contact_id` ON `history_grants` (`corp_id`, `contact_id`);
CREATE INDEX `historygrant_corp_id_group_id` ON `history_grants` (`corp_id`, `group_id`);
CREATE INDEX `historygrant_corp_id_handover_id` ON `history_grants` (`corp_id`, `handover_id`);
CREATE INDEX `historygrant_corp_id_transfer_id` ON `history_grants` (`corp_id`, `transfer_id`);
CREATE TABLE `members` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `user_id` text NOT NULL,
  `name` text NOT NULL,
  `name_key` text NOT NULL,
  `status` text NOT NULL,
  `answers` bool NOT NULL,
  `customer_contact_enabled` bool NOT NULL DEFAULT (true),
  `contact_limit` integer NOT NULL DEFAULT (5000),
  `last_day` text NULL,
  `departed_at` datetime NULL,
  `departure_held_at` datetime NULL,
  `last_login_at` datetime NULL,
  `epoch` integer NOT NULL DEFAULT (1),
  `caretaker_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `members_members_charges` FOREIGN KEY (`corp_id`, `caretaker_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `members_answers` CHECK (answers = (status IN ('ACTIVE', 'LEAVING')))
);
CREATE UNIQUE INDEX `member_corp_id_id` ON `members` (`corp_id`, `id`);
CREATE UNIQUE INDEX `member_corp_id_user_id` ON `members` (`corp_id`, `user_id`) WHERE archived_at IS NULL;
CREATE UNIQUE INDEX `member_corp_id_id_answers` ON `members` (`corp_id`, `id`, `answers`);
CREATE INDEX `member_corp_id_name_key_id` ON `members` (`corp_id`, `name_key`, `id`);
CREATE INDEX `member_corp_id_status_id` ON `members` (`corp_id`, `status`, `id`);
CREATE INDEX `member_corp_id_created_at_id` ON `members` (`corp_id`, `created_at`, `id`);
CREATE INDEX `member_corp_id_updated_at_id` ON `members` (`corp_id`, `updated_at`, `id`);
CREATE INDEX `member_corp_id_caretaker_id` ON `members` (`corp_id`, `caretaker_id`);
CREATE TABLE `messages` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `external_id` text NOT NULL,
  `kind` text NOT NULL,
  `sent_at` datetime NOT NULL,
  `author_id` uuid NULL,
  `from_contact` bool NOT NULL DEFAULT (false),
  `member_id` uuid NULL,
  `contact_id` uuid NULL,
  `group_id` uuid NULL,
  `text` text NULL,
  `attachment` json NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `message_corp_id_id` ON `messages` (`corp_id`, `id`);
CREATE UNIQUE INDEX `message_corp_id_external_id` ON `messages` (`corp_id`, `external_id`, `sent_at`);
CREATE INDEX `message_corp_id_member_id_sent_at_id` ON `messages` (`corp_id`, `member_id`, `sent_at`, `id`);
CREATE INDEX `message_corp_id_contact_id_sent_at_id` ON `messages` (`corp_id`, `contact_id`, `sent_at`, `id`);
CREATE INDEX `message_corp_id_group_id_sent_at_id` ON `messages` (`corp_id`, `group_id`, `sent_at`, `id`);
CREATE INDEX `message_corp_id_sent_at_id` ON `messages` (`corp_id`, `sent_at`, `id`);
CREATE TABLE `ownership_periods` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `from_at` datetime NOT NULL,
  `until_at` datetime NULL,
  `contact_id` uuid NULL,
  `group_id` uuid NULL,
  `member_id` uuid NOT NULL,
  `transfer_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `ownership_periods_contacts_contact` FOREIGN KEY (`corp_id`, `contact_id`) REFERENCES `contacts` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `ownership_periods_groups_group` FOREIGN KEY (`corp_id`, `group_id`) REFERENCES `groups` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `ownership_periods_members_member` FOREIGN KEY (`corp_id`, `member_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `ownership_periods_transfers_transfer` FOREIGN KEY (`corp_id`, `transfer_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `ownership_periods_one` CHECK ((contact_id IS NULL) <> (group_id IS NULL))
);
CREATE UNIQUE INDEX `ownershipperiod_corp_id_id` ON `ownership_periods` (`corp_id`, `id`);
CREATE UNIQUE INDEX `ownershipperiod_corp_id_contact_id_member_id` ON `ownership_periods` (`corp_id`, `contact_id`, `member_id`) WHERE until_at IS NULL AND contact_id IS NOT NULL;
CREATE UNIQUE INDEX `ownership_periods_open_group` ON `ownership_periods` (`corp_id`, `group_id`) WHERE until_at IS NULL AND group_id IS NOT NULL;
CREATE INDEX `ownershipperiod_corp_id_contact_id_from_at` ON `ownership_periods` (`corp_id`, `contact_id`, `from_at`);
CREATE INDEX `ownershipperiod_corp_id_group_id_from_at` ON `ownership_periods` (`corp_id`, `group_id`, `from_at`);
CREATE INDEX `ownershipperiod_corp_id_member_id` ON `ownership_periods` (`corp_id`, `member_id`);
CREATE INDEX `ownershipperiod_corp_id_transfer_id` ON `ownership_periods` (`corp_id`, `transfer_id`);
CREATE TABLE `roles` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `name` text NOT NULL,
  `permissions` json NOT NULL,
  `sensitive` bool NOT NULL,
  `built_in` bool NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `role_corp_id_id` ON `roles` (`corp_id`, `id`);
CREATE UNIQUE INDEX `role_corp_id_name` ON `roles` (`corp_id`, `name`) WHERE archived_at IS NULL;
CREATE TABLE `rule_sets` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `name` text NOT NULL,
  `rules` json NOT NULL,
  `automatic` bool NOT NULL DEFAULT (false),
  `fallback_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `rule_sets_members_fallback` FOREIGN KEY (`corp_id`, `fallback_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `ruleset_corp_id_id` ON `rule_sets` (`corp_id`, `id`);
CREATE UNIQUE INDEX `ruleset_corp_id_name` ON `rule_sets` (`corp_id`, `name`);
CREATE INDEX `ruleset_corp_id_fallback_id` ON `rule_sets` (`corp_id`, `fallback_id`);
CREATE INDEX `ruleset_corp_id_created_at_id` ON `rule_sets` (`corp_id`, `created_at`, `id`);
CREATE TABLE `service_tokens` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `name` text NOT NULL,
  `permissions` json NOT NULL,
  `expires_at` datetime NOT NULL,
  `last_used_at` datetime NULL,
  `revoked_at` datetime NULL,
  `secret_hash` blob NOT NULL,
  `department_id` uuid NULL,
  `created_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `service_tokens_departments_department` FOREIGN KEY (`corp_id`, `department_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `service_tokens_members_created_by` FOREIGN KEY (`corp_id`, `created_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `servicetoken_corp_id_id` ON `service_tokens` (`corp_id`, `id`);
CREATE UNIQUE INDEX `servicetoken_secret_hash` ON `service_tokens` (`secret_hash`);
CREATE INDEX `servicetoken_corp_id_department_id` ON `service_tokens` (`corp_id`, `department_id`);
CREATE INDEX `servicetoken_corp_id_created_by_id` ON `service_tokens` (`corp_id`, `created_by_id`);
CREATE TABLE `tags` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `external_id` text NULL,
  `group_name` text NOT NULL DEFAULT (''),
  `name` text NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `tag_corp_id_id` ON `tags` (`corp_id`, `id`);
CREATE UNIQUE INDEX `tag_corp_id_name_group_name` ON `tags` (`corp_id`, `name`, `group_name`);
CREATE TABLE `transfers` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `position` integer NOT NULL,
  `kind` text NOT NULL,
  `status` text NOT NULL DEFAULT ('PLANNED'),
  `reason` text NULL,
  `detail` text NULL,
  `because` text NULL,
  `merged` bool NOT NULL DEFAULT (false),
  `attempt` integer NOT NULL DEFAULT (0),
  `expected_version` integer NOT NULL,
  `importance` text NOT NULL DEFAULT ('NORMAL'),
  `rule_index` integer NULL,
  `undo` json NULL,
  `assigned_at` datetime NULL,
  `auto_accept_at` datetime NULL,
  `finished_at` datetime NULL,
  `updated_at` datetime NOT NULL,
  `handover_id` uuid NOT NULL,
  `contact_id` uuid NULL,
  `group_id` uuid NULL,
  `follow_id` uuid NULL,
  `from_id` uuid NOT NULL,
  `to_id` uuid NOT NULL,
  `rule_set_id` uuid NULL,
  `revert_of_id` uuid NULL,
  `from_department_id` uuid NULL,
  `to_department_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `transfers_handovers_handover` FOREIGN KEY (`corp_id`, `handover_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_contacts_contact` FOREIGN KEY (`corp_id`, `contact_id`) REFERENCES `contacts` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_groups_group` FOREIGN KEY (`corp_id`, `group_id`) REFERENCES `groups` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_follows_follow` FOREIGN KEY (`corp_id`, `follow_id`) REFERENCES `follows` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_members_from` FOREIGN KEY (`corp_id`, `from_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_members_to` FOREIGN KEY (`corp_id`, `to_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_rule_sets_rule_set` FOREIGN KEY (`corp_id`, `rule_set_id`) REFERENCES `rule_sets` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_transfers_reversals` FOREIGN KEY (`corp_id`, `revert_of_id`) REFERENCES `transfers` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_departments_from_department` FOREIGN KEY (`corp_id`, `from_department_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_departments_to_department` FOREIGN KEY (`corp_id`, `to_department_id`) REFERENCES `departments` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `transfers_one` CHECK ((kind = 'CONTACT' AND contact_id IS NOT NULL AND follow_id IS NOT NULL AND group_id IS NULL) OR (kind = 'GROUP' AND group_id IS NOT NULL AND contact_id IS NULL AND follow_id IS NULL))
);
CREATE UNIQUE INDEX `transfer_corp_id_id` ON `transfers` (`corp_id`, `id`);
CREATE UNIQUE INDEX `transfer_corp_id_handover_id_position` ON `transfers` (`corp_id`, `handover_id`, `position`);
CREATE UNIQUE INDEX `transfers_open_follow` ON `transfers` (`corp_id`, `follow_id`) WHERE status = 'WAITING';
CREATE UNIQUE INDEX `transfers_open_group` ON `transfers` (`corp_id`, `group_id`) WHERE status = 'WAITING';
CREATE INDEX `transfer_corp_id_follow_id` ON `transfers` (`corp_id`, `follow_id`);
CREATE INDEX `transfer_corp_id_contact_id_id` ON `transfers` (`corp_id`, `contact_id`, `id`);
CREATE INDEX `transfer_corp_id_group_id_id` ON `transfers` (`corp_id`, `group_id`, `id`);
CREATE INDEX `transfer_corp_id_from_id_id` ON `transfers` (`corp_id`, `from_id`, `id`);
CREATE INDEX `transfer_corp_id_to_id_id` ON `transfers` (`corp_id`, `to_id`, `id`);
CREATE INDEX `transfer_corp_id_status_id` ON `transfers` (`corp_id`, `status`, `id`);
CREATE INDEX `transfer_corp_id_created_at_id` ON `transfers` (`corp_id`, `created_at`, `id`);
CREATE INDEX `transfer_corp_id_assigned_at_id` ON `transfers` (`corp_id`, `assigned_at`, `id`);
CREATE INDEX `transfer_corp_id_from_department_id` ON `transfers` (`corp_id`, `from_department_id`);
CREATE INDEX `transfer_corp_id_rule_set_id` ON `transfers` (`corp_id`, `rule_set_id`);
CREATE INDEX `transfer_corp_id_revert_of_id` ON `transfers` (`corp_id`, `revert_of_id`);
CREATE INDEX `transfer_corp_id_to_department_id` ON `transfers` (`corp_id`, `to_department_id`);
CREATE TABLE `webhooks` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `archived_at` datetime NULL,
  `erased_at` datetime NULL,
  `name` text NOT NULL,
  `url` text NOT NULL,
  `events` json NOT NULL,
  `active` bool NOT NULL DEFAULT (true),
  `secret` blob NOT NULL,
  PRIMARY KEY (`id`)
);
CREATE UNIQUE INDEX `webhook_corp_id_id` ON `webhooks` (`corp_id`, `id`);
CREATE UNIQUE INDEX `webhook_corp_id_name` ON `webhooks` (`corp_id`, `name`) WHERE archived_at IS NULL;
CREATE INDEX `webhook_corp_id_created_at_id` ON `webhooks` (`corp_id`, `created_at`, `id`);
CREATE TABLE `leak_findings` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `version` integer NOT NULL DEFAULT (1),
  `updated_at` datetime NOT NULL,
  `kind` text NOT NULL,
  `message_id` uuid NULL,
  `at` datetime NOT NULL,
  `score` real NOT NULL,
  `why_en` text NOT NULL,
  `why_zh` text NOT NULL,
  `marks` json NOT NULL,
  `verdict` text NULL,
  `note` text NULL,
  `reviewed_at` datetime NULL,
  `member_id` uuid NOT NULL,
  `contact_id` uuid NULL,
  `reviewed_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `leak_findings_members_member` FOREIGN KEY (`corp_id`, `member_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `leak_findings_contacts_contact` FOREIGN KEY (`corp_id`, `contact_id`) REFERENCES `contacts` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `leak_findings_members_reviewed_by` FOREIGN KEY (`corp_id`, `reviewed_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `leak_findings_reviewed` CHECK ((verdict IS NULL) = (reviewed_at IS NULL))
);
CREATE UNIQUE INDEX `leakfinding_corp_id_id` ON `leak_findings` (`corp_id`, `id`);
CREATE UNIQUE INDEX `leakfinding_corp_id_message_id_kind` ON `leak_findings` (`corp_id`, `message_id`, `kind`) WHERE message_id IS NOT NULL;
CREATE UNIQUE INDEX `leakfinding_corp_id_member_id_at` ON `leak_findings` (`corp_id`, `member_id`, `at`) WHERE message_id IS NULL;
CREATE INDEX `leakfinding_corp_id_at_id` ON `leak_findings` (`corp_id`, `at`, `id`);
CREATE INDEX `leakfinding_corp_id_member_id_at_id` ON `leak_findings` (`corp_id`, `member_id`, `at`, `id`);
CREATE INDEX `leakfinding_corp_id_contact_id` ON `leak_findings` (`corp_id`, `contact_id`);
CREATE INDEX `leakfinding_corp_id_reviewed_by_id` ON `leak_findings` (`corp_id`, `reviewed_by_id`);
CREATE TABLE `exports` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `epoch` integer NOT NULL,
  `subject` text NOT NULL,
  `format` text NULL,
  `state` text NOT NULL DEFAULT ('QUEUED'),
  `filter` json NULL,
  `language` text NOT NULL,
  `scopes` json NULL,
  `rows` integer NULL,
  `total` integer NULL,
  `size` integer NULL,
  `problem` text NULL,
  `started_at` datetime NULL,
  `finished_at` datetime NULL,
  `expires_at` datetime NULL,
  `run_token` integer NOT NULL DEFAULT (0),
  `lease_until` datetime NULL,
  `requested_by_id` uuid NOT NULL,
  `handover_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `exports_members_requested_by` FOREIGN KEY (`corp_id`, `requested_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `exports_handovers_handover` FOREIGN KEY (`corp_id`, `handover_id`) REFERENCES `handovers` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `export_corp_id_id` ON `exports` (`corp_id`, `id`);
CREATE INDEX `export_corp_id_requested_by_id_created_at` ON `exports` (`corp_id`, `requested_by_id`, `created_at`);
CREATE INDEX `export_corp_id_state_expires_at` ON `exports` (`corp_id`, `state`, `expires_at`);
CREATE INDEX `export_corp_id_handover_id` ON `exports` (`corp_id`, `handover_id`);
CREATE TABLE `access_reviews` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `due_at` datetime NOT NULL,
  `closed_at` datetime NULL,
  `month` text NULL,
  `started_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `access_reviews_members_started_by` FOREIGN KEY (`corp_id`, `started_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `accessreview_corp_id_id` ON `access_reviews` (`corp_id`, `id`);
CREATE UNIQUE INDEX `accessreview_corp_id_month` ON `access_reviews` (`corp_id`, `month`) WHERE month IS NOT NULL;
CREATE INDEX `accessreview_corp_id_created_at_id` ON `access_reviews` (`corp_id`, `created_at`, `id`);
CREATE INDEX `accessreview_corp_id_started_by_id` ON `access_reviews` (`corp_id`, `started_by_id`);
CREATE TABLE `data_policies` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `series_id` uuid NOT NULL,
  `revision` integer NOT NULL,
  `title` text NOT NULL,
  `body` text NOT NULL,
  `published_at` datetime NOT NULL,
  `ended_at` datetime NULL,
  `published_by_id` uuid NOT NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `data_policies_members_published_by` FOREIGN KEY (`corp_id`, `published_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `datapolicy_corp_id_id` ON `data_policies` (`corp_id`, `id`);
CREATE UNIQUE INDEX `datapolicy_corp_id_series_id_revision` ON `data_policies` (`corp_id`, `series_id`, `revision`);
CREATE UNIQUE INDEX `datapolicy_corp_id_series_id` ON `data_policies` (`corp_id`, `series_id`) WHERE ended_at IS NULL;
CREATE UNIQUE INDEX `datapolicy_corp_id_title` ON `data_policies` (`corp_id`, `title`) WHERE ended_at IS NULL;
CREATE INDEX `datapolicy_corp_id_published_by_id` ON `data_policies` (`corp_id`, `published_by_id`);
CREATE TABLE `review_items` (
  `id` uuid NOT NULL,
  `corp_id` uuid NOT NULL,
  `created_at` datetime NOT NULL,
  `rank` integer NOT NULL,
  `decision` text NULL,
  `decided_at` datetime NULL,
  `note` text NULL,
  `overdue_at` datetime NULL,
  `review_id` uuid NOT NULL,
  `grant_id` uuid NOT NULL,
  `member_id` uuid NOT NULL,
  `decided_by_id` uuid NULL,
  PRIMARY KEY (`id`),
  CONSTRAINT `review_items_access_reviews_review` FOREIGN KEY (`corp_id`, `review_id`) REFERENCES `access_reviews` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `review_items_grants_grant` FOREIGN KEY (`corp_id`, `grant_id`) REFERENCES `grants` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `review_items_members_member` FOREIGN KEY (`corp_id`, `member_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT,
  CONSTRAINT `review_items_members_decided_by` FOREIGN KEY (`corp_id`, `decided_by_id`) REFERENCES `members` (`corp_id`, `id`) ON DELETE RESTRICT
);
CREATE UNIQUE INDEX `reviewitem_corp_id_id` ON `review_items` (`corp_id`, `id`);
CREATE INDEX `reviewitem_corp_id_review_id_rank_id` ON `review_items` (`corp_id`, `review_id`, `rank`, `id`);
CREATE UNIQUE INDEX `reviewitem_corp_id_grant_id_review_id` ON `review_items` (`corp_id`, `grant_id`, `review_id`);
CREATE INDEX `reviewitem_corp_id_member_id` ON `review_items` (`corp_id`, `member_id`);
CREATE INDEX `reviewitem_corp_id_decided_by_id` ON `review_items` (`corp_id`, `decided_by_id`);
