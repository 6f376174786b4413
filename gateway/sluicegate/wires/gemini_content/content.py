"""Content parts of a request as parts of the API: text, images, files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

import msgspec
from msgspec import Raw, Struct

from sluicegate.api.invalid import invalid, refuse
from sluicegate.api.items import (
    InputFile,
    InputImage,
    InputText,
    MessagePart,
    OutputText,
    Refusal,
)
from sluicegate.api.media import (
    Media,
    base64_text,
    data_uri,
    file_type,
    image_type,
    is_web_address,
    type_by_name,
)
from sluicegate.api.support import unsupported
from sluicegate.model import ApiError
from sluicegate.wires.gemini_content.body import (
    Blob,
    FileData,
    FilePart,
    InlinePart,
    InputPart,
    TextPart,
)

_MediaPart: TypeAlias = InlinePart | FilePart


def parts(
    content: str | Iterable[MessagePart], where: str, *, web_addresses: bool
) -> list[InputPart]:
    """The parts of a user's message or of a tool's output; empty texts are left out.

    `where` is the path of the parts, `web_addresses` whether the upstream fetches files by URL.
    Raises ApiError (400) for what can't be said upstream.
    """
    return list(_parts(content, where, web_addresses=web_addresses))


def texts(content: str | Iterable[MessagePart], where: str) -> list[TextPart]:
    """The same where only text may stand: of the system, of the assistant."""
    found: list[TextPart] = []
    for index, part in enumerate(
        [InputText(text=content)] if isinstance(content, str) else content
    ):
        text = _text(part)
        if text is None:
            raise invalid(
                f"Invalid '{where}[{index}]': images and files belong into messages of the user.",
                "invalid_value",
                f"{where}[{index}]",
            )
        if text:
            found.append(TextPart(text))
    return found


class _ImageCall(Struct, frozen=True):
    result: str | None = None
    output_format: str | None = None


_image_call = msgspec.json.Decoder(_ImageCall)


def made_image(item: Raw, where: str) -> Blob | None:
    """The image of an image_generation_call, None of one that failed. Raises ApiError (400)."""
    try:
        call = _image_call.decode(item)
    except msgspec.ValidationError as error:
        refuse(error, where)
    if not call.result:
        return None
    declared = f"image/{call.output_format or 'png'}"  # png: what OpenAI makes unless asked
    media = Media(declared, base64_text(call.result, f"{where}.result"))
    return Blob(image_type(media) or declared, media.data)


def _text(part: MessagePart) -> str | None:
    match part:
        case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
            return text
        case InputImage() | InputFile():
            return None


def _parts(
    content: str | Iterable[MessagePart], where: str, *, web_addresses: bool
) -> Iterator[InputPart]:
    if isinstance(content, str):
        if content:
            yield TextPart(content)
        return
    for index, part in enumerate(content):
        path = f"{where}[{index}]"
        match part:
            case InputImage():
                yield _image(part, path, web_addresses=web_addresses)
            case InputFile():
                yield _file(part, path, web_addresses=web_addresses)
            case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
                if text:
                    yield TextPart(text)


def _image(part: InputImage, path: str, *, web_addresses: bool) -> _MediaPart:
    param = f"{path}.image_url"
    url = part.image_url
    if url is None:
        _refuse_id(part.file_id, path)
        raise _expected(param, "a URL or a data URI")
    if is_web_address(url):
        kind = type_by_name(url) or ""
        _refuse_address(param, web_addresses=web_addresses)
        return FilePart(FileData(kind if kind.startswith("image/") else "image/jpeg", url))
    media = data_uri(url, param)
    if media is None:
        raise _expected(param, "an http(s) URL or a data URI")
    kind = image_type(media)
    if kind is None:
        raise ApiError(
            400,
            f"Unsupported image: '{media.media_type or 'unknown'}' is not the type of an image.",
            code="unsupported_image_media_type",
            param=param,
        )
    return InlinePart(Blob(kind, media.data))


def _file(part: InputFile, path: str, *, web_addresses: bool) -> _MediaPart:
    if part.file_data is not None:
        param = f"{path}.file_data"
        media = data_uri(part.file_data, param)
        if media is None:
            media = Media("", base64_text(part.file_data, param))
    elif part.file_url is not None:
        param = f"{path}.file_url"
        if is_web_address(part.file_url):
            kind = type_by_name(part.filename or "") or type_by_name(part.file_url)
            _refuse_address(param, web_addresses=web_addresses)
            return FilePart(FileData(kind or "application/pdf", part.file_url))
        media = data_uri(part.file_url, param)
        if media is None:
            raise _expected(param, "an http(s) URL or a data URI")
    else:
        _refuse_id(part.file_id, path)
        raise _expected(path, "one of file_data, file_url and file_id")
    kind = file_type(media.media_type, part.filename)
    if kind is None:
        raise ApiError(
            400,
            "Unsupported file: neither its media type nor its filename tells what it is.",
            code="unsupported_file",
            param=param,
        )
    return InlinePart(Blob(kind, media.data))


def _refuse_address(param: str, *, web_addresses: bool) -> None:
    if not web_addresses:
        raise unsupported(param, "this model takes images and files as data URIs only")


def _refuse_id(file_id: str | None, path: str) -> None:
    if file_id is not None:
        raise unsupported(f"{path}.file_id", "files are not stored here; send the data or a URL")


def _expected(param: str, what: str) -> ApiError:
    return invalid(f"Invalid '{param}': expected {what}.", "invalid_value", param)
