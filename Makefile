# make run        files in data/ (or the built-in sample) to a submission and models
# make test       the tests for people: minutes.  make test-slow: the long ones.  make lint: style and types
# make walkthrough    docs/walkthrough.py, executed, as a notebook and as a page
# make notebook       kaggle/notebook/digit_recognizer.py as the notebook to import at Kaggle
#
# PYTHON picks the interpreter, ARGS goes to `tenfold run`, PIP_ARGS to pip (see the README for machines
# without a GPU). TENFOLD_DATA names a folder with the real files; without it, tests that need them are skipped.

PYTHON ?= python3
VENV ?= .venv
ARGS ?=
PIP_ARGS ?=

BIN := $(VENV)/bin

.PHONY: run test test-slow lint walkthrough notebook install clean

run: install
	$(BIN)/tenfold run $(ARGS)

test: install
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

test-slow: install
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile $(ARGS)

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

walkthrough: install
	$(BIN)/jupytext --to ipynb --execute docs/walkthrough.py
	rm -rf docs/walkthrough_files
	$(BIN)/jupyter nbconvert --to markdown docs/walkthrough.ipynb

notebook: install
	$(BIN)/jupytext --to ipynb kaggle/notebook/digit_recognizer.py

install: $(VENV)/installed

# The stamp is written last, so an interrupted installation is repeated; pip skips what is there.
# torch and torchvision must come from one build. pip does not check this; importing them does.
$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check $(PIP_ARGS) -e '.[dev]'
	$(BIN)/python -c 'import torch, torchvision'
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
