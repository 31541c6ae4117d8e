# The five-minute tour, to be pasted line by line while `go run ./cmd/handover serve --demo` runs.
# It needs a POSIX shell with curl, grep, head, sed and tail.

API=${API:-http://127.0.0.1:8080/graphql}; JAR=$(mktemp -d)
as()  { WHO=$1; gql "mutation { signIn(input: {corp: \"demo\", login: \"$1\", password: \"handover-demo\"}) { viewer { member { name } } } }"; }
gql() { printf '{"query":"%s"}' "$(printf '%s' "$1" | sed 's/"/\\"/g')" | curl -s -b "$JAR/$WHO" -c "$JAR/$WHO" -H 'Content-Type: application/json' -d @- "$API"; echo; }
id()  { grep -o "$1_[0-9a-z]*" | head -n 1; }

# 1. Sign in, and find what 李娜 left behind: 186 contacts, 9 of them key, and 14 groups.
as admin
gql '{ members(search: "李娜") { nodes { name status unassigned { contacts keyContacts groups deadline caretaker { name } } } } }'
LINA=$(gql '{ members(search: "李娜") { nodes { id } } }' | id mbr)
YAO=$(gql '{ members(search: "姚倩") { nodes { id } } }' | id mbr)

# 2. What would happen? A preview writes nothing.
NORMAL="leaverId: \"$LINA\", successors: {memberId: \"$YAO\"}, select: {contacts: {importance: NORMAL}, groups: {}}, history: {mode: ALL}"
gql "{ previewHandover(input: {$NORMAL}) { contacts groups approvalsRequired immediate successors { member { name } before after limit } problems { message items } } }"

# 3. A session alone does not move customers: STEP_UP_REQUIRED. Prove your identity, and hand over at once.
gql "mutation { handOver(input: {plan: {$NORMAL}, idempotencyKey: \"tour-normal\"}) { handover { state } } }"
gql 'mutation { verifyIdentity(input: {password: "handover-demo"}) { verifiedUntil } }'
gql "mutation { handOver(input: {plan: {$NORMAL}, idempotencyKey: \"tour-normal\"}) { handover { state progress { total completed } } } }"

# 4. The nine key contacts need somebody else: APPROVAL_REQUIRED. Put the plan up for approval instead.
KEY="leaverId: \"$LINA\", successors: {memberId: \"$YAO\"}, select: {contacts: {importance: KEY}}"
gql "mutation { handOver(input: {plan: {$KEY}, idempotencyKey: \"tour-key\"}) { handover { state } } }"
PLAN=$(gql "mutation { createHandover(input: {plan: {$KEY}, idempotencyKey: \"tour-plan\"}) { handover { id digest } } }"); echo "$PLAN"
CASE=$(echo "$PLAN" | id hov); DIGEST=$(echo "$PLAN" | grep -o '[0-9a-f]\{64\}')
gql "mutation { submitHandover(input: {id: \"$CASE\", version: 1}) { handover { state approvalsRequired approvalReasons } } }"

# 5. The approver agrees to exactly this plan, by its digest.
as approver
gql 'mutation { verifyIdentity(input: {password: "handover-demo"}) { verifiedUntil } }'
gql "mutation { approveHandover(input: {id: \"$CASE\", digest: \"$DIGEST\", comment: \"agreed\"}) { handover { state } } }"

# 6. The administrator executes it, and reads who did what.
WHO=admin
gql "mutation { executeHandover(input: {id: \"$CASE\", digest: \"$DIGEST\", idempotencyKey: \"tour-execute\"}) { handover { state progress { completed } } } }"
gql "{ auditEntries(filter: {handoverId: \"$CASE\"}, first: 20) { nodes { index at action actorLabel } } }"
gql "{ members(search: \"李娜\") { nodes { name unassigned { contacts } } } }"
