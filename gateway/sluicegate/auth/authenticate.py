"""Who a caller is. Pure: the index of keys and the time are passed in.

The pipeline takes the credential out of the headers (`presented_key`), identifies the caller
(`authenticate`) and, once a pool is resolved, asks whether the caller may use it (`may_call`,
`model_refused`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass

from sluicegate.auth.keys import MAX_LENGTH, digest, is_mistyped, key_id
from sluicegate.auth.patterns import allows
from sluicegate.config import ClientKey, KeyDigest
from sluicegate.model import ApiError

ANONYMOUS_NAMESPACE = "default"

# How many keys are looked at between two chances for the event loop to serve requests.
_SLICE = 100
# The same, where they are only gathered.
_COMPARED = 500


@dataclass(frozen=True, slots=True, eq=False)
class Caller:
    """Who asks. `key` and `key_id` are None for a caller that is served without a key."""

    namespace: str
    key: ClientKey | None
    key_id: str | None


_ANONYMOUS = Caller(ANONYMOUS_NAMESPACE, None, None)


@dataclass(frozen=True, slots=True, eq=False)
class _Grant:
    """What one digest stands for, until the Unix time `until`: -inf where the key is revoked."""

    caller: Caller
    not_after: int | None
    until: float


class KeyIndex:
    """Every client key of a configuration, by the SHA-256 of the key. Immutable.

    A look-up takes the same time whatever key is presented: the key is hashed whole, and the table
    is asked for the hash. How a hash compares with the stored ones tells nothing of a key, because
    nobody can choose a key by its hash.
    """

    __slots__ = ("_grants", "_keys", "configured")

    def __init__(self, keys: Iterable[ClientKey] = ()) -> None:
        self._grants: dict[bytes, _Grant] = {}
        self._keys: list[ClientKey] = []
        self.configured = False  # whether there is any entry, be it one that admits nobody
        for key in keys:
            self._add(key, None)

    def __len__(self) -> int:
        return len(self._grants)

    def __repr__(self) -> str:
        return f"KeyIndex({len(self._grants)} keys)"

    def find(self, key_digest: bytes) -> _Grant | None:
        """What the key with this digest stands for."""
        return self._grants.get(key_digest)

    def _add(self, key: ClientKey, previous: KeyIndex | None) -> None:
        self.configured = True
        self._keys.append(key)
        for held in key.digests:
            digest_ = bytes.fromhex(held.digest)
            known = previous.find(digest_) if previous is not None else None
            grant = known if known is not None and known.caller.key is key else _grant(key, held)
            # Compile gives each digest to one key only; should it not, no key takes another's
            # place.
            self._grants.setdefault(digest_, grant)

    @classmethod
    def steps(
        cls, keys: Iterable[ClientKey], previous: KeyIndex | None = None
    ) -> Generator[None, None, KeyIndex]:
        """Make an index in slices: yields where the event loop may run, returns the index.

        Entries that are the same objects as in `previous` are taken over; where all are, `previous`
        is.
        """
        wanted: list[ClientKey] = []
        for count, key in enumerate(keys, 1):
            wanted.append(key)
            if count % _COMPARED == 0:
                yield
        if previous is not None and previous.is_made_of(wanted):
            return previous
        index = cls()
        for count, key in enumerate(wanted, 1):
            index._add(key, previous)
            if count % _SLICE == 0:
                yield
        return index

    def is_made_of(self, keys: list[ClientKey]) -> bool:
        """Whether these are the very objects that it was made of."""
        return len(keys) == len(self._keys) and all(map(operator.is_, keys, self._keys))


def _grant(key: ClientKey, held: KeyDigest) -> _Grant:
    ends = [end for end in (key.expires_at, held.not_after) if end is not None]
    return _Grant(
        caller=Caller(key.namespace, key, held.key_id),
        not_after=held.not_after,
        until=-math.inf if key.revoked else min(ends, default=math.inf),
    )


def presented_key(headers: Mapping[str, str]) -> str | None:
    """The key that a request carries.

    `Authorization: Bearer <key>` (RFC 6750, scheme in any case) comes first, else `api-key: <key>`,
    which is what clients made for Azure send. `headers` decides whether names have a case.
    """
    authorization = headers.get("authorization")
    if authorization is not None:
        scheme, _, key = authorization.strip().partition(" ")
        if scheme.lower() == "bearer":
            return key.strip() or None
    key = headers.get("api-key")
    return key.strip() or None if key is not None else None


def authenticate(
    index: KeyIndex, key: str | None, *, now: float, allow_anonymous: bool = False
) -> Caller:
    """The caller that presents `key` at the Unix time `now`.

    With `allow_anonymous`, callers without a key or with an unknown one are served as namespace
    `default`; a known key that is revoked or expired is refused all the same. Raises ApiError (401
    `invalid_api_key`).
    """
    # What is longer than any key is not hashed.
    grant = index.find(digest(key)) if key is not None and len(key) <= MAX_LENGTH else None
    if grant is not None:
        if now < grant.until:
            return grant.caller
        raise _refused(_why_ended(grant, now))
    if allow_anonymous:
        return _ANONYMOUS
    raise _refused(_why_unknown(index, key))


def may_call(caller: Caller, model: str) -> bool:
    """Whether the caller's key allows the pool with this public name."""
    return caller.key is None or allows(caller.key.models, model)


def model_refused(caller: Caller, model: str) -> ApiError:
    """The answer to a caller whose key does not allow `model`, as it was named in the request.

    OpenAI answers a project that has no access to a model the same way: 403 with `model_not_found`.
    """
    return ApiError(
        403,
        f"Key {caller.key_id} does not have access to model '{model}'.",
        code="model_not_found",
        param="model",
        should_retry=False,
    )


def _why_ended(grant: _Grant, now: float) -> str:
    key = grant.caller.key
    name = f"key {grant.caller.key_id}"
    if key is not None and key.revoked:
        return f"This API key has been revoked ({name})."
    if grant.not_after is not None and grant.not_after <= now:
        return f"This API key has been replaced by a newer one ({name})."
    return f"This API key has expired ({name})."


def _why_unknown(index: KeyIndex, key: str | None) -> str:
    if not index.configured:
        return (
            "No client key is configured: apply an ApiKey with spec.client, "
            "or start with --allow-anonymous."
        )
    if key is None:
        return "No API key was provided: send it as `Authorization: Bearer <key>`."
    if is_mistyped(key):
        return "Incorrect API key provided: its checksum is wrong, so it is mistyped or cut off."
    minted = key_id(key)
    return f"Incorrect API key provided{f' (key {minted})' if minted else ''}."


def _refused(message: str) -> ApiError:
    return ApiError(
        401,
        message,
        code="invalid_api_key",
        should_retry=False,
        headers=((b"www-authenticate", b"Bearer"),),
    )
