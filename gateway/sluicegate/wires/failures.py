"""What all dialects' errors have in common, in the words of the Responses API.

Two causes decide what is tried next, and no upstream but OpenAI has a code for both; so they are
read from the text, in the forms that services and model servers are known to use.
"""

from __future__ import annotations

import re

from sluicegate.model import ApiError

BAD_GATEWAY = 502
RATE_LIMIT = "rate_limit_exceeded"
CONTEXT_LENGTH = "context_length_exceeded"
CONTENT_POLICY = "content_policy_violation"
QUOTA = "insufficient_quota"
MODEL_NOT_FOUND = "model_not_found"
_MAX_MESSAGE = 2000
# Statuses of a request that is refused for what it holds (413: Groq; 422: FastAPI).
_REFUSED = frozenset({400, 413, 422})
# A limit of tokens a minute is in words of its own, and has status 429.
_TOO_LONG = re.compile(
    r"(?:prompt|inputs?|messages) (?:is|are) too long"  # Anthropic, Bedrock, Fireworks
    r"|(?:maximum|available|model'?s?|exceeds?(?: the)?) context"  # OpenAI, vLLM, llama.cpp
    r"|context[ _](?:length|window|size|limit)"
    r"|input token count.{0,60}(?:exceeds|only supports)"  # Gemini, Vertex AI
    r"|exceeds the maximum number of tokens"
    r"|input tokens exceed|number of input tokens exceeds"  # OpenAI, Bedrock (Nova)
    r"|too many (?:input )?tokens"  # Bedrock (Titan, Cohere)
    r"|maximum (?:prompt|model) length"  # xAI, vLLM
    r"|reduce the length of the (?:messages|prompt|input)"  # Groq, Cerebras
    r"|`?inputs`? (?:tokens \+|must have less than)"  # Text Generation Inference
    r"|exceeded model token limit",  # Moonshot
    re.IGNORECASE,
)
_PER_TIME = re.compile(r"per (?:min|minute|day)\b|\bTPM\b", re.IGNORECASE)
_AGAINST_POLICY = re.compile(
    r"content[ _-](?:filter(?:s|ing)?|management|polic(?:y|ies))"  # Anthropic, Azure, Bedrock
    r"|responsible ai (?:practices|polic)"  # Vertex AI, Bedrock
    r"|(?:violat\w+|against) (?:\w+[' ]s? ?){0,4}(?:usage|safety|content) (?:guideline|polic)"
    r"|our safety system"  # OpenAI
    r"|content exists risk"  # DeepSeek
    r"|inappropriate content"  # Alibaba
    r"|input was flagged",  # OpenRouter
    re.IGNORECASE,
)
_NOWHERE = re.compile(
    r"(?:(?:resource|page|route|path|method|endpoint|404 page) )?not found\W*"  # FastAPI, Azure
    r"|method not allowed\W*"
    r"|(?:invalid|unknown(?: request)?) url\b.*"  # OpenAI
    r"|no route matched\b.*",  # Kong
    re.IGNORECASE | re.DOTALL,
)
_MODEL = re.compile(r"\bmodel\b", re.IGNORECASE)
_POLICY_CODES = frozenset(
    {CONTENT_POLICY, "content_filter", "data_inspection_failed", "moderation_blocked"}
)


def cause(status: int, message: str, code: str | int | None = None) -> str | None:
    """CONTEXT_LENGTH or CONTENT_POLICY where that is why a request was refused.

    `code` is the upstream's own, where it has one.
    """
    if code == CONTEXT_LENGTH or code in _POLICY_CODES:
        return CONTEXT_LENGTH if code == CONTEXT_LENGTH else CONTENT_POLICY
    if status in _REFUSED and _TOO_LONG.search(message) and not _PER_TIME.search(message):
        return CONTEXT_LENGTH
    # xAI and OpenRouter refuse content with the status of a bad credential.
    if (status == 403 or status in _REFUSED) and _AGAINST_POLICY.search(message):
        return CONTENT_POLICY
    return None


def is_nowhere(status: int, message: str, code: str | int | None = None) -> bool:
    """Whether something answers that is not the API: it does not know the path, or the method.

    A wrong base URL, an ingress without a backend, a server without this API: never the client's
    mistake. `message` is empty where no error of the API could be read.
    """
    if status not in {404, 405}:
        return False
    if message:
        return _NOWHERE.fullmatch(message.strip()) is not None
    return code is None or str(code).isdecimal()


def nowhere_error(label: str, status: int) -> ApiError:
    """The address of a deployment is wrong: for its owner to mend."""
    return ApiError(
        BAD_GATEWAY,
        f"Deployment {label}: its address does not know the API (HTTP {status}); its base URL or "
        "its model may be wrong.",
        type="server_error",
        code="upstream_not_found",
        should_retry=False,
    )


def names_no_model(status: int, message: str) -> bool:
    """Whether an error without a code of use says that the upstream does not have the model."""
    return status == 404 and _MODEL.search(message) is not None


def quota_error(label: str, message: str) -> ApiError:
    """The account of a deployment is empty; `message` is the upstream's own, which may be empty."""
    return ApiError(
        429,
        message or f"The account of deployment {label} has no credit left.",
        type=QUOTA,
        code=QUOTA,
        should_retry=False,
    )


def error_type(status: int) -> str:
    """OpenAI's word for errors of a status."""
    if status == 429:
        return "rate_limit_error"
    return "invalid_request_error" if status < 500 else "server_error"


def credential_error(label: str, what: str) -> ApiError:
    """The deployment's credential is bad: the gateway's fault, and not for the client to mend.

    `what` is the upstream's own word for it, as in `HTTP 401`.
    """
    return ApiError(
        BAD_GATEWAY,
        f"The upstream refused the credential of deployment {label} ({what}).",
        type="server_error",
        code="upstream_credential",
        should_retry=False,
    )


def shown(message: str, secrets: tuple[str, ...]) -> str:
    """An upstream's text as clients may see it: empty where it repeats one of `secrets`."""
    return "" if any(secret and secret in message for secret in secrets) else message[:_MAX_MESSAGE]
