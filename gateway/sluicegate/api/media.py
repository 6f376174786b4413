"""Images and files of a request: their bytes in base64, and what kind they are.

Nothing is fetched: an address in a request is one that a caller chooses.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from sluicegate.api import invalid

_DATA_URI = re.compile(r"data:(?P<type>[^,;]*)(?P<parameters>(?:;[^,;]*)*),", re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]++={0,2}", re.ASCII)
_BLANKS = re.compile(r"\s+")
_WEB = re.compile(r"https?://[^\s/]", re.IGNORECASE)
_HEAD = 32  # base64 characters that hold every signature below
_VAGUE = frozenset({"", "application/octet-stream", "binary/octet-stream"})
_SAME: Mapping[str, str] = MappingProxyType(
    {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg", "application/x-pdf": "application/pdf"}
)
# How the bytes of an image begin: upstreams judge by them, whatever the media type says.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
)
_BRANDS: Mapping[bytes, str] = MappingProxyType(
    {b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heif", b"avif": "image/avif"}
)
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
_OFFICE = "application/vnd.openxmlformats-officedocument."
_TEXT_EXTENSIONS = (
    *("txt", "md", "markdown", "rst", "csv", "tsv", "log", "json", "jsonl", "xml", "html", "htm"),
    *("css", "yaml", "yml", "toml", "ini", "sql", "py", "js", "ts", "java", "c", "h", "cpp"),
    *("cs", "go", "rs", "rb", "php", "sh", "tex"),
)
_EXTENSIONS: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(_TEXT_EXTENSIONS, "text/plain"),
        "pdf": "application/pdf",
        "png": "image/png",
        "jpg": "image/jpeg",
        "jpeg": "image/jpeg",
        "gif": "image/gif",
        "webp": "image/webp",
        "heic": "image/heic",
        "heif": "image/heif",
        "mp3": "audio/mpeg",
        "wav": "audio/wav",
        "flac": "audio/flac",
        "ogg": "audio/ogg",
        "mp4": "video/mp4",
        "mov": "video/quicktime",
        "webm": "video/webm",
        "doc": "application/msword",
        "docx": f"{_OFFICE}wordprocessingml.document",
        "xls": "application/vnd.ms-excel",
        "xlsx": f"{_OFFICE}spreadsheetml.sheet",
        "ppt": "application/vnd.ms-powerpoint",
        "pptx": f"{_OFFICE}presentationml.presentation",
    }
)


class Media(NamedTuple):
    """`media_type` is lower-case, empty where nothing tells it; `data` is base64."""

    media_type: str
    data: str


def is_web_address(value: str) -> bool:
    """Whether `value` is an http or https URL."""
    return _WEB.match(value) is not None


def data_uri(value: str, param: str) -> Media | None:
    """What a data URI (RFC 2397) holds; None where `value` is none. Raises ApiError (400)."""
    head = _DATA_URI.match(value)
    if head is None:
        return None
    payload = value[head.end() :]
    if "base64" in head["parameters"].lower().split(";"):
        if "%" in payload:
            payload = unquote_to_bytes(payload).decode("latin-1")
    else:
        payload = base64.b64encode(unquote_to_bytes(payload)).decode("ascii")
    media_type = head["type"].strip().lower()
    return Media(_SAME.get(media_type, media_type), base64_text(payload, param))


def base64_text(text: str, param: str) -> str:
    """Base64 on one line. Raises ApiError (400) where it is none.

    Only its alphabet is judged: the bytes are the upstream's to read.
    """
    if _BASE64.fullmatch(text) is None:
        text = _BLANKS.sub("", text)
        if _BASE64.fullmatch(text) is None:
            raise invalid.invalid(
                f"Invalid '{param}': expected base64.",
                "invalid_base64_image" if param.endswith("image_url") else "invalid_value",
                param,
            )
    return text


def image_type(media: Media) -> str | None:
    """The media type that an image's first bytes show, else the declared one."""
    shown = _sniffed(media.data)
    if shown is not None:
        return shown
    return media.media_type if media.media_type.startswith("image/") else None


def file_type(declared: str, filename: str | None) -> str | None:
    """The media type of a file: as declared, else by its name. Any text is `text/plain`."""
    kind = declared
    if kind in _VAGUE:
        kind = type_by_name(filename or "") or ""
    if kind.startswith("text/") or kind in _TEXTS:
        return "text/plain"
    return kind or None


def type_by_name(name: str) -> str | None:
    """The media type that the end of a file's name or of a URL's path tells."""
    path = urlsplit(name).path if is_web_address(name) else name
    return _EXTENSIONS.get(path.rpartition(".")[2].lower())


def _sniffed(data: str) -> str | None:
    try:
        head = base64.b64decode(data[: min(_HEAD, len(data) // 4 * 4)])
    except binascii.Error:
        return None
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12])
    return next((kind for signature, kind in _SIGNATURES if head.startswith(signature)), None)
