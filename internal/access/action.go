package access

// Action names what an audit entry records: noun.verb. This is the one list; the
// names are part of the log's format and are never changed, only added to.
type Action string

// The actions.
const (
	CorpCreate       Action = "corp.create"
	CorpImport       Action = "corp.import"
	AdminCreate      Action = "admin.create"
	MemberDeactivate Action = "member.deactivate"
	MemberReinstate  Action = "member.reinstate"
	MemberCreate     Action = "member.create"
	MemberUpdate     Action = "member.update"
	ContactUpdate    Action = "contact.update"
	FollowUpdate     Action = "follow.update"
	GroupUpdate      Action = "group.update"
	HandoverCreate   Action = "handover.create"
	HandoverReplan   Action = "handover.replan"
	HandoverSubmit   Action = "handover.submit"
	HandoverApprove  Action = "handover.approve"
	HandoverReject   Action = "handover.reject"
	HandoverExpire   Action = "handover.expire"
	HandoverExecute  Action = "handover.execute"
	HandoverFinish   Action = "handover.finish"
	HandoverCancel   Action = "handover.cancel"
	HandoverSchedule Action = "handover.schedule"
	HandoverHold     Action = "handover.hold"
	HandoverRetry    Action = "handover.retry"
	HandoverRevert   Action = "handover.revert"
	TransferFinish   Action = "transfer.finish"
	DepartureSet     Action = "departure.schedule"
	DepartureHold    Action = "departure.hold"
	NoticeRestore    Action = "notice.restore"
	NoticeRead       Action = "notice.read"
	RuleSetSave      Action = "rule_set.save"
	PolicySave       Action = "approval_policy.save"
	SettingsSave     Action = "settings.save"
	CheckpointKey    Action = "checkpoint.key"
	CheckpointAccept Action = "checkpoint.accept"
	PersonErase      Action = "person.erase"
	EvidenceExport   Action = "evidence.export"
	ExportCreate     Action = "export.create"
	ExportStart      Action = "export.start"
	ExportFinish     Action = "export.finish"
	ExportDownload   Action = "export.download"
	ExportExpire     Action = "export.expire"
	HistoryRead      Action = "history.read"
	ChatSearch       Action = "chat.search"
	HistoryRevoke    Action = "history.revoke"
	FindingSave      Action = "finding.save"
	FindingReview    Action = "finding.review"
	FindingRead      Action = "finding.read"
	MessageExpire    Action = "message.expire"
	BackupCreate     Action = "backup.create"
	BackupDelete     Action = "backup.delete"
	BackupRestore    Action = "backup.restore"
	ReaderGrant      Action = "bi.grant"
	ReaderRevoke     Action = "bi.revoke"
	WebhookSave      Action = "webhook.save"
	WebhookDelete    Action = "webhook.delete"
	DeliveryReplay   Action = "delivery.replay"
	DepartmentSave   Action = "department.save"
	DepartmentPeople Action = "department.members"
	RoleSave         Action = "role.save"
	RoleDelete       Action = "role.delete"
	GrantCreate      Action = "grant.create"
	GrantRequest     Action = "grant.request"
	GrantRevoke      Action = "grant.revoke"
	ReviewOpen       Action = "review.open"
	ReviewDecide     Action = "review.decide"
	ReviewClose      Action = "review.close"
	PolicyPublish    Action = "data_policy.publish"
	PolicyWithdraw   Action = "data_policy.withdraw"
	PolicyAck        Action = "data_policy.acknowledge"
	TokenCreate      Action = "token.create"
	TokenRevoke      Action = "token.revoke"
	SessionStart     Action = "session.start"
	SessionEnd       Action = "session.end"
	SessionVerify    Action = "session.verify"
	SessionFail      Action = "session.fail"
	CredentialSet    Action = "credential.set"
	SessionRevoke    Action = "session.revoke"
	CredentialEnrol  Action = "credential.enrol"
	CredentialBegin  Action = "credential.begin"
	CredentialRemove Action = "credential.remove"
	CredentialRenew  Action = "credential.renew"
	CredentialReset  Action = "credential.reset"
	ProviderSave     Action = "provider.save"
	ProviderDelete   Action = "provider.delete"
	IdentityLink     Action = "identity.link"
	ChangeRequest    Action = "change.request"
	ChangeWithdraw   Action = "change.withdraw"
	SecretsRotate    Action = "secrets.rotate"
	AccessDeny       Action = "access.deny"
)

// Actions lists all of them.
var Actions = []Action{
	CorpCreate, CorpImport, AdminCreate, MemberDeactivate, MemberReinstate, MemberCreate, MemberUpdate, ContactUpdate, FollowUpdate, GroupUpdate,
	HandoverCreate, HandoverReplan, HandoverSubmit, HandoverApprove, HandoverReject, HandoverExpire, HandoverExecute,
	HandoverFinish, HandoverCancel, TransferFinish, DepartmentSave, DepartmentPeople, RoleSave, RoleDelete, GrantRequest, GrantCreate, GrantRevoke, TokenCreate, TokenRevoke,
	HandoverSchedule, HandoverHold, HandoverRetry, HandoverRevert, DepartureSet, DepartureHold, NoticeRestore, NoticeRead,
	RuleSetSave, PolicySave, SettingsSave, CheckpointKey, CheckpointAccept, PersonErase, EvidenceExport, ExportCreate, ExportStart, ExportFinish,
	ExportDownload, ExportExpire,
	HistoryRead, ChatSearch, HistoryRevoke,
	FindingSave, FindingReview, FindingRead, MessageExpire,
	ReviewOpen, ReviewDecide, ReviewClose, PolicyPublish, PolicyWithdraw, PolicyAck,
	BackupCreate, BackupDelete, BackupRestore, ReaderGrant, ReaderRevoke, WebhookSave, WebhookDelete, DeliveryReplay,
	SessionStart, SessionEnd, SessionVerify, SessionFail, SessionRevoke, CredentialSet, CredentialEnrol,
	CredentialBegin, CredentialRemove, CredentialRenew, CredentialReset, ProviderSave, ProviderDelete, IdentityLink,
	ChangeRequest, ChangeWithdraw, SecretsRotate, AccessDeny,
}
