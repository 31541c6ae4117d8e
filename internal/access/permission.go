// Package access says who acts and what they may do. It decides nothing about
// rows: it holds the words (permissions, roles, operations) and the pure rules on
// them, and everything else asks it.
package access

import "slices"

// Permission is one thing a role allows. The names are the API's enum values.
type Permission string

// The permissions.
const (
	ViewContacts            Permission = "VIEW_CONTACTS"
	ManageContacts          Permission = "MANAGE_CONTACTS"
	ExportContacts          Permission = "EXPORT_CONTACTS"
	ViewGroups              Permission = "VIEW_GROUPS"
	ManageGroups            Permission = "MANAGE_GROUPS"
	ExportGroups            Permission = "EXPORT_GROUPS"
	ManageTags              Permission = "MANAGE_TAGS"
	PlanHandover            Permission = "PLAN_HANDOVER"
	ExecuteResignedContacts Permission = "EXECUTE_RESIGNED_CONTACTS"
	ExecuteResignedGroups   Permission = "EXECUTE_RESIGNED_GROUPS"
	ExecuteOnJob            Permission = "EXECUTE_ON_JOB"
	ApproveHandover         Permission = "APPROVE_HANDOVER"
	RevertHandover          Permission = "REVERT_HANDOVER"
	DeactivateMember        Permission = "DEACTIVATE_MEMBER"
	ReadInheritedHistory    Permission = "READ_INHERITED_HISTORY"
	AuditChats              Permission = "AUDIT_CHATS"
	ViewStatistics          Permission = "VIEW_STATISTICS"
	ReadAuditLog            Permission = "READ_AUDIT_LOG"
	ManageRules             Permission = "MANAGE_RULES"
	ManageRoles             Permission = "MANAGE_ROLES"
	ReviewAccess            Permission = "REVIEW_ACCESS"
	ManagePolicies          Permission = "MANAGE_POLICIES"
	ManageTokens            Permission = "MANAGE_TOKENS"
	ManageConnector         Permission = "MANAGE_CONNECTOR"
	// ProvisionMembers is for the token of an identity provider: tokens cannot have
	// DEACTIVATE_MEMBER, which also takes people back and confirms mass departures.
	ProvisionMembers Permission = "PROVISION_MEMBERS"
)

// Permissions lists all of them, in the order of the API.
var Permissions = []Permission{
	ViewContacts, ManageContacts, ExportContacts, ViewGroups, ManageGroups, ExportGroups, ManageTags,
	PlanHandover, ExecuteResignedContacts, ExecuteResignedGroups, ExecuteOnJob, ApproveHandover, RevertHandover,
	DeactivateMember, ReadInheritedHistory, AuditChats, ViewStatistics, ReadAuditLog, ManageRules, ManageRoles,
	ReviewAccess, ManagePolicies, ManageTokens, ManageConnector, ProvisionMembers,
}

// Known reports whether p is one of ours.
func (p Permission) Known() bool { return slices.Contains(Permissions, p) }

// sensitive permissions move customers, let data out or change who may do so:
// roles with one are listed first in an access review.
var sensitive = []Permission{
	ExportContacts, ExportGroups, ExecuteResignedContacts, ExecuteResignedGroups, ExecuteOnJob, ApproveHandover,
	RevertHandover, DeactivateMember, AuditChats, ManageRoles, ManagePolicies, ManageTokens, ManageConnector,
	ProvisionMembers,
}

// Sensitive reports whether a role with these permissions needs regular review.
func Sensitive(ps []Permission) bool {
	return slices.ContainsFunc(ps, func(p Permission) bool { return slices.Contains(sensitive, p) })
}

// personal permissions need a fresh proof of identity in use, which a service
// token cannot give (semantics.md): no token may carry them.
var personal = []Permission{
	ExportContacts, ExportGroups, ExecuteResignedContacts, ExecuteResignedGroups, ExecuteOnJob, ApproveHandover,
	RevertHandover, DeactivateMember, AuditChats, ManageRules, ManageRoles, ManagePolicies, ManageTokens, ReviewAccess, ManageConnector,
}

// ForPeopleOnly reports whether p cannot be given to a service token.
func (p Permission) ForPeopleOnly() bool { return slices.Contains(personal, p) }

// BuiltIn is a role every corp has from the start. It cannot be changed.
type BuiltIn struct {
	Name        string
	Permissions []Permission
}

// The built-in roles.
var (
	Administrator = BuiltIn{"administrator", Permissions}
	Manager       = BuiltIn{"manager", []Permission{
		ViewContacts, ManageContacts, ViewGroups, ManageGroups, ManageTags, PlanHandover, ExecuteResignedContacts,
		ExecuteResignedGroups, ExecuteOnJob, DeactivateMember, ReadInheritedHistory, ViewStatistics,
	}}
	Approver = BuiltIn{"approver", []Permission{ViewContacts, ViewGroups, ApproveHandover, ViewStatistics}}
	Auditor  = BuiltIn{"auditor", []Permission{ViewContacts, ViewGroups, AuditChats, ViewStatistics, ReadAuditLog}}
	Reporter = BuiltIn{"reporter", []Permission{ViewStatistics}}
	Staff    = BuiltIn{"member", []Permission{ReadInheritedHistory}}
)

// BuiltInRoles lists them in the order in which they are shown.
var BuiltInRoles = []BuiltIn{Administrator, Manager, Approver, Auditor, Reporter, Staff}
