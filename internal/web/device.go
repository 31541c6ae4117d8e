package web

import "strings"

// Names by what a User-Agent header holds, the first that matches: browsers name the
// ones that they descend from as well.
var (
	agents = [][2]string{
		{"Edg/", "Edge"}, {"EdgA/", "Edge"}, {"EdgiOS/", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser/", "Samsung Internet"}, {"wxwork/", "WeCom"}, {"MicroMessenger/", "WeChat"},
		{"Firefox/", "Firefox"}, {"FxiOS/", "Firefox"}, {"CriOS/", "Chrome"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
		{"curl/", "curl"}, {"python-requests/", "Python"}, {"Go-http-client/", "Go"}, {"okhttp/", "an Android app"}, {"Dart/", "an app"}, {"node", "Node.js"},
	}
	systems = [][2]string{
		{"iPhone", "iPhone"}, {"iPad", "iPad"}, {"Android", "Android"}, {"Windows", "Windows"}, {"CrOS", "ChromeOS"},
		{"Macintosh", "macOS"}, {"Mac OS X", "macOS"}, {"Linux", "Linux"},
	}
)

// device says in a few words from what a request comes, for somebody who looks
// through their sessions. It proves nothing: a client sends what it likes, which is
// why nothing of the header itself gets through.
func device(agent string) string {
	if len(agent) > 1024 {
		agent = agent[:1024]
	}
	first := func(known [][2]string) string {
		for _, k := range known {
			if strings.Contains(agent, k[0]) {
				return k[1]
			}
		}
		return ""
	}
	what, where := first(agents), first(systems)
	switch {
	case what == "":
		return where
	case where == "":
		return what
	}
	return what + " on " + where
}
