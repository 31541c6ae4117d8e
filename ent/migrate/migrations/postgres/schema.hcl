table "access_reviews" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "due_at" {
    null = false
    type = timestamptz
  }
  column "closed_at" {
    null = true
    type = timestamptz
  }
  column "month" {
    null = true
    type = varchar
  }
  column "started_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "access_reviews_members_started_by" {
    columns     = [column.corp_id, column.started_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "accessreview_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "accessreview_corp_id_month" {
    unique  = true
    columns = [column.corp_id, column.month]
    where   = "month IS NOT NULL"
  }
  index "accessreview_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "accessreview_corp_id_started_by_id" {
    columns = [column.corp_id, column.started_by_id]
  }
}
table "approvals" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "decision" {
    null = false
    type = varchar
  }
  column "digest" {
    null = false
    type = varchar
  }
  column "comment" {
    null = true
    type = varchar
  }
  column "decided_at" {
    null = false
    type = timestamptz
  }
  column "expires_at" {
    null = false
    type = timestamptz
  }
  column "handover_id" {
    null = false
    type = uuid
  }
  column "approver_id" {
    null = false
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "approvals_handovers_handover" {
    columns     = [column.corp_id, column.handover_id]
    ref_columns = [table.handovers.column.corp_id, table.handovers.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "approvals_members_approver" {
    columns     = [column.corp_id, column.approver_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "approval_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "approval_corp_id_handover_id_digest_approver_id" {
    unique  = true
    columns = [column.corp_id, column.handover_id, column.digest, column.approver_id]
  }
  index "approval_corp_id_approver_id" {
    columns = [column.corp_id, column.approver_id]
  }
}
table "audit_entries" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "index" {
    null = false
    type = bigint
  }
  column "at" {
    null = false
    type = timestamptz
  }
  column "actor_id" {
    null = true
    type = uuid
  }
  column "actor_kind" {
    null = false
    type = varchar
  }
  column "action" {
    null = false
    type = varchar
  }
  column "subject_id" {
    null = true
    type = uuid
  }
  column "handover_id" {
    null = true
    type = uuid
  }
  column "request_id" {
    null = true
    type = varchar
  }
  column "leaf" {
    null = false
    type = bytea
  }
  column "hash" {
    null = false
    type = bytea
  }
  primary_key {
    columns = [column.id]
  }
  index "auditentry_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "auditentry_corp_id_index" {
    unique  = true
    columns = [column.corp_id, column.index]
  }
  index "auditentry_corp_id_actor_id_index" {
    columns = [column.corp_id, column.actor_id, column.index]
  }
  index "auditentry_corp_id_subject_id_index" {
    columns = [column.corp_id, column.subject_id, column.index]
  }
  index "auditentry_corp_id_handover_id_index" {
    columns = [column.corp_id, column.handover_id, column.index]
  }
  index "auditentry_corp_id_action_index" {
    columns = [column.corp_id, column.action, column.index]
  }
  index "auditentry_corp_id_at_index" {
    columns = [column.corp_id, column.at, column.index]
  }
  index "audit_entries_hands" {
    columns = [column.corp_id, column.subject_id, column.index]
    where   = "action IN ('credential.reset', 'credential.set', 'credential.enrol', 'identity.link')"
  }
}
table "contacts" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "external_user_id" {
    null = true
    type = varchar
  }
  column "name" {
    null = false
    type = varchar
  }
  column "name_key" {
    null = false
    type = varchar
  }
  column "type" {
    null    = false
    type    = varchar
    default = sql("'WECHAT'")
  }
  column "company" {
    null = true
    type = varchar
  }
  column "importance" {
    null    = false
    type    = varchar
    default = sql("'NORMAL'")
  }
  column "key_until" {
    null = true
    type = timestamptz
  }
  column "chat_consent" {
    null    = false
    type    = varchar
    default = sql("'UNKNOWN'")
  }
  column "accountable_answers" {
    null    = false
    type    = boolean
    default = sql("true")
  }
  column "protected" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "accountable_id" {
    null = false
    type = uuid
  }
  column "key_changed_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "contacts_members_accountable" {
    columns     = [column.corp_id, column.accountable_id, column.accountable_answers]
    ref_columns = [table.members.column.corp_id, table.members.column.id, table.members.column.answers]
    on_delete   = NO_ACTION
  }
  foreign_key "contacts_members_key_changed_by" {
    columns     = [column.corp_id, column.key_changed_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "contact_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "contact_corp_id_external_user_id" {
    unique  = true
    columns = [column.corp_id, column.external_user_id]
    where   = "archived_at IS NULL"
  }
  index "contact_corp_id_name_key_id" {
    columns = [column.corp_id, column.name_key, column.id]
  }
  index "contact_corp_id_importance_id" {
    columns = [column.corp_id, column.importance, column.id]
  }
  index "contact_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "contact_corp_id_updated_at_id" {
    columns = [column.corp_id, column.updated_at, column.id]
  }
  index "contact_corp_id_accountable_id" {
    columns = [column.corp_id, column.accountable_id]
  }
  index "contact_corp_id_key_changed_by_id" {
    columns = [column.corp_id, column.key_changed_by_id]
  }
  index "contact_corp_id_protected_id" {
    columns = [column.corp_id, column.protected, column.id]
    where   = "protected"
  }
  check "contacts_accountable" {
    expr = "accountable_answers"
  }
}
table "corps" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "name" {
    null = false
    type = varchar
  }
  column "time_zone" {
    null    = false
    type    = varchar
    default = sql("'Asia/Shanghai'")
  }
  column "fallback_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  index "corp_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "corp_name" {
    unique  = true
    columns = [column.name]
  }
}
table "data_policies" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "series_id" {
    null = false
    type = uuid
  }
  column "revision" {
    null = false
    type = bigint
  }
  column "title" {
    null = false
    type = varchar
  }
  column "body" {
    null = false
    type = text
  }
  column "published_at" {
    null = false
    type = timestamptz
  }
  column "ended_at" {
    null = true
    type = timestamptz
  }
  column "published_by_id" {
    null = false
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "data_policies_members_published_by" {
    columns     = [column.corp_id, column.published_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "datapolicy_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "datapolicy_corp_id_series_id_revision" {
    unique  = true
    columns = [column.corp_id, column.series_id, column.revision]
  }
  index "datapolicy_corp_id_series_id" {
    unique  = true
    columns = [column.corp_id, column.series_id]
    where   = "ended_at IS NULL"
  }
  index "datapolicy_corp_id_title" {
    unique  = true
    columns = [column.corp_id, column.title]
    where   = "ended_at IS NULL"
  }
  index "datapolicy_corp_id_published_by_id" {
    columns = [column.corp_id, column.published_by_id]
  }
}
table "departments" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "external_id" {
    null = true
    type = varchar
  }
  column "name" {
    null = false
    type = varchar
  }
  column "parent_id" {
    null = true
    type = uuid
  }
  column "manager_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "departments_departments_children" {
    columns     = [column.corp_id, column.parent_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  foreign_key "departments_members_manager" {
    columns     = [column.corp_id, column.manager_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "department_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "department_corp_id_external_id" {
    unique  = true
    columns = [column.corp_id, column.external_id]
    where   = "archived_at IS NULL"
  }
  index "department_corp_id_parent_id" {
    columns = [column.corp_id, column.parent_id]
  }
  index "department_corp_id_manager_id" {
    columns = [column.corp_id, column.manager_id]
  }
}
table "exports" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "epoch" {
    null = false
    type = bigint
  }
  column "subject" {
    null = false
    type = varchar
  }
  column "format" {
    null = true
    type = varchar
  }
  column "state" {
    null    = false
    type    = varchar
    default = sql("'QUEUED'")
  }
  column "filter" {
    null = true
    type = jsonb
  }
  column "language" {
    null = false
    type = varchar
  }
  column "scopes" {
    null = true
    type = jsonb
  }
  column "rows" {
    null = true
    type = bigint
  }
  column "total" {
    null = true
    type = bigint
  }
  column "size" {
    null = true
    type = bigint
  }
  column "problem" {
    null = true
    type = varchar
  }
  column "started_at" {
    null = true
    type = timestamptz
  }
  column "finished_at" {
    null = true
    type = timestamptz
  }
  column "expires_at" {
    null = true
    type = timestamptz
  }
  column "run_token" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "lease_until" {
    null = true
    type = timestamptz
  }
  column "requested_by_id" {
    null = false
    type = uuid
  }
  column "handover_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "exports_members_requested_by" {
    columns     = [column.corp_id, column.requested_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "exports_handovers_handover" {
    columns     = [column.corp_id, column.handover_id]
    ref_columns = [table.handovers.column.corp_id, table.handovers.column.id]
    on_delete   = RESTRICT
  }
  index "export_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "export_corp_id_requested_by_id_created_at" {
    columns = [column.corp_id, column.requested_by_id, column.created_at]
  }
  index "export_corp_id_state_expires_at" {
    columns = [column.corp_id, column.state, column.expires_at]
  }
  index "export_corp_id_handover_id" {
    columns = [column.corp_id, column.handover_id]
  }
}
table "follows" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "remark" {
    null = true
    type = varchar
  }
  column "description" {
    null = true
    type = varchar
  }
  column "add_way" {
    null = true
    type = bigint
  }
  column "since" {
    null = false
    type = timestamptz
  }
  column "ended_at" {
    null = true
    type = timestamptz
  }
  column "protected" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "owner_version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "contact_id" {
    null = false
    type = uuid
  }
  column "member_id" {
    null = false
    type = uuid
  }
  column "ended_by_id" {
    null = true
    type = uuid
  }
  column "reserved_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "follows_contacts_contact" {
    columns     = [column.corp_id, column.contact_id]
    ref_columns = [table.contacts.column.corp_id, table.contacts.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "follows_members_member" {
    columns     = [column.corp_id, column.member_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "follows_transfers_ended_by" {
    columns     = [column.corp_id, column.ended_by_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "follows_transfers_reserved_by" {
    columns     = [column.corp_id, column.reserved_by_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  index "follow_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "follow_corp_id_member_id_contact_id" {
    unique  = true
    columns = [column.corp_id, column.member_id, column.contact_id]
    where   = "ended_at IS NULL"
  }
  index "follow_corp_id_contact_id_id" {
    columns = [column.corp_id, column.contact_id, column.id]
  }
  index "follow_corp_id_member_id_id" {
    columns = [column.corp_id, column.member_id, column.id]
  }
  index "follow_corp_id_ended_by_id" {
    columns = [column.corp_id, column.ended_by_id]
  }
  index "follow_corp_id_reserved_by_id" {
    columns = [column.corp_id, column.reserved_by_id]
  }
}
table "grants" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "expires_at" {
    null = true
    type = timestamptz
  }
  column "last_reviewed_at" {
    null = true
    type = timestamptz
  }
  column "revoked_at" {
    null = true
    type = timestamptz
  }
  column "member_id" {
    null = false
    type = uuid
  }
  column "role_id" {
    null = false
    type = uuid
  }
  column "department_id" {
    null = true
    type = uuid
  }
  column "granted_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "grants_members_member" {
    columns     = [column.corp_id, column.member_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "grants_roles_role" {
    columns     = [column.corp_id, column.role_id]
    ref_columns = [table.roles.column.corp_id, table.roles.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "grants_departments_department" {
    columns     = [column.corp_id, column.department_id]
    ref_columns = [table.departments.column.corp_id, table.departments.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "grants_members_granted_by" {
    columns     = [column.corp_id, column.granted_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "grant_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "grant_corp_id_member_id_id" {
    columns = [column.corp_id, column.member_id, column.id]
  }
  index "grant_corp_id_role_id_id" {
    columns = [column.corp_id, column.role_id, column.id]
  }
  index "grant_corp_id_department_id" {
    columns = [column.corp_id, column.department_id]
  }
  index "grant_corp_id_granted_by_id" {
    columns = [column.corp_id, column.granted_by_id]
  }
}
table "groups" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "chat_id" {
    null = true
    type = varchar
  }
  column "name" {
    null = false
    type = varchar
  }
  column "name_key" {
    null = false
    type = varchar
  }
  column "status" {
    null    = false
    type    = varchar
    default = sql("'NORMAL'")
  }
  column "member_count" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "protected" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "accountable_answers" {
    null    = false
    type    = boolean
    default = sql("true")
  }
  column "owner_version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "owner_id" {
    null = false
    type = uuid
  }
  column "accountable_id" {
    null = false
    type = uuid
  }
  column "reserved_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "groups_members_owner" {
    columns     = [column.corp_id, column.owner_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "groups_members_accountable" {
    columns     = [column.corp_id, column.accountable_id, column.accountable_answers]
    ref_columns = [table.members.column.corp_id, table.members.column.id, table.members.column.answers]
    on_delete   = NO_ACTION
  }
  foreign_key "groups_transfers_reserved_by" {
    columns     = [column.corp_id, column.reserved_by_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  index "group_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "group_corp_id_chat_id" {
    unique  = true
    columns = [column.corp_id, column.chat_id]
    where   = "archived_at IS NULL"
  }
  index "group_corp_id_owner_id_id" {
    columns = [column.corp_id, column.owner_id, column.id]
  }
  index "group_corp_id_name_key_id" {
    columns = [column.corp_id, column.name_key, column.id]
  }
  index "group_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "group_corp_id_updated_at_id" {
    columns = [column.corp_id, column.updated_at, column.id]
  }
  index "group_corp_id_accountable_id" {
    columns = [column.corp_id, column.accountable_id]
  }
  index "group_corp_id_reserved_by_id" {
    columns = [column.corp_id, column.reserved_by_id]
  }
  check "groups_accountable" {
    expr = "accountable_answers"
  }
}
table "handovers" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "kind" {
    null = false
    type = varchar
  }
  column "state" {
    null = false
    type = varchar
  }
  column "authors" {
    null = true
    type = jsonb
  }
  column "reason" {
    null = true
    type = varchar
  }
  column "message" {
    null = true
    type = varchar
  }
  column "history_mode" {
    null    = false
    type    = varchar
    default = sql("'NONE'")
  }
  column "history_from" {
    null = true
    type = timestamptz
  }
  column "history_until" {
    null = true
    type = timestamptz
  }
  column "history_expires_at" {
    null = true
    type = timestamptz
  }
  column "digest" {
    null = false
    type = varchar
  }
  column "plan" {
    null = false
    type = json
  }
  column "approvals_required" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "approval_reasons" {
    null = true
    type = jsonb
  }
  column "start_at" {
    null = true
    type = timestamptz
  }
  column "resume_at" {
    null = true
    type = timestamptz
  }
  column "hold_reason" {
    null = true
    type = varchar
  }
  column "cancel_requested_at" {
    null = true
    type = timestamptz
  }
  column "submitted_at" {
    null = true
    type = timestamptz
  }
  column "started_at" {
    null = true
    type = timestamptz
  }
  column "finished_at" {
    null = true
    type = timestamptz
  }
  column "revertible_until" {
    null = true
    type = timestamptz
  }
  column "run_token" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "lease_until" {
    null = true
    type = timestamptz
  }
  column "total" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "planned" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "waiting" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "completed" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "refused" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "limit_reached" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "failed" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "skipped" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "cancelled" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "reverted" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "leaver_id" {
    null = false
    type = uuid
  }
  column "requested_by_id" {
    null = true
    type = uuid
  }
  column "responsible_id" {
    null = true
    type = uuid
  }
  column "executed_by_id" {
    null = true
    type = uuid
  }
  column "reverted_by_id" {
    null = true
    type = uuid
  }
  column "revert_of_id" {
    null = true
    type = uuid
  }
  column "follow_up_of_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "handovers_members_leaver" {
    columns     = [column.corp_id, column.leaver_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_members_requested_by" {
    columns     = [column.corp_id, column.requested_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_members_responsible" {
    columns     = [column.corp_id, column.responsible_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_members_executed_by" {
    columns     = [column.corp_id, column.executed_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_handovers_reverts" {
    columns     = [column.corp_id, column.reverted_by_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_handovers_reversals" {
    columns     = [column.corp_id, column.revert_of_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  foreign_key "handovers_handovers_follow_ups" {
    columns     = [column.corp_id, column.follow_up_of_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  index "handover_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "handover_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "handover_corp_id_updated_at_id" {
    columns = [column.corp_id, column.updated_at, column.id]
  }
  index "handover_corp_id_state_id" {
    columns = [column.corp_id, column.state, column.id]
  }
  index "handover_corp_id_leaver_id_id" {
    columns = [column.corp_id, column.leaver_id, column.id]
  }
  index "handover_corp_id_requested_by_id_created_at" {
    columns = [column.corp_id, column.requested_by_id, column.created_at]
  }
  index "handover_corp_id_responsible_id_updated_at" {
    columns = [column.corp_id, column.responsible_id, column.updated_at]
  }
  index "handover_corp_id_executed_by_id_updated_at" {
    columns = [column.corp_id, column.executed_by_id, column.updated_at]
  }
  index "handover_corp_id_reverted_by_id" {
    columns = [column.corp_id, column.reverted_by_id]
  }
  index "handover_corp_id_revert_of_id" {
    columns = [column.corp_id, column.revert_of_id]
  }
  index "handover_corp_id_follow_up_of_id" {
    columns = [column.corp_id, column.follow_up_of_id]
  }
  check "handovers_history" {
    expr = "(history_mode = 'WINDOW') = (history_from IS NOT NULL AND history_until IS NOT NULL)"
  }
  check "handovers_progress" {
    expr = "total = planned + waiting + completed + refused + limit_reached + failed + skipped + cancelled + reverted"
  }
  check "handovers_requester" {
    expr = "requested_by_id IS NULL OR responsible_id IS NOT NULL AND requested_by_id = responsible_id"
  }
}
table "history_grants" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "from_at" {
    null = true
    type = timestamptz
  }
  column "until_at" {
    null = true
    type = timestamptz
  }
  column "expires_at" {
    null = true
    type = timestamptz
  }
  column "ended_at" {
    null = true
    type = timestamptz
  }
  column "successor_id" {
    null = false
    type = uuid
  }
  column "leaver_id" {
    null = false
    type = uuid
  }
  column "contact_id" {
    null = true
    type = uuid
  }
  column "group_id" {
    null = true
    type = uuid
  }
  column "handover_id" {
    null = false
    type = uuid
  }
  column "transfer_id" {
    null = false
    type = uuid
  }
  column "ended_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "history_grants_members_successor" {
    columns     = [column.corp_id, column.successor_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_members_leaver" {
    columns     = [column.corp_id, column.leaver_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_contacts_contact" {
    columns     = [column.corp_id, column.contact_id]
    ref_columns = [table.contacts.column.corp_id, table.contacts.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_groups_group" {
    columns     = [column.corp_id, column.group_id]
    ref_columns = [table.groups.column.corp_id, table.groups.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_handovers_handover" {
    columns     = [column.corp_id, column.handover_id]
    ref_columns = [table.handovers.column.corp_id, table.handovers.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_transfers_transfer" {
    columns     = [column.corp_id, column.transfer_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "history_grants_transfers_ended_by" {
    columns     = [column.corp_id, column.ended_by_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  index "historygrant_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "historygrant_corp_id_successor_id_contact_id" {
    columns = [column.corp_id, column.successor_id, column.contact_id]
  }
  index "historygrant_corp_id_successor_id_group_id" {
    columns = [column.corp_id, column.successor_id, column.group_id]
  }
  index "historygrant_corp_id_leaver_id" {
    columns = [column.corp_id, column.leaver_id]
  }
  index "historygrant_corp_id_contact_id" {
    columns = [column.corp_id, column.contact_id]
  }
  index "historygrant_corp_id_group_id" {
    columns = [column.corp_id, column.group_id]
  }
  index "historygrant_corp_id_handover_id" {
    columns = [column.corp_id, column.handover_id]
  }
  index "historygrant_corp_id_transfer_id" {
    columns = [column.corp_id, column.transfer_id]
  }
  index "historygrant_corp_id_ended_by_id" {
    columns = [column.corp_id, column.ended_by_id]
  }
  check "history_grants_one" {
    expr = "(contact_id IS NULL) <> (group_id IS NULL)"
  }
}
table "leak_findings" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "kind" {
    null = false
    type = varchar
  }
  column "message_id" {
    null = true
    type = uuid
  }
  column "at" {
    null = false
    type = timestamptz
  }
  column "score" {
    null = false
    type = double_precision
  }
  column "why_en" {
    null = false
    type = varchar
  }
  column "why_zh" {
    null = false
    type = varchar
  }
  column "marks" {
    null = false
    type = jsonb
  }
  column "verdict" {
    null = true
    type = varchar
  }
  column "note" {
    null = true
    type = varchar
  }
  column "reviewed_at" {
    null = true
    type = timestamptz
  }
  column "member_id" {
    null = false
    type = uuid
  }
  column "contact_id" {
    null = true
    type = uuid
  }
  column "reviewed_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "leak_findings_members_member" {
    columns     = [column.corp_id, column.member_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "leak_findings_contacts_contact" {
    columns     = [column.corp_id, column.contact_id]
    ref_columns = [table.contacts.column.corp_id, table.contacts.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "leak_findings_members_reviewed_by" {
    columns     = [column.corp_id, column.reviewed_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "leakfinding_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "leakfinding_corp_id_message_id_kind" {
    unique  = true
    columns = [column.corp_id, column.message_id, column.kind]
    where   = "message_id IS NOT NULL"
  }
  index "leakfinding_corp_id_member_id_at_kind" {
    unique  = true
    columns = [column.corp_id, column.member_id, column.at, column.kind]
    where   = "message_id IS NULL"
  }
  index "leakfinding_corp_id_at_id" {
    columns = [column.corp_id, column.at, column.id]
  }
  index "leakfinding_corp_id_member_id_at_id" {
    columns = [column.corp_id, column.member_id, column.at, column.id]
  }
  index "leakfinding_corp_id_contact_id" {
    columns = [column.corp_id, column.contact_id]
  }
  index "leakfinding_corp_id_reviewed_by_id" {
    columns = [column.corp_id, column.reviewed_by_id]
  }
  check "leak_findings_reviewed" {
    expr = "(verdict IS NULL) = (reviewed_at IS NULL)"
  }
}
table "members" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "user_id" {
    null = false
    type = varchar
  }
  column "name" {
    null = false
    type = varchar
  }
  column "name_key" {
    null = false
    type = varchar
  }
  column "status" {
    null = false
    type = varchar
  }
  column "answers" {
    null = false
    type = boolean
  }
  column "customer_contact_enabled" {
    null    = false
    type    = boolean
    default = sql("true")
  }
  column "contact_limit" {
    null    = false
    type    = bigint
    default = sql("5000")
  }
  column "last_day" {
    null = true
    type = varchar
  }
  column "departed_at" {
    null = true
    type = timestamptz
  }
  column "departure_held_at" {
    null = true
    type = timestamptz
  }
  column "suspended" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "last_login_at" {
    null = true
    type = timestamptz
  }
  column "epoch" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "caretaker_id" {
    null = true
    type = uuid
  }
  column "departure_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "members_members_charges" {
    columns     = [column.corp_id, column.caretaker_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  foreign_key "members_members_departures" {
    columns     = [column.corp_id, column.departure_by_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  index "member_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "member_corp_id_user_id" {
    unique  = true
    columns = [column.corp_id, column.user_id]
    where   = "archived_at IS NULL"
  }
  index "member_corp_id_id_answers" {
    unique  = true
    columns = [column.corp_id, column.id, column.answers]
  }
  index "member_corp_id_name_key_id" {
    columns = [column.corp_id, column.name_key, column.id]
  }
  index "member_corp_id_status_id" {
    columns = [column.corp_id, column.status, column.id]
  }
  index "member_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "member_corp_id_updated_at_id" {
    columns = [column.corp_id, column.updated_at, column.id]
  }
  index "member_corp_id_caretaker_id" {
    columns = [column.corp_id, column.caretaker_id]
  }
  index "member_corp_id_departure_by_id" {
    columns = [column.corp_id, column.departure_by_id]
  }
  check "members_answers" {
    expr = "answers = (status IN ('ACTIVE', 'LEAVING'))"
  }
  check "members_suspended" {
    expr = "NOT suspended OR departure_held_at IS NOT NULL"
  }
}
table "messages" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "external_id" {
    null = false
    type = varchar
  }
  column "kind" {
    null = false
    type = varchar
  }
  column "sent_at" {
    null = false
    type = timestamptz
  }
  column "author_id" {
    null = true
    type = uuid
  }
  column "from_contact" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "member_id" {
    null = true
    type = uuid
  }
  column "contact_id" {
    null = true
    type = uuid
  }
  column "group_id" {
    null = true
    type = uuid
  }
  column "text" {
    null = true
    type = varchar
  }
  column "attachment" {
    null = true
    type = jsonb
  }
  primary_key {
    columns = [column.id]
  }
  index "message_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "message_corp_id_external_id" {
    columns = [column.corp_id, column.external_id]
  }
  index "message_corp_id_member_id_sent_at_id" {
    columns = [column.corp_id, column.member_id, column.sent_at, column.id]
  }
  index "message_corp_id_contact_id_sent_at_id" {
    columns = [column.corp_id, column.contact_id, column.sent_at, column.id]
  }
  index "message_corp_id_group_id_sent_at_id" {
    columns = [column.corp_id, column.group_id, column.sent_at, column.id]
  }
  index "message_corp_id_sent_at_id" {
    columns = [column.corp_id, column.sent_at, column.id]
  }
}
table "ownership_periods" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "from_at" {
    null = false
    type = timestamptz
  }
  column "until_at" {
    null = true
    type = timestamptz
  }
  column "contact_id" {
    null = true
    type = uuid
  }
  column "group_id" {
    null = true
    type = uuid
  }
  column "member_id" {
    null = false
    type = uuid
  }
  column "transfer_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "ownership_periods_contacts_contact" {
    columns     = [column.corp_id, column.contact_id]
    ref_columns = [table.contacts.column.corp_id, table.contacts.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "ownership_periods_groups_group" {
    columns     = [column.corp_id, column.group_id]
    ref_columns = [table.groups.column.corp_id, table.groups.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "ownership_periods_members_member" {
    columns     = [column.corp_id, column.member_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "ownership_periods_transfers_transfer" {
    columns     = [column.corp_id, column.transfer_id]
    ref_columns = [table.transfers.column.corp_id, table.transfers.column.id]
    on_delete   = RESTRICT
  }
  index "ownershipperiod_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "ownershipperiod_corp_id_contact_id_member_id" {
    unique  = true
    columns = [column.corp_id, column.contact_id, column.member_id]
    where   = "until_at IS NULL AND contact_id IS NOT NULL"
  }
  index "ownership_periods_open_group" {
    unique  = true
    columns = [column.corp_id, column.group_id]
    where   = "until_at IS NULL AND group_id IS NOT NULL"
  }
  index "ownershipperiod_corp_id_contact_id_from_at" {
    columns = [column.corp_id, column.contact_id, column.from_at]
  }
  index "ownershipperiod_corp_id_group_id_from_at" {
    columns = [column.corp_id, column.group_id, column.from_at]
  }
  index "ownershipperiod_corp_id_member_id" {
    columns = [column.corp_id, column.member_id]
  }
  index "ownershipperiod_corp_id_transfer_id" {
    columns = [column.corp_id, column.transfer_id]
  }
  check "ownership_periods_one" {
    expr = "(contact_id IS NULL) <> (group_id IS NULL)"
  }
}
table "review_items" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "rank" {
    null = false
    type = bigint
  }
  column "decision" {
    null = true
    type = varchar
  }
  column "decided_at" {
    null = true
    type = timestamptz
  }
  column "note" {
    null = true
    type = varchar
  }
  column "overdue_at" {
    null = true
    type = timestamptz
  }
  column "review_id" {
    null = false
    type = uuid
  }
  column "grant_id" {
    null = true
    type = uuid
  }
  column "member_id" {
    null = true
    type = uuid
  }
  column "token_id" {
    null = true
    type = uuid
  }
  column "decided_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "review_items_access_reviews_review" {
    columns     = [column.corp_id, column.review_id]
    ref_columns = [table.access_reviews.column.corp_id, table.access_reviews.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "review_items_grants_grant" {
    columns     = [column.corp_id, column.grant_id]
    ref_columns = [table.grants.column.corp_id, table.grants.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "review_items_members_member" {
    columns     = [column.corp_id, column.member_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "review_items_service_tokens_token" {
    columns     = [column.corp_id, column.token_id]
    ref_columns = [table.service_tokens.column.corp_id, table.service_tokens.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "review_items_members_decided_by" {
    columns     = [column.corp_id, column.decided_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "reviewitem_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "reviewitem_corp_id_review_id_rank_id" {
    columns = [column.corp_id, column.review_id, column.rank, column.id]
  }
  index "reviewitem_corp_id_grant_id_review_id" {
    unique  = true
    columns = [column.corp_id, column.grant_id, column.review_id]
  }
  index "reviewitem_corp_id_token_id_review_id" {
    unique  = true
    columns = [column.corp_id, column.token_id, column.review_id]
  }
  index "reviewitem_corp_id_member_id" {
    columns = [column.corp_id, column.member_id]
  }
  index "reviewitem_corp_id_decided_by_id" {
    columns = [column.corp_id, column.decided_by_id]
  }
  check "review_items_one" {
    expr = "(grant_id IS NOT NULL AND member_id IS NOT NULL AND token_id IS NULL) OR (grant_id IS NULL AND member_id IS NULL AND token_id IS NOT NULL)"
  }
}
table "roles" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "name" {
    null = false
    type = varchar
  }
  column "permissions" {
    null = false
    type = jsonb
  }
  column "sensitive" {
    null = false
    type = boolean
  }
  column "built_in" {
    null = false
    type = boolean
  }
  primary_key {
    columns = [column.id]
  }
  index "role_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "role_corp_id_name" {
    unique  = true
    columns = [column.corp_id, column.name]
    where   = "archived_at IS NULL"
  }
}
table "rule_sets" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "name" {
    null = false
    type = varchar
  }
  column "rules" {
    null = false
    type = json
  }
  column "automatic" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "history" {
    null = true
    type = json
  }
  column "fallback_id" {
    null = true
    type = uuid
  }
  column "department_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "rule_sets_members_fallback" {
    columns     = [column.corp_id, column.fallback_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "rule_sets_departments_department" {
    columns     = [column.corp_id, column.department_id]
    ref_columns = [table.departments.column.corp_id, table.departments.column.id]
    on_delete   = RESTRICT
  }
  index "ruleset_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "ruleset_corp_id_name" {
    unique  = true
    columns = [column.corp_id, column.name]
  }
  index "ruleset_corp_id_fallback_id" {
    columns = [column.corp_id, column.fallback_id]
  }
  index "ruleset_corp_id_department_id" {
    columns = [column.corp_id, column.department_id]
  }
  index "ruleset_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
}
table "service_tokens" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "name" {
    null = false
    type = varchar
  }
  column "permissions" {
    null = false
    type = jsonb
  }
  column "expires_at" {
    null = false
    type = timestamptz
  }
  column "last_used_at" {
    null = true
    type = timestamptz
  }
  column "revoked_at" {
    null = true
    type = timestamptz
  }
  column "secret_hash" {
    null = false
    type = bytea
  }
  column "department_id" {
    null = true
    type = uuid
  }
  column "created_by_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "service_tokens_departments_department" {
    columns     = [column.corp_id, column.department_id]
    ref_columns = [table.departments.column.corp_id, table.departments.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "service_tokens_members_created_by" {
    columns     = [column.corp_id, column.created_by_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  index "servicetoken_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "servicetoken_secret_hash" {
    unique  = true
    columns = [column.secret_hash]
  }
  index "servicetoken_corp_id_department_id" {
    columns = [column.corp_id, column.department_id]
  }
  index "servicetoken_corp_id_created_by_id" {
    columns = [column.corp_id, column.created_by_id]
  }
}
table "tags" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "external_id" {
    null = true
    type = varchar
  }
  column "group_name" {
    null    = false
    type    = varchar
    default = sql("''")
  }
  column "name" {
    null = false
    type = varchar
  }
  primary_key {
    columns = [column.id]
  }
  index "tag_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "tag_corp_id_name_group_name" {
    unique  = true
    columns = [column.corp_id, column.name, column.group_name]
  }
}
table "transfers" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "position" {
    null = false
    type = bigint
  }
  column "kind" {
    null = false
    type = varchar
  }
  column "status" {
    null    = false
    type    = varchar
    default = sql("'PLANNED'")
  }
  column "reason" {
    null = true
    type = varchar
  }
  column "detail" {
    null = true
    type = varchar
  }
  column "because" {
    null = true
    type = varchar
  }
  column "merged" {
    null    = false
    type    = boolean
    default = sql("false")
  }
  column "attempt" {
    null    = false
    type    = bigint
    default = sql("0")
  }
  column "expected_version" {
    null = false
    type = bigint
  }
  column "importance" {
    null    = false
    type    = varchar
    default = sql("'NORMAL'")
  }
  column "rule_index" {
    null = true
    type = bigint
  }
  column "undo" {
    null = true
    type = jsonb
  }
  column "assigned_at" {
    null = true
    type = timestamptz
  }
  column "auto_accept_at" {
    null = true
    type = timestamptz
  }
  column "finished_at" {
    null = true
    type = timestamptz
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "handover_id" {
    null = false
    type = uuid
  }
  column "contact_id" {
    null = true
    type = uuid
  }
  column "group_id" {
    null = true
    type = uuid
  }
  column "follow_id" {
    null = true
    type = uuid
  }
  column "from_id" {
    null = false
    type = uuid
  }
  column "to_id" {
    null = false
    type = uuid
  }
  column "rule_set_id" {
    null = true
    type = uuid
  }
  column "revert_of_id" {
    null = true
    type = uuid
  }
  column "from_department_id" {
    null = true
    type = uuid
  }
  column "to_department_id" {
    null = true
    type = uuid
  }
  primary_key {
    columns = [column.id]
  }
  foreign_key "transfers_handovers_handover" {
    columns     = [column.corp_id, column.handover_id]
    ref_columns = [table.handovers.column.corp_id, table.handovers.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_contacts_contact" {
    columns     = [column.corp_id, column.contact_id]
    ref_columns = [table.contacts.column.corp_id, table.contacts.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_groups_group" {
    columns     = [column.corp_id, column.group_id]
    ref_columns = [table.groups.column.corp_id, table.groups.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_follows_follow" {
    columns     = [column.corp_id, column.follow_id]
    ref_columns = [table.follows.column.corp_id, table.follows.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_members_from" {
    columns     = [column.corp_id, column.from_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_members_to" {
    columns     = [column.corp_id, column.to_id]
    ref_columns = [table.members.column.corp_id, table.members.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_rule_sets_rule_set" {
    columns     = [column.corp_id, column.rule_set_id]
    ref_columns = [table.rule_sets.column.corp_id, table.rule_sets.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_transfers_reversals" {
    columns     = [column.corp_id, column.revert_of_id]
    ref_columns = [column.corp_id, column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_departments_from_department" {
    columns     = [column.corp_id, column.from_department_id]
    ref_columns = [table.departments.column.corp_id, table.departments.column.id]
    on_delete   = RESTRICT
  }
  foreign_key "transfers_departments_to_department" {
    columns     = [column.corp_id, column.to_department_id]
    ref_columns = [table.departments.column.corp_id, table.departments.column.id]
    on_delete   = RESTRICT
  }
  index "transfer_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "transfer_corp_id_handover_id_position" {
    unique  = true
    columns = [column.corp_id, column.handover_id, column.position]
  }
  index "transfers_open_follow" {
    unique  = true
    columns = [column.corp_id, column.follow_id]
    where   = "status = 'WAITING'"
  }
  index "transfers_open_group" {
    unique  = true
    columns = [column.corp_id, column.group_id]
    where   = "status = 'WAITING'"
  }
  index "transfer_corp_id_follow_id" {
    columns = [column.corp_id, column.follow_id]
  }
  index "transfer_corp_id_contact_id_id" {
    columns = [column.corp_id, column.contact_id, column.id]
  }
  index "transfer_corp_id_group_id_id" {
    columns = [column.corp_id, column.group_id, column.id]
  }
  index "transfer_corp_id_from_id_id" {
    columns = [column.corp_id, column.from_id, column.id]
  }
  index "transfer_corp_id_to_id_id" {
    columns = [column.corp_id, column.to_id, column.id]
  }
  index "transfer_corp_id_status_id" {
    columns = [column.corp_id, column.status, column.id]
  }
  index "transfer_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
  index "transfer_corp_id_assigned_at_id" {
    columns = [column.corp_id, column.assigned_at, column.id]
  }
  index "transfer_corp_id_from_department_id" {
    columns = [column.corp_id, column.from_department_id]
  }
  index "transfer_corp_id_rule_set_id" {
    columns = [column.corp_id, column.rule_set_id]
  }
  index "transfer_corp_id_revert_of_id" {
    columns = [column.corp_id, column.revert_of_id]
  }
  index "transfer_corp_id_to_department_id" {
    columns = [column.corp_id, column.to_department_id]
  }
  check "transfers_one" {
    expr = "(kind = 'CONTACT' AND contact_id IS NOT NULL AND follow_id IS NOT NULL AND group_id IS NULL) OR (kind = 'GROUP' AND group_id IS NOT NULL AND contact_id IS NULL AND follow_id IS NULL)"
  }
}
table "webhooks" {
  schema = schema.public
  column "id" {
    null = false
    type = uuid
  }
  column "corp_id" {
    null = false
    type = uuid
  }
  column "created_at" {
    null = false
    type = timestamptz
  }
  column "version" {
    null    = false
    type    = bigint
    default = sql("1")
  }
  column "updated_at" {
    null = false
    type = timestamptz
  }
  column "archived_at" {
    null = true
    type = timestamptz
  }
  column "erased_at" {
    null = true
    type = timestamptz
  }
  column "name" {
    null = false
    type = varchar
  }
  column "url" {
    null = false
    type = varchar
  }
  column "events" {
    null = false
    type = jsonb
  }
  column "active" {
    null    = false
    type    = boolean
    default = sql("true")
  }
  column "secret" {
    null = false
    type = bytea
  }
  primary_key {
    columns = [column.id]
  }
  index "webhook_corp_id_id" {
    unique  = true
    columns = [column.corp_id, column.id]
  }
  index "webhook_corp_id_name" {
    unique  = true
    columns = [column.corp_id, column.name]
    where   = "archived_at IS NULL"
  }
  index "webhook_corp_id_created_at_id" {
    columns = [column.corp_id, column.created_at, column.id]
  }
}
schema "public" {
}
