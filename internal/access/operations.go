package access

import "slices"

// Rule says who may use one root field of the API. It is what can be said without
// looking at rows; which rows are reached is for scope, and the use cases check all
// of it again inside their transaction.
type Rule struct {
	// Open: nobody needs to be signed in.
	Open bool
	// Any are permissions of which one must be held somewhere; none: being signed in
	// is enough, and rows decide the rest.
	Any []Permission
	// StepUp: a fresh proof of identity is needed.
	StepUp bool
	// Person: not for service tokens.
	Person bool
}

var execute = []Permission{ExecuteResignedContacts, ExecuteResignedGroups, ExecuteOnJob}

// Operations has a row for every root field of the API; a test fails where one is
// missing or one too many.
var Operations = map[string]Rule{
	"Query.node":               {},
	"Query.nodes":              {},
	"Query.viewer":             {},
	"Query.departments":        {},
	"Query.members":            {},
	"Query.contacts":           {},
	"Query.groups":             {},
	"Query.handovers":          {},
	"Query.transfers":          {},
	"Query.previewHandover":    {Any: []Permission{PlanHandover}},
	"Query.approvalPolicy":     {},
	"Query.ruleSets":           {},
	"Query.roles":              {},
	"Query.grants":             {},
	"Query.serviceTokens":      {Any: []Permission{ManageTokens, ReviewAccess, ReadAuditLog}, Person: true},
	"Query.historyGrants":      {}, // the successor's own, without a permission
	"Query.auditEntries":       {Any: []Permission{ReadAuditLog}},
	"Query.checkpoint":         {Any: []Permission{ReadAuditLog}},
	"Query.transferStatistics": {Any: []Permission{ViewStatistics}},
	"Query.webhooks":           {Any: []Permission{ManageConnector}, Person: true},
	"Query.transferItems":      {Any: []Permission{ViewStatistics}},
	"Query.settings":           {},
	"Query.messages":           {Person: true},
	"Query.identityProviders":  {Any: []Permission{ManageRoles}, Person: true},
	"Query.signInOptions":      {Open: true},
	"Query.pendingGrants":      {Any: []Permission{ManageRoles}, Person: true},
	"Query.pendingChanges":     {Any: []Permission{ManagePolicies, ManageRoles, ManageTokens, ManageConnector}, Person: true},
	"Query.leakFindings":       {Any: []Permission{AuditChats}, Person: true},
	"Query.exports":            {Person: true},
	"Query.accessReviews":      {Any: []Permission{ReviewAccess, ReadAuditLog}},
	"Query.dataPolicies":       {},
	"Query.noticeChanges":      {Any: []Permission{ViewContacts}},

	"Subscription.handoverProgress": {},

	"Mutation.signIn":                 {Open: true},
	"Mutation.signOut":                {Person: true},
	"Mutation.verifyIdentity":         {Person: true},
	"Mutation.scheduleDeparture":      {Any: []Permission{DeactivateMember}, Person: true},
	"Mutation.deactivateMember":       {Any: []Permission{DeactivateMember}, Person: true}, // a proof where access is taken that others rely on
	"Mutation.reinstateMember":        {Any: []Permission{DeactivateMember}, StepUp: true, Person: true},
	"Mutation.confirmDepartures":      {Any: []Permission{DeactivateMember}, StepUp: true, Person: true},
	"Mutation.dismissDepartures":      {Any: []Permission{DeactivateMember}, StepUp: true, Person: true},
	"Mutation.restoreBaseline":        {StepUp: true, Person: true}, // MANAGE_CONTACTS, which tokens may have for other operations
	"Mutation.handOver":               {Any: execute, StepUp: true, Person: true},
	"Mutation.createHandover":         {Any: []Permission{PlanHandover}},
	"Mutation.replanHandover":         {Any: []Permission{PlanHandover}},
	"Mutation.submitHandover":         {Any: []Permission{PlanHandover}},
	"Mutation.approveHandover":        {Any: []Permission{ApproveHandover}, StepUp: true, Person: true},
	"Mutation.rejectHandover":         {Any: []Permission{ApproveHandover}, StepUp: true, Person: true},
	"Mutation.executeHandover":        {Any: execute, StepUp: true, Person: true},
	"Mutation.cancelHandover":         {}, // the requester may always take the case back
	"Mutation.retryTransfers":         {Any: append(slices.Clone(execute), RevertHandover), StepUp: true, Person: true},
	"Mutation.revertHandover":         {Any: []Permission{RevertHandover}, StepUp: true, Person: true},
	"Mutation.saveRuleSet":            {Any: []Permission{ManageRules}, StepUp: true, Person: true},
	"Mutation.updateContact":          {}, // who follows the contact may, without a permission
	"Mutation.updateFollow":           {}, // so may the follower
	"Mutation.updateGroup":            {}, // and the owner
	"Mutation.saveApprovalPolicy":     {Any: []Permission{ManagePolicies}, StepUp: true, Person: true},
	"Mutation.saveSettings":           {Any: []Permission{ManagePolicies}, StepUp: true, Person: true},
	"Mutation.saveDepartment":         {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.saveRole":               {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.saveIdentityProvider":   {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.deleteIdentityProvider": {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.linkIdentity":           {StepUp: true, Person: true}, // one's own
	"Mutation.withdrawPendingChange":  {Person: true},               // who asked for it, without a permission
	"Mutation.deleteRole":             {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.grantRole":              {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.revokeGrant":            {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.createServiceToken":     {Any: []Permission{ManageTokens}, StepUp: true, Person: true},
	"Mutation.revokeServiceToken":     {Any: []Permission{ManageTokens}, StepUp: true, Person: true},
	"Mutation.reviewLeakFinding":      {Any: []Permission{AuditChats}, Person: true},
	"Mutation.createExport":           {StepUp: true, Person: true}, // the subject says which permission
	"Mutation.saveWebhook":            {Any: []Permission{ManageConnector}, StepUp: true, Person: true},
	"Mutation.deleteWebhook":          {Any: []Permission{ManageConnector}, StepUp: true, Person: true},
	"Mutation.replayDelivery":         {Any: []Permission{ManageConnector}, StepUp: true, Person: true},

	"Query.sessions":               {Person: true},
	"Query.passkeyChallenge":       {Open: true}, // it asks who is there where that matters
	"Mutation.signInWithPasskey":   {Open: true},
	"Mutation.changePassword":      {Person: true},
	"Mutation.enrolTotp":           {Person: true}, // with the password instead, where there is no proof yet
	"Mutation.confirmTotp":         {Person: true},
	"Mutation.removeTotp":          {StepUp: true, Person: true},
	"Mutation.renewRecoveryCodes":  {StepUp: true, Person: true},
	"Mutation.addPasskey":          {Person: true}, // like enrolTotp
	"Mutation.removePasskey":       {StepUp: true, Person: true},
	"Mutation.resetPassword":       {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.resetAuthenticators": {Any: []Permission{ManageRoles}, StepUp: true, Person: true},
	"Mutation.revokeSession":       {Person: true}, // one's own, without a permission
	"Mutation.revokeSessions":      {Person: true},

	"Mutation.revokeHistoryGrant":    {Any: []Permission{AuditChats, ManageRoles}, StepUp: true, Person: true},
	"Mutation.startAccessReview":     {Any: []Permission{ReviewAccess}, StepUp: true, Person: true},
	"Mutation.decideReviewItem":      {Any: []Permission{ReviewAccess}, StepUp: true, Person: true},
	"Mutation.publishDataPolicy":     {Any: []Permission{ManagePolicies}, StepUp: true, Person: true},
	"Mutation.withdrawDataPolicy":    {Any: []Permission{ManagePolicies}, StepUp: true, Person: true},
	"Mutation.acknowledgeDataPolicy": {Person: true},
}

// Allows reports whether the rule lets the actor try. A step-up that is still to
// come is no obstacle: it can be made.
func (r Rule) Allows(a *Actor) bool {
	switch {
	case r.Open:
		return true
	case !a.SignedIn(), r.Person && a.Kind == Token:
		return false
	}
	return len(r.Any) == 0 || a.Can(r.Any...)
}

// NeedsProof reports whether any operation that p allows needs a fresh proof of
// identity.
func (p Permission) NeedsProof() bool {
	for _, r := range Operations {
		if r.StepUp && slices.Contains(r.Any, p) {
			return true
		}
	}
	return false
}
