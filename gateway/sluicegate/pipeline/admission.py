"""What a request may still take: of its key and its end user, and of each deployment it goes to.

A key and an end user are asked once for each request, a deployment (and there the calling
namespace) for each attempt. Where nothing is limited nothing is asked.
"""

from __future__ import annotations

import logging

import msgspec

from sluicegate.auth.authenticate import Caller
from sluicegate.limits import (
    Amount,
    Refusal,
    Reservation,
    StoreUnavailable,
    Subject,
    SubjectKind,
    ceiling_of,
    nano_usd,
    rate_headers,
    refusal_error,
)
from sluicegate.limits.subjects import (
    deployment_subject,
    end_user_subject,
    key_subject,
    namespace_subject,
)
from sluicegate.model import ApiError, Usage
from sluicegate.pipeline.account import priced
from sluicegate.pipeline.asking import end_user
from sluicegate.pipeline.configured import configured
from sluicegate.pipeline.exchange import Header
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.plan import Plan
from sluicegate.pricing import MINUTE, Quotes, dearest_nano_usd, quotes_of, steps_of
from sluicegate.providers.contract import Connector
from sluicegate.routing.select import upstream_model
from sluicegate.routing.snapshot import Route, Target
from sluicegate.telemetry.logs import log

# Of one request; what says more can't be meant, and must not fill a counter.
_MOST_TOKENS = 1_000_000_000
_MOST_MONEY = 10**15  # nano-USD, a million dollars
_LONGEST_NAME = 64  # characters of a client's word that an error repeats


class _Asked(msgspec.Struct, frozen=True, gc=False):
    """Who is asked at once, and whether any of them has a budget, and one that only warns."""

    subjects: tuple[Subject, ...]
    budgets: bool
    warns: bool


class Admission(msgspec.Struct, gc=False):
    """Of one request whose key is limited: what is reserved of the key and the end user.

    `headers` tell the client how it stands, `too_dear` are the ids of pools that were passed over.
    """

    plan: Plan
    held: Reservation
    headers: tuple[Header, ...]
    more: tuple[Reservation, ...] = ()  # only money, for pools that are dearer
    too_dear: tuple[str, ...] = ()

    async def follow(self, route: Route[Connector], name: str) -> ApiError | None:
        """Reserve what another pool, that has the model as `name`, is dearer by.

        Answers the error (429) where the budget does not allow it. Raises ApiError (503).
        """
        plan, held = self.plan, self.held
        asked = _asked(tuple(each for each in held.subjects if each.ceiling.money is not None))
        if asked is None:
            return None
        reserved = held.amount.money + sum(each.amount.money for each in self.more)
        more = _dearest_of(plan, route, name, plan.account.expected) - reserved
        if more <= 0:
            return None
        gateway, amount = plan.gateway, Amount(0, 0, more)
        found = gateway.limits.reserve_now(asked.subjects, amount)
        found = found or await _shared(gateway, asked, amount)
        if isinstance(found, Refusal):
            self.too_dear += (route.pool.id,)
            return _refused(gateway, found)
        if asked.warns:
            _warn(gateway, found)
        self.more += (found,)
        return None


def limited(caller: Caller) -> bool:
    """Whether a request of this caller has to be admitted."""
    key = caller.key
    return key is not None and (
        key.limits is not None or key.budget is not None or key.end_users is not None
    )


async def admit(plan: Plan) -> Admission | None:
    """Reserve what the request is expected to take of its key and its end user.

    None: neither is limited. Raises ApiError: 429 where it is too much, 400 where the key demands
    an end user, 503 where the store is away and nothing is to be served without it.
    """
    asked = _of_caller(plan)
    if asked is None:
        return None
    gateway, expected = plan.gateway, plan.account.expected
    money = _dearest_of(plan, plan.route, plan.name, expected) if asked.budgets else 0
    amount = Amount(1, expected.input_tokens + expected.output_tokens, money)
    found = gateway.limits.reserve_now(asked.subjects, amount)
    found = found or await _shared(gateway, asked, amount)
    if isinstance(found, Refusal):
        raise _refused(gateway, found)
    if asked.warns:
        _warn(gateway, found)
    return Admission(plan, found, rate_headers(found))


