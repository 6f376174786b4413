"""Echo: answers by itself, for trying things out and for tests. No upstream, no credential.

It says the configured text, else the last user message, in the whole grammar of a Responses stream.
A token is four characters, rounded up: so it counts usage and obeys `max_output_tokens`.
"""

from sluicegate.providers.echo.connector import PROVIDER

__all__ = ["PROVIDER"]
