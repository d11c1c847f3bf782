package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/steward-rmm/steward/agent/spool"
	agentv1 "github.com/steward-rmm/steward/proto/steward/agent/v1"
	"github.com/steward-rmm/steward/proto/wire"
)

// Answer is the server's word about the start of one job.
type Answer struct {
	Verdict    Verdict
	Reason     string // a code of the server
	RetryAfter time.Duration
}

// ErrNoSession: nobody can be asked now.
var ErrNoSession = errors.New("there is no session with the server")

// errNoAnswer: the server did not answer in wire.MayStartTimeout.
var errNoAnswer = fmt.Errorf("the server did not answer in %v", wire.MayStartTimeout)

// MayStart asks whether a job may start now. Any error, like no answer within
// 30 seconds, is no start.
func (c *Client) MayStart(ctx context.Context, jobID string, attempt uint32) (Answer, error) {
	key := spool.Key{JobID: jobID, Attempt: attempt}
	got, err := c.ask(ctx, question{start: true, key: key}, func(request uint64) *agentv1.AgentMessage {
		return &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_StartRequest{StartRequest: &agentv1.StartRequest{JobId: jobID, Attempt: attempt, Request: request}}}
	})
	if err != nil {
		return Answer{}, fmt.Errorf("may %s start: %w", key, err)
	}
	return Answer{Verdict: got.verdict, Reason: got.reason, RetryAfter: got.retry}, nil
}

// MayScan asks whether a scan that touches the network may run now, and when to
// ask again if not.
func (c *Client) MayScan(ctx context.Context, source string) (allowed bool, retry time.Duration, err error) {
	got, err := c.ask(ctx, question{}, func(request uint64) *agentv1.AgentMessage {
		return &agentv1.AgentMessage{Kind: &agentv1.AgentMessage_ScanRequest{ScanRequest: &agentv1.ScanRequest{Source: short(source), Request: request}}}
	})
	if err != nil {
		return false, 0, fmt.Errorf("may %s be scanned: %w", source, err)
	}
	return got.allowed, got.retry, nil
}

// question waits for its answer; start tells the two kinds apart.
type question struct {
	start  bool
	key    spool.Key
	answer chan reply // one slot
}

// reply to either kind of question.
type reply struct {
	verdict Verdict
	allowed bool
	reason  string
	retry   time.Duration
}

// ask sends a question and waits for the answer with its number.
func (c *Client) ask(ctx context.Context, q question, message func(request uint64) *agentv1.AgentMessage) (reply, error) {
	c.mu.Lock()
	s := c.live
	c.mu.Unlock()
	if s == nil {
		return reply{}, ErrNoSession
	}
	q.answer = make(chan reply, 1)
	request := s.put(q, message)
	defer s.drop(request)
	timer := time.NewTimer(wire.MayStartTimeout)
	defer timer.Stop()
	select {
	case got := <-q.answer:
		return got, nil
	case <-s.ended:
		return reply{}, ErrNoSession
	case <-timer.C:
		return reply{}, errNoAnswer
	case <-ctx.Done():
		return reply{}, ctx.Err()
	}
}

func (s *session) put(q question, message func(uint64) *agentv1.AgentMessage) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastRequest++
	s.questions[s.lastRequest] = q
	s.outbox = append(s.outbox, message(s.lastRequest))
	s.wake()
	return s.lastRequest
}

func (s *session) drop(request uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.questions, request)
}

// answer gives a reply to who asked. One that nobody waits for, that comes
// twice, or that is about another job is dropped.
func (s *session) answer(request uint64, start bool, key spool.Key, r reply) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.questions[request]
	if !ok || q.start != start || start && q.key != key {
		return
	}
	delete(s.questions, request)
	q.answer <- r
}
