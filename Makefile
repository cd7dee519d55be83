# SPDX-License-Identifier: GPL-2.0
#
# Passes each target to the tool in scripts/. `make help` lists the targets.

# Without this, make looks for a rule of its own for a target such as mm/mmap.o.
MAKEFLAGS += -rR

# The lowest version of rustc that compiles the tool.
rust := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' scripts/Cargo.toml)

ifneq ($(shell command -v cargo >/dev/null && echo yes),yes)
$(error no cargo: install Rust $(rust) or newer)
endif
rustc := $(word 2,$(shell rustc --version 2>/dev/null))
ifneq ($(shell printf '%s\n' $(rust) $(or $(rustc),0) | sort -VC && echo yes),yes)
$(error rustc $(or $(rustc),is missing or) is too old: install Rust $(rust) or newer)
endif
ifneq ($(shell command -v cc >/dev/null && echo yes),yes)
$(error no C compiler, which cargo needs to link: install gcc)
endif

export KERNEL KDIR ARCH LLVM M V ONLY SECONDS SEED CASE TURN FN CONFIG JSON SIGNOFF SITES
unexport O
CONFIG := $(or $(CONFIG),$(if $(O),$(O)/.config))

# cargo shows its progress when it builds the tool for the first time.
quiet := $(if $(wildcard build/front/release/checks),--quiet)
checks := CARGO_TARGET_DIR=build/front cargo run $(quiet) --release --locked \
	--manifest-path scripts/Cargo.toml --package checks --

.PHONY: all FORCE $(if $(M),,clean)
.NOTPARALLEL:

all:
	@$(checks) $(if $(M),modules,all)

ifndef M
clean:
	rm -rf build
endif

# The tool passes the targets that it does not have to the kernel's make.
%: FORCE
	@$(checks) $@

FORCE:
Makefile: ;
