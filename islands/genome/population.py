"""Populations as ragged arrays.

P genomes are four tables (body nodes, muscles, neurons, connections) and one row
of shared genes each. A table's rows of genome p are `start[p]` to `start[p + 1]`,
sorted by marking, so that aligning two genomes is a merge and nothing is padded.

A *muscle* row is one output of the network: a muscle of a creature, or a plain
output where the task has no body. In the fixed topologies (pure, hybrid) the
weights that belong to a part (those that feed an output or come from a part's
own sensors) are further columns of that part's row, so they follow it through
every mutation, crossover and migration. In neat the output neuron's marking
derives from its muscle's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from islands.config import FUNCTIONS, Config
from islands.genome import tensors

Array = npt.NDArray[Any]

NEAT, PURE, HYBRID = 0, 1, 2
SIZE, FRICTION, POSITION_X, POSITION_Y, POSITION_Z, BODY_GENES = 0, 1, 2, 3, 4, 5
REST, STIFFNESS, DAMPING, FREQUENCY, AMPLITUDE, PHASE, MUSCLE_GENES = 0, 1, 2, 3, 4, 5, 6
MULTIPLIER, SHARED_GENES = 0, 1


class Layout(NamedTuple):
    """How genomes of a configuration are built and read: plain integers, so kernels take it as it is."""

    mode: int
    sensors: int  # fixed inputs of the task, the constant one not counted
    constant: int  # 1: an input that is always 1 (bias: input)
    node_bias: int  # 1: every neuron has an evolved bias (bias: node)
    strain: int  # 1: one input per muscle, its strain
    velocity: int  # 1: three inputs per body node, its velocity
    contact: int  # 1: one input per body node, whether it touches the ground
    hidden: int  # neurons of each hidden layer of the fixed topologies; 0 in neat
    body: int  # 1: genomes have bodies
    outputs: int  # outputs of a task without bodies; 0 with
    activation: int  # 0 tanh x, 1 the sigmoid 1 / (1 + exp(-4.9 x))
    layers: int = 1  # hidden layers of the fixed topologies
    recurrent: int = 0  # 1: every hidden layer hears its own values of the step before (Elman 1990)
    activations: int = 0  # bit k: a hidden neuron may have the function k (`KINDS`); 0: all have `activation`

    @property
    def inputs(self) -> int:
        """Inputs that every genome has, the constant one included."""
        return self.sensors + self.constant

    @property
    def columns(self) -> tuple[int, int, int]:
        """Columns of body rows, muscle rows and shared genes."""
        width = self.hidden
        body = BODY_GENES + width * (3 * self.velocity + self.contact)
        muscle = MUSCLE_GENES + width * self.strain + (width + self.node_bias if width else 0)
        shared = SHARED_GENES + width * (self.inputs + self.node_bias)
        shared += width * ((self.layers - 1) * (width + self.node_bias) + self.recurrent * self.layers * width)
        return body, muscle, shared


def has(layout: Layout) -> tuple[int | None, int | None]:
    """Whether genomes have a body, and whether their topology is fixed: 1, or None where not.

    Kernels take both as `body` and `fixed`: Numba compiles nothing that a None makes unreachable.
    """
    return 1 if layout.body else None, 1 if layout.hidden else None


class Genomes(NamedTuple):
    """P genomes; B body nodes, M muscles, N neurons (outputs and hidden), C connections in all."""

    body_start: Array  # int64 [P + 1]
    body_id: Array  # uint64 [B]
    body_gene: Array  # float32 [B, columns[0]]: size m, friction, x y z m, then weights
    muscle_start: Array  # int64 [P + 1]
    muscle_id: Array  # uint64 [M]
    muscle_ends: Array  # uint64 [M, 2]: markings of the two body nodes
    muscle_gene: (
        Array  # float32 [M, columns[1]]: rest m, stiffness, damping, frequency Hz, amplitude, phase rad, then weights
    )
    node_start: Array  # int64 [P + 1]
    node_id: Array  # uint64 [N]
    node_bias: Array  # float32 [N]
    node_kind: Array  # uint8 [N]: the neuron's own function (`KINDS`); 0: the network's `activation`
    conn_start: Array  # int64 [P + 1]
    conn_id: Array  # uint64 [C]
    conn_ends: Array  # uint64 [C, 2]: markings of source and target
    conn_weight: Array  # float32 [C]
    conn_on: Array  # uint8 [C]: 1 enabled, 0 disabled
    shared: Array  # float32 [P, columns[2]]: frequency multiplier, then weights (see `Deeper` for their order)

    @property
    def count(self) -> int:  # type: ignore[override]  # nobody looks for a value in this tuple
        """The number of genomes P."""
        return len(self.shared)


_TABLES = {
    "body_start": ("body_id", "body_gene"),
    "muscle_start": ("muscle_id", "muscle_ends", "muscle_gene"),
    "node_start": ("node_id", "node_bias", "node_kind"),
    "conn_start": ("conn_id", "conn_ends", "conn_weight", "conn_on"),
}
"""The columns of each ragged table by the name of its row index."""
_KINDS = {"id": np.uint64, "start": np.int64, "ends": np.uint64, "on": np.uint8, "kind": np.uint8}
_TYPES = [(name, np.dtype(_KINDS.get(name.split("_")[-1], np.float32))) for name in Genomes._fields]
"""What each column holds."""
_TELLING = sorted(
    ((start, name) for start, names in _TABLES.items() for name in names),
    key=lambda column: column[1] not in ("conn_weight", "muscle_gene", "body_gene"),
)
"""All of these columns, those first in which genomes are likeliest to differ."""


class Newcomers(NamedTuple):
    """M genomes that have taken the slots of others."""

    genomes: Genomes
    slots: Array  # int64 [M]


@dataclass(frozen=True)
class Population:
    """P genomes with what the last evaluation said of them.

    To let `newcomers` in copies nothing: whom they replace lies in `born` as before, and is none of the population.
    """

    born: Genomes
    fitness: npt.NDArray[np.float32]  # [P], higher is better; NaN: not evaluated, or the evaluation failed
    newcomers: Newcomers | None = None

    @cached_property
    def genomes(self) -> Genomes:
        """All of them as one batch, slot by slot; copied where there are newcomers."""
        if self.newcomers is None:
            return self.born
        genomes, slots = self.newcomers
        return replace(self.born, slots, genomes)

    @cached_property
    def rows(self) -> Array:
        """Where each slot's genome lies (int64 [P]): its row in `born` followed by the newcomers."""
        rows = np.arange(self.born.count)
        if self.newcomers is not None:
            rows[self.newcomers.slots] = self.born.count + np.arange(self.newcomers.genomes.count)
        return rows

    def take(self, slots: Array) -> Genomes:
        """The genomes in these slots (int64 [N]), copied."""
        if self.newcomers is None:
            return take(self.born, slots)
        places = self.rows[slots] - self.born.count
        new = np.flatnonzero(places >= 0)
        return replace(take(self.born, slots), new, take(self.newcomers.genomes, places[new]))

    def measured(self, measure: Callable[[Genomes], Array]) -> Array:
        """What `measure` gives for each genome of a batch ([P])."""
        values = measure(self.born)
        if self.newcomers is not None:
            values[self.newcomers.slots] = measure(self.newcomers.genomes)
        return values

    def digest(self) -> str:
        """SHA-256 of genomes and fitness: equal digests, equal populations bit for bit."""
        state = hashlib.sha256()
        for array in (*written(self.genomes).values(), self.fitness):
            state.update(np.ascontiguousarray(array).data)
        return state.hexdigest()


