package evidence

import (
	_ "embed"
	"encoding/json"
	"html/template"
	"io"
	"time"
)

//go:embed report.html
var reportText string

//go:embed howto.txt
var howTo string

// words are the report's, by language.
var words = map[string]map[string]string{
	"en": {
		"title": "Evidence of a handover", "case": "The case", "handover": "Handover", "kind": "Kind", "state": "State", "leaver": "Leaver",
		"requester": "Requested by", "executor": "Executed by", "digest": "Digest of the plan", "created": "Planned", "started": "Begun", "finished": "Finished",
		"moved": "Moved", "of": "of", "approvals": "Approvals", "approver": "Approver", "decision": "Decision", "at": "At", "none": "None.",
		"log": "What was done", "action": "Action", "actor": "By", "details": "Details", "transfers": "Transfers", "item": "Contact or group", "from": "From", "to": "To",
		"status": "Status", "reason": "Reason", "ownership": "Who looked after whom", "until": "Until", "today": "today",
		"proof":  "This report is for reading. What proves it are the other files: entries.jsonl holds the log's entries as they were signed, checkpoint.txt the signature. README.txt says how to check them.",
		"sealed": "Checkpoint over entries", "key": "Verifier key", "first": "The first of them are shown; transfers.jsonl and ownership.jsonl hold all.",
		"RESIGNED": "resigned", "ON_JOB": "in service", "grants": "Chat histories granted",
	},
	"zh-CN": {
		"title": "交接证据", "case": "案件", "handover": "交接", "kind": "类型", "state": "状态", "leaver": "离开的成员",
		"requester": "发起人", "executor": "执行人", "digest": "方案摘要", "created": "制定时间", "started": "开始时间", "finished": "完成时间",
		"moved": "已转移", "of": "/", "approvals": "审批", "approver": "审批人", "decision": "决定", "at": "时间", "none": "无。",
		"log": "操作记录", "action": "操作", "actor": "操作人", "details": "详情", "transfers": "分配记录", "item": "客户或客户群", "from": "原归属人", "to": "接替成员",
		"status": "状态", "reason": "原因", "ownership": "归属时间线", "until": "至", "today": "至今",
		"proof":  "本报告仅供阅读。证明效力来自其余文件:entries.jsonl 为签名时的日志原文,checkpoint.txt 为签名。核验方法见 README.txt。",
		"sealed": "检查点包含的记录数", "key": "验证公钥", "first": "仅显示前若干条,完整内容见 transfers.jsonl 与 ownership.jsonl。",
		"RESIGNED": "离职交接", "ON_JOB": "在职交接", "grants": "授予的聊天记录范围",
	},
}

// report writes the case for people, as one HTML file that loads nothing.
func report(w io.Writer, c *Case, log Log, lang string) error {
	zone, err := time.LoadLocation(c.TimeZone)
	if err != nil {
		return err
	}
	at := func(t time.Time) string { return t.In(zone).Format("2006-01-02 15:04:05 -07:00") }
	t, err := template.New("report").Funcs(template.FuncMap{
		"t": func(key string) string {
			if s, ok := words[lang][key]; ok {
				return s
			}
			return key
		},
		"at": func(v any) string {
			switch t := v.(type) {
			case time.Time:
				return at(t)
			case *time.Time:
				if t != nil {
					return at(*t)
				}
			}
			return ""
		},
		"json": func(v any) string {
			if v == nil {
				return ""
			}
			b, err := json.Marshal(v)
			if err != nil {
				return ""
			}
			return string(b)
		},
	}).Parse(reportText)
	if err != nil {
		return err
	}
	return t.Execute(w, map[string]any{
		"Lang": lang, "Case": c, "Log": log, "Transfers": c.shown, "Periods": c.periods, "Grants": c.granted, "Size": c.size,
		"Cut": c.Handover.Total > len(c.shown),
	})
}
