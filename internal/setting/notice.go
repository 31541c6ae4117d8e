package setting

// notice is what people decide about the notice period: how many contacts, and groups, and
// messages a member who is LEAVING reads a day before the auditor is told.
func (in *SaveInput) notice(s *Settings) []part {
	return []part{
		{"noticeReadsPerDay", &s.NoticeReadsPerDay, in.NoticeReadsPerDay, 1, 100_000, true},
		{"noticeMessagesPerDay", &s.NoticeMessagesPerDay, in.NoticeMessagesPerDay, 1, 1_000_000, true},
	}
}
