# The only build file. `make help` lists the doors. Nothing here touches the system: demo and check call tools/bootstrap first.
# Sources are found by room, so a new module is registered nowhere. Objects live under build/$(V), one tree per variant.

V       ?= release
PREFIX  ?= /usr/local
DESTDIR ?=
CC      ?= cc
CXX     ?= c++
STRIP   ?= strip
B       := build/$(V)

VERSION := $(shell sed -n 's/^.define VW_VERSION "\(.*\)"/\1/p' include/vastworker/version.h)
SOMAJOR := 0

PKGS      := libevent_core libevent_pthreads jansson libcurl libssl libcrypto
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# llhttp: the distribution's library, else the C sources of Debian 12's node-llhttp (8.1.0, which needs strict mode asked for).
LLHTTP_SRC := /usr/share/llhttp
ifeq ($(shell pkg-config --exists libllhttp 2>/dev/null && echo yes),yes)
LLHTTP_CFLAGS := $(shell pkg-config --cflags libllhttp)
LLHTTP_LIBS   := $(shell pkg-config --libs libllhttp)
LLHTTP_OBJS   :=
else
LLHTTP_CFLAGS := -I/usr/share/include/llhttp
LLHTTP_LIBS   :=
LLHTTP_OBJS   := $(B)/llhttp/api.o $(B)/llhttp/http.o $(B)/llhttp/llhttp.o
endif
HAVE_LLHTTP   := pkg-config --exists libllhttp || test -f $(LLHTTP_SRC)/llhttp.c

WARN  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wformat=2 -Wvla
ifeq ($(WERROR),1)
WARN  += -Werror
endif
# Link-time optimization, where the compiler has it, is worth a twentieth of a request. Objects hold machine code besides, for whoever
# links the static library without it.
ifeq ($(V),release)
LTO   := $(shell $(CC) -flto=auto -ffat-lto-objects -fno-plt -x c -c -o /dev/null /dev/null 2>/dev/null && echo -flto=auto -ffat-lto-objects -fno-plt)
NOLTO := $(if $(LTO),-fno-lto)
endif
OPT_release := -O2 -g $(LTO)
OPT_asan    := -O1 -g -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all -DVWI_DEBUG
OPT_tsan    := -O1 -g -fno-omit-frame-pointer -fsanitize=thread -DVWI_DEBUG
OPT         := $(OPT_$(V))
BASE_FLAGS   = -std=c11 -D_GNU_SOURCE -fvisibility=hidden -fPIC -pthread -MMD -MP -Iinclude $(OPT) $(WARN) $(CFLAGS)
LIB_FLAGS    = $(BASE_FLAGS) -Ilib $(PKG_CFLAGS) $(LLHTTP_CFLAGS) -DVWI_PLUGIN_DIR='"$(PREFIX)/lib/vastworker/plugins"'
LIBS         = $(PKG_LIBS) $(LLHTTP_LIBS) -pthread -ldl -lm

