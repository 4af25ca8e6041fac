# SPDX-License-Identifier: GPL-3.0-or-later
# The front end. The build itself is in wscript (ours) and samba/build (Samba).
#
#   make             everything, Samba first if its prefix is not there yet
#   make deps        install the Debian packages that are missing (root)
#   make check       deps, build and all tests that fit 20 minutes (root)
#   make demo        deps, build, three nodes, a table at the end (root)
#   make check-vm    what needs another kernel, in virtual machines (root)
#   make bench       redirected against direct, persistent handles against
#                    stock Samba's, in one run
#   make soak        the long lists (random faults, storm: doc/faults.md)
#   make install     our files into Samba's prefix; with DESTDIR= all of it
#   make clean       our build directory; Samba's stays
#
#   BUILD=DIR        another build directory
#   SOFS_SAMBA=DIR   another built Samba (src/ and prefix/ in it), not checked
#   SOFS_CACHE=DIR   where Samba and what ccache has are kept, /var/cache/sofs
#                    otherwise
#   PYTEST_ARGS=     more arguments for pytest, as `-k move`

BUILD ?= $(CURDIR)/build
PYTHON = /usr/bin/python3
PACKAGES = samba/packages test/packages

ifdef SOFS_SAMBA
SAMBA := $(SOFS_SAMBA)
else
SAMBA = $(shell samba/build --where)
endif

# Two makes in one build directory take turns. Samba's waf takes its number of
# jobs from MAKEFLAGS.
WAF = cd '$(BUILD)' && flock .lock env PYTHONHASHSEED=1 WAF_MAKE=1 \
	MAKEFLAGS=-j$(shell nproc) $(CCACHE) \
	PYTHONDONTWRITEBYTECODE=1 $(PYTHON) $(SAMBA)/src/buildtools/bin/waf
# A second checkout compiles only what no other one has, if ccache is there and
# who builds may write its directory.
CCACHE_DIR = $(or $(SOFS_CACHE),/var/cache/sofs)/ccache
CCACHE = CCACHE_DIR='$(CCACHE_DIR)' $(shell mkdir -p '$(CCACHE_DIR)' \
	2>/dev/null; test -w '$(CCACHE_DIR)' || echo CCACHE_DISABLE=1) \
	CCACHE_BASEDIR='$(CURDIR)' CCACHE_NOHASHDIR=1 CCACHE_MAXSIZE=500M
# What tests, demo and bench are told about the build.
WITH = SOFS_SAMBA='$(SAMBA)' SOFS_SAMBA_PREFIX='$(SAMBA)/prefix' \
	SOFS_BUILD='$(BUILD)'
# Two workers with a bed each (test/lanes.py).
LANES = -n 2 --dist loadgroup
PYTEST = $(WITH) $(PYTHON) -m pytest -p no:cacheprovider $(PYTEST_ARGS)

.PHONY: all deps samba samba-prefix configured test-programs fuzz check check-vm demo \
	bench soak install clean

all: configured
	@$(WAF) build -k

deps:
	@samba/deps $(PACKAGES)

ifdef SOFS_SAMBA
samba:
else
samba:
	@samba/build
endif

samba-prefix:
	@echo '$(SAMBA)/prefix'

# Configured once for each Samba directory and wscript.
configured: samba
	@mkdir -p '$(BUILD)'
	@want="$(SAMBA) $$(cksum <wscript)"; \
	if [ "$$(cat '$(BUILD)/configured' 2>/dev/null)" != "$$want" ]; then \
		($(WAF) --top='$(CURDIR)' --out=. configure \
			--samba='$(SAMBA)') >'$(BUILD)/configure.log' 2>&1 || \
			{ tail -n 20 '$(BUILD)/configure.log' >&2; exit 1; }; \
		echo "$$want" >'$(BUILD)/configured'; \
	fi

test-programs: all
	@$(WAF) build -k --sanitized

fuzz: configured
	@$(WAF) build -k --fuzz

check: deps
	@$(MAKE) --no-print-directory test-programs fuzz
	@test/tools/sizes
	@$(PYTEST) $(LANES) --ignore=test/vm test

check-vm: PACKAGES += test/vm/packages
check-vm: deps
	@$(MAKE) --no-print-directory all
	@$(PYTEST) test/vm

demo: deps
	@$(MAKE) --no-print-directory all
	@$(WITH) test/cluster/demo

bench: deps
	@$(MAKE) --no-print-directory all
	@$(WITH) test/bench/run

soak: deps
	@$(MAKE) --no-print-directory test-programs fuzz
	@SOFS_SOAK=1 $(PYTEST) --ignore=test/vm test

install: all
	@if [ -n '$(DESTDIR)' ]; then \
		mkdir -p '$(DESTDIR)$(SAMBA)/prefix' && \
		cp -a '$(SAMBA)/prefix/.' '$(DESTDIR)$(SAMBA)/prefix/'; \
	fi
	@$(WAF) install --destdir='$(DESTDIR)'

clean:
	rm -rf '$(BUILD)'
