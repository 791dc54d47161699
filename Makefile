# make help tells what there is.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := build
MAKEFLAGS += --warn-undefined-variables --no-builtin-rules

# Where sudo has taken Go out of the PATH, it is usually here.
export PATH := $(PATH):/usr/local/go/bin
# Git refuses to look at another user's checkout, as under sudo; build without
# its commit then.
export GOFLAGS ?=
ifneq ($(shell git status --porcelain >/dev/null 2>&1 || echo refused),)
GOFLAGS += -buildvcs=false
endif

# Nothing here speaks HTTP/2, which would be a twentieth of the program. Tests run
# without it, too.
GOFLAGS += -tags=nethttpomithttp2

GO ?= go
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
UNITDIR ?= $(PREFIX)/lib/systemd/system
SYSUSERSDIR ?= $(PREFIX)/lib/sysusers.d
MANDIR ?= $(PREFIX)/share/man
BASHDIR ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR ?= $(PREFIX)/share/zsh/site-functions
FISHDIR ?= $(PREFIX)/share/fish/vendor_completions.d
DOCDIR ?= $(PREFIX)/share/doc/holdfast
REFERENCE ?= $(SYSCONFDIR)/holdfast/holdfast.toml.reference
DESTDIR ?=
# What is built and installed; it also writes its manual.
PROGRAM ?= bin/holdfast
INSTALLED = $(UNITDIR)/holdfast.service $(MANDIR)/man8/holdfast.8 $(MANDIR)/man5/holdfast.toml.5 \
	$(BASHDIR)/holdfast $(ZSHDIR)/_holdfast $(FISHDIR)/holdfast.fish
# The version to show; by default what Go knows from the checkout.
VERSION ?=
# More for go test, such as -v or -run Handover.
TESTFLAGS ?=
# For each fuzz target.
FUZZTIME ?= 60s
# How long the soak test runs, and the seed of what happens; by default a new one.
TIME ?= 10m
SEED ?=
# Not empty: with the race detector, which needs gcc.
RACE ?=
# How many disturbances an exploration puts together.
DEPTH ?= 2
# Of each mix of the simulation, and the first of them.
SEEDS ?= 10000
FIRST ?= 1
# Which rows of the tables of handovers and of cost, a pattern such as planned.
HANDOVER ?= .
COST ?= .
# Which row of the table of cost to profile.
ROW ?= 255_×_10ms

