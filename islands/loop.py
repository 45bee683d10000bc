"""The evolution loop: evaluate, record, migrate, reproduce.

`evolve` drives one population, or several in step as one batch: each keeps its
own seed, files and randomness, so its history is the one it would have alone.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from islands import chain, checkpoint, loading, policies, solving
from islands.algorithms import Told, breeder_of
from islands.checkpoint import State
from islands.config import Config
from islands.errors import EvolabError
from islands.files import replace_atomically
from islands.genome.initial import CONNECTIVITY, FirstDraw
from islands.genome.population import Population, as_one, encode, take
from islands.genome.population import replace as replace_genomes
from islands.migration import NOBODY, Exchange, Immigrants, Migrator
from islands.record import Recorder, summarise
from islands.reproduction import Breeding, Offspring
from islands.rng import Purpose, stream
from islands.rollout import Pace, Scores, evaluate, spread_of, worth_of
from islands.rundir import IslandDir
from islands.selection import ranking
from islands.speciation import note_progress, renumbered
from islands.tasks import Task, Worth

PATIENCE = 10.0
"""Seconds that an evaluation may go on once a halt was asked for; a longer one is given up, and done again later."""
SHORTLIST, VALIDATION_EPISODES = 16, 16
"""The champion is the best of so many genomes of the last generation over so many episodes that none has met."""


PUBLISHED, FINISHED = "published", "finished"
"""Where populations of other processes that go in step are waited for: before immigrants are looked for, and before the
end, where all have published for the last time."""
Meet = Callable[[str], bool]
"""Waits until the others have come to PUBLISHED, or to FINISHED; whether to go on from there."""


class Abandoned(Exception):
    """An evaluation was given up, because a halt had waited for too long."""


def breeding_of(config: Config, task: Task) -> Breeding:
    """What reproduction needs, from configuration and task."""
    body, network = config.body, config.network
    first = FirstDraw(
        body.min_nodes, body.max_nodes, body.max_muscles, CONNECTIVITY.index(network.connectivity),
        network.weight_scale, network.output_bias, task.layout.outputs,
    )  # fmt: skip
    return Breeding(config, task.layout, first)


@dataclass
class Island:
    """One population with its place on disk, its migrations and its present state."""

    name: str
    seed: int
    number: int  # its number in the streams of randomness
    place: IslandDir
    recorder: Recorder
    migrator: Migrator | None
    owner: dict[str, Any]  # what its checkpoints say they belong to
    state: State | None = None
    unsaved: State | None = None  # the newest generation as recorded, as long as there is no checkpoint of it
    offspring: Offspring | None = None  # the next generation, not yet evaluated
    admitted: list[str] = field(default_factory=list)  # digests of the migrants let in since the last generation
    immigrants: list[int] = field(default_factory=list)  # the slots that they took
    timing: dict[str, float] = field(default_factory=dict)  # seconds since the last generation, by what took them
    spacing: float = 0.0  # seconds at least from one checkpoint to the next, but for the last
    saved: float = -math.inf  # when the newest was written, by the monotonic clock
    stopped: str | None = None

    def key(self, generation: int) -> tuple[int, int, int]:
        """(seed, island, generation): with a purpose, the name of a stream of random numbers."""
        return self.seed, self.number, generation

    def spend(self, what: str, seconds: float) -> None:
        """Note that `what` took so long."""
        self.timing[what] = self.timing.get(what, 0.0) + seconds

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Note how long it takes."""
        began = time.perf_counter()
        yield
        self.spend(what, time.perf_counter() - began)


