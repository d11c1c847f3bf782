package cli

// Runs are the commands of openings of windows: that night's jobs.
type Runs struct {
	List runsList `cmd:"" help:"List runs."`
	Show runsShow `cmd:"" help:"A run with its jobs."`
}

type runsList struct {
	listing
}

func (c *runsList) Run(x *call) error {
	return x.list(c.listing, "runs", c.path("runs"), query(),
		id("ID", "id"), id("CUSTOMER", "tenant"), text("SITE", "site"), long("POLICY", "policy"),
		x.at("OPENS", "opens_at"), x.at("CLOSES", "closes_at"), column{title: "JOBS", give: flex, show: counts})
}

// counts shows a run's jobs by state.
func counts(o object) cell {
	m, ok := o.get("job_states").(map[string]any)
	if !ok {
		return cell{}
	}
	text := ""
	for _, p := range pairs(m) {
		if text != "" {
			text += " "
		}
		text += p
	}
	return cell{text: text}
}

type runsShow struct {
	item
}

func (c *runsShow) Run(x *call) error {
	p, err := x.find("run", c.ID)
	if err != nil {
		return err
	}
	raw, o, err := x.object("GET", p.path(), nil, nil)
	if err != nil {
		return err
	}
	if x.JSON {
		x.json(raw)
		return nil
	}
	x.facts([2]string{"run", o.str("id")}, [2]string{"customer", o.str("tenant")}, [2]string{"site", o.str("site")},
		[2]string{"policy", o.str("policy")}, [2]string{"opens", x.when(o.raw("opens_at"))},
		[2]string{"closes", x.when(o.raw("closes_at"))}, [2]string{"jobs", counts(o).text})
	x.say("")
	if jobs := o.list("jobs"); len(jobs) > 0 {
		x.objects(jobs, x.jobColumns()...)
	}
	return nil
}
