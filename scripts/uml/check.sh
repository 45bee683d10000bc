#!/usr/bin/env bash
# Whether user-mode Linux runs on this processor: boots it for a moment, with an init that ends at once.
#
#   scripts/uml/check.sh                   silent, 0: it does; one line on stderr, 2: it does not
set -u
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
console=$(HOME=$home TMPDIR=/dev/shm timeout 60 "$(dirname "$0")/boot.sh" mem=64M rootfstype=hostfs rootflags=/ ro \
    init=/bin/true quiet con=null con0=null,fd:1 umid="evolab-check-$$" </dev/null 2>&1)
if grep -q 'set fp regs failed' <<<"$console"; then
    do='use another machine, or a newer user-mode Linux'
    [[ -n $(find "$home" -name '*.so' -size +0) ]] || do='apt-get install gcc libc6-dev, with which it can'
    printf 'this user-mode Linux cannot run on this processor, which has more registers than it knows (%s); do: %s\n' \
        "$(grep -qw amx_tile /proc/cpuinfo && echo AMX || echo 'see lscpu')" "$do" >&2
    exit 2
fi