GOFUMPT := $(GO) run mvdan.cc/gofumpt@v0.12.0
STATICCHECK := $(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2
NEEDROOT = @[[ $$EUID == 0 ]] || { echo "$@ makes network namespaces, so it needs root: sudo make $@" >&2; exit 1; }

BUILD = CGO_ENABLED=0 $(GO) build -trimpath -ldflags '-s -w -X main.version=$(VERSION)' -o '$(PROGRAM)' ./cmd/holdfast

empty :=
space := $(empty) $(empty)
# The benchmarks that look at whole daemons, each run by itself.
BESIDE = Handover|Cost|Start|Precision|Growth|Profile
BENCH = HOLDFAST_REQUIRE=1 $(GO) test -timeout 0 $(TESTFLAGS) ./cmd/holdfast -run '^$$' -bench

.PHONY: build
build: ## build bin/holdfast, static (VERSION=…)
	$(BUILD)

.PHONY: demo
demo: build ## show what Holdfast does, on this machine, in network namespaces (root)
	$(NEEDROOT)
	command -v nginx >/dev/null || .ci/peers nginx || echo 'The demo goes on with its built-in web server.'
	'$(PROGRAM)' demo

# What the package's test packs is built while the peers are on their way.
.PHONY: test
test: ## run all tests, with keepalived, FRR and nginx as peers (root; TESTFLAGS=…)
	$(NEEDROOT)
	.ci/peers & $(BUILD) || { kill $$!; exit 1; }; wait $$!
	HOLDFAST_REQUIRE=1 $(GO) test -p 1 -timeout 20m $(TESTFLAGS) ./...

.PHONY: race
race: ## run all tests with the race detector (root; needs gcc)
	@command -v gcc >/dev/null || { echo 'the race detector needs a C compiler: install gcc' >&2; exit 1; }
	CGO_ENABLED=1 $(MAKE) test TESTFLAGS='-race $(TESTFLAGS)'

.PHONY: conformance
conformance: ## print what the RFCs ask for, with the result of each requirement's test (root)
	$(NEEDROOT)
	@GO='$(GO)' $(GO) run ./cmd/internal/conformance

.PHONY: lint
lint: ## vet, format, static analysis, go.mod
	$(GO) vet ./...
	@out=$$($(GOFUMPT) -l .); [[ -z $$out ]] || { echo "gofumpt would change:"; echo "$$out"; exit 1; }
	$(STATICCHECK) ./...
	$(GO) mod tidy -diff

.PHONY: fuzz
fuzz: ## run each fuzz target for FUZZTIME (default 60s), one line of totals each
	GO='$(GO)' .ci/fuzz $(FUZZTIME)

.PHONY: explore
explore: ## try every order of events with up to DEPTH disturbances (default 2)
	HOLDFAST_EXPLORE=$(DEPTH) $(GO) test -count=1 -v -timeout 12h -run '^TestExplore$$' $(TESTFLAGS) ./vrrp
.PHONY: sim
sim: ## simulate SEEDS bad days of each mix, from FIRST on (default 10000 from 1; MIX=name for one)
	HOLDFAST_SIM_SEEDS=$(SEEDS) HOLDFAST_SIM_FIRST=$(FIRST) HOLDFAST_SIM_MIX=$${MIX:-} $(GO) test -count=1 -timeout 24h -run '^TestSeeds$$' $(TESTFLAGS) ./vrrp/sim

.PHONY: bench
bench: ## run the benchmarks, last those beside keepalived (root; COST=row HANDOVER=row; COST_ROUNDS, COST_TIME, COST_JSON and so on)
	$(NEEDROOT)
	.ci/peers keepalived
	@echo 'This takes about two hours. Leave the machine alone meanwhile.'
	$(GO) test -p 1 -run '^$$' -bench . -skip '^Benchmark($(BESIDE))$$' -benchmem $(TESTFLAGS) ./...
	$(BENCH) '^BenchmarkStart$$'
	$(BENCH) '^BenchmarkPrecision$$'
	$(BENCH) '^BenchmarkCost$$/$(COST)'
	$(BENCH) '^BenchmarkHandover$$/$(HANDOVER)'

.PHONY: profile
profile: ## show where master and backup spend their time in a ROW of the table of cost (root; PROFILE_TIME=10s PROFILE_DIR=dir)
	$(NEEDROOT)
	$(BENCH) '^BenchmarkProfile$$/$(subst $(space),_,$(ROW))'

.PHONY: growth
growth: ## measure cost by number of instances and addresses, and draw it in examples (root; GROWTH_ROUNDS=3 GROWTH_TIME=5s GROWTH_JSON=file)
	$(NEEDROOT)
	.ci/peers keepalived
	$(BENCH) '^BenchmarkGrowth$$'

.PHONY: flat
flat: ## see that 255 instances with adverts each 10 ms keep their size for TIME (here 1h; root)
	$(NEEDROOT)
	HOLDFAST_REQUIRE=1 HOLDFAST_FLAT=$(if $(filter file,$(origin TIME)),1h,$(TIME)) $(GO) test -count=1 -v -timeout 0 -run '^TestMemoryFlat$$' $(TESTFLAGS) ./cmd/holdfast

.PHONY: busy
busy: ## load this machine for HOLDFAST_BUSY (default 60s) and see that nothing moves (root)
	$(NEEDROOT)
	HOLDFAST_REQUIRE=1 HOLDFAST_BUSY=$${HOLDFAST_BUSY:-60s} $(GO) test -count=1 -v -timeout 30m -run '^TestBusyMachine$$' $(TESTFLAGS) ./cmd/holdfast

.PHONY: soak
soak: ## let things happen to a cluster by chance for TIME (default 10m; SEED=…, RACE=1; root)
	$(NEEDROOT)
	.ci/peers keepalived
	HOLDFAST_REQUIRE=1 HOLDFAST_SOAK=$(TIME) HOLDFAST_SOAK_SEED=$(SEED) $(if $(RACE),CGO_ENABLED=1) \
		$(GO) test -count=1 -v -timeout 0 -run '^TestSoak$$' $(if $(RACE),-race) $(TESTFLAGS) ./cmd/holdfast

.PHONY: pauses
pauses: ## pause master and backup for HOLDFAST_PAUSE (default 30s) at each advert interval (root)
	$(NEEDROOT)
	HOLDFAST_REQUIRE=1 HOLDFAST_PAUSE=$${HOLDFAST_PAUSE:-30s} $(GO) test -count=1 -v -timeout 30m -run '^TestPaused' $(TESTFLAGS) ./cmd/holdfast

.PHONY: clock
clock: ## set this machine's wall clock to and fro, and see that nothing moves (root; for a machine of its own)
	$(NEEDROOT)
	HOLDFAST_CLOCK=1 $(GO) test -count=1 -v -timeout 10m -run '^TestWallClock$$' $(TESTFLAGS) ./cmd/holdfast

.PHONY: install
install: $(if $(wildcard $(PROGRAM)),,build) ## install program, systemd unit, manual, completions (PREFIX, SYSCONFDIR, UNITDIR, ZSHDIR, DESTDIR)
	install -Dm755 '$(PROGRAM)' '$(DESTDIR)$(PREFIX)/bin/holdfast'
	install -d $(foreach dir,$(UNITDIR) $(MANDIR)/man5 $(MANDIR)/man8 $(BASHDIR) $(ZSHDIR) $(FISHDIR),'$(DESTDIR)$(dir)')
	sed -e '1,/^\[Unit]/{/^#/d;}' -e 's|/usr/local/bin/holdfast|$(PREFIX)/bin/holdfast|' -e 's|/etc/holdfast/|$(SYSCONFDIR)/holdfast/|' \
		examples/holdfast.service >'$(DESTDIR)$(UNITDIR)/holdfast.service'
	'$(PROGRAM)' man 8 >'$(DESTDIR)$(MANDIR)/man8/holdfast.8'
	'$(PROGRAM)' man 5 >'$(DESTDIR)$(MANDIR)/man5/holdfast.toml.5'
	'$(PROGRAM)' completion bash >'$(DESTDIR)$(BASHDIR)/holdfast'
	'$(PROGRAM)' completion zsh >'$(DESTDIR)$(ZSHDIR)/_holdfast'
	'$(PROGRAM)' completion fish >'$(DESTDIR)$(FISHDIR)/holdfast.fish'
	chmod 644 $(INSTALLED:%='$(DESTDIR)%')
	install -Dm644 examples/holdfast.sysusers '$(DESTDIR)$(SYSUSERSDIR)/holdfast.conf'
	install -Dm644 examples/scripts-as-root.conf '$(DESTDIR)$(DOCDIR)/examples/scripts-as-root.conf'
	install -Dm644 cmd/internal/config/reference.toml '$(DESTDIR)$(REFERENCE)'
	@[[ -n '$(DESTDIR)' || $$EUID != 0 ]] || ! command -v systemd-sysusers >/dev/null || systemd-sysusers '$(abspath $(SYSUSERSDIR))/holdfast.conf'
	@[[ -n '$(DESTDIR)' || $$EUID != 0 || ! -e '$(SYSCONFDIR)/holdfast/holdfast.toml' ]] || ! getent passwd holdfast >/dev/null || \
		runuser -u holdfast -- test -r '$(SYSCONFDIR)/holdfast/holdfast.toml' || \
		echo 'Before you restart the daemon, which runs as user holdfast, let it read its configuration: chgrp holdfast $(SYSCONFDIR)/holdfast/holdfast.toml && chmod g+r $(SYSCONFDIR)/holdfast/holdfast.toml'
	@[[ -n '$(DESTDIR)' || -e '$(SYSCONFDIR)/holdfast/holdfast.toml' ]] || \
		echo 'Write $(SYSCONFDIR)/holdfast/holdfast.toml (all keys: man holdfast.toml), then: systemctl enable --now holdfast'

.PHONY: uninstall
uninstall: ## remove what install put there; holdfast.toml stays
	rm -f '$(DESTDIR)$(PREFIX)/bin/holdfast' $(INSTALLED:%='$(DESTDIR)%') '$(DESTDIR)$(SYSUSERSDIR)/holdfast.conf' \
		'$(DESTDIR)$(DOCDIR)/examples/scripts-as-root.conf' '$(DESTDIR)$(REFERENCE)'
	rmdir '$(DESTDIR)$(DOCDIR)/examples' '$(DESTDIR)$(DOCDIR)' 2>/dev/null || true
	rmdir '$(DESTDIR)$(SYSCONFDIR)/holdfast' 2>/dev/null || true

.PHONY: deb
deb: ## build a Debian package in bin (VERSION=…; needs dpkg)
	@$(MAKE) build VERSION="$$(VERSION='$(VERSION)' examples/debian/build)"
	VERSION='$(VERSION)' examples/debian/build '$(PROGRAM)' '$(dir $(PROGRAM))'

.PHONY: clean
clean: ## remove what was built and fetched
	rm -rf bin .peers

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
