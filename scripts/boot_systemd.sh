#!/usr/bin/env bash
# Boots systemd as PID 1 in user-mode Linux and lets it supervise this checkout's units: `make test-systemd`.
#
#   scripts/boot_systemd.sh [SECONDS]      how long it may take; default 1500
#
# The guest's root is this machine's, read-only, under an overlay in the guest's memory: nothing here is changed. What
# happens inside is scripts/boot_systemd_guest.sh; its lines come out here. Exits with 0 if all of it went well, 1 if
# something did not, 2 if a program is missing or cannot run here. Root is not needed.
set -u -o pipefail
limit=${1:-1500}
here=$(cd "$(dirname "$0")/.." && pwd)
modules=/usr/lib/uml/modules

missing() {
    printf 'test-systemd: %s is missing: apt-get install user-mode-linux kmod systemd\n' "$1" >&2
    exit 2
}
export PATH=$PATH:/usr/sbin:/sbin
for program in linux.uml modprobe systemctl; do
    command -v "$program" >/dev/null || missing "$program"
done
[[ -x /lib/systemd/systemd ]] || missing /lib/systemd/systemd
[[ -d $modules ]] || missing "$modules"
[[ -x $here/.venv/bin/evolab ]] || { printf 'test-systemd: no %s/.venv: make first\n' "$here" >&2; exit 2; }
case $here/ in
/tmp/* | /var/tmp/* | /run/*)
    printf 'test-systemd: expected a checkout outside /tmp, /var/tmp and /run, of which units see none; got %s\n' "$here" >&2
    exit 2 ;;
esac
why=$("$here/scripts/uml/check.sh" 2>&1) || { printf 'test-systemd: %s\n' "$why" >&2; exit 2; }

work=$(mktemp -d)
guest=
cleanup() {
    [[ -z $guest ]] || kill -KILL -- "-$guest" 2>/dev/null
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The kernels are compiled here, where it is fast, and copied into the guest: by an island of the same configuration.
OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 "$here/.venv/bin/python" - "$work/kernels" <<'PYTHON' || exit 1
import shutil, sys
from islands.compiling import one_compiles_for_all
from islands.kernel import FOLDER
from islands.tasks import make
from launcher import presets
config = presets.resolve("quick", ["population=12", "task.duration=0.5"])
one_compiles_for_all(config, make(config))
shutil.copytree(FOLDER, f"{sys.argv[1]}/{FOLDER.name}", copy_function=shutil.copy2)
PYTHON

# The guest sees the sources as they are now, whatever is edited meanwhile.
cp -a "$here/islands" "$here/launcher" "$here/configs" "$work/"
mkdir -p "$work/lib/modules"
for version in "$modules"/*; do ln -s "$version" "$work/lib/modules/"; done
cat >"$work/init" <<INIT
#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
modprobe -d "$work" overlay
mount -t tmpfs -o size=75% memory /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work /mnt/root || echo o >/proc/sysrq-trigger
cd /mnt/root
for folder in proc sys; do mount --bind /\$folder \$folder; done
for folder in islands launcher configs; do mount --bind "$work/\$folder" ".$here/\$folder"; done
mount -t devtmpfs dev dev
rm -rf etc/systemd/system/* etc/machine-id etc/fstab .dockerenv
echo uninitialized >etc/machine-id
cat >etc/systemd/system/guest.service <<UNIT
[Unit]
DefaultDependencies=no
After=sysinit.target
[Service]
Type=oneshot
StandardOutput=tty
StandardError=tty
TTYPath=/dev/console
Environment=HOME=/root
ExecStart=/bin/bash $here/scripts/boot_systemd_guest.sh $here $work/kernels
ExecStopPost=/bin/sh -c 'sync; echo o >/proc/sysrq-trigger'
UNIT
cat >etc/systemd/system/guest.target <<UNIT
[Unit]
DefaultDependencies=no
Requires=guest.service
UNIT
pivot_root . mnt
exec /lib/systemd/systemd --unit=guest.target --log-target=kmsg --show-status=no
INIT
chmod +x "$work/init"

: >"$work/console"
HOME=$work setsid "$here/scripts/uml/boot.sh" mem=1600M rootfstype=hostfs rootflags=/ ro init="$work/init" con=null con0=null,fd:1 umid="evolab-$$" quiet \
    systemd.show_status=no systemd.unified_cgroup_hierarchy=1 </dev/null >"$work/console" 2>&1 &
guest=$!
tail -n +1 --pid=$guest -f "$work/console" | sed -u 's|\r||' | grep --line-buffered -E '^(ok|not ok|#)' &
shower=$!
for ((second = 0; second < limit; second++)); do
    kill -0 "$guest" 2>/dev/null || break
    sleep 1
done
sleep 1
kill "$shower" 2>/dev/null
console=$(tr -d '\r' <"$work/console")
if grep -q '^# all [0-9]* went well' <<<"$console"; then
    exit 0
fi
printf 'test-systemd: it did not go well; the end of the console:\n' >&2
tail -n 40 <<<"$console" >&2
exit 1
