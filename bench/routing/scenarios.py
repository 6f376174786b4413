"""What strategies and settings are compared in; the trouble is in the middle third of a run."""

from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from bench.routing.gateways import Policy, Strategy
from bench.routing.upstreams import Phase, Profile, Trouble
from sluicegate.config import Cooldown

STRATEGIES: tuple[Strategy, ...] = ("Weighted", "LeastBusy", "LowestLatency", "LowestCost")
BAD = "bad"
START, END, SECONDS = 60.0, 120.0, 180.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """Upstreams and load. `per_second` is the rate of requests at a time."""

    name: str
    about: str
    profiles: tuple[Profile, ...]
    per_second: Callable[[float], float]
    seconds: float = SECONDS


def _steady(rate: float) -> Callable[[float], float]:
    return lambda _: rate


def _burst(low: float, high: float) -> Callable[[float], float]:
    return lambda now: high if START <= now < END else low


def _with_bad(*phases: Phase, others: int = 2) -> tuple[Profile, ...]:
    good = tuple(Profile(f"good{number}") for number in range(1, others + 1))
    return (*good, Profile(BAD, phases=phases))


def trouble(what: Trouble, amount: float = 1.0) -> Phase:
    """In the middle third of a run."""
    return Phase(what, START, END, amount)


def outage(rate: float = 30.0) -> Scenario:
    """One of three upstreams answers every request with 500."""
    return Scenario(
        "outage",
        "one of three answers 500",
        _with_bad(trouble(Trouble.ERRORS)),
        _steady(rate),
    )


def brownout(share: float) -> Scenario:
    """One of three upstreams fails a share of its requests."""
    return Scenario(
        f"brownout-{share:.0%}".rstrip("%"),
        f"one of three answers {share:.0%} with 500",
        _with_bad(trouble(Trouble.ERRORS, share)),
        _steady(30.0),
    )


def slow(factor: float = 8.0) -> Scenario:
    """One of three upstreams takes several times as long."""
    return Scenario(
        "slow",
        f"one of three takes {factor:g} times as long",
        _with_bad(trouble(Trouble.SLOW, factor)),
        _steady(30.0),
    )


def total_outage(rate: float = 30.0) -> Scenario:
    """Every upstream answers 500."""
    down = (trouble(Trouble.ERRORS),)
    return Scenario(
        f"total-outage-{rate:g}",
        f"all three answer 500, at {rate:g} requests/s",
        tuple(Profile(name, phases=down) for name in ("one", "two", BAD)),
        _steady(rate),
    )


SCENARIOS = (
    Scenario("steady", "three alike", _with_bad(), _steady(30.0)),
    Scenario(
        "unlike",
        "four with medians of 0.3, 0.5, 0.8 and 1.5 s; the quicker, the dearer",
        tuple(
            Profile(f"median{median}", median=median, usd=0.0005 / median)
            for median in (0.3, 0.5, 0.8, 1.5)
        ),
        _steady(30.0),
    ),
    outage(),
    Scenario(
        "refused",
        "one of three does not listen",
        _with_bad(trouble(Trouble.REFUSED)),
        _steady(30.0),
    ),
    Scenario(
        "hang",
        "one of three says nothing; firstByte is 10 s here",
        _with_bad(trouble(Trouble.HANGS)),
        _steady(30.0),
    ),
    brownout(0.3),
    slow(),
    Scenario(
        "limited",
        "two of three take 8/s, and say with 429 how long to wait; load from 15/s to 45/s",
        (
            Profile("large"),
            *(Profile(f"small{number}", per_second=8.0) for number in (1, 2)),
        ),
        _burst(15.0, 45.0),
    ),
    Scenario(
        "limited-mute",
        "the same, without Retry-After",
        (
            Profile("large"),
            *(Profile(f"small{number}", per_second=8.0, says_when=False) for number in (1, 2)),
        ),
        _burst(15.0, 45.0),
    ),
    Scenario(
        "capacity",
        "room for 20, 40 and 80 requests at once, equal weights; too little of it in the middle",
        tuple(Profile(f"room{room}", capacity=float(room)) for room in (20, 40, 80)),
        _burst(20.0, 36.0),
    ),
    total_outage(),
)


def by_name(name: str) -> Scenario:
    """One of SCENARIOS."""
    return next(each for each in SCENARIOS if each.name == name)


class Variant(msgspec.Struct, frozen=True):
    """A setting to be tried: what the manifests say, and constants of the routing modules."""

    label: str
    policy: Policy = Policy()
    constants: tuple[tuple[str, float], ...] = ()  # health.NAME or strategies.NAME


class Sweep(msgspec.Struct, frozen=True):
    """Settings that are compared in some scenarios, by some measures. `chosen` is the default."""

    title: str
    chosen: str
    measures: tuple[str, ...]
    scenarios: tuple[Scenario, ...]
    variants: tuple[Variant, ...]


def _brownout_of_all(share: float) -> Scenario:
    down = (trouble(Trouble.ERRORS, share),)
    return Scenario(
        f"all-{share:.0%}".rstrip("%"),
        f"all three answer {share:.0%} with 500",
        tuple(Profile(name, phases=down) for name in ("one", "two", BAD)),
        _steady(30.0),
    )


SWEEPS = (
    Sweep(
        "cooldown: failures in a row, and seconds",
        "3, 5 s",
        ("failed", "attempts", "at_bad", "back"),
        (outage(), by_name("hang"), brownout(0.1), brownout(0.3), _brownout_of_all(0.3)),
        tuple(
            Variant(
                f"{failures}, {duration} s",
                Policy(cooldown=Cooldown(failures=failures, duration=float(duration))),
            )
            for failures in (1, 3, 10)
            for duration in (1, 5, 30)
        ),
    ),
    Sweep(
        "timeouts.firstByte",
        "300 s",
        ("p99", "attempts", "at_bad"),
        (by_name("hang"), slow()),
        tuple(
            Variant(f"{seconds} s", Policy(first_byte=float(seconds)))
            for seconds in (2, 10, 60, 300)
        ),
    ),
    Sweep(
        "share of failures that takes a deployment out (WORST_SHARE)",
        "50 %",
        ("failed", "attempts", "at_bad"),
        (brownout(0.1), brownout(0.3), brownout(0.6), _brownout_of_all(0.3)),
        tuple(
            Variant(f"{share:.0%}".replace("%", " %"), constants=(("health.WORST_SHARE", share),))
            for share in (0.1, 0.25, 0.5, 0.75)
        ),
    ),
    Sweep(
        "retry budget: share of the requests (RETRY_SHARE)",
        "20 %",
        ("failed", "attempts"),
        (total_outage(), total_outage(100.0), _brownout_of_all(0.3), _brownout_of_all(0.6)),
        tuple(
            Variant(f"{share:.0%}".replace("%", " %"), constants=(("health.RETRY_SHARE", share),))
            for share in (0.0, 0.1, 0.2, 0.5, 10.0)
        ),
    ),
    Sweep(
        "LowestLatency: seconds until a latency is old (STALE), share that explores (EXPLORED)",
        "5 s, 1 %",
        ("p50", "p99", "at_bad", "back"),
        (by_name("steady"), by_name("unlike"), slow()),
        tuple(
            Variant(
                f"{stale} s, {explored:.1%}".replace(".0%", "%").replace("%", " %"),
                Policy(strategy="LowestLatency"),
                (("strategies.STALE", float(stale)), ("strategies.EXPLORED", explored)),
            )
            for stale in (1, 5, 20)
            for explored in (0.002, 0.01, 0.05)
        ),
    ),
)
