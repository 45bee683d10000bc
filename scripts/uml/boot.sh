#!/usr/bin/env bash
# Boots user-mode Linux: `linux.uml` with the arguments given, in this process.
#
#   HOME=FOLDER scripts/uml/boot.sh ARGUMENT...     FOLDER: of the caller, who removes it afterwards
#
# Where there is a C compiler, `registers.c` helps it on processors with more registers than it knows.
set -u
helper=$(mktemp "$HOME/registers-XXXXXX.so")
if ${CC:-cc} -O2 -shared -fPIC -o "$helper" "$(dirname "$0")/registers.c" 2>/dev/null; then
    export LD_PRELOAD=$helper
fi
exec linux.uml "$@"
