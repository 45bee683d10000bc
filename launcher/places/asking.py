"""What a run's place says of its islands, and how it ends them: for commands that are no launcher.

A place of this machine has nothing to say: its processes are seen here. So are those of a Ray that was started here.
"""

from __future__ import annotations

from islands.rundir import RunDir
from launcher import live
from launcher.places import HERE, Place, recorded


def asked(run: RunDir) -> Place:
    """The place to ask about the run's islands; `HERE` where all there is to know is seen on this machine."""
    place = recorded(live.read(run))
    return place if place.on == "slurm" or (place.on == "ray" and place.address) else HERE


def under_way(run: RunDir, place: Place) -> dict[str, str]:
    """What the place says of the islands that it has, by name: running, pending, …; a ConfigError when it is silent."""
    if place.on == "slurm":
        from launcher.places import slurm_queue

        return slurm_queue.under_way(run)
    if place.on == "ray":
        from launcher.places import ray

        return ray.under_way(run, place)
    return {}


def kill(run: RunDir, place: Place) -> list[str]:
    """Have the place end all islands that it has, queued ones too; their names."""
    if place.on == "slurm":
        from launcher.places import slurm_queue

        return slurm_queue.kill(run)
    if place.on == "ray":
        from launcher.places import ray

        return ray.kill(run, place)
    return []
