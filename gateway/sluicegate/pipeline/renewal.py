"""A second look when an upstream refuses a credential: it may have been replaced just now."""

from __future__ import annotations

import asyncio
import math
from time import monotonic

from sluicegate.config import AmbientCredential
from sluicegate.pipeline.plan import AttemptFailed, Plan, with_other_credential
from sluicegate.providers.contract import Connector
from sluicegate.routing.snapshot import Target

_UNAUTHORIZED = 401


async def second_look(
    plan: Plan, target: Target[Connector], failure: AttemptFailed
) -> Target[Connector] | None:
    """The same deployment with another credential than the one that was refused, if there is one.

    What serves by now is looked at first, then what is published; the client's deadline bounds it.
    """
    if failure.status != _UNAUTHORIZED or isinstance(target.credential, AmbientCredential):
        return None
    renewed = with_other_credential(plan, target)
    if renewed is None:
        left = plan.deadline - monotonic()
        try:
            async with asyncio.timeout(left if left < math.inf else None):
                if await plan.gateway.look_again():
                    renewed = with_other_credential(plan, target)
        except TimeoutError:
            return None
    if renewed is None or not renewed.admits(plan.caller.namespace):
        return None
    return renewed
