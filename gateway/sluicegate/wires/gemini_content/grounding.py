"""What a search of the API's own found, as citations and searches of the Responses API."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from sluicegate.api.output import UrlCitation
from sluicegate.wires.gemini_content.said import Grounding, Segment, Support, Web

# Of searches, of ranges and of citations of one answer, and bytes of its text.
_MOST = 300
_LONGEST_TEXT = 1024 * 1024


class Found(NamedTuple):
    """Queries in their order, and the pages."""

    queries: tuple[str, ...]
    urls: tuple[str, ...]


def found(grounding: Sequence[Grounding]) -> Found:
    """Each query and each page once."""
    queries = dict.fromkeys(
        query for each in grounding for query in each.web_search_queries or () if query
    )
    urls = dict.fromkeys(page.uri for each in grounding for page in _pages(each) if page.uri)
    return Found(tuple(queries)[:_MOST], tuple(urls)[:_MOST])


def citations(grounding: Sequence[Grounding], text: str) -> list[UrlCitation]:
    """The pages behind ranges of `text`. Ranges that can't be placed in it are left out."""
    encoded = text.encode()
    if len(encoded) > _LONGEST_TEXT:
        return []
    made: list[UrlCitation] = []
    for support, pages in islice(_supports(grounding), _MOST):
        place = _place(support.segment, text, encoded)
        if place is None:
            continue
        for index in (support.grounding_chunk_indices or ())[:_MOST]:
            page = pages[index] if 0 <= index < len(pages) else None
            if page is not None and page.uri and len(made) < _MOST:
                made.append(UrlCitation(page.uri, page.title or "", *place))
    return made


def _supports(grounding: Sequence[Grounding]) -> Iterator[tuple[Support, list[Web]]]:
    for each in grounding:
        pages = list(_pages(each))
        for support in each.grounding_supports or ():
            yield support, pages


def _pages(grounding: Grounding) -> Iterator[Web]:
    for source in grounding.grounding_chunks or ():
        yield source.web or Web()


def _place(segment: Segment | None, text: str, encoded: bytes) -> tuple[int, int] | None:
    """The range in characters; the wire counts bytes of UTF-8."""
    if segment is None:
        return None
    first, last = segment.start_index, segment.end_index
    if 0 <= first < last <= len(encoded):
        start = len(encoded[:first].decode(errors="ignore"))
        end = len(encoded[:last].decode(errors="ignore"))
        if segment.text is None or text[start:end] == segment.text:
            return start, end
    if not segment.text:
        return None
    start = text.find(segment.text)
    return None if start < 0 else (start, start + len(segment.text))
