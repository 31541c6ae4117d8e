package demo

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/openhandover/openhandover/internal/intake"
)

// world is a corp while it is made. Maps in it are only looked up, never ranged
// over, so that nothing depends on their order.
type world struct {
	today time.Time
	seq   uint64
	// story says that this is the corp in which the tour takes place.
	story bool
	rng   *rand.Rand
	folk  []person
	// selling shares what is not allotted.
	selling  []string
	contacts []intake.Contact
	follows  []intake.Follow
	groups   []intake.Group
	// held and owned list each member's contacts and groups, in the order they came.
	held, owned map[string][]string
	key         map[string]bool
	limits      map[string]int
}

func newWorld(today time.Time, seq uint64, folk []person, selling []string) *world {
	return &world{
		today: today, seq: seq, story: seq == 1, rng: rand.New(rand.NewPCG(seed, seq)), folk: folk, selling: selling,
		held: map[string][]string{}, owned: map[string][]string{}, key: map[string]bool{}, limits: map[string]int{},
	}
}

// pick gives one of the choices.
func pick[T any](r *rand.Rand, of []T) T { return of[r.IntN(len(of))] }

// chance is true in n of 100 cases.
func (w *world) chance(n int) bool { return w.rng.IntN(100) < n }

// worktime is a time of day in office hours, days before today.
func (w *world) worktime(days int) time.Time { return office(w.rng, w.today, days) }

func office(r *rand.Rand, today time.Time, days int) time.Time {
	return today.AddDate(0, 0, -days).Add(9*time.Hour + time.Duration(r.IntN(9*60*60))*time.Second)
}

// settle makes contacts with who follows them, and groups with their owners: for
// each allotment exactly what it says, the rest shared among those who sell.
func (w *world) settle(allotments []allotment, contacts, groups int) {
	slots, chats := make([]string, 0, contacts), make([]string, 0, groups)
	still := map[string]*allotment{} // what of each is yet to be made
	for _, a := range allotments {
		slots = append(slots, slices.Repeat([]string{a.userID}, a.contacts)...)
		chats = append(chats, slices.Repeat([]string{a.userID}, a.groups)...)
		still[a.userID] = &a
	}
	slots, chats = w.share(slots, contacts), w.share(chats, groups)
	for i, owner := range slots {
		days, isKey := 3, w.chance(5)
		if a := still[owner]; a != nil {
			// Drawn without putting back: exactly so many in the end, spread evenly.
			days, isKey = a.days, w.rng.IntN(a.contacts) < a.key
			a.contacts--
			if isKey {
				a.key--
			}
		}
		id := fmt.Sprintf("wm%s%04d", w.letters(18), i)
		c := w.contact(id, isKey)
		w.contacts, w.key[id] = append(w.contacts, c), isKey
		w.follow(owner, &c, days+w.rng.IntN(900-days))
	}
	for i, owner := range chats {
		w.group(fmt.Sprintf("wr%s%03d", w.letters(18), i), owner)
	}
}

// share fills the slots up with those who sell and shuffles them.
func (w *world) share(slots []string, n int) []string {
	for i := 0; len(slots) < n; i++ {
		if i < len(w.selling) { // everybody has something
			slots = append(slots, w.selling[i])
		} else {
			slots = append(slots, pick(w.rng, w.selling))
		}
	}
	w.rng.Shuffle(n, func(i, j int) { slots[i], slots[j] = slots[j], slots[i] })
	return slots
}

func (w *world) letters(n int) string {
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[w.rng.IntN(len(alphabet))]
	}
	return string(b)
}

// follow lets a member follow a contact since some days before today.
func (w *world) follow(userID string, c *intake.Contact, days int) {
	f := intake.Follow{UserID: userID, ExternalUserID: c.ExternalUserID, Since: w.worktime(days), AddWay: pick(w.rng, ways)}
	if w.chance(60) {
		f.Remark = c.Name
		if c.Company != "" {
			f.Remark += " · " + short(c.Company)
		}
	}
	if w.chance(15) {
		f.Description = pick(w.rng, pickLanguage(c, notesZH, notesEN))
	}
	for range w.rng.IntN(3) {
		if t := pick(w.rng, pickLanguage(c, followTagsZH, followTagsEN)); !slices.Contains(f.Tags, t) {
			f.Tags = append(f.Tags, t)
		}
	}
	w.follows = append(w.follows, f)
	w.held[userID] = append(w.held[userID], c.ExternalUserID)
}

