# What the commands of ./do do.

jobs=$(nproc)

build_preset() {
    local preset=$1 launcher=()
    setup build
    case $preset in clang | fuzz) setup fuzz ;; esac
    command -v ccache >/dev/null && launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache)
    cmake --preset "$preset" "${launcher[@]}" >&2
    cmake --build "build/$preset" -j "$jobs" "${@:2}" >&2
}

nest() {
    [ $# -gt 0 ] || die "which scenario? Files of integration/scenarios, all, or long"
    setup nest
    [ -n "${VMM:-}" ] || [ -x build/release/cli/vmm ] || build_preset release
    PYTHONPATH=integration python3 -m nest --vmm "${VMM:-build/release/cli/vmm}" "$@"
}
