package api

import (
	"bytes"
	"crypto/sha256"
	"net/http"
	"strconv"
	"testing"
)

func TestAnswersThatAreKeptHaveABoundInBytes(t *testing.T) {
	keys := newIdempotency(maxKeys)
	name := func(i int) [32]byte { return sha256.Sum256([]byte(strconv.Itoa(i))) }
	keep := func(i int) {
		if _, known := keys.begin(name(i), name(-1)); known {
			t.Fatalf("%d is known before it was asked", i)
		}
		answer := &recorder{header: http.Header{}, status: http.StatusOK, body: *bytes.NewBuffer(make([]byte, maxKept))}
		keys.finish(name(i), answer)
	}
	const many = 3 * maxKeptAll / maxKept
	for i := range many {
		keep(i)
	}
	total := 0
	for e := keys.order.Front(); e != nil; e = e.Next() {
		if k, ok := e.Value.(*kept); ok {
			total += len(k.body)
		}
	}
	if total > maxKeptAll || total != keys.bytes {
		t.Errorf("%d bytes are kept and %d counted, at most %d", total, keys.bytes, maxKeptAll)
	}
	if k, known := keys.begin(name(many-1), name(-1)); !known || !k.done {
		t.Error("the latest answer is not there")
	}
	if _, known := keys.begin(name(0), name(-1)); known {
		t.Error("the first answer is still there")
	}
}
