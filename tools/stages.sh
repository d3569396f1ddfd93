# SPDX-License-Identifier: Apache-2.0
# What the commands of ./do do. tools/table.sh runs the stages of `./do test` and keeps their times.

jobs=$(nproc)
vmm=build/release/cli/vmm

# build_preset PRESET [arguments of cmake --build]...
build_preset() {
    local preset=$1 launcher=()
    setup build
    case $preset in
    clang | asan) setup fuzz ;;
    aarch64) setup aarch64 ;;
    esac
    # Only what was compiled with the same flags is taken from ccache, so it is safe here and saves most of a rebuild.
    command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake --preset "$preset" "${launcher[@]}" >&2 && cmake --build "build/$preset" -j "$jobs" "${@:2}" >&2
}

# Names in what clang's sanitizers report: Debian's symbolizer has a version in its name, by which they do not find it.
symbolize() {
    export ASAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19 UBSAN_SYMBOLIZER_PATH=/usr/bin/llvm-symbolizer-19
}

# run_tests PRESET [arguments of ctest]...: the preset of CMakePresets.json says which tests, with which environment.
run_tests() { ctest --preset "$1" -j "$jobs" --output-junit junit.xml "${@:2}"; }

lint() {
    setup lint
    local sources
    mapfile -t sources < <(git ls-files -co --exclude-standard -- '*.cpp' '*.hpp' | while read -r f; do
        [ -f "$f" ] && echo "$f"
    done)
    clang-format-14 --dry-run -Werror "${sources[@]}" &&
        python3 tools/check_tree.py &&
        python3 tools/check_programs.py &&
        python3 -m unittest discover -q -s tools -p '*_test.py' &&
        PYTHONPATH=integration python3 -m unittest discover -q -s integration/nest -p '*_test.py'
}

# Every source file of the product, most of them a room at a time. Tests and fuzzers are compiled with all warnings
# by two compilers, and left out here: GoogleTest's macros take more time than all the rest.
# tidy [CHECKS]: with further checks, or fewer.
tidy() {
    setup lint
    build_preset clang --target vmm_base compiled_filters || return
    python3 tools/tidy.py build/clang '^(?!.*(_test|_fuzz|/synthetic_kernel)\.cpp$)(?!.*/(tests|bench)/)' "${1:-}"
}

fuzz() {
    local seconds=$1
    build_preset asan --target fuzzers || return
    symbolize
    python3 tools/fuzz.py build/asan/fuzzers "$seconds"
}

# Longer than CI's five seconds; the two sanitizers see different things.
chaos() {
    local seconds=${1:-60} preset code=0 seed=()
    [ -z "${2:-}" ] || seed=(--seed "$2")
    symbolize
    for preset in asan tsan; do
        build_preset "$preset" --target vmm vmm_hostile_guest || return
        say "chaos: $preset"
        TSAN_OPTIONS=halt_on_error=1 setarch -R python3 tests/hostile/chaos.py --vmm "build/$preset/cli/vmm" --sanitized \
            --guest "build/$preset/tests/hostile/hostile.elf" --seconds "$seconds" "${seed[@]}" || code=1
    done
    return "$code"
}

# Constants have to lie in read-only memory, tables of functions above all.
release() { build_preset release && python3 tools/check_constants.py "$vmm" && ls -l "$vmm"; }

# preset_for ARGUMENTS OF nest OR try: the preset whose program runs, by the architecture that they name.
preset_for() { if [[ " $* " == *" --arch aarch64 "* ]]; then echo aarch64; else echo release; fi; }

# The images of another architecture are fetched and built by the first run that needs them.
# shellcheck disable=SC2086  # a list of words
setup_guests() { if [ "$1" = aarch64 ]; then need_packages $packages_nest && setup aarch64; else setup nest; fi; }

build_program() { build_preset "$1" --target vmm; }

