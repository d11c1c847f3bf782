package wake

import (
	"strconv"
	"sync"
	"testing"
)

func hinted(hints <-chan struct{}) bool {
	select {
	case <-hints:
		return true
	default:
		return false
	}
}

func TestHintsMeltIntoOne(t *testing.T) {
	var hub Hub
	hub.Wake("jobs") // nobody listens
	hints, cancel := hub.Subscribe("jobs")
	defer cancel()
	if hinted(hints) {
		t.Error("a hint from before the subscription")
	}
	for range 1000 {
		hub.Wake("jobs")
	}
	if !hinted(hints) || hinted(hints) {
		t.Error("want exactly one hint")
	}
	hub.Wake("alerts")
	if hinted(hints) {
		t.Error("a hint for another topic")
	}
}

func TestOneChannelForSeveralTopics(t *testing.T) {
	var hub Hub
	topics := []string{"jobs", "alerts", "jobs"}
	hints, cancel := hub.Subscribe(topics...)
	topics[0] = "changed by the caller"
	for _, topic := range []string{"jobs", "alerts"} {
		hub.Wake(topic)
		if !hinted(hints) {
			t.Errorf("no hint for %s", topic)
		}
	}
	cancel()
	cancel()
	hub.Wake("jobs")
	if hinted(hints) {
		t.Error("a hint after cancel")
	}
	if len(hub.topics) != 0 {
		t.Errorf("topics stay behind: %v", hub.topics)
	}
}

func TestCancelLeavesTheOthers(t *testing.T) {
	var hub Hub
	_, cancelFirst := hub.Subscribe("jobs")
	second, cancelSecond := hub.Subscribe("jobs")
	defer cancelSecond()
	cancelFirst()
	hub.Wake("jobs")
	if !hinted(second) {
		t.Error("the other subscriber lost its hint")
	}
}

func TestThousandsSubscribeWakeAndLeaveAtOnce(t *testing.T) {
	var hub Hub
	var everyone sync.WaitGroup
	for i := range 2000 {
		topic := "device/" + strconv.Itoa(i%50)
		everyone.Go(func() {
			hints, cancel := hub.Subscribe(topic, "all")
			hub.Wake(topic)
			<-hints // own hint, or one of a neighbour: it must come
			cancel()
			hub.Wake("all")
		})
	}
	everyone.Wait()
	if len(hub.topics) != 0 {
		t.Errorf("%d topics stay behind", len(hub.topics))
	}
}

func BenchmarkWake10000(b *testing.B) {
	var hub Hub
	for range 10000 {
		hub.Subscribe("jobs")
	}
	for b.Loop() {
		hub.Wake("jobs")
	}
}
