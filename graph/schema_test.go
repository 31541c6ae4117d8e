package graph

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/parser"

	"github.com/openhandover/openhandover/graph/generated"
	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/webhook"
)

func served() *ast.Schema { return generated.NewExecutableSchema(generated.Config{}).Schema() }

// ours are the types that we define ourselves, by name.
func ours() []*ast.Definition {
	var out []*ast.Definition
	for _, d := range served().Types {
		if !d.BuiltIn && !strings.HasPrefix(d.Name, "__") {
			out = append(out, d)
		}
	}
	slices.SortFunc(out, func(a, b *ast.Definition) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func TestPrintedSchemaIsCurrent(t *testing.T) {
	const file = "../docs/schema.graphql"
	got := SDL()
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s is not the served schema; run go test ./graph -update and read the difference", file)
	}
}

func TestEverythingIsDescribed(t *testing.T) {
	described := func(name, text string) {
		if len(strings.Fields(text)) == 0 || !strings.HasSuffix(strings.TrimSpace(text), ".") {
			t.Errorf("%s has no description that ends in a full stop: %q", name, text)
		}
	}
	for _, d := range ours() {
		described(d.Name, d.Description)
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			described(d.Name+"."+f.Name, f.Description)
			for _, a := range f.Arguments {
				described(d.Name+"."+f.Name+"("+a.Name+":)", a.Description)
			}
		}
		for _, v := range d.EnumValues {
			described(d.Name+"."+v.Name, v.Description)
		}
	}
}

