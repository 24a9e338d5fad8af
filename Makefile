# What a developer types. `make help` lists it. Everything works with a Rust toolchain and make
# alone; what else is needed is installed by `make deps` or kept inside `target/`.

CARGO ?= cargo
# The folder of the external corpora for `make base-model` and `make evaluate`.
REPLYGUARD_CORPORA ?= ../shared/data

.DEFAULT_GOAL := help
.PHONY: help run check fmt clippy rustdoc proto-lint test soak wordpress-test deps fuzz bench base-model evaluate

help: ## List these commands.
	@sed -n 's/^\([a-z-]*\):[^#]*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name text; \
		do printf '  make %-15s %s\n' "$$name" "$$text"; done

run: ## Start the service with its data in ./data.
	$(CARGO) run --locked --release

check: fmt clippy rustdoc proto-lint ## Format, lints, documentation and contract: all that CI checks besides the tests.

fmt: ## Fail if a file is not formatted; `cargo fmt` mends it.
	$(CARGO) fmt --check

clippy: ## Lints, warnings denied.
	$(CARGO) clippy --locked --all-targets -- -D warnings

rustdoc: ## Documentation, warnings denied.
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --document-private-items

proto-lint: ## The contract's rules: our own always, `buf lint` and `buf breaking` where buf can be had.
	$(CARGO) test --locked --quiet --test it contract::
	sh scripts/proto-lint.sh

test: deps ## All tests, with what they need installed.
	$(CARGO) test --locked

soak: deps ## Two replicas, PostgreSQL and Redis for MINUTES=20 at 70 % load with a fault in each; REPORT=FILE keeps the figures.
	REPLYGUARD_SOAK_MINUTES=$(or $(MINUTES),20) $(if $(REPORT),REPLYGUARD_SOAK_REPORT=$(REPORT)) \
		$(CARGO) test --locked --release --test it -- --ignored --nocapture --exact soak::soak

wordpress-test: ## A real WordPress with Akismet's own plugin against the service; needs Debian's packages.
	@sh scripts/install-wordpress.sh
	$(CARGO) test --locked --no-run --test it
	tests/wordpress/with-wordpress.sh php tests/wordpress/check.php

deps: ## Install what the tests use: redis-server, PostgreSQL, faketime, Chromium, axe-core, Akismet's client libraries.
	@sh scripts/install-test-deps.sh

# Seconds for each target, and which.
FUZZ_SECONDS ?= 600
FUZZ_TARGETS ?= addresses akismet artifact filter form import links normalize

fuzz: ## libFuzzer on all that reads bytes from outside (see fuzz/README.md).
	@test -x target/fuzz-tools/bin/cargo-fuzz || $(CARGO) install cargo-fuzz --locked --root target/fuzz-tools
	@for target in $(FUZZ_TARGETS); do \
		PATH="$(CURDIR)/target/fuzz-tools/bin:$$PATH" $(CARGO) fuzz run --sanitizer none $$target -- \
			-max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=5 -print_final_stats=1 || exit 1; \
	done

bench: ## Benchmarks. The report of a measured run is in docs/.
	$(CARGO) bench --locked

base-model: ## Rebuild the bundled model from the corpora in REPLYGUARD_CORPORA: the same bytes.
	$(CARGO) run --locked --release -- train --out model/base.rgmodel \
		--data $(REPLYGUARD_CORPORA)/train_spam.jsonl $(REPLYGUARD_CORPORA)/train_tox.jsonl training-data/*/*.jsonl

evaluate: ## The model card's figures on development data, with curves in target/report.
	$(CARGO) run --locked --release -- evaluate --report target/report \
		--data $(REPLYGUARD_CORPORA)/dev_spam.jsonl $(REPLYGUARD_CORPORA)/dev_tox.jsonl
