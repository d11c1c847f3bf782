# Steward's make targets. Everything is built into bin/, nothing outside of
# this folder is written except the Go caches.
# `make run` needs Go and make; `make test` installs what it needs by apt.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := build

# An unpacked archive has no git; the version is then "dev".
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  = -s -w -X main.version=$(VERSION)
# grpcnotrace leaves golang.org/x/net/trace out: 2.6 MB of every binary.
BUILD    = CGO_ENABLED=0 go build -p 2 -trimpath -tags grpcnotrace -ldflags '$(LDFLAGS)'

GOFMT    = $$(go env GOROOT)/bin/gofmt
CODE     = $(wildcard agent installers proto scripts server)
TOOLS    = bin/tools

.PHONY: build run demo test test-fast lint generate bench soak installers tools clean

build: ## the three binaries, stamped with the version
	@mkdir -p bin
	$(BUILD) -o bin/steward ./server/cmd/steward
	$(BUILD) -o bin/steward-agent ./agent/cmd/steward-agent
	$(BUILD) -o bin/steward-swarm ./agent/cmd/steward-swarm

# exec: the signal that ends the target must reach the program, not a shell
# or a `go run` around it.
run: ## a server on ./var and one agent for this machine; ctrl-C stops both
	@mkdir -p $(TOOLS)
	@$(BUILD) -o bin/steward ./server/cmd/steward
	@$(BUILD) -o bin/steward-agent ./agent/cmd/steward-agent
	@CGO_ENABLED=0 go build -p 2 -o $(TOOLS)/run ./scripts/run
	@exec $(TOOLS)/run $(ARGS)

demo installers:
	@echo "make $@: not in this version" >&2; exit 2

test: ## everything
	@mkdir -p $(TOOLS); CGO_ENABLED=0 go build -p 2 -o $(TOOLS)/test ./scripts/test
	@exec $(TOOLS)/test all

test-fast: ## what a developer runs all the time
	@mkdir -p $(TOOLS); CGO_ENABLED=0 go build -p 2 -o $(TOOLS)/test ./scripts/test
	@exec $(TOOLS)/test fast

soak: ## the chaos loops and long simulations at full count
	@mkdir -p $(TOOLS); CGO_ENABLED=0 go build -p 2 -o $(TOOLS)/test ./scripts/test
	@exec $(TOOLS)/test soak

bench: build ## every benchmark, one package at a time, then whole processes for 10 minutes (STEWARD_BENCH_MINUTES)
	go test -p 1 -run '^$$' -bench . -benchmem ./...
	STEWARD_BIN=$(CURDIR)/bin go test -tags e2e -count=1 -timeout 3h -v ./scripts/bench

generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## Go code from proto/
	scripts/generate.sh

lint: tools ## format, floor plan, protobuf and its generated code, vet, staticcheck
	@echo "lint: gofmt"; out=$$($(GOFMT) -l $(CODE)); if [ -n "$$out" ]; then echo "not formatted, run gofmt -w:"; echo "$$out"; exit 1; fi
	@echo "lint: floor plan"; go run ./scripts/archtest
	@echo "lint: protobuf"; scripts/generate.sh --check
	@echo "lint: go vet"; go vet -p 2 -tags e2e ./...
	@if [ -d agent ]; then \
	  for os in windows darwin; do echo "lint: go vet ($$os)"; GOOS=$$os go vet -p 2 ./agent/...; done; fi
	@echo "lint: staticcheck"; scripts/staticcheck.sh

tools: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc $(TOOLS)/staticcheck

# Two modules: buf wants a newer protobuf than the generator that we pin.
$(TOOLS)/buf: scripts/tools/buf/go.mod scripts/tools/buf/go.sum
	@echo "building $@"; mkdir -p $(TOOLS); cd scripts/tools/buf && CGO_ENABLED=0 go build -p 2 -o ../../../$@ github.com/bufbuild/buf/cmd/buf

$(TOOLS)/staticcheck: PKG = honnef.co/go/tools/cmd/staticcheck
$(TOOLS)/protoc-gen-go: PKG = google.golang.org/protobuf/cmd/protoc-gen-go
$(TOOLS)/protoc-gen-go-grpc: PKG = google.golang.org/grpc/cmd/protoc-gen-go-grpc
$(TOOLS)/staticcheck $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc: scripts/tools/go.mod scripts/tools/go.sum
	@echo "building $@"; mkdir -p $(TOOLS); cd scripts/tools && CGO_ENABLED=0 go build -p 2 -o ../../$@ $(PKG)

clean:
	rm -rf bin
