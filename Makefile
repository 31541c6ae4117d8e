# Short names for go commands. Nothing needs make: each line can be typed instead.

.DEFAULT_GOAL := help
.PHONY: help run test lint generate bench conformance

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: ## serve the demo on SQLite
	go run ./cmd/handover serve --demo

test: ## vet and test everything on both databases; starts its own PostgreSQL
	go run ./cmd/check

lint: ## vet, staticcheck, and the layers of .golangci.yml
	go vet ./...
	go run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...
	go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.12.2 run

generate: ## write all generated files anew
	go generate ./...

bench: ## run the benchmarks
	go test -run '^$$' -bench . ./...

conformance: ## the public GraphQL over HTTP audit; the only target that needs Node
	sh graph/edge/testdata/conformance/run.sh
