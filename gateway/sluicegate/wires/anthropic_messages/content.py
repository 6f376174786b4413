"""Content parts of a request as blocks: text, images, documents."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from sluicegate.api.items import (
    CacheBreakpoint,
    InputFile,
    InputImage,
    InputText,
    MessagePart,
    OutputText,
    Refusal,
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

_DATA_URI = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_WEB = re.compile(r"https?://", re.IGNORECASE)
_IMAGES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SNIFFED = 24  # base64 characters that hold every signature below
# How the bytes of an image begin. The API judges by them, whatever the media type says.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_PDF = "application/pdf"
_VAGUE = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_TEXTS = frozenset(
    {
        "application/json",
        "application/x-ndjson",
        "application/javascript",
        "application/xml",
        "application/yaml",
        "application/x-yaml",
        "application/toml",
        "application/sql",
    }
)
_EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        "pdf": _PDF,
        **dict.fromkeys(
            (
                *("txt", "md", "markdown", "rst", "csv", "tsv", "log", "json", "jsonl", "xml"),
                *("html", "htm", "css", "yaml", "yml", "toml", "ini", "sql", "py", "js", "ts"),
                *("java", "c", "h", "cpp", "cs", "go", "rs", "rb", "php", "sh", "tex"),
            ),
            "text/plain",
        ),
    }
)


class _Data(NamedTuple):
    """A data URI. `text` is base64, or percent-encoded bytes."""

    media_type: str
    base64: bool
    text: str


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


# ------------------------------------------------------------------------------------------ images


def _image(part: InputImage, path: str, dialect: Dialect) -> ImageBlock:
    url = part.image_url
    if url is None:
        _refuse_id(part.file_id, path)
        raise _invalid(f"{path}.image_url", "expected a URL or a data URI")
    cached = cache_control(part.prompt_cache_breakpoint)
    if _WEB.match(url):
        return ImageBlock(_url_source(url, f"{path}.image_url", dialect), cached)
    data = _data_uri(url)
    if data is None:
        raise _invalid(f"{path}.image_url", "expected an http(s) URL or a data URI")
    encoded = _encoded(data, f"{path}.image_url")
    return ImageBlock(Base64Source(_image_type(data.media_type, encoded, path), encoded), cached)


def _image_type(declared: str, encoded: str, path: str) -> str:
    sniffed = _sniff(encoded)
    if sniffed is not None:
        return sniffed
    declared = "image/jpeg" if declared == "image/jpg" else declared
    if declared in _IMAGES:
        return declared
    raise ApiError(
        400,
        f"Unsupported image: '{declared or 'unknown'}' is not one of {', '.join(_IMAGES)}.",
        code="unsupported_image_media_type",
        param=f"{path}.image_url",
    )


def _sniff(encoded: str) -> str | None:
    head = encoded[:_SNIFFED]
    try:
        start = base64.b64decode(head[: len(head) // 4 * 4])
    except (binascii.Error, ValueError):
        return None
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for signature, kind in _SIGNATURES if start.startswith(signature)), None)


# ------------------------------------------------------------------------------------------- files


def _file(part: InputFile, path: str, dialect: Dialect) -> DocumentBlock:
    title = part.filename or None
    cached = cache_control(part.prompt_cache_breakpoint)
    if part.file_data is not None:
        key, value = "file_data", part.file_data
        data = _data_uri(value) or _Data("", base64=True, text=value)
    elif part.file_url is not None:
        key, value = "file_url", part.file_url
        if _WEB.match(value):
            return DocumentBlock(_url_source(value, f"{path}.file_url", dialect), title, cached)
        data = _data_uri(value)
        if data is None:
            raise _invalid(f"{path}.file_url", "expected an http(s) URL or a data URI")
    else:
        _refuse_id(part.file_id, path)
        raise _invalid(path, "expected one of file_data, file_url and file_id")
    return DocumentBlock(_document(data, part.filename or "", f"{path}.{key}"), title, cached)


def _document(data: _Data, filename: str, param: str) -> Base64Source | PlainTextSource:
    kind = data.media_type
    if kind in _VAGUE:
        kind = _EXTENSIONS.get(filename.rpartition(".")[2].lower(), kind)
    if kind == _PDF:
        return Base64Source(_PDF, _encoded(data, param))
    if kind.startswith("text/") or kind in _TEXTS:
        try:
            return PlainTextSource("text/plain", _bytes(data, param).decode())
        except UnicodeDecodeError as error:
            raise _invalid(param, "expected a text in UTF-8") from error
    raise ApiError(
        400,
        f"Unsupported file: '{kind or 'unknown'}'. This model reads PDF and text files.",
        code="unsupported_file",
        param=param,
    )


# -------------------------------------------------------------------------------------------- data


def _data_uri(value: str) -> _Data | None:
    head = _DATA_URI.match(value)
    if head is None:
        return None
    encoded = head[2].lower().endswith(";base64")
    return _Data(head[1].strip().lower(), encoded, value[head.end() :])


def _encoded(data: _Data, param: str) -> str:
    """The bytes in base64. They are not decoded here: the API judges what is in them."""
    if data.base64:
        if not data.text:
            raise _invalid(param, "it is empty")
        return data.text
    return base64.b64encode(_bytes(data, param)).decode("ascii")


def _bytes(data: _Data, param: str) -> bytes:
    if not data.base64:
        return unquote_to_bytes(data.text)
    try:
        return base64.b64decode(data.text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(param, "it is not base64") from error


def _url_source(url: str, param: str, dialect: Dialect) -> UrlSource:
    if not dialect.url_sources:
        raise unsupported(param, "this model takes images and files as data URIs only")
    return UrlSource(url)


def _refuse_id(file_id: str | None, path: str) -> None:
    if file_id is not None:
        raise unsupported(f"{path}.file_id", "files are not stored here; send the data or a URL")


def _invalid(param: str, why: str) -> ApiError:
    return ApiError(400, f"Invalid '{param}': {why}.", code="invalid_value", param=param)