ACTIVATIONS = ("tanh", "sigmoid")
"""What neurons compute of their sum, in the order of their numbers in a layout."""
NETWORKS_OWN, TANH, SIGMOID, RELU, SIN, GAUSSIAN, IDENTITY, ABS = range(8)
KINDS = ("", *FUNCTIONS)
"""Functions of a neuron by `Genomes.node_kind`: tanh x; 1 / (1 + exp(-4.9 x)); max(0, x); sin x; exp(-x^2); x; |x|.

relu, identity and abs end at `BOUND` on either side, so that a cycle through them stays finite.
"""
KIND_COUNT = len(KINDS)
BOUND = 1000.0


class Deeper(NamedTuple):
    """Columns of `Genomes.shared` where a fixed topology's weights lie, H neurons a layer, L layers, I inputs.

    Row by row: input -> first layer [H, I]; its biases [H]; layer -> next layer [L - 1, H, H] (receiving neuron first);
    their biases [L - 1, H]; layer -> itself [L, H, H], of the step before. What the layout is without has no columns.
    """

    inner: int
    inner_bias: int
    deep: int
    deep_bias: int
    own: int


def deeper(layout: Layout) -> Deeper:
    """The columns at which each kind of weights starts."""
    width, more = layout.hidden, layout.layers - 1
    inner_bias = SHARED_GENES + width * layout.inputs
    deep = inner_bias + width * layout.node_bias
    deep_bias = deep + more * width * width
    return Deeper(SHARED_GENES, inner_bias, deep, deep_bias, deep_bias + more * width * layout.node_bias)


