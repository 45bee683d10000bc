#!/usr/bin/env bash
# Whether user-mode Linux runs on this processor: boots it for a moment, with an init that ends at once.
#
#   scripts/check_uml.sh                   silent, 0: it does; one line on stderr, 2: it does not
#
# Debian 12's kernel keeps 2,696 bytes for a processor's registers; those with AMX (Intel since 2023) have 11,008.
set -u
home=$(mktemp -d)
trap 'rm -rf "$home"' EXIT
console=$(HOME=$home TMPDIR=/dev/shm timeout 60 linux.uml mem=64M rootfstype=hostfs rootflags=/ ro init=/bin/true quiet \
    con=null con0=null,fd:1 umid="evolab-check-$$" </dev/null 2>&1)
if grep -q 'set fp regs failed' <<<"$console"; then
    printf 'this user-mode Linux cannot run on this processor, which has more registers than it knows (%s); %s\n' \
        "$(grep -qw amx_tile /proc/cpuinfo && echo AMX || echo 'see lscpu')" 'do: use another machine, or a newer user-mode Linux' >&2
    exit 2
fi
