# Makefile for tasker_core, a PGXS extension.
#
#   make                          build
#   sudo make install             install into the server that pg_config belongs to
#   make installcheck             regression and isolation tests in a running server (PGHOST ...)
#   make unit                     tests of the pure C, without a server
#   make lint checkver            layer rules; version numbers
#
# PG_CONFIG=/usr/lib/postgresql/NN/bin/pg_config chooses the server.

EXTENSION  = tasker_core
MODULE_big = tasker_core
PGFILEDESC = "tasker_core - workflow orchestration inside PostgreSQL"

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c src/*/*.c)))
DATA = $(sort $(wildcard tasker_core--*.sql))

# sql/schedule.txt gives the order where it matters; what it does not name follows.
SCHEDULED = $(shell sed -e "s/\#.*//" sql/schedule.txt)
REGRESS = $(SCHEDULED) $(filter-out $(SCHEDULED),$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --load-extension=$(EXTENSION)

ISOLATION = $(patsubst specs/%.spec,%,$(sort $(wildcard specs/*.spec)))
ISOLATION_OPTS = --load-extension=$(EXTENSION)

PG_CPPFLAGS = -I$(srcdir)/src
PG_CFLAGS = -Wall -Wextra -Wno-unused-parameter -Wno-sign-compare

EXTRA_CLEAN = log tasker_core-*.zip

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)

# Every function here runs SQL, so JIT would never inline one: no bitcode, and so no need of clang.
ifneq ($(origin with_llvm),command line)
override with_llvm = no
endif

include $(PGXS)

# PGXS tracks no headers.
$(OBJS): $(wildcard src/*.h src/*/*.h)

unit:
	$(MAKE) -C tests/unit check PG_CONFIG="$(PG_CONFIG)"

lint: all
	script/lint $(shlib)

checkver:
	script/checkver

VERSION = $(shell sed -n "s/^ *\"version\": *\"\(.*\)\".*/\1/p" META.json | head -n 1)

dist:
	git archive --format=zip --prefix=$(EXTENSION)-$(VERSION)/ \
		--output=$(EXTENSION)-$(VERSION).zip HEAD

.PHONY: unit lint checkver dist
