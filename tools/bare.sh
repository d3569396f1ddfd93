#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `./do bare` does: are the README's commands enough on a Debian 12 that has nothing but git and certificates?
#
# Makes such a root with debootstrap, clones HEAD into it, and runs the steps named on the command line in it. The root's
# mounts and processes live in namespaces of their own, so both are gone however this ends; the folder is removed on exit.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."
. tools/lib.sh
. tools/setup.sh

# Variables without which the host's programs would not reach their registries either.
passed_on=(http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY GOPROXY GOSUMDB VMM_NEST_PATIENCE)

# script STEP: what is typed in the clone.
script() {
    case $1 in
    try) echo './do try </dev/null' ;;
    test) echo './do test' ;;
    setup) echo './do setup' ;;
    packages) echo './do setup packages' ;; # what Containerfile runs
    *)
        [[ " $(stages) " == *" $1 "* ]] || die "no step '$1': try test setup packages, or a stage: $(stages)"
        echo "bash -euo pipefail -c '. tools/lib.sh; . tools/setup.sh; . tools/stages.sh; stage_$1'"
        ;;
    esac
}

stages() { sed -n 's/^stage_\([a-z_]*\)() .*/\1/p' tools/stages.sh | tr '\n' ' '; }

# Debian's archives as this machine's own apt has them: "URI SUITE COMPONENT", a line each.
archives() {
    apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN)' 'Created-By: Packages' |
        sed -n 's/ Debian$//p' | grep -E '^[^ ]+ bookworm' | awk '!seen[$0]++' # a line for each architecture
}

make_root() {
    local root=$1 mirror
    [ -n "$(archives)" ] || as_root apt-get -q update >&2
    mirror=$(archives | awk '$2 == "bookworm" { print $1; exit }')
    [ -n "$mirror" ] || die "this machine's apt has no bookworm source, from which the root could be made"
    mkdir -p "$CACHE/debootstrap"
    as_root debootstrap --variant=minbase --include="git,ca-certificates${VMM_BARE_CCACHE:+,ccache}" --cache-dir="$CACHE/debootstrap" \
        bookworm "$root" "$mirror" >build/bare-debootstrap.log || die "debootstrap failed: build/bare-debootstrap.log"
    archives | sed 's/^/deb /' | as_root tee "$root/etc/apt/sources.list" >/dev/null
    # How the archives are reached (proxies, timeouts); targets and compression are apt's own affair.
    apt-config dump | grep -E '^Acquire::(http|https|ftp|Retries|Check|ForceIPv)' |
        as_root tee "$root/etc/apt/apt.conf.d/50host" >/dev/null || true
    as_root cp /etc/resolv.conf /etc/hosts "$root/etc/"
    if compgen -G '/usr/local/share/ca-certificates/*.crt' >/dev/null; then
        as_root cp /usr/local/share/ca-certificates/*.crt "$root/usr/local/share/ca-certificates/"
        as_root chroot "$root" update-ca-certificates >/dev/null
    fi
    as_root mkdir "$root/ccache"
    git bundle create -q build/bare.bundle HEAD
    as_root cp build/bare.bundle "$root/srv/vmm.bundle"
}

# in_root ROOT COMMAND: in mount and process namespaces that end with it, where the devices and /sys are the host's.
in_root() {
    local variables=() name
    for name in "${passed_on[@]}"; do
        [ -z "${!name:-}" ] || variables+=("$name=${!name}")
    done
    if [ -n "${VMM_BARE_CCACHE:-}" ]; then
        variables+=(CCACHE_DIR=/ccache CCACHE_BASEDIR=/srv/vmm CCACHE_NOHASHDIR=1 CCACHE_SLOPPINESS=pch_defines,time_macros)
    fi
    as_root unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- bash -euo pipefail -c '
        root=$1 command=$2 ccache=$3
        shift 3
        mount --rbind /dev "$root/dev"
        mount --rbind /sys "$root/sys"
        mount -t proc proc "$root/proc"
        mount -t tmpfs -o mode=1777 tmp "$root/tmp"
        [ -z "$ccache" ] || mount --bind "$ccache" "$root/ccache"
        exec chroot "$root" env -i HOME=/root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@" bash -c "cd /srv; $command"
    ' bare "$1" "$2" "${VMM_BARE_CCACHE:-}" "${variables[@]}"
}

main() {
    local step began failed=()
    [ $# -gt 0 ] || set -- try test
    for step in "$@"; do script "$step" >/dev/null; done
    setup_part bare
    mkdir -p build
    root=$(mktemp -d "${TMPDIR:-/var/tmp}/vmm-bare.XXXXXX")
    # Not local: the trap runs after this function has returned.
    # Nothing is mounted below it in this namespace; --one-file-system is for the day that this is wrong.
    trap 'as_root rm -rf --one-file-system "$root"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    chmod 755 "$root"
    say "making a bare Debian 12 root: $root"
    make_root "$root"
    in_root "$root" 'git clone -q vmm.bundle vmm'
    for step in "$@"; do
        say "in the bare root: $(script "$step")"
        began=$SECONDS
        if in_root "$root" "cd vmm && $(script "$step")"; then
            say "bare: $step is fine ($((SECONDS - began)) s)"
        else
            say "bare: $step FAILED ($((SECONDS - began)) s)"
            failed+=("$step")
        fi
    done
    [ ${#failed[@]} = 0 ] || die "in a bare Debian 12 these fail: ${failed[*]}"
    say "in a bare Debian 12 these are fine: $*"
}

[ "${BASH_SOURCE[0]}" != "$0" ] || main "$@"  # a test sources it