// know lets some contacts be followed by a second or third member. Those with
// allotments get no more than allotted, and what Past moves is followed by
// nobody else, except where it is to show a successor who knows the contact already.
func (w *world) know() {
	known := map[string][]string{} // by contact
	at := map[string]int{}
	for i, c := range w.contacts {
		at[c.ExternalUserID] = i
	}
	first := len(w.follows)
	join := func(userID, contact string, days int) {
		if !slices.Contains(known[contact], userID) {
			known[contact] = append(known[contact], userID)
			w.follow(userID, &w.contacts[at[contact]], days)
		}
	}
	for _, s := range shared {
		for _, contact := range w.held[s.leaver][:s.contacts] {
			join(s.successor, contact, old+w.rng.IntN(300))
		}
	}
	east := slices.DeleteFunc(slices.Clone(w.selling), func(u string) bool { return !w.within(u, East) })
	for i := range first {
		f := w.follows[i]
		contact := f.ExternalUserID
		known[contact] = append(known[contact], f.UserID)
		days := 3 + w.rng.IntN(200)
		switch {
		case f.UserID == Lina && w.chance(12), f.UserID == Chenwei && w.chance(5):
			join(pick(w.rng, east), contact, days)
		case slices.Contains(w.selling, f.UserID) && w.chance(10):
			join(pick(w.rng, w.selling), contact, days)
			if w.chance(15) {
				join(pick(w.rng, w.selling), contact, days)
			}
		}
	}
}

// within reports whether a member belongs to a department's subtree. The ids of
// the demo are such that a team's begins like its department's.
func (w *world) within(userID, department string) bool {
	i := slices.IndexFunc(w.folk, func(p person) bool { return p.userID == userID })
	return strings.HasPrefix(w.folk[i].department, strings.TrimRight(department, "0"))
}

// limitRoom leaves three members with little room, to be seen when they are
// proposed as successors: for five contacts, for one, for none.
func (w *world) limitRoom() {
	w.limits["hanxue"] = len(w.held["hanxue"]) + 5
	w.limits["fuxin"] = len(w.held["fuxin"]) + 1
	w.limits["duanrui"] = len(w.held["duanrui"])
}

// corp gives what was made.
func (w *world) corp(departments []intake.Department) *intake.Corp {
	c := &intake.Corp{Departments: slices.Clone(departments), Contacts: w.contacts, Follows: w.follows, Groups: w.groups}
	for _, p := range w.folk {
		c.Members = append(c.Members, w.member(p))
	}
	c.Mark(nil)
	return c
}

func (w *world) member(p person) intake.Member {
	m := intake.Member{
		UserID: p.userID, Name: p.name, Departments: []string{p.department}, Status: intake.Active,
		CustomerContact: len(w.held[p.userID]) > 0, ContactLimit: intake.DefaultContactLimit, LoginAt: w.worktime(1 + w.rng.IntN(4)),
	}
	if n, ok := w.limits[p.userID]; ok {
		m.ContactLimit = n
	}
	if !w.story {
		return m
	}
	switch p.userID {
	case Lina:
		m.Status, m.DepartedAt = intake.Departed, w.linaLeft()
		m.LoginAt = m.DepartedAt.Add(-20 * time.Minute)
	case Chenwei:
		m.Status, m.LastDay = intake.Leaving, w.today.In(zone).AddDate(0, 0, 14).Format(time.DateOnly)
	case newcomer:
		m.Status, m.LoginAt = intake.Inactive, time.Time{}
	}
	if left, ok := w.leaving(p.userID); ok {
		m.LoginAt = left.Add(-30 * time.Minute)
	}
	return m
}

// linaLeft is yesterday at six in the evening.
func (w *world) linaLeft() time.Time { return w.today.Add(-6 * time.Hour) }
