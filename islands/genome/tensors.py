"""Arrays as safetensors bytes, without the library's detours: an island writes several genomes a migration."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

_CODES = {"<u8": "U64", "<i8": "I64", "<f4": "F32", "|u1": "U8"}
"""NumPy's word for the types that genomes have, and the format's, in the order in which the library lays them."""
_ORDER = {kind: rank for rank, kind in enumerate(_CODES)}


def written(columns: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """The very bytes that `safetensors.numpy.save` gives for columns of these types, in a fraction of its time."""
    table, data, end = [], [], 0
    for name in sorted(columns, key=lambda name: (_ORDER[columns[name].dtype.str], name)):
        column, start = columns[name], end
        end += column.nbytes
        shape = ",".join(map(str, column.shape))
        kind = _CODES[column.dtype.str]
        table.append(f'"{name}":{{"dtype":"{kind}","shape":[{shape}],"data_offsets":[{start},{end}]}}')
        data.append(column.tobytes())
    head = f"{{{','.join(table)}}}".encode()
    head += b" " * (-len(head) % 8)
    return b"".join((struct.pack("<Q", len(head)), head, *data))
