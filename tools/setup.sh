# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, and says what before it does. Debian 12; nothing is pinned to a version.

packages_build="g++ cmake ninja-build git python3 binutils libgtest-dev libgmock-dev libspdlog-dev libfmt-dev
    libcli11-dev nlohmann-json3-dev libboost1.81-dev zlib1g-dev libzstd-dev liblzma-dev liblz4-dev liburing-dev
    libseccomp-dev acpica-tools device-tree-compiler iproute2 passt"
packages_lint="python3 clang-format-14 clang-19 clang-tidy-19"
packages_fuzz="g++ clang-19 libclang-rt-19-dev llvm-19"
packages_nest="ca-certificates python3 qemu-system-x86 zstd xz-utils lz4 e2fsprogs passt dmsetup pciutils"
packages_rust="cargo-web rustc-web"
packages_aarch64="g++-aarch64-linux-gnu zlib1g-dev:arm64 libzstd-dev:arm64 liblzma-dev:arm64 liblz4-dev:arm64
    liburing-dev:arm64 libgtest-dev:arm64 libgmock-dev:arm64 qemu-user qemu-system-arm"
packages_bench="qemu-system-x86 python3"
packages_bare="debootstrap git"

own_architecture=$(dpkg --print-architecture 2>/dev/null || true)

# installed NAME[:ARCHITECTURE]: for the machine's own architecture, unless another is named.
installed() {
    local architecture=$own_architecture
    [[ $1 != *:* ]] || architecture=${1#*:}
    dpkg-query -W -f '${Architecture} ${db:Status-Abbrev}\n' "$1" 2>/dev/null | grep -E "^($architecture|all) ii " >/dev/null
}

# need_architecture NAME: lets dpkg and apt have packages of another architecture than the machine's own.
need_architecture() {
    [ "$1" = "$own_architecture" ] || dpkg --print-foreign-architectures | grep -x "$1" >/dev/null ||
        as_root dpkg --add-architecture "$1"
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 \
        -o Dpkg::Use-Pty=0 "$@"
}

# need_packages NAME...: installs those that are missing.
need_packages() {
    local missing=() name
    for name in "$@"; do
        installed "$name" || [[ " ${missing[*]} " == *" $name "* ]] || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return
    command -v apt-get >/dev/null || die "these packages of Debian 12 are missing: ${missing[*]}"
    say "installing with apt-get: ${missing[*]}"
    for name in "${missing[@]}"; do
        [[ $name != *:* ]] || need_architecture "${name#*:}"
    done
    # A fresh image has no package lists; old lists may name versions that have left the archive.
    if ! apt-cache show --no-all-versions "${missing[@]}" >/dev/null 2>&1 ||
        ! apt_get install -y --no-install-recommends "${missing[@]}" >&2; then
        say "reading the package lists: apt-get update"
        apt_get update >&2
        apt_get install -y --no-install-recommends "${missing[@]}" >&2
    fi
}

images() { PYTHONPATH=integration python3 -m images.catalog "$@"; }

# What `./do test` needs of Debian, without what is fetched or built afterwards: for the image of Containerfile.
setup_packages() {
    # shellcheck disable=SC2086  # lists of words
    need_packages $packages_build $packages_lint $packages_fuzz $packages_nest $packages_aarch64
    # shellcheck disable=SC2086  # a list of words
    command -v cargo >/dev/null || need_packages $packages_rust
}

setup_part() {
    local list=packages_$1
    if [ "$1" = packages ]; then
        setup_packages
        return
    fi
    [ -n "${!list:-}" ] || die "no part '$1': build lint nest aarch64 fuzz bench packages"
    # shellcheck disable=SC2086  # a list of words
    need_packages ${!list}
    if [ "$1" = nest ]; then
        # Debian's conflicts with other packages of Rust: whoever has one keeps it.
        # shellcheck disable=SC2086  # a list of words
        command -v cargo >/dev/null || need_packages $packages_rust
        images all >/dev/null
    fi
}

setup() {
    local part
    [ $# -gt 0 ] || set -- build lint fuzz bench nest aarch64
    for part in "$@"; do
        setup_part "$part"
    done
}