nest() {
    local preset program
    [ $# -gt 0 ] || die "which scenario? Files of integration/scenarios, all, or long"
    preset=$(preset_for "$@") && program=${VMM:-build/$preset/cli/vmm}
    setup_guests "$preset"
    [ -n "${VMM:-}" ] || [ -x "$program" ] || build_program "$preset" >&2 || return
    PYTHONPATH=integration python3 -m nest --vmm "$program" "$@"
}

try_guest() {
    local preset
    preset=$(preset_for "$@")
    setup build
    setup_guests "$preset"
    say "building vmm: build/$preset"
    mkdir -p build
    build_program "$preset" >build/try.log 2>&1 || { tail -n 40 build/try.log >&2 && die "the build failed: build/try.log"; }
    PYTHONPATH=integration python3 -m nest.try_guest --vmm "build/$preset/cli/vmm" "$@"
}

bench() {
    setup build
    setup bench
    [ -x bench/run ] || die "there are no benchmarks yet"
    build_preset release && bench/run "$@"
}

# ---- the stages of `./do test`

stage_lint() { lint; }

# GCC's build of everything, with each header compiled alone, and all tests. Sources are compiled several at a time,
# which takes a third of the time; one by one the product's are compiled for the release, and a developer's for dev.
stage_gcc() {
    build_preset gcc && cmake --build build/gcc -j "$jobs" --target all_verify_interface_header_sets &&
        run_tests gcc
}

# Does cmake/start_order.ld still list what a start needs? Skipped where there is no KVM.
stage_order() { python3 bench/start_order.py --check --build build/gcc/bench || [ $? -eq 77 ]; }

# The second compiler too, with its warnings over everything, thread-safety analysis among them.
stage_asan() {
    build_preset asan && run_tests asan
}

# The tests with threads, and the hostile guest, whose CPUs race for devices on purpose. ThreadSanitizer wants the
# address space of a fixed layout.
stage_tsan() {
    build_preset tsan --target threads_tests vmm vmm_hostile_guest &&
        setarch -R ctest --preset tsan -j "$jobs" --output-junit junit.xml
}

# With the programs that the stage before has built.
stage_fuzz() { fuzz "${VMM_FUZZ_SECONDS:-5}"; }
# The static analyzer takes as long as all other checks together: `./do tidy` has it.
stage_tidy() { tidy '-clang-analyzer-*'; }
stage_release() { release; }

# The rest of the machine is busy meanwhile: limits are stretched.
stage_nest() { VMM_NEST_PATIENCE=${VMM_NEST_PATIENCE:-3} nest all --out build/nest --summary build/nest.json; }

stage_nest_asan() {
    VMM=build/asan/cli/vmm VMM_NEST_PATIENCE=${VMM_NEST_PATIENCE:-5} \
        nest boot busy --only '^(boot\.deb612|busy\.devices)$' --out build/nest-asan --summary build/nest_asan.json
}

# The program for another machine, and the tests of what differs there.
stage_aarch64() { build_preset aarch64 && run_tests aarch64; }

# One boot of the emulated board; more of the cases by hand, because a guest costs three times what it does on x86.
# Time is counted in instructions: by the host's clock a guest on a busy machine does little but handle its timer.
stage_nest_aarch64() {
    VMM_NEST_PATIENCE=${VMM_NEST_PATIENCE:-5} nest --arch aarch64 --deterministic boot life sandbox \
        --only '^(boot\.deb612|life\.reboot|sandbox\.abi6)$' \
        --out build/nest-aarch64 --summary build/nest_aarch64.json
}

stage_nest_tsan() {
    VMM=build/tsan/cli/vmm VMM_NEST_PATIENCE=${VMM_NEST_PATIENCE:-5} \
        nest busy --only '^busy\.devices$' --out build/nest-tsan --summary build/nest_tsan.json
}

stage_try() { try_guest </dev/null; }

test_everything() {
    . tools/table.sh
    setup build lint fuzz nest aarch64
    rm -rf build/log && mkdir -p build/log
    rm -f build/*/junit.xml build/nest*.json
    rm -f build/*/tests/*.shard*.xml build/*/*/*/*.shard*.xml build/*/*/*/*/*.shard*.xml
    # Whole guests keep one core busy for minutes and need nothing but the release program, so they run beside the
    # compilations of the other presets.
    beside lint
    stage release
    join lint
    beside nest
    stage gcc
    stage order
    stage aarch64
    beside nest_aarch64
    stage asan
    beside nest_asan
    stage tsan
    beside nest_tsan
    stage fuzz
    stage tidy
    join nest
    join nest_aarch64
    join nest_asan
    join nest_tsan
    stage try
    table
}
