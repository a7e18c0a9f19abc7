# Everything a developer, a newcomer or a build machine does, by name. `make` lists it.
#
# What is installed and how is in tools/; this file only says what depends on what.
# Progress goes to stderr, so that `make run ARGS=--json | jq` works.

SHELL         := /bin/bash
MAKEFLAGS     += --no-builtin-rules --no-print-directory
.SUFFIXES:
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

BIN    := .venv/bin
STAMPS := build/stamps
ROOT   := $(filter 0,$(shell id -u))
PYTEST := $(BIN)/python -m pytest
SAY    := printf 'memtrace: %s\n'

# A virtual environment does not survive being moved or copied: then its stamps do not count.
ifeq ($(filter $(CURDIR)/.venv,$(file <.venv/pyvenv.cfg)),)
VENV_MOVED := moved
endif

.PHONY: help build run test check check-kernel check-long check-vm check-vm-all check-go check-go-all check-e2e check-e2e-all kernels-doc stories-doc metrics-doc monitoring bench lint format clean moved demo image image-bcc

help: ## list the targets
	@echo "usage: make TARGET [ARGS=\"...\"]"
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: $(BIN)/.memtrace $(STAMPS)/bpf ## set up .venv and compile the BPF programs
	@:

ifdef ROOT
run: build ## start memtrace top (needs root); pass options with ARGS="--json 1 3"
	@exec $(BIN)/memtrace top $(ARGS)
else
run:
	@$(SAY) "reading the kernel needs root: sudo make run, or look at a recording: make build && $(BIN)/memtrace replay examples/node-1.mtr" >&2; exit 3
endif

ifdef ROOT
demo: build ## stories of memory in throw-away cgroups, explained; a minute, leaves nothing (root)
	@exec $(BIN)/python -m demo $(ARGS)
else
demo:
	@$(SAY) "the demo makes cgroups and reads the kernel: sudo make demo" >&2; exit 3
endif

BUILDER = $(firstword $(notdir $(shell command -v docker podman buildah)) docker)

image: ## build the agent's container image, memtrace:latest, with docker, podman or buildah
	@$(BUILDER) build -f deploy/Dockerfile -t memtrace:latest $(ARGS) .

image-bcc: ## ... and memtrace:latest-bcc, with the second engine
	@$(BUILDER) build -f deploy/Dockerfile.bcc -t memtrace:latest-bcc $(ARGS) .

# The tests by door. Each one stands alone; `make test` goes through all of them.
ifdef ROOT
test: test-setup ## set up and run everything that can run here (all of it as root)
	@MAKE="$(MAKE)" tools/test_all.sh lint check check-go check-kernel check-vm $(E2E_DOOR)
else
test: $(BIN)/.memtrace-test
	@MAKE="$(MAKE)" tools/test_all.sh check \
	    "left-out:lint:clang-format and the rest come with sudo make test" \
	    "left-out:check-go:gcc and daemons to look at come with sudo make test" \
	    "left-out:check-kernel:loading BPF needs root" \
	    "left-out:check-vm:unpacking and booting kernels needs root" \
	    "left-out:check-e2e:starting containers needs root"
endif
E2E_DOOR := $(if $(wildcard tests/e2e/test_*.py),check-e2e)

# Exact page counts hold on a quiet cgroup only: when something else on the machine reclaims or
# evicts its pages under a test, that test says so by failing. It then gets one more try, openly.
# So does a guest, an emulated machine that a busy one may starve, and a runtime that is compared
# with what it prints while it runs.
once_more = { $(SAY) "once more, those that failed: was something else on the machine busy?" >&2; \
    $(PYTEST) $(1) --last-failed --last-failed-no-failures none; }

check: $(BIN)/.memtrace-test ## unit tests: no root, no kernel
	@$(PYTEST) tests/unit $(ARGS)

check-kernel: test-setup ## tests on the running kernel (root)
	@$(PYTEST) tests/kernel $(ARGS) || $(call once_more,tests/kernel)

check-go: test-setup ## what is read of Go programs, with 4 Go toolchains and Debian's daemons
	@$(PYTEST) tests/golang $(ARGS) || $(call once_more,tests/golang)

check-go-all: ## ... with each Go from 1.19 on
	@MEMTRACE_ALL_GO=1 $(MAKE) check-go

