"""Content parts of a request as parts of messages: text, images, files."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from sluicegate.api.invalid import invalid
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
    image_type,
    is_web_address,
    type_by_name,
)
from sluicegate.api.support import unsupported
from sluicegate.model import ApiError
from sluicegate.wires.chat_completions.body import (
    FileData,
    FilePart,
    ImagePart,
    ImageUrl,
    Part,
    TextPart,
)
from sluicegate.wires.chat_completions.terms import Dialect

BETWEEN = "\n\n"  # texts that become one


def parts(content: str | Iterable[MessagePart], where: str, dialect: Dialect) -> list[Part]:
    """The parts of a user's message or of a tool's output; empty texts are left out.

    `where` is the path of the parts. Raises ApiError (400) for what can't be said upstream.
    """
    if isinstance(content, str):
        return [TextPart(content)] if content else []
    found: list[Part] = []
    for index, part in enumerate(content):
        path = f"{where}[{index}]"
        match part:
            case InputImage():
                found.append(_image(part, path, dialect))
            case InputFile():
                found.append(_file(part, path))
            case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
                if text:
                    found.append(TextPart(text))
    return found


def text_of(content: str | Iterable[MessagePart], where: str) -> str:
    """The same where only text may stand: of the system, of the assistant. Raises ApiError (400).

    A refusal is text too: most servers know no other form of it.
    """
    if isinstance(content, str):
        return content
    texts: list[str] = []
    for index, part in enumerate(content):
        match part:
            case InputText(text=text) | OutputText(text=text) | Refusal(refusal=text):
                texts.append(text)
            case InputImage() | InputFile():
                raise ApiError(
                    400,
                    f"Invalid '{where}[{index}]': images and files belong into messages of the "
                    "user.",
                    code="invalid_value",
                    param=f"{where}[{index}]",
                )
    return BETWEEN.join(filter(None, texts))


def content_of(found: list[Part]) -> str | list[Part]:
    """As one text where there is nothing else: many servers know no other content."""
    texts = [part.text for part in found if isinstance(part, TextPart)]
    return BETWEEN.join(texts) if len(texts) == len(found) else found


# ------------------------------------------------------------------------------- images and files


def _image(part: InputImage, path: str, dialect: Dialect) -> ImagePart:
    url, param = part.image_url, f"{path}.image_url"
    if url is None:
        _refuse_id(part.file_id, path)
        raise _invalid(param, "expected a URL or a data URI")
    if not is_web_address(url):
        image = data_uri(url, param)
        if image is None:
            raise _invalid(param, "expected an http(s) URL or a data URI")
        kind = image_type(image)
        if kind is None:
            raise ApiError(
                400,
                f"Unsupported image: '{image.media_type}' is not the type of an image.",
                code="unsupported_image_media_type",
                param=param,
            )
        url = f"data:{kind};base64,{image.data}"
    return ImagePart(ImageUrl(url, _detail(part, dialect)))


def _detail(part: InputImage, dialect: Dialect) -> Literal["low", "high", "original"] | None:
    if part.detail is None or part.detail == "auto":
        return None
    if part.detail == "original" and not dialect.own:  # newer than most servers
        return "high"
    return part.detail


def _file(part: InputFile, path: str) -> FilePart:
    if part.file_data is not None:
        param = f"{path}.file_data"
        held = data_uri(part.file_data, param) or Media("", base64_text(part.file_data, param))
    elif part.file_url is not None:
        param = f"{path}.file_url"
        if is_web_address(part.file_url):
            raise unsupported(param, "this model takes files as data only")
        found = data_uri(part.file_url, param)
        if found is None:
            raise _invalid(param, "expected an http(s) URL or a data URI")
        held = found
    else:
        _refuse_id(part.file_id, path)
        raise _invalid(path, "expected one of file_data and file_url")
    kind = held.media_type or type_by_name(part.filename or "") or "application/octet-stream"
    return FilePart(FileData(f"data:{kind};base64,{held.data}", part.filename or None))


def _refuse_id(file_id: str | None, path: str) -> None:
    if file_id is not None:
        raise unsupported(f"{path}.file_id", "files are not stored here; send the data or a URL")


def _invalid(param: str, why: str) -> ApiError:
    return invalid(f"Invalid '{param}': {why}.", "invalid_value", param)
