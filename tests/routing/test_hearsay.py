"""What other gateways' words do to a deployment, on clocks that tests set."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.config import Cooldown
from sluicegate.routing.attempts import Outcome
from sluicegate.routing.health import (
    CHOSEN_FOR,
    DOUBTED_FOR,
    LONGEST_EJECTION,
    LONGEST_WAIT,
    WINDOW,
    DeploymentState,
)
from sluicegate.routing.hearsay import PROBED_FOR, Word, hear, read_word, word_of

THRICE = Cooldown(failures=3, duration=5.0)
ERROR = Outcome.SERVER_ERROR
OUT = Word(out=True, seconds=5.0, cause=ERROR)
BACK = Word(out=False)
GRACE = 0.3
TRAVEL = 0.002  # seconds from one gateway to another


@dataclass
class Gateway:
    """One of several, whose clock is `ahead` of the test's."""

    ahead: float = 0.0
    news: list[None] = field(default_factory=list[None])
    state: DeploymentState = field(init=False)

    def __post_init__(self) -> None:
        self.state = DeploymentState(lambda: self.news.append(None))

    def fail(self, now: float, outcome: Outcome = ERROR, wait: float | None = None) -> None:
        now += self.ahead
        self.state.begin(now, streamed=True)
        self.state.failed(now, now, THRICE, outcome, wait=wait)
        self.state.end(now, streamed=True, answered=False)

    def succeed(self, now: float) -> None:
        now += self.ahead
        self.state.begin(now, streamed=True)
        self.state.answered(now, now, streamed=True)
        self.state.succeeded(now, now)
        self.state.end(now, streamed=True, answered=True)

    def eject(self, now: float) -> None:
        for _ in range(THRICE.failures):
            self.fail(now)
        assert self.state.out

    def tell(self, now: float, *others: Gateway) -> None:
        """What it has found out, if anything, to all others."""
        if self.news:
            self.news.clear()
            word = read_word(as_read(word_of(self.state, now + self.ahead)))
            assert word is not None
            for other in others:
                other.hear(now + TRAVEL, word)

    def hear(self, now: float, word: Word, age: float = 0.0) -> None:
        hear(self.state, now + self.ahead, word, THRICE, age=age, grace=GRACE)

    def due(self, now: float) -> bool:
        return self.state.due(now + self.ahead)


def as_read(word: Word) -> dict[bytes, bytes]:
    return {name.encode(): value.encode() for name, value in word.fields().items()}


def three() -> tuple[Gateway, Gateway, Gateway]:
    return Gateway(), Gateway(ahead=-5000.0), Gateway(ahead=1e6)


def test_what_one_ejects_is_out_for_all_and_the_one_probes_first() -> None:
    one, other, third = three()
    one.eject(0.0)
    one.tell(0.0, other, third)
    assert other.state.out
    assert third.state.out
    assert [each.due(5.01) for each in (one, other, third)] == [True, False, False]
    # Is there no traffic at that one, another does.
    assert other.due(5.0 + GRACE + 2 * TRAVEL)
    assert not other.news  # hearsay is not passed on


def test_a_probe_is_known_to_the_others_and_so_is_its_end() -> None:
    one, other, third = three()
    one.eject(0.0)
    one.tell(0.0, other, third)
    one.state.begin(6.0, streamed=True)
    one.tell(6.0, other, third)
    assert not other.due(7.0)
    one.state.end(6.0, streamed=True, answered=False)  # its client has left
    one.tell(7.0, other, third)
    assert other.due(7.1)
    other.succeed(7.1)
    other.tell(7.1, one, third)
    assert not one.state.out
    assert not third.state.out


def test_a_prober_of_which_nothing_more_is_heard_is_waited_for_no_longer() -> None:
    one, other, _ = three()
    one.eject(0.0)
    one.tell(0.0, other)
    one.state.begin(6.0, streamed=True)
    one.tell(6.0, other)
    assert not other.due(5.9 + PROBED_FOR)
    assert other.due(6.1 + PROBED_FOR)


def test_a_probe_that_fails_lengthens_it_for_all() -> None:
    one, other, third = three()
    one.eject(0.0)
    now = 0.0
    for seconds in (10.0, 20.0, 40.0):
        one.tell(now, other, third)
        now = one.state.until
        one.fail(now)
        one.tell(now, other, third)
        for each in (other, third):
            left = each.state.until - now - each.ahead
            assert left == pytest.approx(seconds + GRACE + TRAVEL, abs=0.01)


def test_two_that_find_out_at_once_count_it_once() -> None:
    one, other, _ = three()
    one.eject(0.0)
    other.eject(0.001)
    one.tell(0.001, other)
    other.tell(0.001, one)
    for each in (one, other):
        assert each.state.ejections == 1
        assert each.state.until == pytest.approx(5.0 + each.ahead, abs=0.01)


def test_who_comes_later_gets_what_is_left_of_it() -> None:
    late = Gateway()
    late.hear(100.0, OUT, age=3.0)
    assert (late.state.out, late.state.until) == (True, pytest.approx(102.0 + GRACE))
    later = Gateway()
    later.hear(100.0, OUT, age=30.0)
    assert later.due(100.0 + GRACE)


def test_a_wait_that_was_asked_for_is_kept_by_all() -> None:
    one, other, _ = three()
    one.fail(0.0, Outcome.RATE_LIMITED, wait=30.0)
    one.tell(0.0, other)
    assert not other.due(30.0)
    assert other.due(31.0)


