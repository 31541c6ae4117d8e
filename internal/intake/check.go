package intake

import (
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
)

// What one row may hold.
const (
	maxDescription = 2000
	maxTags        = 100
	maxDepartments = 100
	maxRoom        = 1_000_000
	// maxDepth bounds the table of a department's ancestors, which grows with the
	// square of the depth. The platform allows 15 levels.
	maxDepth = 30
)

// checker applies the rules to a corp: those of single rows, and those between
// rows and files. It changes nothing.
type checker struct {
	c     *Corp
	known *Known
	now   time.Time
	// line gives the line of a file's row, counted from 0.
	line func(file string, row int) int
	add  func(file string, line int, column string, text fault.Text)

	departments map[string]int
	members     map[string]int
	contacts    map[string]int
	groups      map[string]int
}

// Check applies to a corp made by program, messages included, the rules that Read
// applies to files. Times after now are wrong. It gives at most MaxProblems
// problems, with lines as if each row were one line below a header, and their full number.
// The error is that of the messages' iterator.
func Check(c *Corp, known *Known, now time.Time) (problems []Problem, count int, err error) {
	found := newFindings()
	k := check(c, known, now, found, func(_ string, row int) int { return row + 2 })
	if c.Messages != nil {
		ids, n := newIDSet(), 0
		for m, err := range c.Messages {
			if err != nil {
				return nil, 0, err
			}
			n++
			k.message(&m, ids, func(column string, text fault.Text) { found.add(MessagesFile, n, column, text) })
		}
	}
	return found.sorted(), len(found.list) + found.more, nil
}

// check applies every rule but those of messages.
func check(c *Corp, known *Known, now time.Time, found *findings, line func(string, int) int) *checker {
	if known == nil {
		known = &Known{}
	}
	k := &checker{c: c, known: known, now: now, line: line, add: found.add}
	k.departments = index(k, DepartmentsFile, "id", c.Departments, func(d *Department) string { return d.ID })
	k.members = index(k, MembersFile, "userid", c.Members, func(m *Member) string { return m.UserID })
	k.contacts = index(k, ContactsFile, "external_userid", c.Contacts, func(x *Contact) string { return x.ExternalUserID })
	k.groups = index(k, GroupsFile, "chat_id", c.Groups, func(g *Group) string { return g.ChatID })
	held, followed := k.follows()
	for i := range c.Groups {
		k.group(i, &c.Groups[i])
		held[c.Groups[i].Owner] = true
	}
	for i := range c.Departments {
		k.department(i, &c.Departments[i])
	}
	k.tree()
	for i := range c.Members {
		k.member(i, &c.Members[i], held)
	}
	for i := range c.Contacts {
		k.contact(i, &c.Contacts[i], followed)
	}
	return k
}

// index finds rows by their id and reports bad and repeated ids.
func index[T any](k *checker, file, column string, rows []T, id func(*T) string) map[string]int {
	at := make(map[string]int, len(rows))
	for i := range rows {
		v := id(&rows[i])
		if problem, ok := checkID(v); !ok {
			k.at(file, i, column, problem)
			if v == "" {
				continue
			}
		}
		if first, again := at[v]; again {
			k.at(file, i, column, fault.T("%s stands on line %d already", "%s 与第 %d 行重复", show(v), k.line(file, first)))
			continue
		}
		at[v] = i
	}
	return at
}

func (k *checker) at(file string, row int, column string, text fault.Text) {
	k.add(file, k.line(file, row), column, text)
}

// name applies the rule of names.
func (k *checker) name(file string, row int, column, s string) {
	if problem, ok := name.Check(s); !ok {
		k.at(file, row, column, problem)
	}
}

func (k *checker) tags(file string, row int, tags []string) {
	if len(tags) > maxTags {
		k.at(file, row, "tags", fault.T("has %d tags; %d are allowed", "共 %d 个标签,最多允许 %d 个", len(tags), maxTags))
	}
	for _, t := range tags {
		k.name(file, row, "tags", t)
	}
}

