"""`--on ray`: an actor an island, on whichever node of a cluster has room; all nodes share the run's folder.

Ray only places and starts the processes and passes signals on; restarts are the launcher's. A node that is lost takes
its actors along, and their islands are started on another one once nothing of them can be alive any more.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from islands.errors import ConfigError, TryAgain
from islands.rundir import RunDir
from launcher.backends.ray import connect, leave, module
from launcher.cores import usable
from launcher.places import Place
from launcher.places.remote import Remote, another
from launcher.starting import Plain
from launcher.workers import PROGRAM, Child, Ended, Job

LOOK = 0.2
NAMESPACE = "evolab"
"""Where other commands find the actors."""
ANSWER = 5.0
"""Seconds that an actor has to pass a SIGKILL on."""


class Agent:
    """What an actor does on its node: it starts one island there, says how it ended, and passes signals on."""

    def __init__(self, run_dir: str, program: tuple[str, ...] | None, name: str, arguments: tuple[str, ...]) -> None:
        self._starter = Plain(Path(run_dir), program or PROGRAM, detach=False)
        self._name, self._arguments = name, arguments
        self._lock = threading.Lock()
        self._child: Child | None = None

    def play(self, log: str, threads: int) -> tuple[int | None, float]:
        """Start the island and wait for it; exit code and CPU seconds."""
        job = Job(self._name, self._arguments, Path(log), (), None, threads)
        with self._lock:
            child = self._child = self._starter.start(job)
        while (ended := child.poll()) is None:
            time.sleep(LOOK)
        return ended.code, ended.cpu_seconds

    def node(self) -> str:
        """Where it is: the answer says that it has a place."""
        return f"node {module().get_runtime_context().get_node_id()[:8]} ({socket.gethostname()})"

    def send(self, number: int) -> None:
        """Pass a signal on."""
        with self._lock:
            if self._child is not None:
                self._child.send(number)


def check(place: Place, detach: bool) -> None:
    """Refuse a Ray that is not installed, a cluster that does not answer, and what Ray cannot do."""
    module("--on ray")
    if detach:
        got, do = "--detach", "start the launcher in tmux or under systemd"
        raise ConfigError("--on ray", expected="a launcher that stays: its actors end with it", got=got, do=do)
    if place.address:
        connect(0, place.address)


def cores(place: Place) -> int:
    """CPUs of the cluster; of this machine where Ray is started here."""
    ray = module()
    if not ray.is_initialized():
        return usable().count
    return max(1, int(ray.cluster_resources().get("CPU", 1)))


class Ray:
    """See `launcher.places.Starter`."""

    def __init__(self, run: RunDir, place: Place, program: Sequence[str]) -> None:
        self._run = str(run.path.absolute())
        self._program = None if program is PROGRAM else tuple(program)
        self._folder = None if module().is_initialized() else connect(usable().count, place.address)
        self.ray = module()

    def ready(self) -> bool:
        """Always."""
        return True

    def find(self, job: Job) -> RayIsland | None:
        """None: actors end with the launcher that has made them."""
        return None

    def blocked(self, job: Job) -> str:
        """What a dead launcher or a lost node has left behind ends by itself, which may take a while."""
        return another(job)

    def start(self, job: Job) -> RayIsland:
        """Have the cluster make an actor, and give it the island."""
        actor = self.ray.remote(
            num_cpus=job.threads, max_restarts=0, max_concurrency=4, scheduling_strategy="SPREAD"
        )(Agent)  # fmt: skip
        name = (
            f"{_prefix(self._run)}{job.name}#{uuid.uuid4().hex}"  # of a job of its own: a lost one may still have one
        )
        agent = actor.options(name=name, namespace=NAMESPACE).remote(self._run, self._program, job.name, job.arguments)
        return RayIsland(self.ray, agent, job)

    def flush(self) -> None:
        """Every start is one of its own."""

    def close(self) -> None:
        """Leave the cluster; a Ray that was started here ends."""
        leave(self._folder)


def under_way(run: RunDir, place: Place) -> dict[str, str]:
    """See `launcher.places.asking`."""
    with _visit(place) as ray:
        return dict.fromkeys((island for island, _ in _actors(ray, run)), "alive")


def kill(run: RunDir, place: Place) -> list[str]:
    """See `launcher.places.asking`: the island's process first, which would checkpoint, then the actor."""
    with _visit(place) as ray:
        found = _actors(ray, run)
        agents = [ray.get_actor(name, namespace=NAMESPACE) for _, name in found]
        sent = [agent.send.remote(signal.SIGKILL) for agent in agents]
        ray.wait(sent, num_returns=len(sent), timeout=ANSWER) if sent else None
        for agent in agents:
            ray.kill(agent)
    return [island for island, _ in found]


@contextlib.contextmanager
def _visit(place: Place) -> Iterator[Any]:
    """Ray, joined to the place's cluster for as long as this lasts."""
    folder = connect(0, place.address)
    try:
        yield module()
    finally:
        leave(folder)


def _actors(ray: Any, run: RunDir) -> list[tuple[str, str]]:
    """The islands of the run that have an actor, and the actors' names."""
    prefix = _prefix(str(run.path.absolute()))
    names = [one["name"] for one in ray.util.list_named_actors(all_namespaces=True) if one["namespace"] == NAMESPACE]
    return [(name.removeprefix(prefix).partition("#")[0], name) for name in names if name.startswith(prefix)]


def _prefix(run: str) -> str:
    return f"{run}#"


class RayIsland(Remote):
    """An island's process that an actor has started, or will."""

    def __init__(self, ray: Any, agent: Any, job: Job) -> None:
        super().__init__(job)
        self._ray, self._agent = ray, agent
        self._placed = agent.node.remote()
        self._over = agent.play.remote(str(job.log.absolute()), job.threads)
        self._node = ""
        self._killed = False

    @property
    def where(self) -> str:
        """The node and the actor's process."""
        return self._node or "an actor of Ray"

    @property
    def queued(self) -> str:
        """Whether no node has room for it."""
        if not self._node and self._done(self._placed):
            try:
                self._node = str(self._ray.get(self._placed))
            except self._ray.exceptions.RayError:
                self._node = "a node that is lost"
        return "" if self._node else "waits for a node of the cluster with room"

    def poll(self) -> Ended | None:
        """By the agent's word, or by Ray's when the agent is lost."""
        if not self._done(self._over):
            return None
        try:
            code, seconds = self._ray.get(self._over)
            return Ended(code, seconds)
        except self._ray.exceptions.RayError as error:
            if self.job.finished:
                return Ended(0, self.cpu_seconds)
            return Ended(TryAgain.exit_code, self.cpu_seconds, f"{self.where} is lost ({type(error).__name__})")

    def send(self, number: int) -> None:
        """Through the agent; one that waits for a node, or does not listen, is ended itself."""
        if self.queued or self._killed:
            self._ray.kill(self._agent)
        else:
            self._agent.send.remote(number)
        self._killed = self._killed or number == signal.SIGKILL

    def _done(self, answer: Any) -> bool:
        return bool(self._ray.wait([answer], timeout=0)[0])
