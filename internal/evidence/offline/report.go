package offline

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var reportText string

// HowTo is README.txt.
//
//go:embed howto.txt
var HowTo string

// words are the report's, by language.
var words = map[string]map[string]string{
	"en": {
		"title": "Evidence of a handover", "case": "The case", "handover": "Handover", "corp": "Corp", "kind": "Kind", "state": "State", "leaver": "Leaver",
		"requester": "Requested by", "responsible": "Responsible", "executor": "Executed by", "digest": "Digest of the plan",
		"created": "Planned", "started": "Started", "finished": "Finished",
		"moved": "Moved", "of": "of", "approvals": "Approvals", "approver": "Approver", "decision": "Decision", "at": "At (UTC)", "none": "None.",
		"log": "What was done", "action": "Action", "actor": "By", "details": "Details", "transfers": "Transfers", "item": "Contact or group",
		"from": "From", "to": "To",
		"status": "Status", "reason": "Reason", "foureyes": "Four-eyes rule",
		"proof":   "The verifier renders this report from the signed entries and compares it with this file. Names are those that the log recorded at the time; where no name is shown, the id stands alone. README.txt says how to check the package.",
		"untimed": "signed without its time",
		"sealed":  "Checkpoint", "entries": "entries", "key": "Verifier key", "first": "Only the first rows are shown; transfers.jsonl and entries.jsonl hold all of them.",
		"RESIGNED": "resigned", "ON_JOB": "in service", "grants": "Chat histories granted",
		"NOT_EXECUTED": "not executed yet", "NOT_NEEDED": "no approval was needed", "PROVEN": "kept: other people approved",
		"NOT_PROVEN": "approved, but the log does not say who was responsible for the plan", "VIOLATED": "violated",
	},
	"zh-CN": {
		"title": "交接证据", "case": "交接单概况", "handover": "交接单", "corp": "企业", "kind": "类型", "state": "状态", "leaver": "离职成员",
		"requester": "发起人", "responsible": "方案负责人", "executor": "执行人", "digest": "方案摘要", "created": "制定时间", "started": "开始时间", "finished": "完成时间",
		"moved": "已转移", "of": "/", "approvals": "审批", "approver": "审批人", "decision": "决定", "at": "时间（UTC）", "none": "无。",
		"log": "操作记录", "action": "操作", "actor": "操作人", "details": "详情", "transfers": "分配记录", "item": "客户或客户群", "from": "原归属人", "to": "接替成员",
		"status": "状态", "reason": "原因", "foureyes": "四眼原则",
		"proof":   "核验程序会根据已签名的日志记录重新生成本报告，并与本文件逐字节比对。姓名为日志当时记录的姓名；未公开姓名时仅显示标识。核验方法见 README.txt。",
		"untimed": "签名未包含时间",
		"sealed":  "检查点", "entries": "条记录", "key": "验证公钥", "first": "仅显示前若干条，完整内容见 transfers.jsonl 与 entries.jsonl。",
		"RESIGNED": "离职交接", "ON_JOB": "在职交接", "grants": "授予的聊天记录范围",
		"NOT_EXECUTED": "尚未执行", "NOT_NEEDED": "无需审批", "PROVEN": "已遵守：由他人审批",
		"NOT_PROVEN": "已审批，但日志未记录方案负责人", "VIOLATED": "未遵守",
	},
}

// act is one step of the case, in words.
type act struct {
	Index     int64
	At        time.Time
	Action    string
	Kind, Who string
	After     map[string]any
}

// act takes up a step for the report.
func (c *claims) act(l *leaf, open opened) error {
	if l.Subject != c.handover || len(c.acts) == shown {
		return nil
	}
	after, err := values(l.RawAfter, open)
	if err != nil {
		return err
	}
	delete(after, "names") // they stand at the ids
	delete(after, "previous")
	c.acts = append(c.acts, act{l.Index, l.At, l.Action, l.Actor.Kind, l.Actor.ID, after})
	return nil
}

// report writes the case for people, as one HTML file that loads nothing.
func report(w io.Writer, lang string, c *claims, f *Case, transfers []Transfer, grants int, s Summary) error {
	t, err := template.New("report").Funcs(template.FuncMap{
		"t": func(key string) string {
			if s, ok := words[lang][key]; ok {
				return s
			}
			return key
		},
		"name": func(id string) string { return c.names[id] },
		"at": func(v any) string {
			switch t := v.(type) {
			case time.Time:
				return t.UTC().Format("2006-01-02 15:04:05")
			case *time.Time:
				if t != nil {
					return t.UTC().Format("2006-01-02 15:04:05")
				}
			}
			return ""
		},
		"json": func(v map[string]any) (string, error) {
			b, err := json.Marshal(v)
			return string(b), err
		},
	}).Parse(reportText)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"Lang": lang, "Case": f, "Log": c.acts, "Transfers": transfers, "Grants": grants, "Summary": s,
		"Cut": f.Handover.Total > len(transfers) || len(c.acts) == shown,
	})
}