// past reports a time that is still to come: a period cannot begin in the future.
func (k *checker) past(file string, row int, column string, t time.Time) {
	if t.After(k.now) {
		k.at(file, row, column, future(t))
	}
}

func future(t time.Time) fault.Text {
	s := t.Format(time.RFC3339)
	return fault.T("%s is in the future; is the time zone right?", "%s 是将来的时间;时区是否正确?", s)
}

func unknown(kindEN, kindZH, file, id string) fault.Text {
	return fault.T("there is no %[1]s %[3]s, neither in the corp nor as a usable row of %[4]s",
		"%[2]s %[3]s 不存在:企业中没有,%[4]s 中也没有可用的行", kindEN, kindZH, show(id), file)
}

// needMember reports a reference to a member that there is not.
func (k *checker) needMember(file string, row int, column, id string) bool {
	if _, ok := k.status(id); ok {
		return true
	}
	if id == "" {
		k.at(file, row, column, fault.T("is missing", "缺失"))
	} else {
		k.at(file, row, column, unknown("member", "成员", MembersFile, id))
	}
	return false
}

// status gives the status that a member will have: the file's, else the known one.
func (k *checker) status(id string) (Status, bool) {
	if i, ok := k.members[id]; ok {
		return k.c.Members[i].Status, true
	}
	m, ok := k.known.Members[id]
	return m.Status, ok
}

func (k *checker) hasContact(id string) bool {
	_, inFile := k.contacts[id]
	_, inCorp := k.known.Contacts[id]
	return inFile || inCorp
}

func (k *checker) hasGroup(id string) bool {
	_, inFile := k.groups[id]
	_, inCorp := k.known.Groups[id]
	return inFile || inCorp
}

func (k *checker) hasDepartment(id string) bool {
	_, inFile := k.departments[id]
	_, inCorp := k.known.Departments[id]
	return inFile || inCorp
}

func (k *checker) department(i int, d *Department) {
	k.name(DepartmentsFile, i, "name", d.Name)
	if d.Parent != "" && !k.hasDepartment(d.Parent) {
		k.at(DepartmentsFile, i, "parent_id", unknown("department", "部门", DepartmentsFile, d.Parent))
	}
	if d.Manager != "" {
		k.needMember(DepartmentsFile, i, "manager_userid", d.Manager)
	}
}

// parent gives a department's parent as it will be.
func (k *checker) parent(id string) string {
	if i, ok := k.departments[id]; ok {
		return k.c.Departments[i].Parent
	}
	return k.known.Departments[id]
}

// tree reports a second root, cycles, and branches that are too deep.
func (k *checker) tree() {
	root := ""
	for id, parent := range k.known.Departments {
		if _, moved := k.departments[id]; parent == "" && !moved {
			root = id
		}
	}
	depth := make(map[string]int, len(k.departments))
	for i, d := range k.c.Departments {
		if k.departments[d.ID] != i {
			continue // repeated, and reported as that
		}
		if d.Parent == "" {
			if root == "" {
				root = d.ID
			} else if root != d.ID {
				k.at(DepartmentsFile, i, "parent_id", fault.T("a second root: %s is the root already, and a corp has one", "出现第二个根部门:根部门已是 %s,一个企业只能有一个", show(root)))
			}
		}
		k.climb(d.ID, depth)
	}
	for i, d := range k.c.Departments {
		if n := depth[d.ID]; k.departments[d.ID] == i && n > maxDepth {
			k.at(DepartmentsFile, i, "parent_id", fault.T("is on level %d; %d levels are allowed", "位于第 %d 级,最多允许 %d 级", n, maxDepth))
		}
	}
}

