# SPDX-License-Identifier: GPL-2.0-or-later
.PHONY: help demo test test-kernel interop bench lint setup clean

help:
	@echo 'sudo make demo        set up, bootstrap a UE over S2c in Mininet, judge the trace'
	@echo 'sudo make test        set up, run every test'
	@echo 'sudo make test-kernel only those in a User-Mode Linux kernel'
	@echo 'sudo make interop     set up, meet strongSwan, hostapd and eapol_test, print what works with them'
	@echo 'sudo make bench       set up, measure speed and size'
	@echo 'sudo make setup       install what is missing for all of these'
	@echo 'make lint             style, types and layers (after a set-up)'
	@echo 'make clean            remove .venv and caches; runs/ stays'

demo:
	@scripts/setup demo
	@scripts/demo

test:
	@scripts/test

test-kernel:
	@scripts/test-kernel

interop:
	@scripts/interop

bench:
	@scripts/setup test
	@scripts/bench

lint:
	@scripts/lint

setup:
	@scripts/setup test

clean:
	rm -rf .venv .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
