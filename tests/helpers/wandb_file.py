"""Reads the file that W&B writes for an offline run; wandb itself has no reader for Python."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path


def wandb_records(path: Path) -> Iterator[object]:
    """Reads an offline W&B file: a header of 7 bytes, then LevelDB's log framing of protocol buffers."""
    import wandb
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # another process writes the file, and finishes after the run has ended
    data, position, pending = path.read_bytes(), 7, b""
    while position + 7 <= len(data):
        left = 32768 - position % 32768
        if left < 7:
            position += left
            continue
        _, length, kind = struct.unpack("<IHB", data[position : position + 7])
        pending += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = Record()
            record.ParseFromString(pending)
            pending = b""
            yield record