def mask_of(activations: str) -> int:
    """`Layout.activations` of the key `network.activations`."""
    return sum({1 << KINDS.index(name.strip()) for name in activations.split(",") if name.strip()})


def layout_of(config: Config, sensors: int, outputs: int, felt: str = "none") -> Layout:
    """The layout for a task with `sensors` inputs and `outputs` plain outputs, or a body where these are 0.

    `felt`: which parts of its body a creature senses.
    """
    return Layout(
        mode={"neat": NEAT, "pure": PURE, "hybrid": HYBRID}[config.mode],
        sensors=sensors,
        constant=int(config.network.bias == "input"),
        node_bias=int(config.network.bias == "node"),
        strain=int(felt in ("strain", "all")),
        velocity=int(felt in ("velocity", "all")),
        contact=int(felt in ("contact", "all")),
        hidden=0 if config.mode == "neat" else config.network.hidden,
        body=int(outputs == 0),
        outputs=outputs,
        activation=ACTIVATIONS.index(config.network.activation),
        layers=1 if config.mode == "neat" else config.network.layers,
        recurrent=0 if config.mode == "neat" else int(config.network.recurrent),
        activations=mask_of(config.network.activations) if config.mode == "neat" else 0,
    )


def written(genomes: Genomes) -> dict[str, Array]:
    """The columns as they are written and digested: neurons' functions only where one has a function of its own."""
    columns: dict[str, Array] = genomes._asdict()
    if not genomes.node_kind.any():
        del columns["node_kind"]
    return columns


def read_back(columns: Mapping[str, Array]) -> Genomes:
    """The genomes of `written` columns; KeyError or TypeError where they are not those of genomes."""
    kinds = {} if "node_kind" in columns else {"node_kind": np.zeros(len(columns["node_id"]), np.uint8)}
    return Genomes(**columns, **kinds)


def take(genomes: Genomes, rows: Sequence[int] | Array) -> Genomes:
    """The genomes `rows` (indices in any order, repeats allowed), copied."""
    rows = np.asarray(rows, dtype=np.int64)
    chosen: dict[str, Array] = {"shared": genomes.shared[rows]}
    for start_name, names in _TABLES.items():
        start = getattr(genomes, start_name)
        lengths = start[rows + 1] - start[rows]
        chosen[start_name] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        flat = np.repeat(start[rows] - chosen[start_name][:-1], lengths) + np.arange(lengths.sum())
        for name in names:
            chosen[name] = getattr(genomes, name)[flat]
    return Genomes(**chosen)


def inverse(order: Array) -> Array:
    """What brings results of items that were played in `order` (int64 [E], a permutation) back into their own."""
    back = np.empty(len(order), np.int64)
    back[order] = np.arange(len(order))
    return back


def concatenate(parts: Sequence[Genomes]) -> Genomes:
    """Several batches as one, in order, copied; columns must agree."""
    return _joined([(part, 0, part.count) for part in parts])


def as_one(batches: Sequence[Genomes]) -> Genomes:
    """Several batches as one, in order: the very one where it is alone, copied otherwise."""
    return batches[0] if len(batches) == 1 else concatenate(batches)


def gathered(places: Sequence[tuple[Genomes, int]]) -> Genomes:
    """The genomes at these (batch, row), as one batch: the very one where they are all of it, in its order."""
    batch = places[0][0]
    if len(places) == batch.count and all(some is batch and row == at for at, (some, row) in enumerate(places)):
        return batch
    return _joined([(some, row, row + 1) for some, row in places])