check-long: test-setup ## what takes minutes: 100,003 files and their maker, 1,000 kills, set clocks (root)
	@MEMTRACE_SLAB_FILES=100003 $(PYTEST) tests/kernel/test_slab_census.py \
	    tests/kernel/test_slab_culprits.py $(ARGS)
	@MEMTRACE_OOM_KILLS=1000 $(PYTEST) tests/kernel/test_oom.py $(ARGS)
	@MEMTRACE_ALL_GUESTS=1 $(PYTEST) tests/vm/test_agent.py $(ARGS)

check-vm: test-setup ## tests on other kernels, in QEMU (root)
	@$(PYTEST) tests/vm $(ARGS) || $(call once_more,tests/vm)
	@$(BIN)/python tools/kernels_doc.py --compare

check-vm-all: ## ... and the longer of them on every kernel, not only on the newest two
	@MEMTRACE_ALL_GUESTS=1 $(MAKE) check-vm

kernels-doc: ## write docs/kernels.md from what check-vm and check-kernel found
	@$(BIN)/python tools/kernels_doc.py

metrics-doc: $(BIN)/.memtrace ## write docs/metrics.md from the table of metrics
	@$(BIN)/python tools/metrics_doc.py

monitoring: $(BIN)/.memtrace ## write the dashboards of deploy/grafana, and the rules for prometheus-operator
	@$(BIN)/python deploy/grafana/generate.py
	@$(BIN)/python deploy/prometheus/generate.py

check-e2e: test-setup ## tests with real containers (root)
	@$(PYTEST) tests/e2e $(ARGS) || $(call once_more,tests/e2e)

check-e2e-all: check-e2e ## ... and what takes a machine of its own, in QEMU: stories, a node with systemd
	@MEMTRACE_ALL_GUESTS=1 $(PYTEST) tests/vm/test_stories.py tests/e2e/test_systemd_node.py $(ARGS)

stories-doc: $(BIN)/.memtrace ## write docs/stories.md from what check-e2e-all found
	@$(BIN)/python tools/stories_doc.py

bench: test-setup ## measure overhead, cost and start-up (root)
	@for script in bench/bench_*.py; do \
	    [ -e "$$script" ] || { $(SAY) "there is no bench/bench_*.py yet" >&2; exit 1; }; \
	    $(BIN)/python "$$script" $(ARGS) || exit; \
	done

lint: $(BIN)/.memtrace-test ## style, types and the C format
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/python tools/kernels_doc.py --check
	@$(BIN)/python tools/metrics_doc.py --check
	@$(BIN)/python deploy/grafana/generate.py --check
	@$(BIN)/python deploy/prometheus/generate.py --check
	@clang-format --dry-run -Werror $(wildcard bpf/*.c bpf/include/*.h)
	@echo "lint: nothing found"

format: $(BIN)/.memtrace-test ## rewrite the sources in the house style
	@$(BIN)/ruff check --fix-only .
	@$(BIN)/ruff format .
	@clang-format -i $(wildcard bpf/*.c bpf/include/*.h)

clean: ## remove everything that was built, and .venv
	@rm -rf build dist .venv agent/memtrace/bpf .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find agent demo tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# -- set-up: stamps keep the second run quick ------------------------------------------------

.PHONY: test-setup
test-setup: build $(STAMPS)/packages-test $(BIN)/.memtrace-test

$(STAMPS)/packages-%: tools/packages.txt tools/install_packages.sh
	@tools/install_packages.sh $*
	@mkdir -p $(@D) && touch $@

$(BIN)/.memtrace: pyproject.toml hatch_build.py tools/make_venv.sh $(VENV_MOVED) | $(STAMPS)/packages-run
	@tools/make_venv.sh $@

$(BIN)/.memtrace-test: $(BIN)/.memtrace
	@tools/make_venv.sh $@ test

BPF_INPUTS := tools/build_bpf.py $(wildcard bpf/*.bpf.c bpf/include/*.h)
BPF_ABSENT := $(filter-out $(wildcard agent/memtrace/bpf/*.o),$(patsubst bpf/%.c,agent/memtrace/bpf/%.o,$(wildcard bpf/*.bpf.c)))
ifneq ($(BPF_ABSENT),)
.PHONY: $(STAMPS)/bpf
endif

$(STAMPS)/bpf: $(BPF_INPUTS) | $(BIN)/.memtrace
	@$(SAY) "compiling bpf/*.bpf.c" >&2
	@$(BIN)/python tools/build_bpf.py
	@mkdir -p $(@D) && touch $@
