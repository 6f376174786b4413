"""Images and files of a request as Converse's blocks: bytes only, formats by name.

Nothing is fetched: an address in a request would be an address that a caller chooses for the
gateway, and `s3://` would be read with the deployment's own rights.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from sluicegate.api.items import InputFile, InputImage
from sluicegate.api.support import unsupported
from sluicegate.model import ApiError
from sluicegate.providers.bedrock.wire import (
    Bytes,
    Document,
    DocumentBlock,
    DocumentFormat,
    Image,
    ImageBlock,
    ImageFormat,
)

_DATA = re.compile(r"data:(?P<type>[^;,]*)(?P<parameters>(?:;[^;,]*)*),", re.ASCII | re.IGNORECASE)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+={0,2}", re.ASCII)
_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_BLANKS = re.compile(r"\s+")
_LONGEST_NAME = 180  # characters; the bound is 200, a number may follow
_HEAD = 32  # characters of base64 that show what an image is
_BAD_REQUEST = 400

_IMAGE_TYPES: dict[str, ImageFormat] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
    "image/jpg": "jpeg",
    "image/gif": "gif",
    "image/webp": "webp",
}
_DOCUMENT_TYPES: dict[str, DocumentFormat] = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
}
_EXTENSIONS: dict[str, DocumentFormat] = {
    "pdf": "pdf",
    "csv": "csv",
    "doc": "doc",
    "docx": "docx",
    "xls": "xls",
    "xlsx": "xlsx",
    "html": "html",
    "htm": "html",
    "txt": "txt",
    "md": "md",
    "markdown": "md",
}


class _Data(NamedTuple):
    media_type: str  # lower-case, "" where none is given
    base64: str


class DocumentNames:
    """Names for the documents of one request: safe, and each once."""

    __slots__ = ("_taken",)

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def name(self, filename: str | None) -> str:
        """`report`, then `report [2]`."""
        stem = (filename or "").replace("\\", "/").rpartition("/")[2].rpartition(".")
        plain = _NOT_IN_NAME.sub(" ", stem[0] or stem[2])
        base = _BLANKS.sub(" ", plain).strip()[:_LONGEST_NAME].strip() or "document"
        name, number = base, 1
        while name in self._taken:
            number += 1
            name = f"{base} [{number}]"
        self._taken.add(name)
        return name


def image_block(part: InputImage, param: str) -> ImageBlock:
    """An image from its data URI. Raises ApiError (400)."""
    if part.image_url is None:
        raise _refused(f"{param}.file_id", "ids of files belong to the provider that has the file")
    data = _data_uri(part.image_url, f"{param}.image_url")
    sniffed = _sniff(data.base64)
    kind = sniffed or _IMAGE_TYPES.get(data.media_type)
    if kind is None:
        raise ApiError(
            _BAD_REQUEST,
            f"Invalid '{param}.image_url': expected an image of type png, jpeg, gif or webp.",
            code="unsupported_image_media_type",
            param=f"{param}.image_url",
        )
    return ImageBlock(Image(kind, Bytes(data.base64)))


def document_block(part: InputFile, param: str, names: DocumentNames) -> DocumentBlock:
    """A file from its data. Raises ApiError (400)."""
    if part.file_data is not None:
        where = f"{param}.file_data"
        data = (
            _data_uri(part.file_data, where)
            if part.file_data[:5].lower() == "data:"
            else _Data("", _checked(part.file_data, where))
        )
    elif part.file_url is not None:
        where = f"{param}.file_url"
        data = _data_uri(part.file_url, where)
    else:
        raise _refused(f"{param}.file_id", "ids of files belong to the provider that has the file")
    extension = (part.filename or "").rpartition(".")[2].lower()
    kind = _DOCUMENT_TYPES.get(data.media_type) or _EXTENSIONS.get(extension)
    if kind is None and data.media_type.startswith("text/"):
        kind = "txt"
    if kind is None:
        raise ApiError(
            _BAD_REQUEST,
            f"Invalid '{where}': expected a file of type {', '.join(_EXTENSIONS)}, by its media "
            "type or its filename.",
            code="invalid_value",
            param=where,
        )
    return DocumentBlock(Document(kind, names.name(part.filename), Bytes(data.base64)))


def _data_uri(uri: str, param: str) -> _Data:
    """RFC 2397."""
    found = _DATA.match(uri)
    if found is None:
        raise _refused(param, "this model takes the content itself, as a data: URI")
    payload = uri[found.end() :]
    parameters = found["parameters"].lower().split(";")
    if "base64" in parameters:
        text = unquote_to_bytes(payload).decode("latin-1") if "%" in payload else payload
        return _Data(found["type"].lower(), _checked(text, param))
    encoded = base64.b64encode(unquote_to_bytes(payload)).decode()
    return _Data(found["type"].lower(), _checked(encoded, param))


def _checked(text: str, param: str) -> str:
    """Base64 without line breaks. The upstream reads the bytes; here only the alphabet counts."""
    if not text.isascii() or _BASE64.fullmatch(text) is None:
        text = _BLANKS.sub("", text)
        if _BASE64.fullmatch(text) is None:
            raise ApiError(
                _BAD_REQUEST,
                f"Invalid '{param}': expected base64.",
                code="invalid_base64_image" if param.endswith("image_url") else "invalid_value",
                param=param,
            )
    return text


def _sniff(data: str) -> ImageFormat | None:
    """What the first bytes say: a wrong media type is refused upstream."""
    try:
        head = base64.b64decode(data[: min(_HEAD, len(data) // 4 * 4)])
    except binascii.Error:
        return None
    if head.startswith(b"\x89PNG"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith(b"GIF8"):
        return "gif"
    return "webp" if head[:4] == b"RIFF" and head[8:12] == b"WEBP" else None


def _refused(param: str, why: str) -> ApiError:
    return unsupported(param, why)
