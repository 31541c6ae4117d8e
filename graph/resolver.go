// Package graph is the GraphQL API: the schema in *.graphqls by topic, resolvers
// of the same names, and how lists are paged and related rows loaded.
//
// A resolver calls one use case or reads rows, and nothing else. Reads run in the
// request's one snapshot (store.Reader). What a viewer may see is decided by
// ent/rule, in the database; what they may do, by the use cases.
package graph

import (
	"github.com/openhandover/openhandover/internal/approval"
	"github.com/openhandover/openhandover/internal/audit"
	"github.com/openhandover/openhandover/internal/contact"
	"github.com/openhandover/openhandover/internal/datapolicy"
	"github.com/openhandover/openhandover/internal/department"
	"github.com/openhandover/openhandover/internal/export"
	"github.com/openhandover/openhandover/internal/grant"
	"github.com/openhandover/openhandover/internal/group"
	"github.com/openhandover/openhandover/internal/handover"
	"github.com/openhandover/openhandover/internal/identity"
	"github.com/openhandover/openhandover/internal/leak"
	"github.com/openhandover/openhandover/internal/member"
	"github.com/openhandover/openhandover/internal/notice"
	"github.com/openhandover/openhandover/internal/review"
	"github.com/openhandover/openhandover/internal/rule"
	"github.com/openhandover/openhandover/internal/setting"
	"github.com/openhandover/openhandover/internal/sso"
	"github.com/openhandover/openhandover/internal/store"
	"github.com/openhandover/openhandover/internal/webhook"
)

// Resolver is the root of all resolvers.
type Resolver struct {
	DB *store.DB
	// Audit opens audit entries.
	Audit *audit.Reader
	// Use holds the use cases: a field of this struct, since resolvers of queries
	// and of types take the names that services would have here.
	Use Cases
}

// Cases are the use cases that the API calls, by topic.
type Cases struct {
	Approval   *approval.Service
	Identity   *identity.Service
	Grant      *grant.Service
	Rule       *rule.Service
	Member     *member.Service
	Contact    *contact.Service
	Group      *group.Service
	Handover   *handover.Service
	Webhook    *webhook.Service
	Setting    *setting.Service
	Leak       *leak.Service
	Notice     *notice.Service
	Department *department.Service
	Export     *export.Service
	Review     *review.Service
	DataPolicy *datapolicy.Service
	SSO        *sso.Service
}
