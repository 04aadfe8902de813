# Every target that people use has a line of help behind `##`.
.DEFAULT_GOAL := help
.PHONY: help install demo test chaos chaos-worker chaos-consumer fuzz-api bench-analytics bench-beat bench-console bench-consumer bench-experiments bench-import bench-pass bench-quality bench-serving \
	bench-similarity bench-tracing bench-train lint format lock services-up services-down clean
.PHONY: test-deploy test-flink test-long rehearse-image dashboards screenshots
MAKEFLAGS += --no-print-directory
# Some hundreds of processes start here; each would compile every module that it imports.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
LOCK := $(BIN)/uv pip compile --quiet --universal --generate-hashes --python-version 3.11 --no-emit-index-url \
	--custom-compile-command "make lock"

help:  ## Say what each target does (ARGS=... is handed on by demo, test, the benchmarks and lock)
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

install:  ## Make .venv with everything in it, from the locks; needs Python 3.11 or newer and no compiler
	@scripts/install

demo: install  ## Start everything, carry a world of items and events through it, show the recommendations (ARGS=--once: then stop)
	@$(BIN)/lemo demo $(ARGS)

test:  ## Install, lint, start the servers that the machine can have, run the tests (ARGS='-k words': only those)
	@scripts/test $(ARGS)

test-long: install  ## The tests that take many seconds and have a shorter sibling in the suite (10 minutes; the servers must be up)
	$(BIN)/pytest -n 2 --dist loadfile -m long

test-flink: install  ## Flink's jobs on a real cluster that is killed, beside the worker (10 minutes; LEMO_TEST_FLINK_EVENTS=1000000)
	@scripts/services up flink redis kafka
	$(BIN)/pytest -m flink tests/flink $(ARGS)

test-deploy: install  ## Render the chart, start every service as Compose does (3 minutes, the first time 5; the servers must be up)
	@scripts/services up helm
	$(BIN)/pytest -m deploy tests/deploy

chaos: chaos-worker chaos-consumer fuzz-api  ## All fault tests, the long ones too

chaos-worker: install  ## Kill workers in every job at every stage, measure every recovery (15 minutes; the servers must be up)
	$(BIN)/pytest -n 2 -m "chaos or not chaos" tests/integration/test_worker_faults.py tests/integration/test_beat.py \
		tests/integration/test_recovery_times.py

fuzz-api: install  ## Send the API what fits its OpenAPI document and what does not (5 minutes; the servers must be up)
	$(BIN)/pytest -m "chaos or not chaos" tests/integration/test_contract_of_the_api.py

chaos-consumer: install  ## Kill consumers 100 times over a million events, have them join and leave, stop stores (40 minutes)
	$(BIN)/pytest -m "chaos or not chaos" tests/integration/test_consumer_faults.py

bench-analytics: install  ## Each panel of analytics over 10 M events and 1 M answers, beside a bare count() (ARGS="--answers 100000 --folder F"; 15 minutes, 3 with rows that F holds)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/analytics.py $(ARGS)

bench-beat: install  ## How late are 1,000 entries due at one moment, and a fan-out to 1,000, beside stock RedBeat (4 minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/beat.py $(ARGS)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/fan_out.py $(ARGS)

bench-console: install  ## How soon pages of a running `lemo demo` paint, beside a bare page of NiceGUI (ARGS='--url ...'; 1 minute)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/console.py $(ARGS)

bench-consumer: install  ## The consumer beside bare loops, and how soon an event changes recommendations (5 minutes; Kafka must be up)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/consumer.py $(ARGS)

bench-experiments: install  ## False alarms, power and coverage of simulated experiments; open-bandit (ARGS='--experiments 200'; 15 minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/experiments.py $(ARGS)

bench-import: install  ## Rows a minute of an import, step by step, beside polars' bare reader of the same file (1 minute)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/importing.py $(ARGS)

bench-pass: install  ## Seconds and memory of one whole offline pass on real data (ARGS='FOLDER ...'; a few minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/offline_pass.py $(ARGS)

bench-quality: install  ## What users get by CLI beside ALS, BPR, item-kNN, EASE and ridge on real data (ARGS='--data FOLDER'; 15 minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/quality.py $(ARGS)

bench-serving: install  ## The API beside a bare route of its stack: ratios, p99 at half load, memory, freshness (ARGS='--sizes 10000x1000000 1000000x1000000'; wrk)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/serving.py $(ARGS)

bench-similarity: install  ## Our similarity kernel beside implicit and sparse_dot_topn, and the job after 1 % new events (5 minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/similarity.py $(ARGS)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/incremental.py

bench-tracing: install  ## What traces cost a request of the API, off and on (ARGS="--before FOLDER"; 2 minutes; wrk)
	PYTHONPATH=tests:scripts:benchmarks $(BIN)/python benchmarks/tracing.py $(ARGS)

bench-train: install  ## How long our models take to fit, beside implicit's and EASE (20 minutes)
	PYTHONPATH=tests:scripts $(BIN)/python benchmarks/train.py $(ARGS)

lint: install  ## Check style, types and the order of the layers
	$(BIN)/ruff check . scripts/services
	$(BIN)/ruff format --check . scripts/services
	$(BIN)/mypy
	$(BIN)/lint-imports

format: install  ## Put the code into its one style
	$(BIN)/ruff check --fix . scripts/services
	$(BIN)/ruff format . scripts/services

rehearse-image: install  ## Run the image's packages as its user on a read-only root, where there is no Docker (3 minutes; root on Linux)
	@scripts/rehearse-image

dashboards: install  ## Write Grafana's dashboards again after a change of scripts/dashboards.py
	$(BIN)/python scripts/dashboards.py

screenshots: install  ## Take the pictures of the docs from a running `lemo demo` (ARGS='--url http://127.0.0.1:8080 NAME ...')
	PYTHONPATH=tests:scripts $(BIN)/python scripts/screenshots.py $(ARGS)

lock: install  ## Write the locks again after a change of dependencies (ARGS=--upgrade: with the newest versions)
	$(LOCK) $(ARGS) --all-extras --group dev -o requirements.lock pyproject.toml
	$(LOCK) --all-extras --constraint requirements.lock -o deploy/requirements.lock pyproject.toml
	$(LOCK) $(ARGS) -o deploy/flink/requirements.lock deploy/flink/requirements.in
	echo uv | $(LOCK) $(ARGS) --no-annotate -o requirements-uv.lock -

services-up:  ## Install and start the real engines that the tests talk to
	@scripts/services up

services-down:  ## Stop them
	@scripts/services down

clean:  ## Stop the servers, remove .venv, .services, caches and builds; data (.lemo) stays
	@scripts/services down
	rm -rf .venv .services dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests scripts benchmarks -name __pycache__ -type d -prune -exec rm -rf {} +
