"""What a request may still take: of its key and its end user, and of each deployment it goes to.

A key and an end user are asked once for each request, a deployment (and there the calling
namespace) for each attempt. Where nothing is limited nothing is asked.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

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
from sluicegate.pricing import MINUTE, Steps, steps_of
from sluicegate.providers.contract import Connector
from sluicegate.routing.select import upstream_model
from sluicegate.routing.snapshot import Route, Target
from sluicegate.telemetry.logs import log

# Of one request; what says more can't be meant, and must not fill a counter.
_MOST_TOKENS = 1_000_000_000
_MOST_MONEY = 10**15  # nano-USD, a million dollars
_LONGEST_NAME = 64  # characters of a client's word that an error repeats


class Admission:
    """Of one request whose key is limited: what is reserved of the key and the end user.

    `headers` tell the client how it stands, `too_dear` are the ids of pools that were passed over.
    """

    __slots__ = ("_money", "_plan", "_reservations", "_subjects", "headers", "too_dear")

    def __init__(self, plan: Plan, subjects: tuple[Subject, ...]) -> None:
        self._plan = plan
        self._subjects = subjects
        self._reservations: list[Reservation] = []
        self._money = 0  # nano-USD that are reserved
        self.headers: tuple[Header, ...] = ()
        self.too_dear: list[str] = []

    async def begin(self) -> None:
        """Reserve what the request is expected to take. Raises ApiError (429, 503)."""
        plan = self._plan
        self._money = self._dearest(plan.route, plan.name)
        amount = Amount(1, _tokens(plan.account.expected), self._money)
        found = await _reserve(plan.gateway, self._subjects, amount)
        if isinstance(found, Refusal):
            raise _error(found)
        self._reservations.append(found)
        self.headers = rate_headers(found)

    async def follow(self, route: Route[Connector], name: str) -> ApiError | None:
        """Reserve what another pool, that has the model as `name`, is dearer by.

        Answers the error (429) where the budget does not allow it. Raises ApiError (503).
        """
        more = self._dearest(route, name) - self._money
        subjects = tuple(each for each in self._subjects if each.ceiling.money is not None)
        if more <= 0 or not subjects:
            return None
        found = await _reserve(self._plan.gateway, subjects, Amount(0, 0, more))
        if isinstance(found, Refusal):
            self.too_dear.append(route.pool.id)
            return _error(found)
        self._reservations.append(found)
        self._money += more
        return None

    def settle(self, tokens: int, money: int | None) -> None:
        """Count what was really used; None: not known, so what was reserved stands. Once."""
        limits = self._plan.gateway.limits
        for reservation in self._reservations:
            limits.settle(reservation, tokens, money)
            # What was reserved on top is money only, and is counted with the first.
            tokens, money = 0, None if money is None else 0

    def _dearest(self, route: Route[Connector], name: str) -> int:
        """By the dearest deployment that may be asked, in nano-USD; 0: no price is known."""
        if not _have_budgets(self._subjects):
            return 0
        plan = self._plan
        name = name if route.prefix is not None else ""
        minute = int(plan.gateway.clock()) // MINUTE
        return _dearest(_prices(route, name, plan.caller.namespace, minute), plan.account.expected)


def limited(caller: Caller) -> bool:
    """Whether a request of this caller has to be admitted."""
    key = caller.key
    return key is not None and (
        key.limits is not None or key.budget is not None or key.end_users is not None
    )


async def admit(plan: Plan) -> Admission:
    """Reserve what the request is expected to take of its key and its end user.

    Raises ApiError: 429 where it is too much, 400 where the key demands an end user, 503 where the
    store is away and nothing is to be served without it.
    """
    subjects = _subjects(plan)
    admission = Admission(plan, subjects)
    if subjects:
        await admission.begin()
    return admission


async def standing_headers(gateway: Gateway, caller: Caller) -> tuple[Header, ...]:
    """How a key stands, for an answer to a request that was not admitted."""
    if caller.key is None or caller.key.limits is None:
        return ()
    try:
        found = await gateway.limits.reserve(_of_key(caller), Amount(0))
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
    subjects = _of_deployment(plan.caller.namespace, target)
    if not subjects:
        return None
    tokens = _tokens(plan.account.expected)
    money = 0
    if _have_budgets(subjects):
        called = priced(target, upstream_model(plan.route, target, plan.name))
        steps = steps_of(called, int(plan.gateway.clock()) // MINUTE)
        money = _dearest((steps,), plan.account.expected) if steps is not None else 0
    return await _reserve(plan.gateway, subjects, Amount(1, tokens, money))


def settle(plan: Plan, admission: Admission | None) -> None:
    """Count what a request has really used, now that it is over."""
    usage, cost = plan.account.usage, plan.account.cost
    tokens = _tokens(usage)
    money = None if cost is None else min(nano_usd(cost), _MOST_MONEY)
    if admission is not None:
        admission.settle(tokens, money)
    if plan.held is not None:
        plan.gateway.limits.settle(plan.held, tokens, money)


async def _reserve(
    gateway: Gateway, subjects: tuple[Subject, ...], amount: Amount
) -> Reservation | Refusal:
    """Raises ApiError (503)."""
    limits = gateway.limits
    try:
        found = limits.reserve_now(subjects, amount) or await limits.reserve(subjects, amount)
    except StoreUnavailable as error:
        raise ApiError(
            503,
            "The store of limits can't be reached, and this gateway serves nothing limited "
            "without it.",
            type="server_error",
            code="limits_unavailable",
            retry_after=1.0,
        ) from error
    if isinstance(found, Refusal):
        gateway.tally.limit(found.subject.kind, found.kind, "refused")
    else:
        _warn(gateway, found)
    return found


def _error(refusal: Refusal) -> ApiError:
    error = refusal_error(refusal)
    error.headers = rate_headers(refusal)
    return error


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


def _subjects(plan: Plan) -> tuple[Subject, ...]:
    """The key and the end user, as far as they are limited. Raises ApiError (400)."""
    key = plan.caller.key
    subjects = _of_key(plan.caller)
    policy = key.end_users if key is not None else None
    if key is None or policy is None:
        return subjects
    user = end_user(plan.gateway, plan.headers, plan.request)
    if user is None:
        if policy.required:
            raise _nameless(plan.caller)
        return subjects
    ceiling = ceiling_of(policy.limits, policy.budget)
    if ceiling is None:
        return subjects
    label = f"{key.namespace}/{key.name}"
    words = f"end user {user[:_LONGEST_NAME]!r} of key {label}"
    # By the name in the ledger, so that a gateway that starts finds what they have spent.
    id_ = end_user_subject(label, plan.gateway.books.end_user(user) or "")
    return (*subjects, Subject(id_, ceiling, SubjectKind.END_USER, words))


@configured
def _of_key(caller: Caller) -> tuple[Subject, ...]:
    key = caller.key
    ceiling = ceiling_of(key.limits, key.budget) if key is not None else None
    if key is None or ceiling is None:
        return ()
    label = f"{key.namespace}/{key.name}"
    words = f"key {label} ({caller.key_id})"
    return (Subject(key_subject(label), ceiling, SubjectKind.KEY, words),)


@configured
def _of_deployment(caller: str, target: Target[Connector]) -> tuple[Subject, ...]:
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
    return tuple(found)


def _nameless(caller: Caller) -> ApiError:
    return ApiError(
        400,
        f"Key {caller.key_id} is for requests that say which end user they are for: send the "
        "header x-sluicegate-end-user, or safety_identifier, user or metadata.user_id in the body.",
        code="end_user_required",
        param="safety_identifier",
    )


# --- how much -------------------------------------------------------------------------------------


def _have_budgets(subjects: tuple[Subject, ...]) -> bool:
    return any(each.ceiling.money is not None for each in subjects)


def _tokens(usage: Usage) -> int:
    """Never below zero: an account takes no upstream's word for what can't be."""
    return min(usage.input_tokens + usage.output_tokens, _MOST_TOKENS)


@configured
def _prices(route: Route[Connector], name: str, namespace: str, minute: int) -> tuple[Steps, ...]:
    """Those of the deployments that `namespace` may be sent to, each once, where they are known."""
    found = (
        steps_of(priced(target, upstream_model(route, target, name)), minute)
        for tier in route.tiers
        for target in tier
        if target.admits(namespace)
    )
    return tuple(dict.fromkeys(steps for steps in found if steps is not None))


def _dearest(prices: Sequence[Steps], usage: Usage) -> int:
    """What it costs at most, in nano-USD; 0: no price is known."""
    most = 0
    for steps in prices:
        most = max(most, steps.expected_nano_usd(usage.input_tokens, usage.output_tokens))
    return min(most, _MOST_MONEY)
