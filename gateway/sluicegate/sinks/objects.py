"""A batch as one object of a bucket: `<prefix>/YYYY/MM/DD/<time>-<random>.jsonl.gz`."""

from __future__ import annotations

import gzip
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime

from sluicegate.sinks.lines import json_lines
from sluicegate.sinks.sink import Item

CONTENT_TYPE = "application/gzip"


def as_object(prefix: str, batch: Sequence[Item]) -> tuple[str, bytes]:
    """Its name, which no other batch has, and gzipped JSON lines."""
    now = datetime.now(UTC)
    folder = f"{prefix}/" if prefix else ""
    name = f"{folder}{now:%Y/%m/%d/%H%M%S}-{uuid.uuid4().hex}.jsonl.gz"
    return name, gzip.compress(json_lines(batch))
