"""Silence is what an observer has seen of it, by its own clock."""

from __future__ import annotations

from pathlib import Path

from clsnorm.run_folder.watch import Watch

FILE = Path("lease/token")


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def looks(watch: Watch, clock: Clock, *steps: tuple[float, bytes]) -> list[float]:
    """Silence at each of some looks: seconds since the last one, and what the file holds."""
    found = []
    for seconds, content in steps:
        clock.now += seconds
        found.append(watch.silence(FILE, content, longest_gap=5))
    return found


def test_silence_adds_up_while_the_content_stays() -> None:
    clock = Clock()
    assert looks(Watch(clock), clock, (0, b"1"), (2, b"1"), (3, b"1")) == [0, 2, 5]


def test_a_heartbeat_ends_it() -> None:
    clock = Clock()
    assert looks(Watch(clock), clock, (0, b"1"), (4, b"1"), (1, b"2"), (1, b"2")) == [0, 4, 0, 1]


def test_a_long_gap_counts_little_since_the_observer_may_have_been_stopped_too() -> None:
    clock = Clock()
    assert looks(Watch(clock), clock, (0, b"1"), (3600, b"1"), (3600, b"1")) == [0, 5, 10]


def test_the_first_look_is_no_heartbeat_and_a_forgotten_lease_is_new() -> None:
    clock = Clock()
    watch = Watch(clock)
    assert not watch.has_beaten(FILE, b"1")
    looks(watch, clock, (0, b"1"), (4, b"1"))
    assert not watch.has_beaten(FILE, b"1")
    assert watch.has_beaten(FILE, b"2")
    assert watch.paths() == [FILE]
    watch.forget(FILE)
    assert watch.paths() == []
    assert looks(watch, clock, (4, b"1")) == [0]
