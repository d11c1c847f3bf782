package main

import "context"

func enroll(context.Context, *call) error { return notYet(nil, nil) }
func serve(context.Context, *call) error  { return notYet(nil, nil) }
func status(context.Context, *call) error { return notYet(nil, nil) }
