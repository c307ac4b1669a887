# What can be made here. `make` alone builds the program, `make help` lists the rest.

GO ?= go
# Seconds for each fuzz target, and for all of them together.
FUZZ_SECONDS ?= 10
FUZZ_TOTAL ?= 600

# Messages for the chaos test and for the leak test.
CHAOS ?= 1000
LEAKS ?= 100000

.PHONY: help check-go build static install install-files uninstall reference binary deb release test-deb nightly run test test-unit e2e systemd chaos leaks conformance why fuzz bench bench-peers bench-postfix bench-domains bench-tables lint staticcheck vulnerabilities clean firsthour

# Go 1.21 and later fetch the release that go.mod names.
GOTOOLCHAIN ?= auto
export GOTOOLCHAIN

# build: the program: bin/signpost. It loads libcrypto for RSA where the machine has
# it, and so needs the machine's C library
build: check-go
	CGO_ENABLED=0 $(GO) build -trimpath -tags libcrypto -o bin/signpost ./cmd/signpost

# static: the program as one file that needs no library: bin/signpost-static
static: check-go
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/signpost-static ./cmd/signpost

check-go:
	@sh deploy/check-go.sh $(GO)

# install: the program and what systemd needs of it, below DESTDIR
PREFIX ?= /usr
BINARY ?= bin/signpost
install: build install-files