// climb finds a department's depth, the root's being 1, and with it that of all
// above it. What hangs on a cycle or on an unknown parent gets depth 0.
func (k *checker) climb(id string, depth map[string]int) {
	var path []string
	on := map[string]int{}
	for n := id; n != "" && k.hasDepartment(n); n = k.parent(n) {
		if _, done := depth[n]; done {
			break
		}
		if from, again := on[n]; again {
			k.cycle(path[from:])
			for _, p := range path {
				depth[p] = 0
			}
			return
		}
		on[n] = len(path)
		path = append(path, n)
	}
	for _, n := range slices.Backward(path) {
		above := k.parent(n)
		if above == "" || depth[above] > 0 {
			depth[n] = depth[above] + 1
		} else {
			depth[n] = 0
		}
	}
}

// cycle reports each row of a cycle, for it is not known which one is wrong.
func (k *checker) cycle(ids []string) {
	const most = 6
	shown := make([]string, 0, most+2)
	for _, id := range ids[:min(len(ids), most)] {
		shown = append(shown, show(id))
	}
	if len(ids) > most {
		shown = append(shown, "…")
	}
	way := strings.Join(append(shown, show(ids[0])), " → ")
	for _, id := range ids {
		if i, ok := k.departments[id]; ok {
			k.at(DepartmentsFile, i, "parent_id", fault.T("the department is above itself: %s", "部门的上级关系成环:%s", way))
		}
	}
}

func (k *checker) member(i int, m *Member, held map[string]bool) {
	bad := func(column, en, zh string, args ...any) { k.at(MembersFile, i, column, fault.T(en, zh, args...)) }
	k.name(MembersFile, i, "name", m.Name)
	switch n := len(m.Departments); {
	case n == 0:
		bad("department_ids", "is missing: a member belongs to a department", "缺失:成员须属于某个部门")
	case n > maxDepartments:
		bad("department_ids", "has %d departments; %d are allowed", "共 %d 个部门,最多允许 %d 个", n, maxDepartments)
	}
	for _, d := range m.Departments {
		if !k.hasDepartment(d) {
			k.at(MembersFile, i, "department_ids", unknown("department", "部门", DepartmentsFile, d))
		}
	}
	if m.ContactLimit < 0 || m.ContactLimit > maxRoom {
		bad("contact_limit", "must lie between 0 and %d", "须在 0 到 %d 之间", maxRoom)
	}
	k.past(MembersFile, i, "departed_at", m.DepartedAt)
	k.past(MembersFile, i, "last_login_at", m.LoginAt)
	if d, ok := day(m.LastDay); m.LastDay != "" && (!ok || d != m.LastDay) {
		bad("last_day", "is not a date", "不是有效的日期")
	}
	old, existed := k.known.Members[m.UserID]
	switch {
	case !m.Status.Gone() && m.Status != Active && m.Status != Leaving && m.Status != Inactive:
		bad("status", "%s is not a status", "%s 不是有效的状态", show(string(m.Status)))
	case m.Status == Departed && m.DepartedAt.IsZero() && !existed:
		bad("departed_at", "is missing: when did the member depart?", "缺失:请填写已离职成员的离职时间")
	case m.Status != Departed && !m.DepartedAt.IsZero():
		bad("departed_at", "is given, but the status is not departed", "填写了离职时间,但状态不是已离职")
	case existed && m.Status.Gone() && !old.Status.Gone() && (old.Holds || held[m.UserID]):
		// Deactivation also revokes sessions and grants and names a caretaker: an
		// import that only set the status would leave the door open.
		bad("status", "the member still has contacts or groups, so the status cannot be changed by an import: deactivate the member", "该成员仍有客户或客户群,不能通过导入改变状态:请使用停用成员操作")
	case existed && !m.Status.Gone() && old.Status.Gone() && old.Holds:
		bad("status", "the member's contacts and groups wait for a successor, so the status cannot be changed by an import: reinstate the member", "该成员的客户或客户群正在等待接替,不能通过导入改变状态:请使用恢复成员操作")
	}
}

