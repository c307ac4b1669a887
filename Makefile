# What can be made here. `make` alone builds the program.

GO ?= go
# Seconds for each fuzz target, and for all of them together.
FUZZ_SECONDS ?= 10
FUZZ_TOTAL ?= 600

# Messages for the chaos test and for the leak test.
CHAOS ?= 1000
LEAKS ?= 100000

.PHONY: build static install run test test-unit e2e systemd chaos leaks conformance why fuzz bench bench-peers bench-postfix bench-domains bench-tables lint staticcheck vulnerabilities clean

# build: the program: bin/signpost. It loads libcrypto for RSA where the machine has
# it, and so needs the machine's C library
build:
	CGO_ENABLED=0 $(GO) build -trimpath -tags libcrypto -o bin/signpost ./cmd/signpost

# static: the program as one file that needs no library: bin/signpost-static
static:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/signpost-static ./cmd/signpost

# install: the program and what systemd needs of it, below DESTDIR
PREFIX ?= /usr
install: build
	install -D -m 755 bin/signpost $(DESTDIR)$(PREFIX)/bin/signpost
	install -d -m 755 $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/signpost|$(PREFIX)/bin/signpost|' deploy/systemd/signpost.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/signpost.service
	install -D -m 644 deploy/sysusers.d/signpost.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/signpost.conf
	install -D -m 644 deploy/tmpfiles.d/signpost.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/signpost.conf
	install -D -m 644 deploy/man/signpost.8 $(DESTDIR)$(PREFIX)/share/man/man8/signpost.8
	install -D -m 644 config.example.yaml $(DESTDIR)$(PREFIX)/share/doc/signpost/config.example.yaml
	install -d -m 755 $(DESTDIR)/etc/signpost

# run: a demonstration on loopback that needs no mail server and no DNS
run: build
	bin/signpost demo --state ./run

# What depends on the build tag libcrypto.
LIBCRYPTO_PACKAGES = ./internal/openssl ./keys/... ./internal/daemon ./cmd/signpost

# test: all tests, the end-to-end ones with Debian's Postfix and Sendmail included. As root it
# installs the packages these need; what had to be skipped is said at the end.
test:
	@sh e2e/install-packages.sh || true
	@{ $(GO) test -json ./...; CGO_ENABLED=0 $(GO) test -json -tags libcrypto $(LIBCRYPTO_PACKAGES); } | $(GO) run ./e2e/report

# test-unit: the tests that need nothing but Go
test-unit:
	$(GO) test $$($(GO) list ./... | grep -v /e2e)

# e2e: the end-to-end tests alone, in full words; a skip is a failure
e2e:
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require $(GO) test -count=1 -v ./e2e/

# systemd: the unit under a real systemd, in a container (root, systemd-container)
systemd:
	bash e2e/systemd.sh

# chaos: mail through both MTAs while DNS answers badly and Signpost is reloaded and killed: make chaos CHAOS=5000
chaos:
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require SIGNPOST_CHAOS=$(CHAOS) $(GO) test -count=1 -v -timeout 30m -run 'TestChaos|TestReloadsUnderLoad|TestKilled' ./e2e/

# leaks: many messages and a tenth as many broken connections; memory, descriptors and goroutines stay flat
leaks:
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require SIGNPOST_LEAKS=$(LEAKS) $(GO) test -count=1 -v -timeout 60m -run '^TestLeaks$$' ./e2e/

# conformance: the published suites, as a table: cases, passed, exceptions
conformance:
	$(GO) run ./internal/conformance/table

# why: shows that the faults for which parts of libraries are not used are still there;
# fails where upstream has mended one (ARCHITECTURE.md, Libraries)
why:
	$(GO) test -count=1 -tags why ./internal/why

# fuzz: every fuzz target for a while: make fuzz FUZZ_SECONDS=60 FUZZ_TOTAL=3600
fuzz:
	@bash .ci/fuzz $(FUZZ_SECONDS) $(FUZZ_TOTAL)

# bench: all benchmarks, with allocations, as benchstat reads them: make bench COUNT=10 (it takes an hour)
COUNT ?= 1
bench:
	CGO_ENABLED=0 $(GO) test -tags libcrypto -run '^$$' -bench . -benchmem -count $(COUNT) ./...

# bench-peers: beside OpenDKIM, OpenDMARC and rspamd, with the load generator of
# ../shared/bench; prints ratios. As root
bench-peers:
	@bash e2e/bench/peers.sh

# bench-postfix: behind a real Postfix, beside a Go server that does nothing and the peers. As root
bench-postfix:
	@bash e2e/bench/postfix.sh

# bench-domains: start to first signature, and memory, with 1,000 and 10,000 domains; as bench-peers
bench-domains:
	@bash e2e/bench/domains.sh

# bench-tables: a table of 100,000 entries: start, memory, latency under reloads; and 64 idle connections
bench-tables:
	@bash e2e/bench/tables.sh

# lint: formatting and vet
lint:
	@unformatted=$$(gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

# staticcheck: what go vet does not find, in both builds; the tool comes from the module proxy
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
staticcheck:
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags libcrypto ./...

# vulnerabilities: known ones in what is used, where the database can be reached
vulnerabilities:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

# clean: what the targets above leave behind
clean:
	rm -rf bin run
