package console

import (
	"net/http"
	"time"
)

type youBody struct {
	Name, Email, Zone, Problem string
	Theme, Keys                string
	Session                    time.Duration
}

func (c *Console) you(f *frame) error { return c.showYou(f, http.StatusOK, "") }

func (c *Console) showYou(f *frame, status int, problem string) error {
	return f.answer(status, "you", page{Title: "Settings", Nav: "you", Body: youBody{
		Name: f.who.Actor.Name, Zone: f.loc.String(), Problem: problem, Theme: f.look.Theme, Keys: f.look.Keys,
	}})
}

// setLook keeps how the pages look in this browser.
func (c *Console) setLook(f *frame) error {
	theme, keys := f.field("theme"), "on"
	if f.field("keys") == "" {
		keys = "off"
	}
	if theme != "light" && theme != "dark" {
		theme = ""
	}
	c.setCookie(f.w, lookCookie, theme+"."+keys, 365*24*3600)
	return f.to("/you", "")
}

func (c *Console) setPassword(f *frame) error {
	next := f.r.PostForm.Get("password")
	if next != f.r.PostForm.Get("again") {
		return c.showYou(f, http.StatusUnprocessableEntity, "The two new passwords differ. Nothing was changed.")
	}
	if err := c.o.SignIns.SetPassword(f.ctx(), f.now, f.who, f.r.PostForm.Get("old"), next); err != nil {
		text, status, ok := spoken(err)
		if !ok {
			return err
		}
		return c.showYou(f, status, text)
	}
	return f.to("/you", "Your password is changed. Your other sessions have ended.")
}