func (k *checker) contact(i int, x *Contact, followed map[string]bool) {
	bad := func(column, en, zh string, args ...any) { k.at(ContactsFile, i, column, fault.T(en, zh, args...)) }
	k.name(ContactsFile, i, "name", x.Name)
	if x.Company != "" {
		k.name(ContactsFile, i, "company", x.Company)
	}
	if x.Type != WeChat && x.Type != WeCom && x.Type != OtherType {
		bad("type", "%s is not a type", "%s 不是有效的类型", show(x.Type))
	}
	if x.Importance != Normal && x.Importance != Key {
		bad("importance", "%s is neither normal nor key", "%s 既不是普通也不是重要", show(x.Importance))
	}
	if !slices.Contains([]string{"", ConsentUnknown, Agreed, Refused}, x.ChatConsent) {
		bad("chat_consent", "%s is none of agreed, refused, unknown", "%s 不是同意、不同意或未知", show(x.ChatConsent))
	}
	k.tags(ContactsFile, i, x.Tags)
	if x.Accountable != "" {
		if k.needMember(ContactsFile, i, "accountable_userid", x.Accountable) {
			if s, _ := k.status(x.Accountable); !s.Answers() {
				bad("accountable_userid", "member %s is %s and cannot answer for a contact", "成员 %s 的状态为 %s,不能对客户负责", show(x.Accountable), s)
			}
		}
	} else if _, existed := k.known.Contacts[x.ExternalUserID]; !existed && !followed[x.ExternalUserID] {
		bad("accountable_userid", "nobody follows this contact: give it a row in %s, or say here who answers for it", "该客户无人跟进:请在 %s 中添加跟进关系,或在此填写负责人", FollowsFile)
	}
}

// follows checks follows.csv and finds who has follows and who is followed.
func (k *checker) follows() (held, followed map[string]bool) {
	held, followed = map[string]bool{}, make(map[string]bool, len(k.c.Contacts))
	type pair struct{ member, contact string }
	seen := make(map[pair]int, len(k.c.Follows))
	for i := range k.c.Follows {
		f := &k.c.Follows[i]
		bad := func(column, en, zh string, args ...any) { k.at(FollowsFile, i, column, fault.T(en, zh, args...)) }
		k.needMember(FollowsFile, i, "userid", f.UserID)
		if f.ExternalUserID == "" {
			bad("external_userid", "is missing", "缺失")
		} else if !k.hasContact(f.ExternalUserID) {
			k.at(FollowsFile, i, "external_userid", unknown("contact", "客户", ContactsFile, f.ExternalUserID))
		}
		held[f.UserID], followed[f.ExternalUserID] = true, true
		p := pair{f.UserID, f.ExternalUserID}
		if first, again := seen[p]; again {
			bad("external_userid", "this member follows this contact on line %d already", "该成员跟进该客户的关系与第 %d 行重复", k.line(FollowsFile, first))
		} else {
			seen[p] = i
		}
		if f.Since.IsZero() {
			bad("since", "is missing: since when?", "缺失:请填写添加时间")
		}
		k.past(FollowsFile, i, "since", f.Since)
		if f.Remark != "" {
			k.name(FollowsFile, i, "remark", f.Remark)
		}
		if problem, ok := name.CheckText(f.Description, maxDescription); !ok {
			k.at(FollowsFile, i, "description", problem)
		}
		k.tags(FollowsFile, i, f.Tags)
		if f.AddWay < 0 {
			bad("add_way", "is negative", "不能为负数")
		}
	}
	return held, followed
}

func (k *checker) group(i int, g *Group) {
	k.name(GroupsFile, i, "name", g.Name)
	k.needMember(GroupsFile, i, "owner_userid", g.Owner)
	if g.MemberCount < 0 || g.MemberCount > maxRoom {
		k.at(GroupsFile, i, "member_count", fault.T("must lie between 0 and %d", "须在 0 到 %d 之间", maxRoom))
	}
	switch g.Status {
	case GroupNormal, OwnerLeft, Inheriting, Inherited:
	default:
		k.at(GroupsFile, i, "status", fault.T("%s is not a status of groups", "%s 不是有效的群状态", show(g.Status)))
	}
}
