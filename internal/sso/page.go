package sso

import (
	"html/template"
	"net/http"

	"github.com/openhandover/openhandover/internal/access"
	"github.com/openhandover/openhandover/internal/fault"
)

// What is said to somebody who cannot be sent back.
var (
	noSuchProvider = fault.T("There is no such sign-in here, or it is switched off.", "此登录方式不存在或已停用。")
	wrongMethod    = fault.T("This page cannot be used in this way.", "不支持此请求方式。")
	badReturn      = fault.T("The address to come back to is not one of this server. Go to the page that you want and sign in there.", "返回地址不属于本系统。请打开目标页面后重新登录。")
	signInFirst    = fault.T("Sign in first; then you can prove again who you are.", "请先登录,再进行身份验证。")
	provesNothing  = fault.T("What this provider says is no proof of identity here: no acr value of it is accepted. Use your authenticator or passkey.", "该身份提供方未设置可接受的 acr 值,不能用于身份验证。请使用身份验证器或通行密钥。")
	providerSilent = fault.T("Your company's sign-in does not answer. Try again in a moment.", "贵公司的登录服务没有响应,请稍后再试。")
	beginAgain     = fault.T("This sign-in took too long, was opened twice, or began in another browser. Begin again.", "登录已超时、被重复打开,或不是在此浏览器中开始的。请重新登录。")
	ourFault       = fault.T("Something went wrong here. Try again in a moment.", "系统出错,请稍后再试。")
)

var plainPage = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="{{.Lang}}"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>OpenHandover</title>
<p>{{.Text}}</p>
</html>
`))

// page says something in the reader's language.
func page(w http.ResponseWriter, r *http.Request, status int, text fault.Text) {
	lang, said := "en", text.EN
	if l := access.From(r.Context()).Lang; l != "" && l[:2] == "zh" {
		lang, said = "zh-CN", text.ZH
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	w.WriteHeader(status)
	_ = plainPage.Execute(w, map[string]string{"Lang": lang, "Text": said})
}
