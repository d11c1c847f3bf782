package cli

// Tokens are the commands of API tokens. One is made on the server's machine
// (token create) or in the console, where its secret is shown once.
type Tokens struct {
	List   tokensList   `cmd:"" help:"List tokens."`
	Revoke tokensRevoke `cmd:"" help:"End a token at once."`
}

type tokensList struct {
	Limit *int `placeholder:"N" xor:"rows" help:"Only the first N rows."`
	Count bool `xor:"rows" help:"Only how many there are."`
}

func (c *tokensList) Validate() error { return listing{Limit: c.Limit}.Validate() }

func (c *tokensList) Run(x *call) error {
	return x.list(listing{Limit: c.Limit, Count: c.Count}, "tokens", []string{"tokens"}, query(),
		long("NAME", "name"), column{title: "RIGHTS", give: flex, show: rights}, id("OF", "tenant"), x.at("LAST USED", "last_used_at"),
		x.at("EXPIRES", "expires_at"), x.at("REVOKED", "revoked_at"), id("ID", "id"))
}

type tokensRevoke struct {
	item
	because
}

func (c *tokensRevoke) Run(x *call) error { return x.actOn("tokens", c.ID, "revoke", c.Reason) }
