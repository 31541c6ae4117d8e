package identity

// acts is the condition that a member m may act: they are at work, and no departure that is
// held back has taken their access. Sign-in, sessions, tokens, use cases and work that
// outlives a request all ask for it.
const acts = `m.answers AND NOT m.suspended`

// makerActs is the condition that whoever made service_tokens AS t may act. The operator
// makes tokens without a maker.
const makerActs = `(t.created_by_id IS NULL OR EXISTS (SELECT 1 FROM members AS m
	WHERE m.corp_id = t.corp_id AND m.id = t.created_by_id AND ` + acts + `))`
