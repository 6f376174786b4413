"""The public port: paths, methods, and the models a key may see."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote

import msgspec

from sluicegate.auth.authenticate import Caller, may_call
from sluicegate.config import Pool
from sluicegate.model import ApiError
from sluicegate.pipeline.admission import standing_headers
from sluicegate.pipeline.exchange import ClientGone, Header
from sluicegate.pipeline.gateway import Gateway
from sluicegate.pipeline.live import Live
from sluicegate.pipeline.serve import error_headers, identify, request_id, serve
from sluicegate.server.exchange import HttpExchange
from sluicegate.server.health import Health
from sluicegate.telemetry.logs import LOGGER

# Headers that decide something here: two of one name would leave open which one counts.
_SINGLE = (
    "authorization",
    "api-key",
    "x-sluicegate-timeout",
    "x-sluicegate-tags",
    "x-sluicegate-cost",
)
_MODELS = "/models/"


@dataclass(slots=True)
class PublicPort:
    """Handles the requests of the public port."""

    gateway: Gateway
    health: Health

    async def handle(self, exchange: HttpExchange) -> None:
        """Answer one request; the root of its task, so nothing escapes but its cancellation."""
        if self.health.draining:
            exchange.keep_alive = False
        try:
            await self._dispatch(exchange)
        except ApiError as error:
            self._refuse(exchange, error)
        except ClientGone:
            exchange.abort()
        except Exception:  # noqa: BLE001 -- the task's root: one request's fault ends that request only
            LOGGER.exception("a request failed inside the gateway")
            if exchange.answered:
                exchange.abort()
            else:
                self._refuse(exchange, _internal_error())

    async def _dispatch(self, exchange: HttpExchange) -> None:
        path = _path(exchange.target).removeprefix("/v1")
        for name in exchange.repeated:
            if name in _SINGLE or name == self.gateway.end_user_header:
                raise ApiError(
                    400, f"The header {name} is sent more than once.", code="duplicate_header"
                )
        if path == "/responses":
            _allow(exchange, "POST")
            await serve(self.gateway, exchange)
        elif path == "/models":
            _allow(exchange, "GET", "HEAD")
            await self._models(exchange)
        elif path.startswith(_MODELS):
            _allow(exchange, "GET", "HEAD")
            await self._model(exchange, unquote(path[len(_MODELS) :]))
        elif path in ("/healthz", "/readyz"):
            _allow(exchange, "GET", "HEAD")
            status, body = (
                self.health.live() if path == "/healthz" else self.health.ready(detail=False)
            )
            exchange.send(status, (), msgspec.json.encode(body))
        else:
            raise ApiError(
                404,
                f"Unknown path {path[:200]!r}. This gateway serves /v1/responses and /v1/models.",
                code="unknown_url",
            )

    async def _models(self, exchange: HttpExchange) -> None:
        """The pools that the caller may use, by name. Raises ApiError (401)."""
        live = self.gateway.store.current
        caller = identify(self.gateway, live, exchange.headers)
        pools = {
            route.pool.model: route.pool
            for route in live.snapshot.visible(caller.namespace)
            if may_call(caller, route.pool.model)
        }
        data = [_model_object(live, model, pools[model]) for model in sorted(pools)]
        body = msgspec.json.encode({"object": "list", "data": data})
        exchange.send(200, (*_identified(), *await self._standing(caller)), body)

    async def _model(self, exchange: HttpExchange, model: str) -> None:
        """Any name that a request may ask for, as one below a prefix. Raises ApiError."""
        live = self.gateway.store.current
        caller = identify(self.gateway, live, exchange.headers)
        found = live.snapshot.resolve(caller.namespace, model)
        if found is None or not may_call(caller, found[0].pool.model):
            raise ApiError(
                404,
                f"The model '{model[:200]}' does not exist or your key does not have access to it.",
                code="model_not_found",
                param="model",
            )
        body = msgspec.json.encode(_model_object(live, model, found[0].pool))
        exchange.send(200, (*_identified(), *await self._standing(caller)), body)

    async def _standing(self, caller: Caller) -> tuple[Header, ...]:
        """What a limited key is told with every answer."""
        return await standing_headers(self.gateway, caller)

    def _refuse(self, exchange: HttpExchange, error: ApiError) -> None:
        self.gateway.tally.refuse(error.error.code or str(error.status))
        exchange.send(error.status, (*_identified(), *error_headers(error)), error.body())


def _path(target: str) -> str:
    """The path of a request target, which may be a whole URL (RFC 9112 section 3.2.2)."""
    path = target.partition("?")[0]
    if not path.startswith("/"):
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


def _model_object(live: Live, model: str, pool: Pool) -> dict[str, object]:
    """OpenAPI `Model`."""
    return {
        "id": model,
        "object": "model",
        "created": int(live.published_at),
        "owned_by": pool.namespace,
    }


def _identified() -> tuple[Header, ...]:
    return ((b"x-request-id", request_id().encode()),)


def _allow(exchange: HttpExchange, *methods: str) -> None:
    if exchange.method not in methods:
        raise ApiError(
            405,
            f"Method {exchange.method} is not allowed here: use {' or '.join(methods)}.",
            code="method_not_allowed",
            headers=((b"allow", ", ".join(methods).encode()),),
        )


def _internal_error() -> ApiError:
    return ApiError(
        500, "The gateway failed to serve this request.", type="server_error", code="server_error"
    )
