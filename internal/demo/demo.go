// Package demo makes the data of `serve --demo`: two corps in which everything
// there is to see can be seen, the same on every machine. New and NewOther are
// pure: they give what an import would give, and plain descriptions of what
// happened before. Seed puts all of it into a database through the use cases; only
// cmd/handover calls it.
//
// People, companies and conversations are invented.
package demo

import (
	"iter"
	"time"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/intake"
)

// Password is that of every demo account. In demo mode it also proves identity.
const Password = "handover-demo"

// TimeZone is that of both corps.
const TimeZone = "Asia/Shanghai"

// The names of the corps, with which their people sign in.
const (
	Main  = "demo"
	Other = "demo-other"
)

// The members that the tour is about.
const (
	Lina    = "lina"    // 李娜, who has just departed
	Chenwei = "chenwei" // 陈伟, who is about to leave
)

// East is the external id of 华东销售部, the department the manager account reaches.
const East = "20"

// How much there is.
const (
	Members         = 60
	Contacts        = 3000
	Groups          = 120
	Messages        = 20000
	LinaContacts    = 186
	LinaKeyContacts = 9
	LinaGroups      = 14
	ChenweiContacts = 640
	OtherMembers    = 10
	OtherContacts   = 50
	OtherGroups     = 4
	OtherMessages   = 200
)

// Account is somebody who can sign in.
type Account struct {
	Corp, Login, UserID string
	// Role is the name of a built-in role.
	Role string
	// Department is the external id of the subtree the role reaches; empty: the whole corp.
	Department string
}

// Accounts lists all accounts, in the order in which they are shown.
var Accounts = []Account{
	{Main, "admin", "gaojie", access.Administrator.Name, ""},
	{Main, "manager", "zhoujing", access.Manager.Name, East},
	{Main, "approver", "fanghua", access.Approver.Name, ""},
	{Main, "auditor", "xueming", access.Auditor.Name, ""},
	{Main, "reporter", "tangyu", access.Reporter.Name, ""},
	{Main, "member", "linxiao", access.Staff.Name, ""},
	{Other, "other-admin", "shaoning", access.Administrator.Name, ""},
}

// Data is one corp of the demo as it stood before Past happened.
type Data struct {
	// Name is the corp's.
	Name string
	*intake.Corp
	// Fallback is the userid of who answers for what has nobody else.
	Fallback string
	// Past lists what was handed over since, oldest first. The leavers among them
	// are ACTIVE in the corp; who runs Past also makes them depart.
	Past []PastHandover
}

// seed makes the data what it is; another number makes other data.
const seed = 0x6f68616e646f7665

// zone is TimeZone, which has had no other offset since 1991. A fixed one needs no
// time zone database.
var zone = time.FixedZone(TimeZone, 8*60*60)

// midnight is when the corps' day began. All dates hang on it, so what is made
// twice on one day is equal.
func midnight(now time.Time) time.Time {
	y, m, d := now.In(zone).Date()
	return time.Date(y, m, d, 0, 0, 0, 0, zone).UTC()
}

// New makes the corp Main as of now: everything in it happened before the
// corps' current day began.
func New(now time.Time) *Data {
	w := newWorld(midnight(now), 1, people, ordinary())
	w.settle(fixed, Contacts, Groups)
	w.know()
	w.limitRoom()
	d := &Data{Name: Main, Corp: w.corp(departments), Fallback: "gaojie", Past: w.past()}
	d.Messages = w.chat(Messages, d.Past)
	return d
}

// NewOther makes the corp Other. It shares a name and even a userid with Main.
func NewOther(now time.Time) *Data {
	w := newWorld(midnight(now), 2, otherPeople, []string{Lina, "yuhao", "oscar.lind", "peiyi", "mengjia", "jiangtao"})
	w.settle(nil, OtherContacts, OtherGroups)
	d := &Data{Name: Other, Corp: w.corp(otherDepartments), Fallback: "shaoning"}
	d.Messages = w.chat(OtherMessages, nil)
	return d
}

// messages is what an iterator over messages looks like.
type messages = iter.Seq2[intake.Message, error]
