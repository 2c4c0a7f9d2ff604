# scx_gamer: one command each to build, test, demonstrate and install.

PREFIX  ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
CARGO   ?= cargo

# The boots of `make bench`, and their rounds if not their own number.
SET     ?= record
ROUNDS  ?=
BENCH   ?= target/bench
FRESH   ?=
VMBENCH  = target/debug/vmbench $(if $(ROUNDS),--rounds '$(ROUNDS)') $(if $(FRESH),--fresh)

# What `make profile` looks at.
SCENARIO ?= hogs

# The VM of `make vm`.
KERNEL  ?= 6.18
CPUS    ?= 2
CLOCK   ?= parallel
CMD     ?= uname -a

# What is installed: the scheduler, and what `scx_gamer bench` needs.
PROGRAMS := scx_gamer scx_gamer-bench gamesim

# Both the scheduler's and its libraries' build scripts must use the same, new enough clang.
export BPF_CLANG ?= clang-19

.DEFAULT_GOAL := help
.PHONY: help deps build test demo bench bench-peers bench-quick bench-tools ablation profile vm release install uninstall clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

deps: ## install what is missing through the distribution's packages
	@tools/deps

build: ## build everything (debug)
	@echo '== build'
	$(CARGO) build --locked --workspace

test: deps ## run everything: format, lints, unit, policy, CLI and VM tests
	@echo '== format'
	$(CARGO) fmt --all --check
	@echo '== lints'
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	@# With the tests at once: their libraries' features differ from those of `make build`.
	@echo '== build'
	$(CARGO) build --locked --workspace --all-targets
	@echo '== kernels and emulator for the VM'
	target/debug/vmrun fetch 6.18 7
	@echo '== tests (the VM tests take some minutes; lines of a guest begin with [its name])'
	$(CARGO) test --locked --workspace

demo: deps build ## gamesim under load: the kernel's own scheduler, then scx_gamer
	@tools/demo

bench: deps build ## all schedulers side by side in the VM (ROUNDS=3, SET=record|full|topologies, FRESH=1)
	@$(VMBENCH) --out '$(BENCH)/$(SET)' '$(SET)'

bench-peers: deps ## build the other schedulers into the cache, once; make bench then takes them in
	@tools/bench-peers

bench-quick: deps build ## two scenarios, the kernel's scheduler and scx_gamer, under three minutes
	@target/debug/vmbench --fresh --out '$(BENCH)/quick' quick

bench-tools: build ## standard tools: cyclictest, hackbench, stress-ng, perf bench (ROUNDS=3)
	@tools/deps bench
	@# Ours, and a scheduler without a program: what of the cost is the framework's.
	@set -e; for with in scx_gamer 'scx_gamer-bench bare'; do \
		dir="$(BENCH)/tools/$${with##* }"; \
		mkdir -p "$$dir"; \
		target/debug/vmrun run --kernel 6.18 --clock counted --timeout 7200 --share "$$dir" \
			--env SUDO_UID="$$(id -u)" -- \
			'$(CURDIR)/target/debug/scx_gamer-bench' tools $(if $(ROUNDS),--rounds '$(ROUNDS)') \
			--seconds 2 --with "exec '$(CURDIR)'/target/debug/$$with" --out /mnt/share; \
	done

ablation: deps build ## what each feature of the policy buys and costs (ROUNDS=3, FRESH=1)
	@$(VMBENCH) --out '$(BENCH)/ablation' ablation

profile: deps build ## what the scheduler's programs execute in the kernel, instruction by instruction (SCENARIO=hogs)
	@target/debug/vmprofile --kernel '$(KERNEL)' -- '$(CURDIR)/target/debug/scx_gamer-bench' \
		--only scx_gamer --scenario '$(SCENARIO)' --rounds 1 --seconds 600 --out /tmp/profile

vm: build ## run CMD='...' in the VM (KERNEL=6.18 CPUS=2 CLOCK=parallel|counted)
	@target/debug/vmrun run --kernel '$(KERNEL)' --cpus '$(CPUS)' --clock '$(CLOCK)' -- sh -c "$$CMD"
# The shell inside expands CMD, make does not.
vm: override export CMD := $(value CMD)

release: ## build what install installs
	@echo '== release build'
	$(CARGO) build --locked --release --package scx_gamer --package arena --bin scx_gamer-bench \
		--package gamesim --bin gamesim --bin scx_gamer

install: ## install the release build and its systemd unit (PREFIX, DESTDIR)
	@# Under sudo the build belongs to the person who called it, and so does cargo.
	@if [ -n "$$SUDO_USER" ]; then \
		runuser -l "$$SUDO_USER" -c "make -C '$(CURDIR)' release"; \
	else \
		$(MAKE) release; \
	fi
	install -d '$(DESTDIR)$(PREFIX)/bin'
	cd target/release && install -m 755 $(PROGRAMS) '$(DESTDIR)$(PREFIX)/bin'
	install -d '$(DESTDIR)$(UNITDIR)'
	sed 's|^ExecStart=[^ ]*|ExecStart=$(PREFIX)/bin/scx_gamer|' packaging/scx_gamer.service \
		>'$(DESTDIR)$(UNITDIR)/scx_gamer.service'

uninstall: ## remove what install put there
	cd '$(DESTDIR)$(PREFIX)/bin' && rm -f $(PROGRAMS)
	rm -f '$(DESTDIR)$(UNITDIR)/scx_gamer.service'

clean: ## remove all build results
	$(CARGO) clean