def _joined(runs: Sequence[tuple[Genomes, int, int]]) -> Genomes:
    """Genomes `first` to `last` (excluded) of each batch, one after another, copied."""
    joined: dict[str, Array] = {"shared": np.concatenate([part.shared[first:last] for part, first, last in runs])}
    for start_name, names in _TABLES.items():
        starts = [getattr(part, start_name)[first : last + 1] for part, first, last in runs]
        lengths = np.concatenate([start[1:] - start[:-1] for start in starts])
        joined[start_name] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        for name in names:
            pieces = [getattr(run[0], name)[start[0] : start[-1]] for run, start in zip(runs, starts, strict=True)]
            joined[name] = np.concatenate(pieces)
    return Genomes(**joined)


def replace(genomes: Genomes, slots: Sequence[int] | Array, newcomers: Genomes) -> Genomes:
    """`genomes` with those at `slots` replaced by `newcomers`, in their order. What stays is copied in long runs."""
    runs, following = [], 0
    for slot, number in sorted(zip(map(int, slots), range(newcomers.count), strict=True)):
        runs += [(genomes, following, slot), (newcomers, number, number + 1)]
        following = slot + 1
    return _joined([*runs, (genomes, following, genomes.count)])


def encode(genomes: Genomes, row: int) -> bytes:
    """One genome as safetensors bytes; equal genomes give equal bytes."""
    columns: dict[str, Array] = {"shared": genomes.shared[row : row + 1]}
    for start_name, names in _TABLES.items():
        first, last = getattr(genomes, start_name)[row : row + 2]
        columns[start_name] = np.array([0, last - first], np.int64)
        columns |= {name: getattr(genomes, name)[first:last] for name in names}
    if not columns["node_kind"].any():
        del columns["node_kind"]
    return bytes(tensors.written(columns))


class Unfit(ValueError):
    """Bytes that are not a whole, finite genome of a layout.

    `reason`: shape, not-finite or unreadable. `place`: theirs among those that were given.
    """

    def __init__(self, message: str, place: int) -> None:
        self.reason, self.place = message.split(":")[0], place
        super().__init__(message)


def decode(blobs: Sequence[bytes], layout: Layout) -> Genomes:
    """The genomes of `encode`d bytes as one batch; Unfit for the first of them that is none of this layout."""
    if (genomes := _decode_together(blobs, layout)) is not None:
        return genomes
    decoded = []
    for place, blob in enumerate(blobs):
        try:
            decoded.append(_decode_one(blob, layout))
        except ValueError as error:
            raise Unfit(str(error), place) from error
    return as_one(decoded)


def _decode_together(blobs: Sequence[bytes], layout: Layout) -> Genomes | None:
    """The batch, when there is nothing to say against any of them; else None."""
    try:
        read = tensors.read_together(blobs)
        columns = {name: column for name, (column, _) in read.items()}
        for start_name, names in _TABLES.items():
            ends = columns[start_name].reshape(len(blobs), 2)
            lengths = (ends[:, 1] - ends[:, 0]).tolist()
            if ends[:, 0].any() or any(name in read and read[name][1] != lengths for name in names):
                return None
            columns[start_name] = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
        genomes = read_back(columns)
    except (SafetensorError, KeyError, TypeError, ValueError):
        return None
    return None if read["shared"][1] != [1] * len(blobs) or flaw(genomes, layout) else genomes


def _decode_one(blob: bytes, layout: Layout) -> Genomes:
    try:
        genomes = read_back(tensors.read(blob))
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"unreadable: {error}") from error
    reason = flaw(genomes, layout) or ("" if genomes.count == 1 else f"shape: {genomes.count} genomes")
    if reason:
        raise ValueError(reason)
    return genomes