LIB_SRCS  := $(wildcard lib/*.c lib/*/*.c)
LIB_OBJS  := $(LIB_SRCS:%.c=$(B)/%.o) $(LLHTTP_OBJS)
STATIC    := $(B)/libvastworker.a
SHARED    := $(B)/libvastworker.so.$(VERSION)
PLUGINS   := $(foreach d,$(wildcard plugins/*/),$(B)/plugins/$(notdir $(patsubst %/,%,$(d))).so)
TEST_PLUGINS := $(patsubst tests/plugins/%.c,$(B)/tests/plugins/%.so,$(wildcard tests/plugins/*.c))
TEST_NVML := $(B)/tests/nvml/fake_nvml.so $(B)/tests/nvml/old_nvml.so
TEST_CHILDREN := $(patsubst tests/child/%.c,$(B)/tests/child/%,$(wildcard tests/child/*.c))
RUN_OBJS  := $(patsubst %.c,$(B)/%.o,$(wildcard tools/vastworker-run.c tools/cli.c))
SIM_OBJS  := $(patsubst %.c,$(B)/%.o,$(wildcard tools/vastworker-sim.c tools/sim_*.c))
UNIT_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/unit/*.c))
SCENE_OBJS := $(patsubst %.c,$(B)/%.o,$(wildcard tests/scene/*.c))
FUZZ      := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
EXAMPLES  := $(patsubst examples/%.c,$(B)/examples/%,$(wildcard examples/*.c))
BENCH     := $(patsubst tools/bench/%.c,$(B)/bench/%,$(wildcard tools/bench/*.c))
REPLAYS   := $(FUZZ:%=$(B)/tests/fuzz/replay_%)
TOOLS     := $(if $(wildcard tools/vastworker-run.c),$(B)/vastworker-run) $(if $(wildcard tools/vastworker-sim.c),$(B)/vastworker-sim)
# TSan watches threads, and threads are in the scenes.
TESTS     := $(if $(filter-out tsan,$(V)),$(B)/tests/unit/unit $(REPLAYS)) $(B)/tests/scene/scene

.PHONY: all tests check soak demo bench asan tsan fuzz install uninstall dist format help clean docs deps testdeps bench-tools force
.DELETE_ON_ERROR:
all: deps $(STATIC) $(B)/libvastworker.so $(PLUGINS) $(TOOLS)
tests: testdeps all $(TESTS) $(TEST_PLUGINS) $(TEST_NVML) $(TEST_CHILDREN) $(EXAMPLES)

# Every object waits for these (order only: nothing is built again because of them), so the remedy is the only thing said.
deps:
	@command -v $(firstword $(CC)) >/dev/null && pkg-config --exists $(PKGS) 2>/dev/null && { $(HAVE_LLHTTP); } || { \
	  echo "make: something is missing (needed: $(firstword $(CC)), pkg-config, $(PKGS), llhttp)." >&2; \
	  echo "make: Remedy: tools/bootstrap, which installs what is missing through apt." >&2; exit 1; }
testdeps: deps
	@pkg-config --exists check || { echo "make: the unit test library check is missing. Remedy: tools/bootstrap." >&2; exit 1; }

# The folder of plugins is compiled in: another PREFIX is another object.
$(B)/prefix: force
	@mkdir -p $(@D)
	@echo '$(PREFIX)' | cmp -s - $@ || echo '$(PREFIX)' > $@
$(B)/lib/flow/settings.o: $(B)/prefix

$(STATIC): $(LIB_OBJS)
	@mkdir -p $(@D)
	@rm -f $@
	$(AR) rcs $@ $(LIB_OBJS)

$(SHARED): $(LIB_OBJS)
	$(CC) $(OPT) -shared -Wl,-soname,libvastworker.so.$(SOMAJOR) -o $@ $(LIB_OBJS) $(LDFLAGS) $(LIBS)

$(B)/libvastworker.so: $(SHARED)
	ln -sf $(notdir $(SHARED)) $(B)/libvastworker.so.$(SOMAJOR)
	ln -sf libvastworker.so.$(SOMAJOR) $@

$(B)/lib/%.o: lib/%.c | deps
	@mkdir -p $(@D)
	$(CC) $(LIB_FLAGS) -c -o $@ $<

$(LLHTTP_OBJS): $(B)/llhttp/%.o: | deps
	@mkdir -p $(@D)
	$(CC) -std=c11 -fPIC -fvisibility=hidden $(OPT) -DLLHTTP_STRICT_MODE=1 $(LLHTTP_CFLAGS) -w -c -o $@ $(LLHTTP_SRC)/$*.c

$(B)/tools/%.o: tools/%.c | deps
	@mkdir -p $(@D)
	$(CC) $(LIB_FLAGS) -Itools -c -o $@ $<

$(B)/vastworker-run: $(RUN_OBJS) $(STATIC)
	$(CC) $(OPT) -o $@ $^ $(LDFLAGS) $(LIBS)

$(B)/vastworker-sim: $(SIM_OBJS) $(STATIC)
	$(CC) $(OPT) -o $@ $^ $(LDFLAGS) $(LIBS)

# A plugin sees the installed headers and jansson, nothing else; what it does not call it does not ask the loader for.
.SECONDEXPANSION:
$(B)/plugins/%.so: $$(wildcard plugins/%/*.c) include/vastworker/plugin.h | deps
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(shell pkg-config --cflags jansson) -shared -Wl,--as-needed -o $@ $(filter %.c,$^) $(shell pkg-config --libs jansson) -lm

$(B)/tests/plugins/%.so: tests/plugins/%.c include/vastworker/plugin.h | deps
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) -shared -Wl,--as-needed -o $@ $< -lm

# Stand-ins for NVIDIA's library: of today, and of a driver that lacks most of it.
$(B)/tests/nvml/fake_nvml.so: OLD :=
$(B)/tests/nvml/old_nvml.so: OLD := -DOLD_DRIVER
$(TEST_NVML): tests/nvml/fake_nvml.c tests/nvml/fake_nvml.h | deps
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(OLD) -shared -o $@ $<

$(B)/tests/child/%: tests/child/%.c | deps
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) -o $@ $<

$(B)/tests/%.o: tests/%.c | testdeps
	@mkdir -p $(@D)
	$(CC) $(LIB_FLAGS) -Itests -Itools -I$(B)/tests $(shell pkg-config --cflags check) -DVWT_BUILD='"$(B)"' -c -o $@ $<

# The list of suites is the list of files: tests/unit/test_queue.c defines Suite *queue_suite(void).
$(B)/tests/unit_suites.h: $(wildcard tests/unit/test_*.c)
	@mkdir -p $(@D)
	@for f in $(sort $(notdir $(^:tests/unit/test_%.c=%))); do echo "SUITE($$f)"; done > $@
$(B)/tests/scene_suites.h: $(wildcard tests/scene/scene_*.c)
	@mkdir -p $(@D)
	@for f in $(sort $(notdir $(^:tests/scene/scene_%.c=%))); do echo "SUITE($$f)"; done > $@
$(B)/tests/unit/main.o: $(B)/tests/unit_suites.h
$(B)/tests/scene/main.o: $(B)/tests/scene_suites.h

# Without LTO: their builds are many, and the linker has to find what it wraps.
$(B)/tests/unit/unit: $(UNIT_OBJS) $(STATIC)
	$(CC) $(OPT) $(NOLTO) -o $@ $^ $(LDFLAGS) $(shell pkg-config --libs check) $(LIBS)
# Scenes set the worker's clocks (step_clock() and skip_time() of actors.h).
$(B)/tests/scene/scene: $(SCENE_OBJS) $(STATIC)
	$(CC) $(OPT) $(NOLTO) -Wl,--wrap=vwi_wall_s,--wrap=vwi_mono_us -o $@ $^ $(LDFLAGS) $(shell pkg-config --libs check) $(LIBS)
$(B)/tests/fuzz/replay_%: $(B)/tests/fuzz/replay.o $(B)/tests/fuzz/fuzz_%.o $(STATIC)
	$(CC) $(OPT) $(NOLTO) -o $@ $^ $(LDFLAGS) $(LIBS)

# As a program of someone else: the public headers and the shared library.
$(B)/examples/%: examples/%.c $(B)/libvastworker.so
	@mkdir -p $(@D)
	$(CC) -std=c11 $(OPT) $(WARN) $(CFLAGS) -Iinclude -MMD -MP -o $@ $< -L$(B) -Wl,-rpath,'$$ORIGIN/..' -lvastworker $(LDFLAGS)

$(B)/bench/%: tools/bench/%.c
	@mkdir -p $(@D)
	$(CC) -std=c11 -D_GNU_SOURCE $(OPT) $(WARN) $(CFLAGS) -MMD -MP -o $@ $< $(LDFLAGS)

# Inside the library, where those above see it from without.
CORE_BENCH := $(B)/bench/scan $(B)/bench/queue
$(CORE_BENCH): $(B)/bench/%: tools/bench/%.c $(STATIC)
	@mkdir -p $(@D)
	$(CC) $(LIB_FLAGS) -o $@ $< $(STATIC) $(LDFLAGS) $(LIBS)

asan: ; $(MAKE) V=asan tests && tools/check/suite asan
tsan: ; $(MAKE) V=tsan tests && tools/check/suite tsan

check:
	tools/bootstrap --check
	tools/check/all

soak:
	tools/bootstrap --check
	+@$(MAKE) -s V=asan tests
	+@$(MAKE) -s V=release tests
	@tools/check/soak

# What people call first builds on all cores, and quietly: the story is the thing to read.
FAST = $(MAKE) -s V=release $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc 2>/dev/null || echo 2))
demo:
	@tools/bootstrap
	@echo "make: building"
	+@$(FAST) all
	@examples/demo/run

bench:
	@tools/bootstrap --bench
	@echo "make: building"
	+@$(FAST) all bench-tools
	@tools/bench/run

bench-tools: $(BENCH)

# libFuzzer under clang, sources compiled apart: make fuzz T=envelope [FUZZ_S=60]
FUZZ_S ?= 60
fuzz:
	@test -f tests/fuzz/fuzz_$(T).c || { echo "make fuzz T=name, with one of: $(FUZZ)" >&2; exit 2; }
	@command -v clang >/dev/null || { echo "make fuzz: clang is missing. Remedy: install clang (Debian: clang and libclang-rt-14-dev)." >&2; exit 1; }
	@mkdir -p build/fuzz/$(T)
	clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -pthread -w -Iinclude -Ilib -Itests $(PKG_CFLAGS) $(LLHTTP_CFLAGS) \
	  -DLLHTTP_STRICT_MODE=1 -DVWI_SCAN_LONG_BYTES=8 -DVWI_PLUGIN_DIR='""' -o build/fuzz/fuzz_$(T) tests/fuzz/fuzz_$(T).c $(LIB_SRCS) $(if $(LLHTTP_OBJS),$(wildcard $(LLHTTP_SRC)/*.c)) $(LIBS)
	build/fuzz/fuzz_$(T) -max_total_time=$(FUZZ_S) -timeout=5 build/fuzz/$(T) tests/fuzz/corpus/$(T)

# docs/config.md and docs/config.schema.json grow from the table of keys; a test keeps them equal.
docs: all
	$(B)/vastworker-run --print-config-docs > docs/config.md
	$(B)/vastworker-run --print-config-schema > docs/config.schema.json

D := $(DESTDIR)$(PREFIX)
install: all
	install -d $(D)/bin $(D)/lib/pkgconfig $(D)/lib/vastworker/plugins $(D)/include/vastworker $(D)/share/doc/vastworker
	install -m 755 $(TOOLS) $(D)/bin
	install -m 644 $(STATIC) $(D)/lib
	$(if $(LTO),$(STRIP) --wildcard -R '.gnu.lto_*' -R '.gnu.debuglto_*' -N __gnu_lto_v1 $(D)/lib/libvastworker.a) # of use to this compiler alone
	install -m 755 $(SHARED) $(D)/lib
	ln -sf $(notdir $(SHARED)) $(D)/lib/libvastworker.so.$(SOMAJOR)
	ln -sf libvastworker.so.$(SOMAJOR) $(D)/lib/libvastworker.so
	install -m 755 $(PLUGINS) $(D)/lib/vastworker/plugins
	install -m 644 include/vastworker/*.h $(D)/include/vastworker
	install -m 644 README.md CHANGES.md LICENSE docs/*.md docs/config.schema.json $(D)/share/doc/vastworker
	for pc in vastworker vastworker-plugin; do sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(VERSION)|' pkgconfig/$$pc.pc.in > $(D)/lib/pkgconfig/$$pc.pc; done

uninstall:
	rm -f $(TOOLS:$(B)/%=$(D)/bin/%) $(D)/lib/libvastworker.a $(D)/lib/libvastworker.so $(D)/lib/libvastworker.so.$(SOMAJOR) $(D)/lib/libvastworker.so.$(VERSION)
	rm -f $(D)/lib/pkgconfig/vastworker.pc $(D)/lib/pkgconfig/vastworker-plugin.pc $(PLUGINS:$(B)/plugins/%=$(D)/lib/vastworker/plugins/%)
	rm -rf $(D)/include/vastworker $(D)/share/doc/vastworker
	-rmdir $(D)/lib/vastworker/plugins $(D)/lib/vastworker 2>/dev/null

dist:
	@mkdir -p build
	git archive --format=tar.gz --prefix=vastworker-$(VERSION)/ -o build/vastworker-$(VERSION).tar.gz HEAD
	@echo build/vastworker-$(VERSION).tar.gz

format:
	clang-format -i $(LIB_SRCS) $(wildcard lib/*/*.h include/vastworker/*.h tools/*.[ch] tests/*/*.[ch] plugins/*/*.c examples/*.c tools/bench/*.c)

clean:
	rm -rf build

help:
	@echo "make            library (shared and static), plugins and tools under build/release"
	@echo "make check      all tests: sanitizers, fuzz corpora, house rules (installs what is missing)"
	@echo "make demo       the main job on the embedded simulators (installs what is missing)"
	@echo "make soak       thousands of seeded storms, a million requests, a hundred stops under load: SEEDS= MARATHON= TRIES= FROM= VARIANT= (an hour or so)"
	@echo "make bench      cost of a request beside nginx (installs what is missing)"
	@echo "make asan tsan  the whole suite under a sanitizer"
	@echo "make fuzz T=x   fuzz one parser with libFuzzer; x one of: $(FUZZ)"
	@echo "make install uninstall   DESTDIR= PREFIX=$(PREFIX)"
	@echo "make docs       regenerate docs/config.md and docs/config.schema.json"
	@echo "make dist format clean"

# What each object included when it was last built; a header that is gone is no error (-MP).
-include $(shell find $(B) -name '*.d' 2>/dev/null)
