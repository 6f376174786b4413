"""Images that a model made, as output items. Each is told when it is whole: it ends as it begins.

Used by `stream.py`; dialects make the images.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Raw, Struct

from sluicegate.api.media import Media, base64_text, data_uri, image_type
from sluicegate.api.output import Draft, draft
from sluicegate.model import ApiError

_Format: TypeAlias = Literal["png", "webp", "jpeg", "gif", "svg"]
_encode = msgspec.json.Encoder().encode

_FORMATS: Mapping[str | None, _Format] = MappingProxyType(
    {
        "image/png": "png",
        "image/webp": "webp",
        "image/jpeg": "jpeg",
        "image/gif": "gif",
        "image/svg+xml": "svg",
    }
)


class MadeImage(NamedTuple):
    """`data` is base64, None where the upstream spoke of an image and there is none to be read.

    `media_type` is the declared one, which the image's own bytes overrule.
    """

    data: str | None
    media_type: str = ""


NO_IMAGE = MadeImage(None)


# Both read what an upstream sent, so the words of an ApiError, which are a client's, are not told.


def image_of_base64(data: str, media_type: str) -> MadeImage:
    """What an upstream says are an image's bytes."""
    try:
        return _padded(Media(media_type, base64_text(data, "image")))
    except ApiError:
        return NO_IMAGE


def image_of_uri(uri: str) -> MadeImage:
    """What an upstream's data URI holds."""
    try:
        media = data_uri(uri, "image_url")
    except ApiError:
        return NO_IMAGE
    return NO_IMAGE if media is None else _padded(media)


def _padded(media: Media) -> MadeImage:
    """With the padding that some leave out and strict readers want."""
    bare = media.data.rstrip("=")
    if len(bare) % 4 == 1:  # no bytes end like that
        return NO_IMAGE
    return MadeImage(bare + "=" * (-len(bare) % 4), media.media_type)


class _ImageGenerationCall(Struct, tag="image_generation_call", omit_defaults=True):
    id: str
    status: Literal["in_progress", "completed", "failed"]
    result: str | None
    output_format: _Format | None = None


class _Place(Struct):
    item_id: str
    output_index: int


def image_item(item_id: str, output_index: int, image: MadeImage) -> tuple[list[Draft], bytes]:
    """All events of the item, and its final JSON. One without an image has failed."""
    place = _Place(item_id, output_index)
    done = _encode(_done(item_id, image))
    drafts = [
        _item_event(
            "response.output_item.added",
            output_index,
            _encode(_ImageGenerationCall(item_id, "in_progress", None)),
        ),
        draft("response.image_generation_call.in_progress", place),
        draft("response.image_generation_call.generating", place),
    ]
    if image.data is not None:
        drafts.append(draft("response.image_generation_call.completed", place))
    drafts.append(_item_event("response.output_item.done", output_index, done))
    return drafts, done


def _done(item_id: str, image: MadeImage) -> _ImageGenerationCall:
    if image.data is None:
        return _ImageGenerationCall(item_id, "failed", None)
    shown = _FORMATS.get(image_type(Media(image.media_type, image.data)))
    return _ImageGenerationCall(item_id, "completed", image.data, shown)


def _item_event(event: str, output_index: int, item: bytes) -> Draft:
    return draft(event, {"output_index": output_index, "item": Raw(item)})
