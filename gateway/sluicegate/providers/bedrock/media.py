"""Images and files of a request as Converse's blocks: bytes only, formats by name.

Nothing is fetched: an address in a request would be an address that a caller chooses for the
gateway, and `s3://` would be read with the deployment's own rights.
"""

from __future__ import annotations

import re

from sluicegate.api.invalid import invalid
from sluicegate.api.items import InputFile, InputImage
from sluicegate.api.media import Media, base64_text, data_uri, file_type, image_type
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

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9 ()\[\]-]+")
_BLANKS = re.compile(r"\s+")
_LONGEST_NAME = 180  # characters; the bound is 200, a number may follow

_IMAGE_TYPES: dict[str, ImageFormat] = {
    "image/png": "png",
    "image/jpeg": "jpeg",
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
        raise _foreign_id(f"{param}.file_id")
    param = f"{param}.image_url"
    image = _inside(part.image_url, param)
    kind = _IMAGE_TYPES.get(image_type(image) or "")
    if kind is None:
        raise invalid(
            f"Invalid '{param}': expected an image of type png, jpeg, gif or webp.",
            "unsupported_image_media_type",
            param,
        )
    return ImageBlock(Image(kind, Bytes(image.data)))


def document_block(part: InputFile, param: str, names: DocumentNames) -> DocumentBlock:
    """A file from its data. Raises ApiError (400)."""
    if part.file_data is not None:
        param = f"{param}.file_data"
        held = data_uri(part.file_data, param) or Media("", base64_text(part.file_data, param))
    elif part.file_url is not None:
        param = f"{param}.file_url"
        held = _inside(part.file_url, param)
    else:
        raise _foreign_id(f"{param}.file_id")
    kind = _format(held, part.filename)
    if kind is None:
        raise invalid(
            f"Invalid '{param}': expected a file of type {', '.join(_EXTENSIONS)}, by its media "
            "type or its filename.",
            "invalid_value",
            param,
        )
    return DocumentBlock(Document(kind, names.name(part.filename), Bytes(held.data)))


def _format(held: Media, filename: str | None) -> DocumentFormat | None:
    """By the media type, else by the name; what is text in any other way is text."""
    extension = (filename or "").rpartition(".")[2].lower()
    kind = _DOCUMENT_TYPES.get(held.media_type) or _EXTENSIONS.get(extension)
    if kind is None and file_type(held.media_type, filename) == "text/plain":
        return "txt"
    return kind


def _inside(uri: str, param: str) -> Media:
    held = data_uri(uri, param)
    if held is None:
        raise unsupported(param, "this model takes the content itself, as a data: URI")
    return held


def _foreign_id(param: str) -> ApiError:
    return unsupported(param, "ids of files belong to the provider that has the file")
