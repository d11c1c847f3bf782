package agent

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func never(error) bool { return false }

func TestAnActorThatPanicsBeginsAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		runs := 0
		as := startActors(slog.New(slog.DiscardHandler), never, actor{"weak", func(ctx context.Context) error {
			if runs++; runs < 3 {
				panic("no")
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		time.Sleep(3 * again)
		synctest.Wait()
		if runs != 3 {
			t.Errorf("%d runs", runs)
		}
		if err := as.stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestStopIsBoundedAndNamesWhoBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		free := make(chan struct{})
		as := startActors(slog.New(slog.DiscardHandler), never,
			actor{"good", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			actor{"slow", func(context.Context) error { <-free; return nil }})
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if err := as.stop(ctx); err == nil || !strings.Contains(err.Error(), "slow") || strings.Contains(err.Error(), "good") {
			t.Errorf("stop: %v", err)
		}
		close(free)
		if err := as.stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
}

func TestAFinalErrorEndsAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := errors.New("retired")
		as := startActors(slog.New(slog.DiscardHandler), func(err error) bool { return errors.Is(err, end) },
			actor{"other", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }},
			actor{"last", func(context.Context) error { return end }})
		<-as.done
		if !errors.Is(as.final, end) {
			t.Errorf("final %v", as.final)
		}
	})
}