// added is what the served schema has beyond the contract's letter: the connections,
// edges and orders that the contract spells out once for Contact, and fields that a
// client would expect.
var added = []string{
	"Member.createdAt", "Member.updatedAt", "Contact.createdAt", "Contact.updatedAt", "Group.createdAt", "Group.updatedAt",
	"Follow.endedAt", "RuleSet.createdAt", "RuleSet.updatedAt", "RuleSetConnection", "RuleSetEdge", "Handover.executedBy", "Handover.holdReason", "Handover.resumeAt", "Handover.cancelRequestedAt",
	"HandoverPreview.forecast", "Forecast", "Handover.outcomes", "AuditEntry.leaf", "Checkpoint.inclusionProof", "Checkpoint.consistencyProof", "HistoryGrant.endedAt", "MessageConnection", "MessageEdge", "TransferOutcome", "ForecastShare", "TransferReason.NOT_PERMITTED", "TransferReason.UNEXPECTED", "TransferReason.SUCCESSOR_CANNOT_READ", "HandoverPreview.historyUntil", "Handover.submittedAt", "Handover.updatedAt", "Transfer.createdAt", "Grant.createdAt", "Grant.revokedAt",
	"ServiceToken.department", "ServiceToken.revokedAt", "TransferStatisticsRow.fromDepartment", "TransferStatisticsRow.fromDepartmentId",
	"DepartmentConnection", "DepartmentEdge", "MemberConnection", "MemberEdge", "GroupConnection", "GroupEdge",
	"HandoverConnection", "HandoverEdge", "TransferConnection", "TransferEdge", "RoleConnection", "RoleEdge",
	"GrantConnection", "GrantEdge", "AuditEntryConnection", "AuditEntryEdge", "PlanItemConnection", "PlanItemEdge",
	"MemberOrder", "MemberOrderField", "GroupOrder", "GroupOrderField", "HandoverOrder", "HandoverOrderField",
	"TransferOrder", "TransferOrderField",
	"Mutation.reviewLeakFinding", "ReviewLeakFindingInput", "ReviewLeakFindingPayload", "LeakVerdict", "LeakMark", "LeakFindingConnection", "LeakFindingEdge",
	"LeakFinding.at", "LeakFinding.why", "LeakFinding.marks", "LeakFinding.verdict", "LeakFinding.note", "LeakFinding.reviewedBy", "LeakFinding.reviewedAt",
	"LeakFinding.version", "LeakFindingFilter.reviewed", "CompanyOwn", "CompanyOwnInput",
	"Mutation.saveDepartment", "SaveDepartmentInput", "SaveDepartmentPayload", "Department.version", "Query.pendingGrants", "DualControlOff", "Query.identityProviders", "Query.signInOptions", "IdentityProvider", "SignInOption", "MemberMatch", "Mutation.saveIdentityProvider", "Mutation.deleteIdentityProvider", "SaveIdentityProviderInput", "SaveIdentityProviderPayload", "DeleteIdentityProviderInput", "DeleteIdentityProviderPayload", "PendingGrant", "GrantRolePayload.pending", "Mutation.saveRole", "Mutation.deleteRole", "SaveRoleInput", "SaveRolePayload", "DeleteRoleInput", "DeleteRolePayload",
	"Query.webhooks", "Mutation.saveWebhook", "Mutation.deleteWebhook", "Mutation.replayDelivery",
	"Webhook", "WebhookConnection", "WebhookEdge", "WebhookDelivery", "WebhookDeliveryConnection", "WebhookDeliveryEdge",
	"WebhookDeliveryState", "WebhookProblem", "SaveWebhookInput", "SaveWebhookPayload", "DeleteWebhookInput", "DeleteWebhookPayload",
	"ReplayDeliveryInput", "ReplayDeliveryPayload",
	"Query.transferItems", "TransferItem", "TransferItemConnection", "TransferItemEdge",
	"Query.exports", "ExportConnection", "ExportEdge", "ExportProblem", "Export.format", "Export.handover", "Export.total", "Export.size", "Export.problem", "Export.createdAt", "Export.finishedAt",
	"AccessReview.overdue", "AccessReview.undecided", "AccessReview.startedBy", "AccessReview.month", "AccessReview.createdAt", "ReviewItem.overdueAt",
	"AccessReviewConnection", "AccessReviewEdge", "ReviewItemConnection", "ReviewItemEdge",
	"Mutation.publishDataPolicy", "PublishDataPolicyInput", "PublishDataPolicyPayload", "Mutation.withdrawDataPolicy", "WithdrawDataPolicyInput", "WithdrawDataPolicyPayload",
	"DataPolicy.publishedBy", "DataPolicy.endedAt", "DataPolicy.acknowledgedAt", "DataPolicy.outstandingMembers", "DataPolicyConnection", "DataPolicyEdge",
	"Query.pendingChanges", "PendingChange", "Mutation.withdrawPendingChange", "WithdrawPendingChangeInput", "WithdrawPendingChangePayload",
	"SaveApprovalPolicyPayload.pending", "HandoverPreview.approvalReasons", "ApprovalPolicy.earlier", "EarlierPolicy", "CreateServiceTokenPayload.pending",
	"Mutation.linkIdentity", "LinkIdentityInput", "LinkIdentityPayload",
	"Query.settings", "Mutation.saveSettings", "Settings", "SaveSettingsInput", "SaveSettingsPayload", "SaveApprovalPolicyPayload.warnings",
	"Query.sessions", "Session", "SessionConnection", "SessionEdge", "SessionFilter", "SignInMethod", "Viewer.credentials", "Credentials", "Passkey",
	"Query.passkeyChallenge", "PasskeyPurpose", "PasskeyChallenge", "PasskeyAnswerInput", "SignInInput.newPassword", "VerifyIdentityInput.recoveryCode", "VerifyIdentityInput.passkey",
	"Mutation.signInWithPasskey", "SignInWithPasskeyInput", "SignInWithPasskeyPayload", "Mutation.changePassword", "ChangePasswordInput", "ChangePasswordPayload",
	"Mutation.enrolTotp", "EnrolTotpInput", "EnrolTotpPayload", "Mutation.confirmTotp", "ConfirmTotpInput", "ConfirmTotpPayload", "Mutation.removeTotp", "RemoveTotpPayload",
	"Mutation.renewRecoveryCodes", "RenewRecoveryCodesPayload", "Mutation.addPasskey", "AddPasskeyInput", "AddPasskeyPayload", "Mutation.removePasskey", "RemovePasskeyInput", "RemovePasskeyPayload",
	"Mutation.resetPassword", "ResetPasswordInput", "ResetPasswordPayload", "Mutation.resetAuthenticators", "ResetAuthenticatorsInput", "ResetAuthenticatorsPayload",
	"Mutation.revokeSession", "RevokeSessionInput", "RevokeSessionPayload", "Mutation.revokeSessions", "RevokeSessionsInput", "RevokeSessionsPayload",
	"Handover.formerKeyContacts", "HandoverPreview.formerKeyContacts", "FormerKeyContacts", "FormerKeyContact", "HandoverPreview.history", "HandoverPreview.startAt",
	"PlanProblem.executableFrom", "SuccessorLoad.promised", "TransferReason.LEAVER_STATUS", "RuleSet.department", "RuleSet.history", "RuleSetHistory", "RuleSetHistoryInput",
	"SaveRuleSetInput.departmentId", "SaveRuleSetInput.history", "SaveRuleSetInput.message",
	"Query.serviceTokens", "ServiceToken.effectivePermissions", "ServiceToken.reduced", "ServiceToken.createdBy", "ServiceToken.createdAt", "ServiceTokenFilter", "ServiceTokenConnection", "ServiceTokenEdge",
	"AccessReview.tokenItems", "TokenReviewItem", "TokenReviewItemConnection", "TokenReviewItemEdge", "DecideReviewItemPayload.tokenItem",
	"Query.historyGrants", "Mutation.revokeHistoryGrant", "HistoryGrant.leaver", "HistoryGrantFilter", "HistoryGrantConnection", "HistoryGrantEdge", "RevokeHistoryGrantInput", "RevokeHistoryGrantPayload",
	"Viewer.historyGrants", "Viewer.readReceipts", "ReadReceipt", "ReadReceiptConnection", "ReadReceiptEdge", "AuditFilter.chatOf",
	"Permission.PROVISION_MEMBERS", "Member.departureHeldAt", "MemberFilter.departureHeld", "DeactivateMemberInput.confirmMassDeparture",
	"DeactivateMemberPayload.held", "Member.departureBy", "Mutation.confirmDepartures", "Mutation.dismissDepartures", "ConfirmDeparturesInput", "DismissDeparturesInput",
	"DecideDeparturesPayload", "DepartureDecision", "DepartureOutcome", "Query.noticeChanges", "NoticeChange", "NoticeChangeConnection", "NoticeChangeEdge", "NoticeField",
	"Mutation.restoreBaseline", "RestoreBaselineInput", "RestoreBaselinePayload", "NoticeChangeInput", "NoticeOutcome", "NoticeRestored", "LeakKind.READING_BEFORE_LEAVING",
}

