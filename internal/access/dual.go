package access

// When says in which cases an operation takes two people.
type When string

// The cases. The zero value is none of them.
const (
	// Weaker: making a control weaker needs two people; if nobody else could second it, it
	// takes effect after 24 hours. Everything else about the operation needs one.
	Weaker When = "weaker"
	// WhereTwo: it needs two people if a second person could do it.
	WhereTwo When = "where two"
	// WhereOn: it needs two people if the corp's settings switch dual control on.
	WhereOn When = "where on"
	// Never: it needs one person.
	Never When = "never"
)

// Dual says whether dual control covers an operation.
type Dual struct {
	When When
	// Why says which part of the operation needs two people, or why one is enough.
	Why string
}

// DualControl has a row for every mutation that needs a fresh proof of identity; a test
// fails where one is missing. identity.Propose reads it.
var DualControl = map[string]Dual{
	"saveApprovalPolicy": {Weaker, "fewer approvals, no rule for key contacts, a higher or no threshold, or a longer expiry"},
	"saveSettings": {Weaker, "dual control or a mask off, messages kept for a shorter time, which destroys evidence, more reading in the notice period, " +
		"chat history for successors on or for longer, read receipts off, more departures that are plausible"},
	"saveIdentityProvider": {WhereTwo, "a provider in use, or a change of what it is: it can say that somebody is anybody"},
	"grantRole":            {WhereOn, "a role with a sensitive permission"},
	"saveRole":             {WhereOn, "a sensitive permission for a role that somebody has is refused; a new role is granted by two"},
	"createServiceToken":   {WhereOn, "a token with a sensitive permission; the secret is shown to the second person"},
	"saveWebhook":          {WhereOn, "an address that is told of customers: a new one in use, another address, more events, or switched on"},

	"handOver":           {Never, "the approval policy says which plans take approvals by others, and how many"},
	"executeHandover":    {Never, "as handOver: votes are counted in the executing transaction"},
	"retryTransfers":     {Never, "as handOver: it carries out the same digest under the votes for it"},
	"revertHandover":     {Never, "as handOver: taking back needs as many approvals as the original"},
	"approveHandover":    {Never, "it is the second person's act"},
	"rejectHandover":     {Never, "it stops something; nothing moves"},
	"saveRuleSet":        {Never, "an automatic rule set plans and moves nothing: a person executes, is then responsible, and the approval policy applies"},
	"saveDepartment":     {Never, "it gives no role; where existing grants reach is part of access reviews"},
	"deleteRole":         {Never, "it takes away, and nobody holds the role any more"},
	"revokeGrant":        {Never, "it takes away; a leaked right must end at once"},
	"revokeServiceToken": {Never, "it takes away; a leaked secret must end at once"},
	"deleteWebhook":      {Never, "it stops something; nobody is told any more"},
	"replayDelivery":     {Never, "it repeats a message to an address that was connected under saveWebhook"},

	"deleteIdentityProvider": {Never, "it takes away: the sessions that the provider vouched for end"},
	"linkIdentity":           {Never, "it is about the asking person alone, and the provider was connected under saveIdentityProvider"},
	"resetPassword":          {Never, "a locked-out person must get in; identity.TwoHands does not count the two as two"},
	"resetAuthenticators":    {Never, "as resetPassword"},
	"removeTotp":             {Never, "it is about the asking person alone"},
	"renewRecoveryCodes":     {Never, "it is about the asking person alone"},
	"removePasskey":          {Never, "it is about the asking person alone"},

	"confirmDepartures":  {Never, "it is the second person's act where the departures are more than is plausible"},
	"dismissDepartures":  {Never, "nobody leaves; who is kept signs in again, and sessions and tokens stay ended"},
	"restoreBaseline":    {Never, "it puts back what stood before the notice period, and takes no key mark off"},
	"revokeHistoryGrant": {Never, "it takes away; a right to read must end at once"},
	"reinstateMember":    {Never, "roles and tokens stay revoked, and are given under grantRole"},
	"createExport":       {Never, "the file holds what the asking person may read, and only they download it"},
	"startAccessReview":  {Never, "it asks others to decide"},
	"decideReviewItem":   {Never, "it keeps or takes away, and nobody decides on their own grant"},
	"publishDataPolicy":  {Never, "a text to be read; it controls nothing"},
	"withdrawDataPolicy": {Never, "as publishDataPolicy"},
}
