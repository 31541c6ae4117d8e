package access

import (
	"slices"
	"testing"
)

// who may try what, by built-in role: a administrator, m manager, p approver,
// u auditor, r reporter, s staff.
var table = map[string]string{
	"Query.node": "ampurs", "Query.nodes": "ampurs", "Query.viewer": "ampurs",
	"Query.departments": "ampurs", "Query.members": "ampurs", "Query.contacts": "ampurs", "Query.groups": "ampurs",
	"Query.handovers": "ampurs", "Query.transfers": "ampurs", "Query.approvalPolicy": "ampurs", "Query.ruleSets": "ampurs", "Mutation.saveRuleSet": "a", "Query.roles": "ampurs",
	"Query.grants": "ampurs", "Query.previewHandover": "am", "Query.auditEntries": "au", "Query.checkpoint": "au", "Query.transferStatistics": "ampur", "Query.transferItems": "ampur",
	"Query.settings": "ampurs", "Query.messages": "ampurs", "Query.exports": "ampurs", "Mutation.createExport": "ampurs", "Query.leakFindings": "au", "Mutation.reviewLeakFinding": "au", "Subscription.handoverProgress": "ampurs",

	"Query.sessions": "ampurs", "Query.passkeyChallenge": "ampurs", "Mutation.signInWithPasskey": "ampurs", "Mutation.changePassword": "ampurs",
	"Mutation.enrolTotp": "ampurs", "Mutation.confirmTotp": "ampurs", "Mutation.removeTotp": "ampurs", "Mutation.renewRecoveryCodes": "ampurs",
	"Mutation.addPasskey": "ampurs", "Mutation.removePasskey": "ampurs", "Mutation.resetPassword": "a", "Mutation.resetAuthenticators": "a",
	"Mutation.revokeSession": "ampurs", "Mutation.revokeSessions": "ampurs",
	"Mutation.signIn": "ampurs", "Mutation.signOut": "ampurs", "Mutation.verifyIdentity": "ampurs",
	"Mutation.scheduleDeparture": "am", "Mutation.deactivateMember": "am", "Mutation.reinstateMember": "am",
	"Mutation.handOver": "am", "Mutation.createHandover": "am", "Mutation.replanHandover": "am", "Mutation.submitHandover": "am",
	"Mutation.approveHandover": "ap", "Mutation.rejectHandover": "ap", "Mutation.executeHandover": "am", "Mutation.retryTransfers": "am", "Mutation.revertHandover": "a",
	"Mutation.cancelHandover": "ampurs", "Mutation.updateContact": "ampurs", "Mutation.updateFollow": "ampurs", "Mutation.updateGroup": "ampurs",
	"Mutation.saveApprovalPolicy": "a", "Mutation.saveSettings": "a",
	"Query.pendingGrants": "a", "Query.identityProviders": "a", "Query.signInOptions": "ampurs", "Mutation.saveIdentityProvider": "a", "Mutation.deleteIdentityProvider": "a", "Mutation.saveDepartment": "a", "Mutation.saveRole": "a", "Mutation.deleteRole": "a", "Mutation.grantRole": "a", "Mutation.revokeGrant": "a", "Mutation.createServiceToken": "a", "Mutation.revokeServiceToken": "a",
	"Query.accessReviews": "au", "Mutation.startAccessReview": "a", "Mutation.decideReviewItem": "a",
	"Query.dataPolicies": "ampurs", "Mutation.publishDataPolicy": "a", "Mutation.withdrawDataPolicy": "a", "Mutation.acknowledgeDataPolicy": "ampurs",
	"Query.webhooks": "a", "Mutation.saveWebhook": "a", "Mutation.deleteWebhook": "a", "Mutation.replayDelivery": "a",
}

func TestRolesAndOperations(t *testing.T) {
	letters := "ampurs" // in the order of BuiltInRoles
	for operation, rule := range Operations {
		want, ok := table[operation]
		if !ok {
			t.Errorf("%s has no row in the role × operation table", operation)
			continue
		}
		got := ""
		for i, role := range BuiltInRoles {
			a := &Actor{Kind: Person, Grants: []Grant{{Permissions: role.Permissions}}}
			if rule.Allows(a) {
				got += letters[i : i+1]
			}
		}
		if got != want {
			t.Errorf("%s: allowed to %q, the table says %q", operation, got, want)
		}
		if rule.Allows(&Actor{Kind: Anonymous}) != rule.Open {
			t.Errorf("%s: nobody signed in, allowed %v", operation, !rule.Open)
		}
		token := &Actor{Kind: Token, Grants: []Grant{{Permissions: Permissions}}}
		if rule.Allows(token) == (rule.Person && !rule.Open) {
			t.Errorf("%s: a service token with every permission, allowed %v", operation, rule.Allows(token))
		}
	}
	if len(table) != len(Operations) {
		t.Errorf("the table has %d rows for %d operations", len(table), len(Operations))
	}
}

func TestNoTokenMayCarryWhatNeedsAProof(t *testing.T) {
	for _, p := range Permissions {
		if p.NeedsProof() && !p.ForPeopleOnly() {
			t.Errorf("%s needs a proof of identity and could be given to a service token", p)
		}
	}
	for name, r := range Operations {
		if r.StepUp && !r.Person {
			t.Errorf("%s needs a proof of identity, which no service token can give, and is not for people only", name)
		}
		for _, p := range r.Any {
			if !slices.Contains(Permissions, p) {
				t.Errorf("%s asks for %q, which is no permission", name, p)
			}
		}
	}
}