func TestServedSchemaIsASubsetOfTheContract(t *testing.T) {
	text, err := os.ReadFile("testdata/contract.graphql")
	if err != nil {
		t.Fatal(err)
	}
	contract, err := parser.ParseSchema(&ast.Source{Name: "contract.graphql", Input: string(text)})
	if err != nil {
		t.Fatal(err)
	}
	extra := map[string]bool{}
	same := func(name, got, want string) {
		if got != want {
			t.Errorf("%s is %s, the contract says %s", name, got, want)
		}
	}
	for _, d := range ours() {
		c := contract.Definitions.ForName(d.Name)
		if c == nil {
			extra[d.Name] = true
			continue
		}
		same(d.Name, string(d.Kind), string(c.Kind))
		same(d.Name+" implements", strings.Join(d.Interfaces, " "), strings.Join(c.Interfaces, " "))
		for _, f := range d.Fields {
			if strings.HasPrefix(f.Name, "__") {
				continue
			}
			name := d.Name + "." + f.Name
			cf := c.Fields.ForName(f.Name)
			if cf == nil {
				extra[name] = true
				continue
			}
			same(name, f.Type.String()+" = "+f.DefaultValue.String(), cf.Type.String()+" = "+cf.DefaultValue.String())
			for _, a := range f.Arguments {
				ca := cf.Arguments.ForName(a.Name)
				if ca == nil {
					extra[name+"("+a.Name+":)"] = true
					continue
				}
				same(name+"("+a.Name+":)", a.Type.String()+" = "+a.DefaultValue.String(), ca.Type.String()+" = "+ca.DefaultValue.String())
			}
			for _, ca := range cf.Arguments {
				if ca.Type.NonNull && ca.DefaultValue == nil && f.Arguments.ForName(ca.Name) == nil {
					t.Errorf("%s lacks the argument %s, which the contract requires", name, ca.Name)
				}
			}
		}
		for _, v := range d.EnumValues {
			if c.EnumValues.ForName(v.Name) == nil {
				extra[d.Name+"."+v.Name] = true
			}
		}
	}
	for _, name := range added {
		if !extra[name] {
			t.Errorf("%s is listed as an addition and is none", name)
		}
		delete(extra, name)
	}
	for name := range extra {
		t.Errorf("%s is not in the contract and not listed as an addition", name)
	}
}

func TestEnumsOfTheDomainAreServedWhole(t *testing.T) {
	values := served().Types["Permission"].EnumValues
	if len(values) != len(access.Permissions) {
		t.Fatalf("the schema has %d permissions, the domain %d", len(values), len(access.Permissions))
	}
	for i, p := range access.Permissions {
		if values[i].Name != string(p) {
			t.Errorf("permission %d is %s in the schema and %s in the domain", i, values[i].Name, p)
		}
	}
}

func TestProblemsOfWebhooksAreServedWhole(t *testing.T) {
	var got []webhook.Problem
	for _, v := range served().Types["WebhookProblem"].EnumValues {
		got = append(got, webhook.Problem(v.Name))
	}
	if !slices.Equal(got, webhook.Problems) {
		t.Errorf("the schema has %v, the domain %v", got, webhook.Problems)
	}
}

// provesByItself are mutations that take a secret, or, in place of a proof, the password.
var provesByItself = []string{"signInWithPasskey", "changePassword", "enrolTotp", "confirmTotp", "addPasskey"}

func TestEveryRootFieldHasARule(t *testing.T) {
	if err := (authorizer{}).Validate(generated.NewExecutableSchema(generated.Config{})); err != nil {
		t.Error(err)
	}
	for name := range access.Operations {
		root, field, _ := strings.Cut(name, ".")
		if d := served().Types[root]; d == nil || d.Fields.ForName(field) == nil {
			t.Errorf("access.Operations has a rule for %s, which the schema does not serve", name)
		}
	}
	for name, rule := range access.Operations {
		if field, ok := strings.CutPrefix(name, "Mutation."); ok && rule.StepUp && !slices.Contains(standAlone, field) {
			t.Errorf("%s needs a fresh proof of identity, but need not stand alone", field)
		}
	}
	for _, name := range provesByItself {
		if !slices.Contains(standAlone, name) {
			t.Errorf("%s compares a secret, but need not stand alone", name)
		}
	}
}
