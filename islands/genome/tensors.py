"""Arrays as safetensors bytes, without the library's detours: an island writes several genomes a migration, and
checkpoints that are as large as its population."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

_CODES = {"<u8": "U64", "<i8": "I64", "<f8": "F64", "<f4": "F32", "|u1": "U8"}
"""NumPy's word for the types that genomes and checkpoints have, and the format's, in the library's order."""
DTYPES = {code: np.dtype(kind) for kind, code in _CODES.items()}
"""NumPy's types by the format's words."""
_ORDER = {kind: rank for rank, kind in enumerate(_CODES)}


def written(columns: Mapping[str, npt.NDArray[Any]], metadata: Mapping[str, str] | None = None) -> bytearray:
    """The very bytes that `safetensors.numpy.save` gives for columns of these types, in a fraction of its time and in
    one piece of memory instead of three."""
    table, end = [], 0
    if metadata is not None:
        table.append(f'"__metadata__":{json.dumps(metadata, separators=(",", ":"), ensure_ascii=False)}')
    names = sorted(columns, key=lambda name: (_ORDER[columns[name].dtype.str], name))
    for name in names:
        column, start = columns[name], end
        end += column.nbytes
        shape = ",".join(map(str, column.shape))
        kind = _CODES[column.dtype.str]
        table.append(f'"{name}":{{"dtype":"{kind}","shape":[{shape}],"data_offsets":[{start},{end}]}}')
    head = f"{{{','.join(table)}}}".encode()
    head += b" " * (-len(head) % 8)
    at = 8 + len(head)
    data = bytearray(at + end)
    data[:at] = len(head).to_bytes(8, "little") + head
    room = memoryview(data)  # a bytearray would copy what it is given
    for name in names:
        column = columns[name]
        room[at : at + column.nbytes] = column.reshape(-1).view(np.uint8).data
        at += column.nbytes
    return data
