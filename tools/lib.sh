# SPDX-License-Identifier: Apache-2.0
# Shared by the parts of ./do: messages, root, where things are kept. Sourced, in the project's root.

CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/vmm

say() { printf '== %s\n' "$*" >&2; }
die() {
    printf './do: %s\n' "$*" >&2
    exit 1
}

# Runs a command as root: as it is, or through sudo, which may ask for a password.
as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root and there is no sudo: $*"
    fi
}
