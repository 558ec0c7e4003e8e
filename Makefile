# make demo: set up, then the whole method on the embedded default.  make test: set up, then every test.
PYTHON ?= python3
BIN := .venv/bin
export HF_HUB_OFFLINE := 1
export HF_HUB_DISABLE_TELEMETRY := 1
export TOKENIZERS_PARALLELISM := false

.PHONY: demo test setup lint

demo: setup
	$(BIN)/morerl demo configs/scenes/demo.yaml

# two workers, and ranks beside them: threads beyond the cores wait for each other
test: export OMP_NUM_THREADS := 1
test: .venv/deepspeed .venv/page .venv/chromium .venv/extras/ready lint
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder

lint: setup
	$(BIN)/ruff check morerl tools tests benchmarks
	$(BIN)/lint-imports

setup: .venv/ready

.venv/ready: pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "morerl needs Python 3.11 or newer")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev]'
	touch $@

.venv/deepspeed: .venv/ready  # apart: it takes long to import, and speaks on every start
	$(BIN)/uv pip install --quiet --python $(BIN)/python --constraint constraints.txt --editable '.[dev,deepspeed]'
	touch $@

.venv/page: .venv/ready  # apart, and the pins override: gradio asks for an older Pillow than it needs here
	$(BIN)/uv pip install --quiet --python $(BIN)/python --override constraints.txt --editable '.[dev,page]'
	touch $@

.venv/chromium: .venv/ready  # for the tests of the pages, which say that they are skipped where it cannot be had
	@{ command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || { \
	  apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium fonts-noto-color-emoji; }; } && \
	  touch $@ || echo 'No chromium: the tests in a browser are skipped.'

# what others read us with: apart from .venv, for TRL imports the trackers it finds; inspect-ai asks for an older fsspec
.venv/extras/ready: .venv/ready
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --target $(@D) --override constraints.txt \
	  'inspect-ai>=0.3.285,<0.4' 'spacy>=3.7' trackio wandb && touch $@ || \
	  echo 'No inspect-ai, spaCy, trackio and wandb: the tests that read with them are skipped.'