def flaw(genomes: Genomes, layout: Layout) -> str:
    """Why `genomes` are not well-formed for `layout`; empty when they are."""
    body, muscle, shared = layout.columns
    for (name, kind), array in zip(_TYPES, genomes, strict=True):
        if array.dtype != kind:
            return f"shape: {name} is {array.dtype}"
    widths = {"body_gene": (body,), "muscle_gene": (muscle,), "muscle_ends": (2,), "conn_ends": (2,)}
    if genomes.shared.shape[1:] != (shared,):
        return f"shape: shared is {genomes.shared.shape}"
    count = genomes.count
    for start_name, names in _TABLES.items():
        start = getattr(genomes, start_name)
        if start.shape != (count + 1,) or start[0] != 0 or (start[1:] < start[:-1]).any():
            return f"shape: {start_name}"
        for name in names:
            if getattr(genomes, name).shape != (start[-1], *widths.get(name, ())):
                return f"shape: {name} is {getattr(genomes, name).shape}"
    for name in ("body_gene", "muscle_gene", "node_bias", "conn_weight", "shared"):
        if not np.isfinite(getattr(genomes, name)).all():
            return f"not-finite: {name}"
    if genomes.node_kind.any():
        known = [kind for kind in range(KIND_COUNT) if layout.activations >> kind & 1]
        hidden = genomes.node_id >> np.uint64(56) > 0  # see `marking.is_output`
        if not ((genomes.node_kind == NETWORKS_OWN) | (hidden & np.isin(genomes.node_kind, known))).all():
            return "shape: a neuron with a function that it cannot have"
    return _broken_reference(genomes, layout)


def _broken_reference(genomes: Genomes, layout: Layout) -> str:
    """Why some row refers to a part that is not there, or a table is not sorted; empty when all is well."""
    starts = [getattr(genomes, name).tolist() for name in _TABLES]
    for p in range(genomes.count):
        body, muscle, node, conn = (slice(start[p], start[p + 1]) for start in starts)
        bodies, neurons = genomes.body_id[body], genomes.node_id[node]
        ids = {"body": bodies, "muscle": genomes.muscle_id[muscle], "node": neurons, "conn": genomes.conn_id[conn]}
        for name, rows in ids.items():
            if (rows[1:] <= rows[:-1]).any():
                return f"shape: {name} rows are not sorted by marking"
        ends = genomes.muscle_ends[muscle]
        if layout.body and not _all_among(ends, bodies):
            return "shape: a muscle without its body node"
        if layout.body and (len(bodies) < 2 or not len(ends)):
            return "shape: a body without muscles"
        if not _all_among(genomes.conn_ends[conn, 1], neurons):
            return "shape: a connection without its target"
    return ""


def _all_among(values: Array, ids: Array) -> bool:
    """Whether each value is one of `ids`, which are sorted."""
    if not len(ids):
        return not values.size
    return bool((ids[np.minimum(np.searchsorted(ids, values), len(ids) - 1)] == values).all())


def equal(one: Genomes, row: int, other: Genomes, slot: int) -> bool:
    """Whether two genomes are the same, bit for bit; cheap when they are not."""
    here, there = {}, {}
    for name in _TABLES:
        (a, b), (c, d) = getattr(one, name)[row : row + 2].tolist(), getattr(other, name)[slot : slot + 2].tolist()
        if b - a != d - c:
            return False
        here[name], there[name] = slice(a, b), slice(c, d)
    if not (one.shared[row] == other.shared[slot]).all():
        return False
    return all(
        (getattr(one, name)[here[start_name]] == getattr(other, name)[there[start_name]]).all()
        for start_name, name in _TELLING
    )


def rows_equal_to(genomes: Genomes, other: Genomes, slot: int) -> list[int]:
    """The rows of `genomes` that equal genome `slot` of `other`; a few vectorised comparisons sort most out."""
    alike = np.ones(genomes.count, bool)
    for start_name in _TABLES:
        a, b = getattr(genomes, start_name), getattr(other, start_name)
        alike &= a[1:] - a[:-1] == b[slot + 1] - b[slot]
    rows = np.flatnonzero(alike)
    rows = rows[(genomes.shared[rows] == other.shared[slot]).all(axis=1)]
    for start_name, name in _TELLING[:3]:
        a, b = getattr(genomes, start_name), getattr(other, start_name)
        if b[slot + 1] > b[slot]:
            first = getattr(genomes, name)[a[rows]] == getattr(other, name)[b[slot]]
            rows = rows[first.all(axis=tuple(range(1, first.ndim)))]
    return [int(row) for row in rows if equal(genomes, int(row), other, slot)]
