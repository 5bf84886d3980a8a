# Everything starts here: `make demo` and `make test` work on a fresh machine with Python 3.11 or later.
PYTHON ?= python3
UV_VERSION = 0.13.9
UV = .boot/bin/uv
RUN = .venv/bin/python
DEMO = $(RUN) scripts/run.py +experiment=demo -m

# What `make gpu-bench` measures; for a machine without a GPU make it small:
# make gpu-bench GPU_BATCHES=8 GPU_BENCH="--rows 16 --rounds 1" GPU_RUNS="dataset=digits recipe.epochs=1 seed=0"
GPU_BATCHES = 128 512 1024
GPU_BENCH = --architecture preactresnet18
GPU_RUNS = dataset=cifar10 architecture=preactresnet18 seed=0,1,2

.PHONY: setup demo page test slow slurm-test check pictures gpu-bench lock clean

setup: .venv/ready

# uv comes from a small environment of its own; the lock names versions and hashes, no hosts.
.boot/ready:
	$(PYTHON) -m venv .boot
	.boot/bin/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	touch $@

.venv/ready: .boot/ready requirements.lock pyproject.toml
	$(UV) venv --quiet --allow-existing --python $(PYTHON) .venv
	$(UV) pip install --quiet --compile-bytecode --require-hashes --python $(RUN) -r requirements.lock
	$(UV) pip install --quiet --no-build-isolation --no-deps --python $(RUN) -e .
	touch $@

demo: setup
	@$(DEMO) >/dev/null
	@$(RUN) scripts/leaderboard.py --store $${POSTERN_STORE:-store}
	@echo
	@echo "Records: $${POSTERN_STORE:-store}/records. Next, for example:"
	@echo "  $(RUN) scripts/run.py attack=blended defense=neural_cleanse"
	@echo "  $(RUN) scripts/run.py attack=blended attack.rate=0.02 defense=strip,fine_pruning seed=0,1,2 -m"
	@echo "  $(RUN) scripts/run.py dataset=cifar10 architecture=preactresnet18 defense=fine_pruning   # wants a GPU"

# The leaderboard as static pages, from the committed records: leaderboard/site/index.html opens from the disk.
page: setup
	$(RUN) scripts/page.py

# Browser tests want Debian's Chromium; where it cannot be installed, they say why they are skipped.
test: setup
	@if [ $$(id -u) = 0 ] && ! command -v chromium >/dev/null && command -v apt-get >/dev/null; then \
		export DEBIAN_FRONTEND=noninteractive; \
		{ apt-get update -qq && apt-get install -qq -y --no-install-recommends chromium; } >/dev/null 2>&1 || true; fi
	$(RUN) -m pytest -m "not slow"

slow: setup
	$(RUN) -m pytest -m slow

# A Slurm of its own, which is started for these tests and stopped behind them; where that cannot be, they say why.
slurm-test: setup
	@if [ $$(id -u) = 0 ] && ! { command -v slurmd && command -v munged; } >/dev/null; then \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get update -qq && apt-get install -qq -y --no-install-recommends slurm-wlm munge || true; fi
	$(RUN) -m pytest -m slurm -n 0 -rs tests/slurm

check: setup
	.venv/bin/ruff format --check .
	.venv/bin/ruff check .
	.venv/bin/mypy

pictures: setup
	$(RUN) scripts/pictures.py --records leaderboard/records

# One run at a time: a record's seconds are then those of a GPU of its own.
gpu-bench: setup
	for batch in $(GPU_BATCHES); do $(RUN) scripts/bench.py $(GPU_BENCH) --batch $$batch --json || exit; done
	$(RUN) scripts/run.py defense=none recipe=paper,fast $(GPU_RUNS) hydra.launcher.n_jobs=1 -m

lock: .boot/ready
	$(UV) pip compile pyproject.toml --extra slurm --extra wandb --extra page --group dev --universal --generate-hashes --no-header --no-annotate \
		--no-emit-index-url --quiet -o requirements.lock

clean:
	rm -rf .boot .venv store
