package console

import (
	"errors"
	"net/http"

	"github.com/steward-rmm/steward/server/auth"
	"github.com/steward-rmm/steward/server/fault"
)

type signInBody struct {
	Email, To, Problem string
}

func (c *Console) signInForm(f *frame) error {
	if f.session != "" {
		return f.to(ownPath(f.r.URL.Query().Get("to")), "")
	}
	return f.show("signin", page{Title: "Sign in", Bare: true, Body: signInBody{To: ownPath(f.r.URL.Query().Get("to"))}})
}

func (c *Console) signIn(f *frame) error {
	email, to := f.field("email"), ownPath(f.field("to"))
	secret, _, err := c.o.SignIns.SignIn(f.ctx(), f.now, email, f.r.PostForm.Get("password"), c.o.Client(f.r), f.r.UserAgent())
	if err != nil {
		problem, status, ok := spoken(err)
		if !ok {
			return err
		}
		f.session = ""
		return f.answer(status, "signin", page{Title: "Sign in", Bare: true, Body: signInBody{Email: email, To: to, Problem: problem}})
	}
	c.setCookie(f.w, sessionCookie, secret.Reveal(), int(auth.SessionLife.Seconds()))
	return f.to(to, "")
}

func (c *Console) signOut(f *frame) error {
	if err := c.o.SignIns.SignOut(f.ctx(), f.now, f.session); err != nil {
		return err
	}
	c.setCookie(f.w, sessionCookie, "", -1)
	return f.to("/sign-in", "")
}

// spoken is what a person may read of a refusal, false for our own failures.
func spoken(err error) (text string, status int, ok bool) {
	var known *fault.Error
	if !errors.As(err, &known) || known.Kind == fault.Internal {
		return "", 0, false
	}
	text = sentence(known.Message)
	if known.Next != "" {
		text += " " + sentence(known.Next)
	}
	if known.Kind == fault.Unauthenticated {
		return text, http.StatusUnprocessableEntity, true
	}
	return text, statusOf(known.Kind), true
}

type linkBody struct {
	Token, Name, Email, Problem string
	Dev, Fresh                  bool // signs in without a password; a first one
}

// linkForm shows who a one-time link is for. It uses nothing up: mail scanners
// open links too.
func (c *Console) linkForm(f *frame) error {
	token := f.r.PathValue("token")
	return c.showLink(f, token, http.StatusOK, "")
}

func (c *Console) showLink(f *frame, token string, status int, problem string) error {
	f.session = ""
	person, link, err := c.o.SignIns.PeekLink(f.ctx(), f.now, token)
	if err != nil {
		text, _, ok := spoken(err)
		if !ok {
			return err
		}
		return f.answer(http.StatusNotFound, "link", page{Title: "This link is over", Bare: true, Body: linkBody{Problem: text}})
	}
	return f.answer(status, "link", page{Title: "Come in", Bare: true, Body: linkBody{
		Token: token, Name: person.Name, Email: person.Email, Problem: problem, Dev: link.Purpose == auth.Dev, Fresh: link.Purpose != auth.Reset,
	}})
}

func (c *Console) redeemLink(f *frame) error {
	token, password := f.r.PathValue("token"), f.r.PostForm.Get("password")
	if again := f.r.PostForm.Get("again"); again != password {
		return c.showLink(f, token, http.StatusUnprocessableEntity, "The two passwords differ.")
	}
	secret, _, err := c.o.SignIns.RedeemLink(f.ctx(), f.now, token, password, c.o.Client(f.r), f.r.UserAgent())
	if err != nil {
		text, status, ok := spoken(err)
		if !ok {
			return err
		}
		return c.showLink(f, token, status, text)
	}
	c.setCookie(f.w, sessionCookie, secret.Reveal(), int(auth.SessionLife.Seconds()))
	return f.to("/", "")
}

func asFault(err error) *fault.Error {
	var known *fault.Error
	if errors.As(err, &known) {
		return known
	}
	return nil
}
