package intake

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openhandover/openhandover/internal/fault"
	"github.com/openhandover/openhandover/internal/name"
)

const (
	// maxLine is the longest line of messages.jsonl in bytes, maxText the longest text.
	maxLine = 1 << 20
	maxText = 64 << 10
	maxTo   = 2000
)

// messageKeys are the keys of a line in the order of reports.
var messageKeys = []string{"msgid", "sent_at", "author_userid", "author_external_userid", "to", "chat_id", "kind", "text", "attachment"}

// idSet remembers which message ids were seen, in 16 bytes each whatever their
// length, so that a year's archive fits into memory.
type idSet map[[16]byte]struct{}

func newIDSet() idSet { return idSet{} }

// add reports whether the id is new.
func (s idSet) add(id string) bool {
	sum := sha256.Sum256([]byte(id))
	k := [16]byte(sum[:16])
	if _, ok := s[k]; ok {
		return false
	}
	s[k] = struct{}{}
	return true
}

// lines gives the lines of a file that hold anything, with their numbers. A line
// over maxLine is given cut off, with whole false.
func lines(src *source) iter.Seq2[int, line] {
	return func(yield func(int, line) bool) {
		var buf []byte
		for n := 1; ; n++ {
			l := line{whole: true}
			buf = buf[:0]
			for {
				part, more, err := src.ReadLine()
				if err != nil {
					if !errors.Is(err, io.EOF) {
						yield(n, line{err: err})
					}
					return
				}
				if room := maxLine - len(buf); len(part) > room {
					part, l.whole = part[:room], false
				}
				buf = append(buf, part...)
				if !more {
					break
				}
			}
			if l.bytes = bytes.TrimSpace(buf); len(l.bytes) > 0 && !yield(n, l) {
				return
			}
		}
	}
}

type line struct {
	bytes []byte
	whole bool
	err   error
}