class Evolution:
    """The loop over populations that share a configuration and a task."""

    def __init__(
        self, config: Config, task: Task, islands: Sequence[Island], halted: Callable[[], bool],
        meet: Meet = lambda _: True,
    ) -> None:  # fmt: skip
        """`meet`: where these are a share of an archipelago that goes in step."""
        self._meet = meet
        self.config, self.task, self.islands, self.halted = config, task, list(islands), halted
        self.breeder = breeder_of(breeding_of(config, task))
        self._fingerprint = loading.fingerprint(config)
        self._pace = Pace(self._step) if config.device == "cpu" else None
        self._evaluating: list[Island] = []
        self._asked: float | None = None  # when a halt was first seen in the middle of an evaluation

    def run(self) -> bool:
        """Evolve until every population is finished (True) or a halt was asked for (False, with checkpoints)."""
        for island in self.islands:
            island.recorder.beat("running", island.state, force=True)
        while active := [island for island in self.islands if not self.finished(island)]:
            try:
                self.advance(active)
            except Abandoned:
                for island in active:
                    self._save(island)
                return False
            halt = self.halted()
            self.record_all(active, halt)
            if halt:
                return False
        if not self._meet(FINISHED):
            return False
        for island in self.islands:
            self.conclude(island)
        return True

    def advance(self, islands: Sequence[Island]) -> None:
        """One generation: migrants in and out, offspring, their evaluation."""
        old = [island for island in islands if island.state is not None]
        self.migrate(old)
        for island in old:
            if island.offspring is None:
                self.reproduce(island)
        self.evaluate(islands)

    def finished(self, island: Island) -> bool:
        """Whether the last generation is evaluated, the task solved, or nothing better for `stagnation_limit` ones."""
        if island.state is None:
            return False
        if self.config.evaluation.stop_when_solved and self._solved_by(island) is not None:
            island.stopped = "solved"
            return True
        limit = self.config.evaluation.stagnation_limit
        if limit and island.state.generation - island.state.improved >= limit:
            island.stopped = "stagnation"
            return True
        return island.state.generation + 1 >= self.config.generations

    def evaluate(self, islands: Sequence[Island]) -> None:
        """Evaluate the next generation of every population as one batch, and sort it into species."""
        began, cpu = time.perf_counter(), time.process_time()
        for island in islands:
            if island.offspring is None:
                island.offspring = self.breeder.first(island.key(0))
        batches = [island.offspring.genomes for island in islands if island.offspring]
        generations = [island.state.generation + 1 if island.state else 0 for island in islands]
        keys = [
            stream(*island.key(generation), Purpose.PELLETS)
            for island, generation in zip(islands, generations, strict=True)
        ]
        self._evaluating = list(islands)
        genomes = as_one(batches)
        scored = evaluate(self.task, genomes, np.array(keys, np.uint64), self.config.evaluation.episodes, self._pace)
        wall, used = time.perf_counter() - began, time.process_time() - cpu
        share = wall / len(islands), used / len(islands)
        for island, scores, generation in zip(islands, scored, generations, strict=True):
            self._enter(island, scores, generation, share)

    def _step(self, done: int, count: int) -> None:
        """Tell the world that an evaluation goes on; give it up when a halt has waited for too long."""
        for island in self._evaluating:
            island.recorder.beat("running", island.state, step=(done, count))
        if done < count and self.halted():
            now = time.monotonic()
            self._asked = self._asked or now
            if now - self._asked > PATIENCE:
                raise Abandoned

    def _enter(self, island: Island, scores: Scores, generation: int, spent_on: tuple[float, float]) -> None:
        """Make the evaluated offspring the island's state; `spent_on` its evaluation: seconds of wall and of CPU."""
        wall, cpu = spent_on
        assert island.offspring is not None
        offspring, old = island.offspring, island.state
        if scores.failed == len(scores.fitness):
            raise EvolabError(f"island {island.name}, generation {generation}", got="no evaluation that succeeded")
        began = time.perf_counter()
        population = Population(offspring.genomes, scores.fitness)
        species = offspring.species
        if old is not None:
            species = self.breeder.sort(offspring.genomes, species, generation)
        species = note_progress(species, scores.fitness, generation)
        top = float(np.nanmax(scores.fitness))
        better = old is None or top > old.best
        digest = population.digest()
        before = old.record.get("chain", "") if old else chain.beginning(island.seed, island.name)
        island.spend("reproduce_seconds", time.perf_counter() - began)
        timing, island.timing = island.timing, {}
        spent = wall + sum(timing.values())
        key = island.key(generation)
        line = {
            "generation": generation,
            **summarise(population, species),
            "best_so_far": top if old is None or better else old.best,
            **solving.look(self.task, population, species, scores, self.config, old.record if old else None, key),
            **spread_of(scores.behaviour),
            "disqualified": scores.disqualified,
            "limited": offspring.limited,
            **self.breeder.words(offspring.memory),
            "mutation_boost": self.boost(old) if old else 1.0,
            **self._policies(old),
            "evaluations": self.config.population * self.config.evaluation.episodes,
            "steps": scores.steps,
            "evaluate_seconds": wall,
            **timing,
            "seconds": spent,
            "time": time.time(),
            "config": self._fingerprint,
            "digest": digest,
            "admitted": island.admitted,
            "chain": chain.link(before, generation, digest, island.admitted),
        }
        island.state = State(
            generation=generation,
            population=population,
            species=species,
            best=top if old is None or better else old.best,
            improved=generation if old is None or better else old.improved,
            evaluations=(old.evaluations if old else 0) + len(scores.fitness) * self.config.evaluation.episodes,
            seconds=(old.seconds if old else 0.0) + spent,
            cpu_seconds=(old.cpu_seconds if old else 0.0) + cpu + sum(timing.values()),
            counts=old.counts if old else {},
            record=line,
            marks=old.marks if old else {},
            hyperparameters=old.hyperparameters if old else {},
            behaviour=scores.behaviour if self.breeder.needs_behaviour else checkpoint.NOTHING,
            memory=offspring.memory,
        )
        island.offspring, island.admitted, island.immigrants = None, [], []

    def _policies(self, old: State | None) -> dict[str, Any]:
        """The part of a metrics line that tells of migration's policies, where one is in use."""
        own = policies.told(self.config, old.hyperparameters if old else {})
        marks = old.marks if old else {}
        return {**({"hyperparameters": own} if own else {}), **({"migration": marks} if marks else {})}

    def _solved_by(self, island: Island) -> int | None:
        """The slot of the genome that solved the task, in its generation."""
        solution = solving.solution_in(island.state.record) if island.state else None
        return solution.row if solution else None

    def record_all(self, islands: Sequence[Island], halt: bool = False) -> None:
        """`record` each."""
        for island in islands:
            self.record(island, halt)

    def record(self, island: Island, halt: bool) -> None:
        """Write the metrics line, the checkpoint when one is due, and the heartbeat."""
        assert island.state is not None
        with island.timed("checkpoint_seconds"):
            state = island.state
            island.recorder.generation(state.record)
            island.unsaved = state
            due = state.generation % self.config.record.checkpoint_every == 0
            due = due and time.monotonic() - island.saved >= island.spacing
            if due or halt or self.finished(island):
                self._save(island)
            island.recorder.beat("running", state)

    def _save(self, island: Island) -> None:
        if island.unsaved is not None:
            checkpoint.write(island.place.checkpoints, island.unsaved, island.owner, self.config.record.keep)
            island.unsaved, island.saved = None, time.monotonic()

    def migrate(self, islands: Sequence[Island]) -> None:
        """Publish emigrants and take immigrants in, where a migration is due.

        All publish before anybody looks, and all immigrants are scored as one batch: what comes of it does not depend
        on the order of the islands.
        """
        due = [i for i in islands if i.migrator and i.state and i.migrator.due(i.state.generation, i.state.marks)]
        for island in due:
            self._publish(island)
        if any(island.migrator for island in islands):
            self._meet(PUBLISHED)
        if not due:
            return
        came = [self._immigrants(island) for island in due]
        for island, some, scores in zip(due, came, self.score(due, came), strict=True):
            self._settle(island, some, scores)

    def _publish(self, island: Island) -> None:
        assert island.state is not None and island.migrator is not None
        with island.timed("migrate_seconds"):
            state, own = island.state, policies.told(self.config, island.state.hyperparameters)
            sent = island.migrator.publish(state.generation, state.population, own, last=False)
            island.state = replace(state, counts=_sum(state.counts, {"sent": sent}))

    def _immigrants(self, island: Island) -> Immigrants:
        assert island.state is not None and island.migrator is not None
        with island.timed("migrate_seconds"):
            return island.migrator.immigrants(island.state.generation)

    def score(self, islands: Sequence[Island], came: Sequence[Immigrants]) -> list[Scores | None]:
        """The scores of each island's immigrants on its own episodes of this generation; None where nobody came."""
        began = time.perf_counter()
        scored = [(island, some, some.genomes) for island, some in zip(islands, came, strict=True) if some.genomes]
        if not scored:
            return [None] * len(islands)
        keys = [stream(*island.key(some.generation), Purpose.PELLETS) for island, some, _ in scored]
        batches = [genomes for *_, genomes in scored]
        genomes, sizes = as_one(batches), [batch.count for batch in batches]
        found = iter(evaluate(self.task, genomes, np.array(keys), self.config.evaluation.episodes, sizes=sizes))
        for island, *_ in scored:
            island.spend("migrate_seconds", (time.perf_counter() - began) / len(scored))
        return [next(found) if some.genomes else None for some in came]

    def _settle(self, island: Island, came: Immigrants, scores: Scores | None) -> None:
        assert island.state is not None and island.migrator is not None
        with island.timed("migrate_seconds"):
            state = island.state
            done = island.migrator.settle(came, state.population, NOBODY if scores is None else scores.fitness)
            species, behaviour = state.species, state.behaviour
            if scores is not None and done.population.newcomers:
                genomes, rows = done.population.newcomers
                species = self.breeder.sort(genomes, species, state.generation, rows)
                species = note_progress(species, done.population.fitness, state.generation)
                if self.breeder.needs_behaviour:
                    behaviour = behaviour.copy()
                    behaviour[rows] = scores.behaviour[done.chosen]
            marks = self._marks(state, done)
            if marks.get("restarted") == state.generation:
                island.offspring = self._afresh(island, done)
            taken = state.hyperparameters if done.hyperparameters is None else done.hyperparameters
            island.state = replace(
                state, population=done.population, species=species, counts=_sum(state.counts, done.counts),
                marks=marks, hyperparameters=taken, behaviour=behaviour,
            )  # fmt: skip
            island.admitted, island.immigrants = done.digests, done.slots

    def _marks(self, state: State, done: Exchange) -> dict[str, int]:
        came = done.population.fitness[done.slots]
        brought = bool(len(came) and np.max(came) > np.nanmax(state.population.fitness))
        return policies.after(self.config.migration, state.generation, state.improved, brought, state.marks)

    def _afresh(self, island: Island, done: Exchange) -> Offspring:
        """A next generation of genomes drawn anew and of the immigrants that were admitted, in species of their own."""
        assert island.state is not None
        made = self.breeder.first(island.key(island.state.generation))
        genomes = made.genomes
        if came := done.population.newcomers:
            genomes = replace_genomes(genomes, range(came.genomes.count), came.genomes)
        return replace(made, genomes=genomes, species=renumbered(made.species, island.state.species.following))

    def reproduce(self, island: Island) -> None:
        """Breed the next generation."""
        assert island.state is not None
        with island.timed("reproduce_seconds"):
            state = island.state
            told = Told(
                state.population, state.species, state.memory, island.immigrants, state.hyperparameters, state.behaviour
            )
            island.offspring = self.breeder.breed(told, self.boost(state), island.key(state.generation))

    def boost(self, state: State) -> float:
        """The factor on mutation: `adaptive.boost` while the best has not risen for `adaptive.patience` generations."""
        adaptive = self.config.adaptive
        if not self.breeder.mutates:
            return 1.0
        stuck = state.generation - state.improved >= adaptive.patience
        return adaptive.boost if adaptive.enabled and stuck else 1.0

    def conclude(self, island: Island) -> None:
        """Publish the last emigrants, find the champion, and write champion and result."""
        state = island.state
        assert state is not None
        island.recorder.beat("running", state, force=True)
        if island.migrator is not None and self.config.migration.every and self.config.migration.migrants:
            own = policies.told(self.config, state.hyperparameters)
            sent = island.migrator.publish(state.generation, state.population, own)
            state = replace(state, counts=_sum(state.counts, {"sent": sent}))
        solver = self._solved_by(island) if island.stopped == "solved" else None
        row, validation, worth = champion_of(
            self.task, state.population, self.config, island.key(state.generation), solver
        )
        blob = encode(state.population.genomes, row)
        replace_atomically(island.place.champion, blob)
        champion = {
            "mean": worth.mean,
            "ci95": [worth.low, worth.high],
            "episodes": worth.episodes,
            "validation": validation,
            "digest": hashlib.sha256(blob).hexdigest(),
        }
        island.recorder.result(state, champion, island.stopped, island.seed)
        island.recorder.beat("done", state, force=True)