def test_who_is_answered_by_it_doubts_that_it_is_out() -> None:
    gateway = Gateway()
    gateway.hear(0.0, OUT)
    gateway.succeed(1.0)  # as a last resort
    gateway.hear(1.1, OUT)
    assert not gateway.state.out
    gateway.eject(2.0)  # its own attempts count all the same
    gateway.hear(2.1, BACK)
    assert gateway.state.out
    gateway.hear(1.0 + DOUBTED_FOR, BACK)
    assert not gateway.state.out


def test_a_gateway_that_alone_cannot_reach_it_takes_it_from_the_others_for_a_minute_at_most() -> (
    None
):
    """And a few seconds now and then; nor do they bring it back for that one again and again."""
    broken, sound, _ = three()
    lost = 0.0
    out_since: float | None = None
    for step in range(6000):
        now = step / 10
        if not broken.state.out or broken.due(now):
            broken.fail(now, Outcome.CONNECT)
        broken.tell(now, sound)
        if not sound.state.out or sound.due(now):
            sound.succeed(now)
        sound.tell(now, broken)
        if sound.state.out and out_since is None:
            out_since = now
        elif not sound.state.out and out_since is not None:
            lost, out_since = lost + now - out_since, None
    assert lost < LONGEST_EJECTION + 600 / DOUBTED_FOR * (THRICE.duration + 1)
    assert broken.state.out
    assert broken.state.ejections > 3


def test_a_rate_limit_that_follows_a_return_is_no_reason_to_doubt() -> None:
    gateway = Gateway()
    gateway.eject(0.0)
    gateway.hear(6.0, BACK)
    gateway.fail(7.0, Outcome.RATE_LIMITED, wait=2.0)
    gateway.hear(8.0, BACK)
    assert not gateway.state.out


def test_a_failure_that_follows_a_return_is() -> None:
    gateway = Gateway()
    gateway.eject(0.0)
    gateway.hear(6.0, BACK)
    gateway.eject(6.0 + WINDOW / 2)
    gateway.hear(12.0, BACK)
    assert gateway.state.out


def test_a_probe_that_was_chosen_holds_off_others_for_a_moment() -> None:
    gateway = Gateway()
    gateway.eject(0.0)
    gateway.state.chosen(5.0)
    assert not gateway.due(5.5)
    assert gateway.due(5.0 + CHOSEN_FOR)
    gateway.state.chosen(7.0)
    gateway.state.begin(7.1, streamed=True)
    gateway.state.end(7.1, streamed=True, answered=False)
    assert gateway.due(7.2)


causes = st.sampled_from([each for each in Outcome if each.blames])
words = st.builds(
    Word,
    out=st.just(value=True),
    seconds=st.floats(0, 1e9),
    cause=causes,
    probing=st.booleans(),
) | st.just(BACK)


@given(words)
def test_what_is_written_is_read(word: Word) -> None:
    found = read_word(as_read(word))
    assert found is not None
    assert found._replace(seconds=0) == word._replace(seconds=0)
    assert found.seconds == pytest.approx(word.seconds, abs=0.001)


names = st.sampled_from([b"state", b"seconds", b"cause", b"probing"])
values = st.sampled_from(
    [b"cooldown", b"ok", b"nan", b"-1", b"inf", b"1e400", b"", b"server_error"]
)


@given(st.dictionaries(names, values | st.binary(max_size=40)))
def test_whatever_is_read_is_a_sound_word_or_none(fields: dict[bytes, bytes]) -> None:
    word = read_word(fields)
    assert word is None or not word.out or (0 <= word.seconds < math.inf and word.cause.blames)


# Another's words: seconds since the one before, the word, its age.
SPOKEN = st.lists(st.tuples(st.floats(0, 30), words, st.floats(0, 400)), max_size=80)
# On words alone: they are heeded for so long, and each adds at most this.
MOST = LONGEST_EJECTION + LONGEST_WAIT + LONGEST_EJECTION + PROBED_FOR + GRACE + 1.0


@given(SPOKEN)
def test_words_alone_never_keep_a_deployment_from_its_probe_for_good(
    spoken: list[tuple[float, Word, float]],
) -> None:
    """Whatever is said, a request probes it in time, and where it is answered that counts."""
    gateway, now = Gateway(), 0.0
    out_since = math.inf
    for pause, word, age in spoken:
        now += pause
        if gateway.state.out and gateway.due(now):
            gateway.succeed(now)
            doubted = gateway.state.hearsay.doubted_until
            assert doubted == now + DOUBTED_FOR
            gateway.hear(now, word, age)
            assert not gateway.state.out
        gateway.hear(now, word, age)
        out_since = min(out_since, now) if gateway.state.out else math.inf
        assert now - out_since <= MOST
        assert gateway.due(now + MOST) is gateway.state.out
        assert not gateway.state.probing


@given(SPOKEN, st.floats(-1e4, 1e4))
def test_clocks_that_differ_make_no_difference(
    spoken: list[tuple[float, Word, float]], ahead: float
) -> None:
    here, there, now = Gateway(), Gateway(ahead=ahead), 0.0
    for pause, word, age in spoken:
        now += pause
        for each in (here, there):
            each.hear(now, word, age)
        assert here.state.out == there.state.out or not pause
