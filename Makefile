# SPDX-License-Identifier: GPL-2.0
#
# The front door. `make help` says what there is.

ifneq ($(shell command -v cargo >/dev/null && echo yes),yes)
$(error no cargo: install Rust 1.89 or newer, with rustfmt and clippy)
endif

export KERNEL KDIR ARCH LLVM ONLY SECONDS SEED CASE FN
unexport M O V

front := CARGO_TARGET_DIR=build/front cargo run --quiet --release --locked \
	--manifest-path scripts/Cargo.toml --

OURS := all setup run test kunit selftest ui mutants lint api binder allrust \
	debug races faults fuzz soak known bench asm

.PHONY: $(OURS) help clean
.NOTPARALLEL:

ifdef M
all:
	@$(front) kmake M=$(abspath $(M)) $(if $(V),V=$(V)) modules
else
all:
	@$(front) build
endif

$(filter-out all,$(OURS)):
	@$(front) $@

clean:
	rm -rf build

help:
	@echo 'make LLVM=1            builds the kernel with the crate in it'
	@echo 'make LLVM=1 run        boots it; each answer of the crate beside that of /proc'
	@echo 'make LLVM=1 test       all tests, on each kernel; ends with "N passed, N failed"'
	@echo 'make LLVM=1 kunit      the examples of the documentation, in the booted kernel'
	@echo 'make LLVM=1 selftest   programs that drive the sample, in the booted kernel'
	@echo 'make LLVM=1 ui         misuse that must not compile'
	@echo 'make LLVM=1 mutants    small faults, each of which some test has to notice (ONLY=part of a name)'
	@echo 'make LLVM=1 lint       rustfmt, clippy, rustdoc and checkpatch over our files'
	@echo 'make LLVM=1 api        each item of mainline'"'"'s public API, against ours (KERNEL=7.3)'
	@echo 'make LLVM=1 binder     Rust Binder: its tests, unchanged too, and its speed on both (KERNEL=7.3)'
	@echo 'make LLVM=1 bench      instructions and time of each operation, beside those of C, and curves'
	@echo 'make LLVM=1 asm FN=    the code of one operation of bench, in C and in Rust'
	@echo 'make LLVM=1 known      faults of mainline'"'"'s files, which are not in ours (KERNEL=7.3)'
	@echo 'make LLVM=1 allrust    all Rust code of the kernel, built on our files, under KASAN (KERNEL=7.3)'
	@echo 'make LLVM=1 debug      all tests and the four below, under the checkers of the kernel'
	@echo 'make LLVM=1 races      all tests under KCSAN, which sees data races'
	@echo 'make LLVM=1 faults     each allocation and each copy fails once, and nothing is lost'
	@echo 'make LLVM=1 fuzz       random calls (SECONDS=600 SEED=, CASE=what it said to see one again)'
	@echo 'make LLVM=1 soak       processes that come and go in all ways (SECONDS=600 SEED=)'
	@echo 'make LLVM=1 setup      what the others need, and nothing else'
	@echo 'make LLVM=1 M=dir      builds a module of your own'
	@echo 'make clean             removes build/'
	@echo 'Anything else goes to the make of the kernel: menuconfig, rustdoc, rust-analyzer, ...'
	@echo
	@echo 'KERNEL=6.12   which kernel: 6.12 (by default) or 7.3'
	@echo 'KDIR=path     a kernel tree of your own, which is not written to'

# Whatever else is asked for, the kernel's make may know.
%:
	@$(front) kmake $(if $(M),M=$(abspath $(M))) $(if $(V),V=$(V)) $@

Makefile: ;
