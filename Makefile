# SPDX-License-Identifier: GPL-2.0
#
# Passes each target to the tool in scripts/. `make help` lists the targets.

ifneq ($(shell command -v cargo >/dev/null && echo yes),yes)
$(error no cargo: install Rust 1.89 or newer, with rustfmt and clippy)
endif

export KERNEL KDIR ARCH LLVM M V ONLY SECONDS SEED CASE TURN FN CONFIG JSON
unexport O
CONFIG := $(or $(CONFIG),$(if $(O),$(O)/.config))

# cargo shows its progress when it builds the tool for the first time.
quiet := $(if $(wildcard build/front/release/checks),--quiet)
checks := CARGO_TARGET_DIR=build/front cargo run $(quiet) --release --locked \
	--manifest-path scripts/Cargo.toml --

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