// message reads one line. What cannot be read is given to bad by column.
func (l line) message(zone *time.Location, ignored func(string), bad func(string, fault.Text)) (m Message) {
	switch {
	case !l.whole:
		bad("", fault.T("is longer than %d bytes", "本行超过 %d 字节", maxLine))
		return m
	case !utf8.Valid(l.bytes):
		bad("", fault.T("is not UTF-8", "不是 UTF-8 文本"))
		return m
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(l.bytes, &raw) != nil || raw == nil {
		bad("", fault.T("is not a JSON object", "不是 JSON 对象"))
		return m
	}
	read := func(key string, into any, wrong fault.Text) {
		v, ok := raw[key]
		if ok && json.Unmarshal(v, into) != nil {
			bad(key, wrong)
		} else if halved(v, into) {
			bad(key, fault.T("contains half of a surrogate pair", "含有不完整的代理对字符"))
		}
	}
	str := func(key string) (s string) {
		read(key, &s, fault.T("must be a string", "必须是字符串"))
		return s
	}
	m.MsgID, m.ChatID, m.Text = str("msgid"), str("chat_id"), str("text")
	m.Author, m.AuthorContact = str("author_userid"), str("author_external_userid")
	if m.Kind = strings.ToUpper(str("kind")); m.Kind == "" {
		m.Kind = "TEXT"
	}
	read("to", &m.To, fault.T("must be a list of strings", "必须是字符串数组"))
	read("attachment", &m.Attachment, fault.T("must be an object {name, mimeType, size}", "必须是对象 {name, mimeType, size}"))
	if s := str("sent_at"); s != "" {
		var ok bool
		if m.SentAt, ok = moment(s, zone); !ok {
			bad("sent_at", fault.T("%s is not a time", "%s 不是有效的时间", show(s)))
			m.SentAt = time.Time{}
		}
	}
	for key := range raw {
		if !slices.Contains(messageKeys, key) {
			ignored(key)
		}
	}
	return m
}

// halved reports text in which the decoder put U+FFFD for an escape that is no
// character: it would be stored otherwise than it was written.
func halved(raw json.RawMessage, into any) bool {
	s, ok := into.(*string)
	return ok && strings.Contains(*s, "\ufffd") && !bytes.Contains(raw, []byte("\ufffd")) && !bytes.Contains(bytes.ToLower(raw), []byte(`\ufffd`))
}

// message applies the rules of messages.
func (k *checker) message(m *Message, ids idSet, bad func(string, fault.Text)) {
	if problem, ok := checkID(m.MsgID); !ok {
		bad("msgid", problem)
	} else if !ids.add(m.MsgID) {
		bad("msgid", fault.T("%s stands further up already", "%s 与前面的消息重复", show(m.MsgID)))
	}
	if m.SentAt.IsZero() {
		bad("sent_at", fault.T("is missing", "缺失"))
	} else if m.SentAt.After(k.now) {
		bad("sent_at", future(m.SentAt))
	}
	if !slices.Contains(MessageKinds, m.Kind) {
		bad("kind", fault.T("%s is none of: %s", "%s 不是允许的值:%s", show(m.Kind), strings.Join(MessageKinds, ", ")))
	}
	switch {
	case m.Kind == "TEXT" && m.Text == "":
		bad("text", fault.T("is missing: a message of kind TEXT has one", "缺失:文本消息须有内容"))
	case len(m.Text) > maxText:
		bad("text", fault.T("has %d bytes; %d are allowed", "共 %d 字节,最多允许 %d 字节", len(m.Text), maxText))
	case strings.ContainsRune(m.Text, 0) || !utf8.ValidString(m.Text):
		// Evidence is kept as it was said, so nothing else is refused here; a NUL
		// PostgreSQL cannot store.
		bad("text", fault.T("contains NUL or text that is not UTF-8", "含有空字符或非 UTF-8 文本"))
	}
	if a := m.Attachment; a != nil {
		_, okName := name.CheckText(a.Name, 255)
		_, okType := name.CheckText(a.MimeType, 255)
		if !okName || !okType || a.Size < 0 {
			bad("attachment", fault.T("has a name or type that is not allowed, or a negative size", "名称或类型不合规,或大小为负数"))
		}
	}
	k.conversation(m, bad)
}

// conversation checks who speaks to whom: in a group, or a member and a contact.
func (k *checker) conversation(m *Message, bad func(string, fault.Text)) {
	switch {
	case (m.Author == "") == (m.AuthorContact == ""):
		bad("author_userid", fault.T("exactly one of author_userid and author_external_userid is needed", "author_userid 与 author_external_userid 须且只能填写一个"))
		return
	case m.Author != "":
		if _, ok := k.status(m.Author); !ok {
			bad("author_userid", unknown("member", "成员", MembersFile, m.Author))
		}
	case !k.hasContact(m.AuthorContact):
		bad("author_external_userid", unknown("contact", "客户", ContactsFile, m.AuthorContact))
	}
	switch userID, contact := m.Pair(); {
	case m.ChatID != "":
		if !k.hasGroup(m.ChatID) {
			bad("chat_id", unknown("group", "客户群", GroupsFile, m.ChatID))
		}
		if len(m.To) > maxTo {
			bad("to", fault.T("has %d ids; %d are allowed", "共 %d 个标识,最多允许 %d 个", len(m.To), maxTo))
		}
		for _, id := range m.To { // others may be in the group too, so they need not be known
			if problem, ok := checkID(id); !ok {
				bad("to", problem)
			}
		}
	case userID == "" && contact == "":
		bad("to", fault.T("outside a group a message goes to exactly one", "非群聊消息须且只能有一个接收方"))
	case m.Author != "" && !k.hasContact(contact):
		bad("to", unknown("contact", "客户", ContactsFile, contact))
	case m.AuthorContact != "":
		if _, ok := k.status(userID); !ok {
			bad("to", unknown("member", "成员", MembersFile, userID))
		}
	}
}

// messages checks the archive once and gives it again, line by line, without those lines
// that were bad. The second reading must find the file it checked.
func (k *checker) messages(fsys fs.FS, zone *time.Location, found *findings) (*File, iter.Seq2[Message, error], error) {
	src, err := open(fsys, MessagesFile)
	if src == nil {
		return nil, nil, err
	}
	f, ids := &File{Name: MessagesFile}, newIDSet()
	for n, l := range lines(src) {
		if err = l.err; err != nil {
			break
		}
		f.Rows++
		bad := func(column string, text fault.Text) { found.add(MessagesFile, n, column, text) }
		m := l.message(zone, func(key string) {
			if len(f.Ignored) < 100 && !slices.Contains(f.Ignored, key) {
				f.Ignored = append(f.Ignored, key)
			}
		}, bad)
		k.message(&m, ids, bad)
	}
	slices.Sort(f.Ignored)
	if err = errors.Join(err, src.finish(f)); err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", MessagesFile, err)
	}
	return f, replay(fsys, zone, f.SHA256, found.bad[MessagesFile]), nil
}

// replay reads the archive again. It fails where the file is not the one that was
// checked, for then what it gave was not checked either.
func replay(fsys fs.FS, zone *time.Location, sum [32]byte, skip map[int]Problem) iter.Seq2[Message, error] {
	return func(yield func(Message, error) bool) {
		src, err := open(fsys, MessagesFile)
		if err == nil && src == nil {
			err = fs.ErrNotExist
		}
		if err != nil {
			yield(Message{}, err)
			return
		}
		changed := false
		for n, l := range lines(src) {
			if _, bad := skip[n]; bad {
				continue
			}
			if err = l.err; err != nil {
				break
			}
			m := l.message(zone, func(string) {}, func(string, fault.Text) { changed = true })
			if changed {
				break
			}
			if !yield(m, nil) {
				_ = src.file.Close()
				return
			}
		}
		again := File{}
		err = errors.Join(err, src.finish(&again))
		if err == nil && (changed || again.SHA256 != sum) {
			err = fault.Clash("", "%s was changed while it was read", "%s 在读取过程中被修改", MessagesFile)
		}
		if err != nil {
			yield(Message{}, err)
		}
	}
}
