# Every target prepares what it needs under .venv and target; `make` alone lists them. See CONTRIBUTING.md.

# The first Python that can run the scripts in tools/. They look for the interpreters to build for themselves.
PYTHON := $(shell for python in python3 python $(addprefix python3.,13 12 14 11 15) \
	"$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/*/bin/python3 "$$HOME"/.local/share/cpython/*/bin/python3.*[0-9]; do \
	"$$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' >/dev/null 2>&1 && { echo "$$python"; break; }; done)
DEV = $(if $(PYTHON),,$(error debugop needs CPython 3.11, 3.12, 3.13, 3.14 or 3.15: no Python was found))"$(PYTHON)" tools/dev

export PY ARGS ALL DEBUG JOBS QUICK FAST AGAIN RECORD

.PHONY: help demo test test-rust test-python test-properties test-kill test-kill-python fuzz test-corpus test-cpython test-debugger test-packages test-memory examples pictures bench lint format pythons clean
.NOTPARALLEL:

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.* ## \(.*\)/make \1\t\2/p' $(firstword $(MAKEFILE_LIST)) | awk -F '\t' '{printf "%-18s %s\n", $$1, $$2}'
	@echo 'PY=3.12 narrows to one version, ARGS="-k word" goes to pytest, DEBUG=1 builds without optimisation.'

demo: ## build debugop for one CPython and show it at work
	@$(DEV) demo

test: ## Rust tests, then the Python tests and a part of CPython's own on every CPython 3.11-3.15 found
	@$(DEV) test

test-rust: ## the Rust tests only
	@$(DEV) test-rust

test-python: ## the Python tests only
	@$(DEV) test-python

test-properties: ## the property tests of the Rust crates with CASES=5000 cases each, other ones each time
	@PROPTEST_CASES=$${CASES:-5000} cargo test --locked --release --workspace --exclude debugop-capture --exclude debugop-py --tests

test-kill: ## a process that records is killed 1000 times (KILLS=n): nothing that was committed is lost
	@KILLS=$${KILLS:-1000} cargo test --release --package debugop-recording --test killed

test-kill-python: export KILLS := $(if $(KILLS),$(KILLS),1000)
test-kill-python: ## a Python that records is killed 1000 times (KILLS=n): what it had recorded is replayed
	@ARGS=python/tests/test_record_killed.py $(DEV) test-python

fuzz: ## the fuzz targets of the recording format, and of replaying, SECONDS=60 each, TARGETS="stream code" for some; needs cargo-fuzz
	@cd crates/recording && for target in $${TARGETS:-stream damaged_stream code file}; do \
		mkdir -p fuzz/target/corpus/$$target; \
		cargo fuzz run --sanitizer none $$target fuzz/target/corpus/$$target fuzz/corpus/$$target -- \
			-max_total_time=$${SECONDS:-60} -timeout=10 -rss_limit_mb=1024 -max_len=4096 || exit 1; \
	done
	@cd crates/replay && mkdir -p fuzz/target/corpus/replay && \
		cargo fuzz run --sanitizer none replay fuzz/target/corpus/replay fuzz/corpus/replay -- \
			-max_total_time=$${SECONDS:-60} -timeout=20 -rss_limit_mb=1500 -max_len=4096

test-corpus: ## the bytecode crate over every code object of every standard library found
	@cargo xtask corpus

examples: ## write what debugop reports of examples/*.py to examples/expected, for every version found
	@$(DEV) examples

pictures: ## draw what terminals show of debugop into docs/pictures
	@$(DEV) pictures

test-cpython: ## CPython's own tests with and without debugop; FAST=1 for a part, ARGS="test_x test_y" for some files, RECORD=1: are recordings exact?
	@$(DEV) test-cpython

test-debugger: ## CPython's own tests of trace functions, bdb and pdb with debugop's in their place
	@$(DEV) test-debugger

test-packages: ## the test suites of other people's packages, with and without debugop; ARGS="attrs" chooses
	@$(DEV) test-packages

test-memory: ## a program of many kinds under valgrind
	@$(DEV) test-memory

bench: ## what tracing costs: ten programs of pyperformance, QUICK=1 for a first impression
	@$(DEV) bench

lint: ## formatting, clippy, ruff, mypy, stubs, licences, generated files
	@$(DEV) lint

format: ## format Rust and Python
	@$(DEV) format

pythons: ## list the CPython versions found
	@$(if $(PYTHON),,$(DEV))"$(PYTHON)" tools/pythons

clean: ## remove everything that was built or installed here
	rm -rf target .venv dist
