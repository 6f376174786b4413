"""Content parts of a request as blocks: text, images, documents."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator

from sluicegate.api.invalid import invalid
from sluicegate.api.items import (
    CacheBreakpoint,
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
)
from sluicegate.api.support import unsupported
from sluicegate.model import ApiError
from sluicegate.wires.anthropic_messages.body import (
    Base64Source,
    CacheControl,
    DocumentBlock,
    ImageBlock,
    InputBlock,
    PlainTextSource,
    TextBlock,
    UrlSource,
)
from sluicegate.wires.anthropic_messages.terms import Dialect

_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_PDF = "application/pdf"
_TEXT = "text/plain"


def cache_control(breakpoint_: CacheBreakpoint | None) -> CacheControl | None:
    """The client's mark that a cached prefix may end here."""
    return None if breakpoint_ is None else CacheControl()


def blocks(parts: str | Iterable[MessagePart], where: str, dialect: Dialect) -> list[InputBlock]:
    """The blocks of a user's message or of a tool's output; blank texts are left out.

    `where` is the path of the parts. Raises ApiError (400) for what can't be said upstream.
    """
    return list(_blocks(parts, where, dialect))


def text_blocks(parts: str | Iterable[MessagePart], where: str) -> list[TextBlock]:
    """The same where only text may stand: of the system, of the assistant."""
    found: list[TextBlock] = []
    for index, part in enumerate([InputText(text=parts)] if isinstance(parts, str) else parts):
        block = _text_block(part)
        if block is None:
            raise ApiError(
                400,
                f"Invalid '{where}[{index}]': images and files belong into messages of the user.",
                code="invalid_value",
                param=f"{where}[{index}]",
            )
        if block.text.strip():
            found.append(block)
    return found


def _text_block(part: MessagePart) -> TextBlock | None:
    match part:
        case InputText(text=text, prompt_cache_breakpoint=breakpoint_):
            return TextBlock(text, cache_control(breakpoint_))
        case OutputText(text=text) | Refusal(refusal=text):
            return TextBlock(text)
        case InputImage() | InputFile():
            return None


def _blocks(
    parts: str | Iterable[MessagePart], where: str, dialect: Dialect
) -> Iterator[InputBlock]:
    if isinstance(parts, str):
        if parts.strip():
            yield TextBlock(parts)
        return
    for index, part in enumerate(parts):
        path = f"{where}[{index}]"
        match part:
            case InputImage():
                yield _image(part, path, dialect)
            case InputFile():
                yield _file(part, path, dialect)
            case _:
                text = _text_block(part)
                if text is not None and text.text.strip():
                    yield text


# ------------------------------------------------------------------------------- images and files


def _image(part: InputImage, path: str, dialect: Dialect) -> ImageBlock:
    url, param = part.image_url, f"{path}.image_url"
    if url is None:
        _refuse_id(part.file_id, path)
        raise _invalid(param, "expected a URL or a data URI")
    cached = cache_control(part.prompt_cache_breakpoint)
    if is_web_address(url):
        return ImageBlock(_url_source(url, param, dialect), cached)
    image = data_uri(url, param)
    if image is None:
        raise _invalid(param, "expected an http(s) URL or a data URI")
    kind = image_type(image)
    if kind not in _IMAGES:
        raise ApiError(
            400,
            f"Unsupported image: '{image.media_type}' is not one of {', '.join(_IMAGES)}.",
            code="unsupported_image_media_type",
            param=param,
        )
    return ImageBlock(Base64Source(kind, image.data), cached)


def _file(part: InputFile, path: str, dialect: Dialect) -> DocumentBlock:
    title = part.filename or None
    cached = cache_control(part.prompt_cache_breakpoint)
    if part.file_data is not None:
        param = f"{path}.file_data"
        held = data_uri(part.file_data, param) or Media("", base64_text(part.file_data, param))
    elif part.file_url is not None:
        param = f"{path}.file_url"
        if is_web_address(part.file_url):
            return DocumentBlock(_url_source(part.file_url, param, dialect), title, cached)
        held = data_uri(part.file_url, param)
        if held is None:
            raise _invalid(param, "expected an http(s) URL or a data URI")
    else:
        _refuse_id(part.file_id, path)
        raise _invalid(path, "expected one of file_data, file_url and file_id")
    return DocumentBlock(_document(held, part.filename, param), title, cached)


def _document(held: Media, filename: str | None, param: str) -> Base64Source | PlainTextSource:
    kind = file_type(held.media_type, filename)
    if kind == _PDF:
        return Base64Source(_PDF, held.data)
    if kind != _TEXT:
        raise ApiError(
            400,
            f"Unsupported file: '{kind or 'unknown'}'. This model reads PDF and text files.",
            code="unsupported_file",
            param=param,
        )
    try:
        return PlainTextSource(_TEXT, base64.b64decode(held.data).decode())
    except ValueError as error:  # of base64 without its padding, of bytes that are no UTF-8
        raise _invalid(param, "expected a text in UTF-8") from error


def _url_source(url: str, param: str, dialect: Dialect) -> UrlSource:
    if not dialect.url_sources:
        raise unsupported(param, "this model takes images and files as data URIs only")
    return UrlSource(url)


def _refuse_id(file_id: str | None, path: str) -> None:
    if file_id is not None:
        raise unsupported(f"{path}.file_id", "files are not stored here; send the data or a URL")


def _invalid(param: str, why: str) -> ApiError:
    return invalid(f"Invalid '{param}': {why}.", "invalid_value", param)
