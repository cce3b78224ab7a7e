# make           builds everything into target/built; `make STATIC=` links all of it dynamically
# make test      builds, then runs all tests
# make test-mail  the tests of mail alone; UNDER_TEST=/var/qmail/bin runs them on another qmail
# make torture   builds, then runs the tests that take minutes
# make fuzz      tries each format under libFuzzer, SECONDS=60 each; FORMATS= says which
# make check     looks at format, lints, man pages, names and link sets
# make demo      runs the whole mail system in ./demo as an ordinary user; make demo-stop ends it
# make bench     times our programs against the originals that are installed
# make bench-net  times the network half against ucspi-tcp and others; SHORT=1 is under a minute
# make bench-supervise  times loggers and supervisors against others; SHORT=1 is under a minute
# make bench-mail  times the mail system against Postfix, as root; SHORT=1 is under a minute
# make install   installs; DESTDIR= PREFIX= QMAILHOME= SUBSET= SPLIT= say where and what

DESTDIR   =
PREFIX    = /usr/local
QMAILHOME = /var/qmail
# Families. "rules net" is ucspi-tcp, "supervise" is daemontools, "mail" is qmail.
SUBSET    = rules net supervise mail
# Folders per kind of file in a new queue; an old queue keeps its number.
SPLIT     = 23