def _sum(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def champion_of(
    task: Task, population: Population, config: Config, key: tuple[int, int, int], row: int | None = None
) -> tuple[int, float, Worth]:
    """The champion's row, its mean over the validation episodes, and its worth.

    A score of one episode flatters the luckiest: the best few by score meet fresh validation episodes first, and the
    winner is then judged on `evaluation.held_out` episodes that played no part in choosing it. Whoever chooses between
    champions of several islands does it by the validation mean, so that the held-out one stays unbiased. `row`: who
    it is where that is known. Where every episode is the same, one is enough.
    """
    ranked = ranking(population.fitness)
    ranked = ranked[np.isfinite(population.fitness[ranked])][:SHORTLIST] if row is None else np.array([row])
    shortlist = take(population.genomes, ranked)
    chooses, judges = (task.parts.get(part, task) for part in ("validation", "held out"))
    episodes = VALIDATION_EPISODES if chooses.random else 1
    trial = evaluate(chooses, shortlist, np.array([stream(*key, Purpose.VALIDATION)]), episodes)[0].fitness
    if np.isnan(trial).all():
        raise EvolabError(f"champion of generation {key[2]}", got=f"no validation of {len(ranked)} that succeeded")
    row = int(ranked[int(np.nanargmax(trial))])
    held_out = stream(*key, Purpose.HELD_OUT)
    worth = worth_of(judges, population.genomes, row, held_out, config.evaluation.held_out)
    return row, float(np.nanmax(trial)), worth
