#!/usr/bin/env bash
# Runs in the guest of scripts/boot_systemd.sh, with systemd as PID 1: real units, real deaths.
#
#   boot_systemd_guest.sh CHECKOUT KERNELS
set -u -o pipefail
bin=$1/.venv/bin
home=/srv/evolab
count=0 failed=0

check() { # check SENTENCE COMMAND…
    count=$((count + 1))
    if "${@:2}"; then
        printf 'ok %d - %s (%d s)\n' "$count" "$1" "$SECONDS"
    else
        failed=$((failed + 1))
        printf 'not ok %d - %s\n' "$count" "$1"
        systemctl --no-pager --lines=0 status "$unit" | sed 's/^/# /'
        journalctl --no-pager --quiet --unit="$unit" --lines=25 --output=cat | sed "s/^/# /"
    fi
}
show() { systemctl show --property="$1" --value "$unit"; }
is() { # is PROPERTY VALUE: it is, or becomes so within two minutes
    for _ in $(seq 240); do
        # shellcheck disable=SC2053
        [[ $(show "$1") == $2 ]] && return
        sleep 0.5
    done
    printf '# %s is %s, not %s\n' "$1" "$(show "$1")" "$2"
    return 1
}
processes() { # processes N: that many in the unit, sooner or later
    local folder
    for _ in $(seq 240); do
        folder=/sys/fs/cgroup/$(show ControlGroup)
        [[ $(show ControlGroup) && -e $folder/cgroup.procs ]] && lines=$(wc -l <"$folder/cgroup.procs") || lines=0
        ((lines == $1)) && return
        sleep 0.5
    done
    return 1
}
last_end() { # last_end RESULT: how it ended last (service result, kind, code), sooner or later
    for _ in $(seq 240); do
        # shellcheck disable=SC2053
        [[ $(tail -n 1 "runs/ends-${unit#*@}" 2>/dev/null) == $1 ]] && return
        sleep 0.5
    done
    printf '# it ended with %s, not %s\n' "$(tail -n 1 "runs/ends-${unit#*@}")" "$1"
    return 1
}
generation() { "$bin/python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["generation"] or 0)' "$home/runs/$1/heartbeat.json"; }
within_a_minute() { # within_a_minute COMMAND…: it succeeds, sooner or later
    for _ in $(seq 60); do
        "$@" && return
        sleep 1
    done
    return 1
}
is_further() { (($(generation "$1") > $2)); }
further() { # further ISLAND GENERATION: it gets beyond it
    within_a_minute is_further "$@" && return
    printf '# %s is at generation %s, not beyond %s\n' "$1" "$(generation "$1")" "$2"
    return 1
}
open_the_way() { # open_the_way PATH…: let everybody pass to them (in the guest; a home may be closed)
    local folder
    for folder in "$@"; do
        until [[ $folder == / ]]; do
            folder=$(dirname "$folder")
            chmod o+x "$folder"
        done
    done
}
begin() { unit=$1; shift; systemctl start "$unit" "$@"; }
stopped_cleanly() { systemctl stop "$unit" && is ActiveState inactive && last_end "success exited $1"; }
failed_once() { ! systemctl start "$unit" 2>/dev/null && last_end "exit-code exited $1" && sleep 5 && is NRestarts 0 && is ActiveState failed; }
seen() { printf '/proc/%s/root%s' "$(show MainPID)" "$1"; } # the path as the unit's process sees it
denied() { [[ $(LC_ALL=C touch "$(seen "$1")" 2>&1) == *'Read-only file system' ]]; }
allowed() { touch "$(seen "$1")" && [[ -e $1 ]]; }
stays() { sleep 5 && is ActiveState "$1" && is NRestarts 0; }
twice() { is ActiveState inactive && [[ $(grep -cx "$1" "$2") == 2 ]]; }
islands() { # the processes in the unit that are islands
    local number
    while read -r number; do
        tr '\0' ' ' <"/proc/$number/cmdline" | grep -q -- '-m islands .*--island ' && printf '%s\n' "$number"
    done <"/sys/fs/cgroup$(show ControlGroup)/cgroup.procs"
}
restarted_by_the_launcher() { within_a_minute grep -q '"event": "restart"' runs/mine/events.jsonl; }
hang() { kill -STOP "$(show MainPID)"; }

printf '# %s\n' "$(systemctl --version | head -n 1)"
mkdir -p /var/cache/evolab $home/runs $home/shared
cp -a "$2" /var/cache/evolab/kernels
cd $home || exit 1
open_the_way "$1" "$(readlink -f "$bin/python")"
as=()
if runuser -u daemon -- "$bin/evolab" --version >/dev/null 2>&1; then
    as=(runuser -u daemon --)
    chown -R daemon $home
fi
printf '# the units run as %s\n' "$(stat --format=%U $home)"
make_run='
import sys
from pathlib import Path
from launcher import presets, run
name, generations, islands = sys.argv[1], sys.argv[2], int(sys.argv[3])
config = presets.resolve("quick", ["population=12", "task.duration=0.5", f"generations={generations}", "record.checkpoint_every=1"])
shared = Path("shared") / name
shared.mkdir()
plan = run.Plan("launch", "quick", tuple((f"island-{k:03}", 42) for k in range(islands)), migration_dir=shared)
run.make(Path("runs") / name, config, plan)
'
for made in 'mine 100000000 2' 'done 3 1' 'bad 3 1'; do
    # shellcheck disable=SC2086
    "${as[@]}" "$bin/python" -P -c "$make_run" $made || exit 1
done
echo 'populaton: 3' >runs/bad/config.yaml

unit=evolab.slice
check 'install-unit writes the units' "$bin/evolab" install-unit --cpus 0
for kind in run island; do # the same units, but more impatient
    mkdir -p /run/systemd/system/evolab-$kind@.service.d
    printf '[Service]\nRestartSec=1s\nWatchdogSec=8s\nTimeoutAbortSec=4s\n%s\n' \
        'ExecStopPost=/bin/sh -c "echo $SERVICE_RESULT $EXIT_CODE $EXIT_STATUS >>runs/ends-%i"' >/run/systemd/system/evolab-$kind@.service.d/impatient.conf
done
printf '[Service]\nExecStartPre=%s/python -c "import os; os.sched_setaffinity(0, [0])"\n' "$bin" \
    >/run/systemd/system/evolab-run@.service.d/pins.conf
mkdir -p "/run/systemd/system/evolab-island@crashes:0.service.d"
printf '[Service]\nType=exec\nExecStart=\nExecStart=/bin/sh -c "echo >>runs/starts; exit 70"\n' \
    >"/run/systemd/system/evolab-island@crashes:0.service.d/crash.conf"
systemctl daemon-reload

check 'an island is ready when its first generation is evaluated' begin evolab-island@mine:0
check 'its status tells the generation' is StatusText 'island-000: generation *, best *'
check 'it runs in evolab.slice' is ControlGroup '/evolab.slice/*'
check 'it cannot write outside runs, shared and caches' denied /opt/somewhere
check 'it can write its run' allowed $home/runs/mine/probe
before=$(generation mine/island-000)
hang
check 'the watchdog ends an island that is stopped, and it is started again' is NRestarts 1
check 'the watchdog did that' last_end 'watchdog killed *'
check 'it is active again' is ActiveState active
check 'it goes on from its checkpoint' further mine/island-000 "$before"
kill -KILL "$(show MainPID)"
check 'an island that is killed is started again' is NRestarts 2
check 'it is active once more' is ActiveState active
check 'stop ends it with 85, which is a success' stopped_cleanly 85
check 'no process is left' processes 0

unit=evolab-island@bad:0
check 'a bad configuration fails with 78 and is not tried again' failed_once 78
unit=evolab-island@nosuch:0
check 'an unknown run fails with 2 and is not tried again' failed_once 2
unit=evolab-island@crashes:0
systemctl start $unit
check 'an island that always crashes is given up' is ActiveState failed
check 'it was started five times' [ "$(wc -l <runs/starts)" = 5 ]
check 'a finished island ends with success' begin evolab-island@done:0
check 'it is over' last_end 'success exited 0'
check 'a finished island that is started again ends with success, too' begin evolab-island@done:0
check 'it is over again' twice 'success exited 0' runs/ends-done:0

check 'a run is ready when its islands are started' begin evolab-run@mine
check 'its status tells how the islands do' is StatusText '2 RUNNING; *generations*'
check 'launcher, nursery and islands are in the unit' processes 4
check 'it goes on from the checkpoints of before' further mine/island-000 "$before"
kill -KILL "$(show MainPID)"
check 'a launcher that is killed is started again' is NRestarts 1
check 'it is active again' is ActiveState active
check 'each island is there once' processes 4
kill -KILL "$(islands | head -n 1)"
check 'an island that is killed is the launcher’s to restart' restarted_by_the_launcher
check 'each island is there once, with the killed one' processes 4
check 'the unit did not notice' is NRestarts 1
hang
check 'the watchdog ends a launcher that is stopped, and it is started again' is NRestarts 2
check 'the watchdog did it' last_end 'watchdog killed *'
check 'it is active once more' is ActiveState active
check 'each island is there once, again' processes 4
check 'stop ends it with 143, which is a success' stopped_cleanly 143
check 'no process is left of it' processes 0
check 'it can be started again' begin evolab-run@mine
rm runs/ends-mine
check 'evolab stop ends it' "${as[@]}" "$bin/evolab" stop mine --json
check 'it has ended with 143, which is a success' last_end 'success exited 143'
check 'it is not started again' stays inactive
check 'a run with a stop file is not even started' begin evolab-run@mine
check 'it is inactive' stays inactive
check 'an island of it stops at once' begin evolab-island@mine:1
check 'it ends with 85, which is a success' last_end 'success exited 85'
check 'a finished run that is started again ends with success' begin evolab-run@done
check 'it is over with success' last_end 'success exited 0'

if ((failed == 0)); then
    printf '# all %d went well in %d s\n' "$count" "$SECONDS"
else
    printf '# %d of %d did not go well\n' "$failed" "$count"
fi
