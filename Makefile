# scx_gamer: one command each to build, test, demonstrate and install.

PREFIX  ?= /usr/local
DESTDIR ?=
UNITDIR ?= $(PREFIX)/lib/systemd/system
CARGO   ?= cargo

# The VM of `make vm`.
KERNEL  ?= 6.18
CPUS    ?= 2
CLOCK   ?= parallel
CMD     ?= uname -a

# Both the scheduler's and its libraries' build scripts must use the same, new enough clang.
export BPF_CLANG ?= clang-19

.DEFAULT_GOAL := help
.PHONY: help deps build test demo vm release install uninstall clean

help: ## show this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 20

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

vm: build ## run CMD='...' in the VM (KERNEL=6.18 CPUS=2 CLOCK=parallel|counted)
	@target/debug/vmrun run --kernel '$(KERNEL)' --cpus '$(CPUS)' --clock '$(CLOCK)' -- sh -c "$$CMD"
# The shell inside expands CMD, make does not.
vm: override export CMD := $(value CMD)

release: ## build what install installs
	@echo '== release build'
	$(CARGO) build --locked --release --package scx_gamer

install: ## install the release build and its systemd unit (PREFIX, DESTDIR)
	@# Under sudo the build belongs to the person who called it, and so does cargo.
	@if [ -n "$$SUDO_USER" ]; then \
		runuser -l "$$SUDO_USER" -c "make -C '$(CURDIR)' release"; \
	else \
		$(MAKE) release; \
	fi
	install -D -m 755 target/release/scx_gamer '$(DESTDIR)$(PREFIX)/bin/scx_gamer'
	install -d '$(DESTDIR)$(UNITDIR)'
	sed 's|^ExecStart=[^ ]*|ExecStart=$(PREFIX)/bin/scx_gamer|' packaging/scx_gamer.service \
		>'$(DESTDIR)$(UNITDIR)/scx_gamer.service'

uninstall: ## remove what install put there
	rm -f '$(DESTDIR)$(PREFIX)/bin/scx_gamer' '$(DESTDIR)$(UNITDIR)/scx_gamer.service'

clean: ## remove all build results
	$(CARGO) clean