async def standing_headers(gateway: Gateway, caller: Caller) -> tuple[Header, ...]:
    """How a key stands, for an answer to a request that was not admitted."""
    asked = _of_key(caller)
    if asked is None or caller.key is None or caller.key.limits is None:
        return ()
    try:
        found = await gateway.limits.reserve(asked.subjects, Amount(0))
    except StoreUnavailable:
        return ()
    return rate_headers(found)


def may_be_full(target: Target[Connector]) -> bool:
    """Whether an attempt at this deployment has to be admitted."""
    deployment = target.deployment
    return deployment.limits is not None or deployment.sharing.per_namespace is not None


async def admit_attempt(plan: Plan, target: Target[Connector]) -> Reservation | Refusal | None:
    """Reserve what the request is expected to take of a deployment; None: it is not limited.

    Raises ApiError (503) where the store is away and nothing is to be served without it.
    """
    asked = _of_deployment(plan.caller.namespace, target)
    if asked is None:
        return None
    expected, money = plan.account.expected, 0
    if asked.budgets:
        model = upstream_model(plan.route, target, plan.name)
        quotes = _quotes(target, model, int(plan.gateway.clock()) // MINUTE)
        money = dearest_nano_usd((quotes,), expected)
    amount = Amount(1, expected.input_tokens + expected.output_tokens, min(money, _MOST_MONEY))
    gateway = plan.gateway
    found = gateway.limits.reserve_now(asked.subjects, amount)
    found = found or await _shared(gateway, asked, amount)
    if isinstance(found, Refusal):
        _count(gateway, found)
    elif asked.warns:
        _warn(gateway, found)
    return found


def settle(plan: Plan, admission: Admission | None) -> None:
    """Count what a request has really used, now that it is over."""
    limits, usage, cost = plan.gateway.limits, plan.account.usage, plan.account.cost
    # Never below zero: an account takes no upstream's word for what can't be.
    tokens = min(usage.input_tokens + usage.output_tokens, _MOST_TOKENS)
    money = None if cost is None else min(nano_usd(cost), _MOST_MONEY)
    if admission is not None:
        limits.settle(admission.held, tokens, money)
        for each in admission.more:  # what was used of it is counted already
            limits.settle(each, 0, None if money is None else 0)
    if plan.held is not None:
        limits.settle(plan.held, tokens, money)


async def _shared(gateway: Gateway, asked: _Asked, amount: Amount) -> Reservation | Refusal:
    """What the store says that somebody has to wait for. Raises ApiError (503)."""
    try:
        return await gateway.limits.reserve(asked.subjects, amount)
    except StoreUnavailable as error:
        raise ApiError(
            503,
            "The store of limits can't be reached, and this gateway serves nothing limited "
            "without it.",
            type="server_error",
            code="limits_unavailable",
            retry_after=1.0,
        ) from error


def _refused(gateway: Gateway, refusal: Refusal) -> ApiError:
    """The error (429) that the client gets."""
    _count(gateway, refusal)
    error = refusal_error(refusal)
    error.headers = rate_headers(refusal)
    return error


def _count(gateway: Gateway, refusal: Refusal) -> None:
    gateway.tally.limit(refusal.subject.kind, refusal.kind, "refused")


def _warn(gateway: Gateway, reservation: Reservation) -> None:
    """Budgets that are exceeded and only warn: counted, and logged when it happens."""
    for at, subject in enumerate(reservation.subjects):
        if not subject.ceiling.warns:
            continue
        most, spent = subject.ceiling.money, reservation.standings[at].money
        if most is not None and spent > most:
            gateway.tally.limit(subject.kind, "budget", "warned")
            if spent - reservation.amount.money <= most:
                # Not the words: of an end user they are the client's own.
                log(logging.WARNING, "a budget is exceeded", {"subject": subject.id})


# --- who is asked ---------------------------------------------------------------------------------


def _asked(subjects: tuple[Subject, ...]) -> _Asked | None:
    """None: nobody is."""
    if not subjects:
        return None
    budgets = any(each.ceiling.money is not None for each in subjects)
    return _Asked(subjects, budgets, any(each.ceiling.warns for each in subjects))


def _of_caller(plan: Plan) -> _Asked | None:
    """The key and the end user, as far as they are limited. Raises ApiError (400)."""
    key, asked = plan.caller.key, _of_key(plan.caller)
    if key is None or key.end_users is None:
        return asked
    policy = key.end_users
    user = end_user(plan.gateway, plan.headers, plan.request)
    if user is None:
        if policy.required:
            raise _nameless(plan.caller)
        return asked
    ceiling = ceiling_of(policy.limits, policy.budget)
    if ceiling is None:
        return asked
    label = f"{key.namespace}/{key.name}"
    words = f"end user {user[:_LONGEST_NAME]!r} of key {label}"
    # By the name in the ledger, so that a gateway that starts finds what they have spent.
    id_ = end_user_subject(label, plan.gateway.books.end_user(user) or "")
    subject = Subject(id_, ceiling, SubjectKind.END_USER, words)
    return _asked((subject,) if asked is None else (*asked.subjects, subject))


@configured
def _of_key(caller: Caller) -> _Asked | None:
    key = caller.key
    ceiling = ceiling_of(key.limits, key.budget) if key is not None else None
    if key is None or ceiling is None:
        return None
    label = f"{key.namespace}/{key.name}"
    words = f"key {label} ({caller.key_id})"
    return _asked((Subject(key_subject(label), ceiling, SubjectKind.KEY, words),))


@configured
def _of_deployment(caller: str, target: Target[Connector]) -> _Asked | None:
    """The deployment, and the calling namespace where the owner has set it a ceiling."""
    deployment, label = target.deployment, target.label
    found: list[Subject] = []
    ceiling = ceiling_of(deployment.limits, None)
    if ceiling is not None:
        id_, words = deployment_subject(label), f"deployment {label}"
        found.append(Subject(id_, ceiling, SubjectKind.DEPLOYMENT, words))
    most = deployment.sharing.per_namespace
    if most is not None and caller != deployment.namespace:
        ceiling = ceiling_of(most.limits, most.budget)
        if ceiling is not None:
            words = f"namespace {caller} on deployment {label}"
            id_ = namespace_subject(caller, label)
            found.append(Subject(id_, ceiling, SubjectKind.NAMESPACE, words))
    return _asked(tuple(found))


def _nameless(caller: Caller) -> ApiError:
    return ApiError(
        400,
        f"Key {caller.key_id} is for requests that say which end user they are for: send the "
        "header x-sluicegate-end-user, or safety_identifier, user or metadata.user_id in the body.",
        code="end_user_required",
        param="safety_identifier",
    )


# --- how much -------------------------------------------------------------------------------------


def _dearest_of(plan: Plan, route: Route[Connector], name: str, expected: Usage) -> int:
    """By the dearest deployment of a pool that may be asked, which has the model as `name`."""
    name = name if route.prefix is not None else ""
    minute = int(plan.gateway.clock()) // MINUTE
    quotes = _all_quotes(route, name, plan.caller.namespace, minute)
    return min(dearest_nano_usd(quotes, expected), _MOST_MONEY)


@configured
def _all_quotes(
    route: Route[Connector], name: str, namespace: str, minute: int
) -> tuple[Quotes, ...]:
    """Those of the deployments that `namespace` may be sent to, each once."""
    found = (
        _quotes(target, upstream_model(route, target, name), minute)
        for tier in route.tiers
        for target in tier
        if target.admits(namespace)
    )
    return tuple(dict.fromkeys(found))


@configured
def _quotes(target: Target[Connector], model: str, minute: int) -> Quotes:
    """None of them where no price is known."""
    steps = steps_of(priced(target, model), minute)
    return () if steps is None else quotes_of(steps)
