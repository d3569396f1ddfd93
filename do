#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The project's commands. `./do help` lists them.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")"
. tools/lib.sh

help() {
    cat <<'TEXT'
./do try              boot a Linux guest to a u-root shell (Ctrl-A X leaves it); with --arch aarch64 in an emulated Arm board
./do test             install what is missing, build, run every check and test: what CI runs
./do setup [PART]...  install what is missing and no more: build lint nest aarch64 fuzz bench (default: all), or packages,
                      which is what test needs without kernels and initramfs
./do build [PRESET]   configure and build a preset of CMakePresets.json (default: dev)
./do lint             format, size budget, layering: seconds
./do tidy             clang-tidy over the product, static analyzer included
./do fuzz [SECONDS]   build the fuzzers and run each for so long (default: 60)
./do chaos [SECONDS] [SEED]  a guest does anything to any device, under each sanitizer (default: 60 s)
./do nest SCENARIO... run scenarios with whole guests: all, long, or files of integration/scenarios; --arch aarch64
./do bench [NAME]...  the benchmarks
./do bare [STEP]...   try and test, or the named steps, in a bare Debian 12 root made for it; needs root
TEXT
}

case ${1:-help} in
help | -h | --help) help ;;
setup) shift && . tools/setup.sh && setup "$@" ;;
try) shift && . tools/setup.sh && . tools/stages.sh && try_guest "$@" ;;
test) shift && . tools/setup.sh && . tools/stages.sh && test_everything "$@" ;;
build) shift && . tools/setup.sh && . tools/stages.sh && build_preset "${1:-dev}" ;;
lint) . tools/setup.sh && . tools/stages.sh && lint ;;
tidy) . tools/setup.sh && . tools/stages.sh && tidy ;;
fuzz) shift && . tools/setup.sh && . tools/stages.sh && fuzz "${1:-60}" ;;
chaos) shift && . tools/setup.sh && . tools/stages.sh && chaos "$@" ;;
nest) shift && . tools/setup.sh && . tools/stages.sh && nest "$@" ;;
bare) shift && tools/bare.sh "$@" ;;
bench) shift && . tools/setup.sh && . tools/stages.sh && bench "$@" ;;
*) help >&2 && die "no command '$1'" ;;
esac
