"""What the inputs and outputs of each task are called, for those who look at a network or take it away."""

from __future__ import annotations

from collections.abc import Sequence

from islands.config import Config, PelletsConfig
from islands.tasks import Task

PELLETS = (
    "pellet.direction_x", "pellet.direction_y", "pellet.direction_z", "velocity_x", "velocity_y", "velocity_z",
    "pellet.distance",
)  # fmt: skip
TIMES = {
    "none": (), "sin": ("time.wave",), "raw": ("time",), "cyclic": ("time.wave", "time.wave_quarter_later"),
    "sin_raw": ("time.wave", "time"),
}  # fmt: skip
_CAR = ("position", "velocity")
NAMES: dict[str, tuple[str, ...]] = {
    "cartpole": ("position", "velocity", "angle", "angular_velocity"),
    "cartpole_swing_up": ("position", "velocity", "sin_angle", "cos_angle", "angular_velocity"),
    "acrobot": ("cos_angle_1", "sin_angle_1", "cos_angle_2", "sin_angle_2", "angular_velocity_1", "angular_velocity_2"),
    "mountain_car": _CAR,
    "mountain_car_continuous": _CAR,
    "pendulum": ("cos_angle", "sin_angle", "angular_velocity"),
}
ACTIONS: dict[str, tuple[str, ...]] = {
    "cartpole": ("push",),
    "cartpole_swing_up": ("push",),
    "acrobot": ("torque_backward", "no_torque", "torque_forward"),
    "mountain_car": ("push_left", "no_push", "push_right"),
    "mountain_car_continuous": ("push",),
    "pendulum": ("torque",),
    "double_pole": ("push",),
}
LONG_AND_SHORT = ("position", "velocity", "angle_long", "angular_velocity_long", "angle_short",
                  "angular_velocity_short", "half")  # fmt: skip


def sensor_names(task: Task, config: Config) -> Sequence[str]:
    """The names of a task's inputs: its own (`sensor_names`, where it has that), this table's, or numbers."""
    own: Sequence[str] = getattr(task, "sensor_names", ())
    for names in (own, _listed(config)):
        if len(names) == task.sensors:
            return [str(name) for name in names]
    return [f"input_{i}" for i in range(task.sensors)]


def action_names(task: Task, config: Config) -> Sequence[str]:
    """The names of a task's outputs: its own (`action_names`, where it has that), this file's, or numbers."""
    own: Sequence[str] = getattr(task, "action_names", ())
    for names in (own, ACTIONS.get(config.task.name, ())):
        if len(names) == task.outputs:
            return [str(name) for name in names]
    return [f"output_{i}" for i in range(task.outputs)]


def _listed(config: Config) -> Sequence[str]:
    if isinstance(config.task, PelletsConfig):
        return (*PELLETS, *TIMES[config.task.time_encoding])
    if config.task.name == "double_pole":
        told = bool(getattr(config.task, "velocities", True))
        return [name for name in LONG_AND_SHORT if told or "velocity" not in name]
    return NAMES.get(config.task.name, ())
