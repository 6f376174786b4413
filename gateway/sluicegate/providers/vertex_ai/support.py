"""What Vertex AI makes of each part of a request, where it differs from the publisher's own API."""

from __future__ import annotations

from types import MappingProxyType

from sluicegate.api.support import Row, Support, SupportTable
from sluicegate.wires import anthropic_messages, gemini_content

SUPPORT: SupportTable = MappingProxyType(
    {
        **gemini_content.SUPPORT,
        "service_tier": Row(
            Support.MAPPED,
            "flex, priority: by headers; default: nothing is sent; others unsupported",
        ),
    }
)
CONTENT_SUPPORT: SupportTable = MappingProxyType(
    {
        **gemini_content.CONTENT_SUPPORT,
        "input_image.url": Row(Support.NATIVE, "every model"),
        "input_file.url": Row(Support.NATIVE, "every model"),
        "tools.web_search": Row(
            Support.NATIVE,
            "`googleSearch`, with `blocked_domains`; not beside functions before 3, with "
            "`allowed_domains`, with `external_web_access: false`, or beside a function of that "
            "name",
        ),
    }
)
ANTHROPIC_SUPPORT: SupportTable = anthropic_messages.SUPPORT
ANTHROPIC_CONTENT_SUPPORT: SupportTable = MappingProxyType(
    {
        **anthropic_messages.CONTENT_SUPPORT,
        "message.system": Row(Support.NATIVE, "`system`, wherever they stood"),
        "input_image.url": Row(Support.REFUSED),
        "input_file.url": Row(Support.REFUSED),
    }
)