SHARE = $(DESTDIR)$(PREFIX)/share
install-files: reference
	install -D -m 755 $(BINARY) $(DESTDIR)$(PREFIX)/bin/signpost
	install -d -m 755 $(DESTDIR)$(PREFIX)/lib/systemd/system
	sed 's|/usr/bin/signpost|$(PREFIX)/bin/signpost|' deploy/systemd/signpost.service > $(DESTDIR)$(PREFIX)/lib/systemd/system/signpost.service
	install -D -m 644 deploy/sysusers.d/signpost.conf $(DESTDIR)$(PREFIX)/lib/sysusers.d/signpost.conf
	install -D -m 644 deploy/tmpfiles.d/signpost.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/signpost.conf
	install -d -m 755 $(SHARE)/man/man8 $(SHARE)/man/man5
	for page in bin/reference/man/*.[58]; do gzip -9n <$$page >$(SHARE)/man/man$${page##*.}/$${page##*/}.gz || exit 1; done
	install -D -m 644 bin/reference/schema/signpost.schema.json $(SHARE)/signpost/signpost.schema.json
	install -D -m 644 bin/reference/completion/signpost.bash $(SHARE)/bash-completion/completions/signpost
	install -D -m 644 bin/reference/completion/signpost.zsh $(SHARE)/zsh/vendor-completions/_signpost
	install -D -m 644 bin/reference/completion/signpost.fish $(SHARE)/fish/vendor_completions.d/signpost.fish
	install -D -m 644 config.example.yaml $(DESTDIR)$(PREFIX)/share/doc/signpost/config.example.yaml
	install -d -m 755 $(SHARE)/doc/signpost/docs
	install -m 644 README.md SECURITY.md $(SHARE)/doc/signpost/
	install -m 644 docs/*.md $(SHARE)/doc/signpost/docs/
	install -d -m 755 $(DESTDIR)/etc/signpost

# uninstall: stops the service and removes what install put below DESTDIR; configuration and keys stay
uninstall:
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl disable --now signpost 2>/dev/null || true; fi
	rm -f $(DESTDIR)$(PREFIX)/bin/signpost $(DESTDIR)$(PREFIX)/lib/systemd/system/signpost.service \
		$(DESTDIR)$(PREFIX)/lib/sysusers.d/signpost.conf $(DESTDIR)$(PREFIX)/lib/tmpfiles.d/signpost.conf \
		$(SHARE)/man/man8/signpost.8.gz $(SHARE)/man/man8/signpost-*.8.gz $(SHARE)/man/man5/signpost.yaml.5.gz \
		$(SHARE)/bash-completion/completions/signpost $(SHARE)/zsh/vendor-completions/_signpost $(SHARE)/fish/vendor_completions.d/signpost.fish
	rm -rf $(SHARE)/doc/signpost $(SHARE)/signpost
	@if [ -z "$(DESTDIR)" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
	@echo "left as they are: $(DESTDIR)/etc/signpost and $(DESTDIR)/var/lib/signpost"

# reference: manual pages, the configuration's JSON Schema and completions, in bin/reference
reference: check-go
	@rm -rf bin/reference
	@CGO_ENABLED=0 $(GO) run ./cmd/signpost __manual --date "$$(date -u -d "@$$(sh deploy/version.sh | cut -d' ' -f2)" +%F)" bin/reference

# binary: a release's program: make binary ARCH=arm64 KIND=static OUT=FILE VERSION=1.2.3
ARCH ?= $$($(GO) env GOARCH)
OUT ?= bin/signpost
VERSION ?= $$(sh deploy/version.sh | cut -d' ' -f1)
binary: check-go
	CGO_ENABLED=0 GOOS=linux GOARCH=$(ARCH) $(GO) build -trimpath -buildvcs=false $(if $(KIND),,-tags libcrypto -buildmode=pie) \
		-ldflags "-s -w -buildid= -X main.version=$(VERSION)" -o $(OUT) ./cmd/signpost

# deb: a Debian package of this commit in bin/: make deb [ARCH=arm64] [KIND=static]
deb: check-go
	@bash deploy/debian/build.sh $(ARCH) $(KIND)

# release: packages, archives and checksums of this commit, for amd64 and arm64, in bin/release
release: check-go
	@bash deploy/release.sh

# run: a demonstration on loopback that needs no mail server and no DNS; REPORTS=1 shows
# the page of a month of made-up reports, too
run: build
	bin/signpost demo --state ./run $(if $(REPORTS),--reports)

# What depends on the build tag libcrypto.
LIBCRYPTO_PACKAGES = ./internal/openssl ./keys/... ./internal/daemon ./cmd/signpost

# test: all tests, the end-to-end ones with Debian's Postfix and Sendmail included. As root it
# installs the packages these need; what had to be skipped is said at the end
test: check-go
	@sh e2e/install-packages.sh || true
	@$(GO) build -o bin/report ./e2e/report
	@{ $(GO) test -count=1 -json ./...; CGO_ENABLED=0 $(GO) test -count=1 -json -tags libcrypto $(LIBCRYPTO_PACKAGES); } | bin/report

# test-unit: the tests that need nothing but Go
test-unit: check-go
	$(GO) test $$($(GO) list ./... | grep -v /e2e)

# e2e: the end-to-end tests alone, in full words; a skip is a failure
e2e: check-go
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require $(GO) test -count=1 -v ./e2e/

# test-deb: the package, installed, upgraded, removed and purged in a Debian of its own (root)
test-deb: check-go
	bash e2e/package.sh

# firsthour: a newcomer's way in a Debian of its own, timed, from the package to signed mail (root)
firsthour: check-go
	bash e2e/firsthour.sh

# nightly: what takes too long for each change, one after the other, some hours (root)
nightly: check-go
	bash e2e/nightly.sh

# systemd: the unit under a real systemd, in a container (root, systemd-container)
systemd: check-go
	bash e2e/systemd.sh

# chaos: mail through both MTAs while DNS answers badly and Signpost is reloaded and killed: make chaos CHAOS=5000
chaos: check-go
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require SIGNPOST_CHAOS=$(CHAOS) $(GO) test -count=1 -v -timeout 30m -run 'TestChaos|TestReloadsUnderLoad|TestKilled' ./e2e/

# leaks: many messages and a tenth as many broken connections; memory, descriptors and goroutines stay flat
leaks: check-go
	sh e2e/install-packages.sh
	SIGNPOST_E2E=require SIGNPOST_LEAKS=$(LEAKS) $(GO) test -count=1 -v -timeout 60m -run '^TestLeaks$$' ./e2e/

# conformance: the published suites, as a table: cases, passed, exceptions
conformance: check-go
	$(GO) run ./internal/conformance/table

# why: shows that the faults for which parts of libraries are not used are still there;
# fails where upstream has mended one (ARCHITECTURE.md, Libraries)
why: check-go
	$(GO) test -count=1 -tags why ./internal/why

# fuzz: every fuzz target for a while: make fuzz FUZZ_SECONDS=60 FUZZ_TOTAL=3600
fuzz: check-go
	@bash .ci/fuzz $(FUZZ_SECONDS) $(FUZZ_TOTAL)

# bench: all benchmarks, with allocations, as benchstat reads them: make bench COUNT=10 (it takes an hour)
COUNT ?= 1
bench: check-go
	CGO_ENABLED=0 $(GO) test -tags libcrypto -run '^$$' -bench . -benchmem -count $(COUNT) ./...

# bench-peers: beside OpenDKIM, OpenDMARC and rspamd, with the load generator of
# ../shared/bench; prints ratios. As root
bench-peers: check-go
	@bash e2e/bench/peers.sh

# bench-postfix: behind a real Postfix, beside a Go server that does nothing and the peers. As root
bench-postfix: check-go
	@bash e2e/bench/postfix.sh

# bench-domains: start to first signature, and memory, with 1,000 and 10,000 domains; as bench-peers
bench-domains: check-go
	@bash e2e/bench/domains.sh

# bench-tables: a table of 100,000 entries: start, memory, latency under reloads; and 64 idle connections
bench-tables: check-go
	@bash e2e/bench/tables.sh

# lint: formatting and vet
lint: check-go
	@unformatted=$$($$($(GO) env GOROOT)/bin/gofmt -l $$($(GO) list -f '{{.Dir}}' ./...)); \
	if [ -n "$$unformatted" ]; then echo "not formatted, run gofmt -w on:"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...

# staticcheck: what go vet does not find, in both builds; the tool comes from the module proxy
STATICCHECK = $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
staticcheck: check-go
	$(STATICCHECK) ./...
	$(STATICCHECK) -tags libcrypto ./...

# vulnerabilities: known ones in what is used, where the database can be reached
vulnerabilities: check-go
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...

# help: this list
help:
	@awk 'function show(words, n, i, line) { \
			if (name == "") return; n = split(text, words, " "); line = sprintf("%-16s", name); \
			for (i = 1; i <= n; i++) { \
				if (length(line) + 1 + length(words[i]) > 80) { print line; line = sprintf("%-16s", "") } \
				line = line " " words[i] \
			} \
			print line; name = "" } \
		/^# [a-z-]+: / { show(); name = $$2; sub(/:$$/, "", name); text = $$0; sub(/^# [^ ]+ /, "", text); next } \
		name != "" && /^# / { text = text " " substr($$0, 3); next } \
		{ show() }' Makefile

# clean: what the targets above leave behind
clean:
	rm -rf bin run