comma     = ,
space     = $() $()
HOST      = $(shell rustc -vV | sed -n 's/^host: //p')
BUILT     = $(CURDIR)/target/built
PACKAGES  = $(patsubst mail,mail queue,$(SUBSET))
PROGRAMS  = $(basename $(notdir $(foreach p,$(PACKAGES),$(wildcard $p/src/bin/*.rs tools/$p/src/bin/*.rs))))
SCRIPTS   = $(foreach p,$(PACKAGES),$(wildcard $p/src/scripts/* tools/$p/src/scripts/*))
# These ask NSS, PAM or libcrypt, which work in dynamically linked programs only.
SHARED    = checkpassword qmail-getpw svscanboot
# The C libraries for which base has a start of its own, five times as fast: quick_start.rs. It makes
# nothing read-only before main, so that a part of the file for that is a mapping more and no use.
QUICK     = $(if $(filter x86_64-glibc-2.36 x86_64-glibc-2.41,\
            $(firstword $(subst -, ,$(HOST)))-$(subst $(space),-,$(shell getconf GNU_LIBC_VERSION))),"--cfg"$(comma)"quick_start"$(comma)"-C"$(comma)"relro-level=off"$(comma))
# rustc's own linker can put side by side what every start needs: 9 page faults less of 30.
LLD       = $(wildcard $(shell rustc --print sysroot)/lib/rustlib/$(HOST)/bin/gcc-ld/ld.lld)
LINK      = "-C"$(comma)"link-arg=-Wl$(comma)$(1)"$(comma)
ORDER     = $(if $(and $(QUICK),$(LLD)),$(call LINK,--symbol-ordering-file=$(CURDIR)/tools/base/start.order)$(call LINK,--no-warn-symbol-ordering))
STATIC    = --config 'target.$(HOST).rustflags=[$(QUICK)$(ORDER)"-C","target-feature=+crt-static","-C","relocation-model=static"]'
BUILD     = QMAILHOME='$(QMAILHOME)' cargo build --release --target $(HOST)
bins      = $(if $(1),$(BUILD) $(2) $(addprefix --bin ,$(1)),@:)

all:
	$(call bins,$(filter-out $(SHARED),$(PROGRAMS)),$(STATIC))
	$(call bins,$(filter $(SHARED),$(PROGRAMS)))
	ln -sfn $(HOST)/release target/built
	$(if $(strip $(SCRIPTS)),install -m 755 $(SCRIPTS) target/built)

test: all
	cargo test --workspace --lib
	BUILT=$(BUILT) cargo test -p catena --tests --no-fail-fast

torture: all
	cargo test --workspace --lib -- --ignored
	BUILT=$(BUILT) CASES=100000 RUNS=10000 cargo test --release -p catena --test hostile
	BUILT=$(BUILT) FLOOD=1024 cargo test -p catena --test system limits::
	BUILT=$(BUILT) FLOOD=100 cargo test -p catena --test system big_mail::
	BUILT=$(BUILT) cargo test -p catena --tests --no-fail-fast -- --ignored

# Coverage as cargo-fuzz asks for it, with the stable compiler. Cargo.lock is that of the tree.
FUZZ      = target/fuzz/$(HOST)/release/format
COVERAGE  = -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
            -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
            -Cllvm-args=-sanitizer-coverage-pc-table \
            -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing
SECONDS   = 60
EFFORT    = -max_total_time=$(SECONDS)
FORMATS   = $(shell $(FUZZ))

fuzzers:
	cp Cargo.lock fuzz/Cargo.lock
	RUSTFLAGS='$(COVERAGE)' cargo build --release --target $(HOST) --target-dir target/fuzz \
	--manifest-path fuzz/Cargo.toml

fuzz: fuzzers
	for format in $(FORMATS); do \
	  FORMAT=$$format SEEDS=target/corpus/$$format $(FUZZ) $(EFFORT) -timeout=60 \
	    -artifact_prefix=target/corpus/$$format- target/corpus/$$format || exit; \
	done

check: all
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p base --target $(HOST) $(STATIC) -- -D warnings
	BUILT=$(BUILT) cargo test -p catena --test tree

# The same tests on the programs in the folder ORIGINALS, as far as it has them.
ORIGINALS = $(CURDIR)/target/originals
original  = $(notdir $(wildcard $(addprefix $(ORIGINALS)/,$(basename $(notdir $(wildcard tests/$1/*.rs))))))
modules   = $(addsuffix ::,$(subst @,_at,$(subst -,_,$(call original,$1))))
originals:
	failed=0; \
	$(foreach f,rules net supervise mail,$(if $(call modules,$f),UNDER_TEST=$(ORIGINALS) cargo test -p catena --test $f -- $(call modules,$f) || failed=1;)) \
	exit $$failed

# The tests of mail on the qmail whose programs are in the folder UNDER_TEST, as far as it has them.
# Nothing is changed there: it is copied, and every test has a home of its own.
tested    = $(basename $(notdir $(wildcard tests/mail/*.rs)))
missing   = $(filter-out $(notdir $(wildcard $(UNDER_TEST)/*)),$(filter $(tested),$(PROGRAMS) $(notdir $(SCRIPTS))))
test-mail: $(if $(UNDER_TEST),under-test,all)
	$(if $(UNDER_TEST),UNDER_TEST=$(CURDIR)/target/under-test,BUILT=$(BUILT)) \
	cargo test -p catena --test mail --no-fail-fast \
	$(if $(UNDER_TEST),-- $(addprefix --skip ,$(addsuffix ::,$(subst -,_,$(missing)))))

under-test:
	rm -rf target/under-test
	mkdir -p target/under-test/real
	install -m 755 $(UNDER_TEST)/* target/under-test/real
	for name in $(notdir $(wildcard $(UNDER_TEST)/*)); do \
	  sed 's|HOME_UNDER_TEST|$(abspath $(UNDER_TEST)/..)|' tests/in-home.sh >target/under-test/$$name && \
	  chmod 755 target/under-test/$$name || exit; \
	done

# Whoever installs with sudo may have no cargo: then what was built before is installed.
install: $(if $(shell command -v cargo),all)
	BUILT='$(BUILT)' DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' QMAILHOME='$(QMAILHOME)' \
	SUBSET='$(SUBSET)' SPLIT=$(SPLIT) sh tools/install.sh

bench: all
	BUILT=$(BUILT) cargo bench -q -p catena --bench start

bench-net: all
	BUILT=$(BUILT) SHORT=$(SHORT) cargo bench -q -p catena --bench net -- $(PARTS)

bench-supervise: all
	BUILT=$(BUILT) SHORT=$(SHORT) TMPDIR=$(firstword $(wildcard /dev/shm) /tmp) \
	cargo bench -q -p catena --bench supervise -- $(PARTS)

bench-mail: all
	BUILT=$(BUILT) SHORT=$(SHORT) cargo bench -q -p catena --bench mail -- $(PARTS)

demo: all
	BUILT='$(BUILT)' sh tests/demo.sh start

demo-stop:
	BUILT='$(BUILT)' sh tests/demo.sh stop

clean:
	cargo clean

.PHONY: all test test-mail under-test torture fuzzers fuzz check originals bench bench-net bench-supervise bench-mail demo demo-stop install clean
