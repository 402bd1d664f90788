"""The list of logged numbers."""

from __future__ import annotations

from clsnorm.dashboard import KEYS, Key, key_of


def test_keys_do_not_shadow_each_other() -> None:
    for name in ("select/loss", "cls/start/z/centred_share", "grad/run/h_of_sum/p99", "grad/update_ratio/layer03/ffn"):
        found = key_of(name)
        assert found is not None
        assert found is next(key for key in KEYS if key.regex.fullmatch(name))
    assert key_of("grad/h/nonsense") is None


def test_the_pattern_of_a_key_covers_the_whole_name() -> None:
    key = Key("{split}/loss", "(select|report)/loss", "nats", "Mean loss.")
    assert key.regex.fullmatch("select/loss")
    assert not key.regex.fullmatch("last/select/loss")
    assert len({key.name for key in KEYS}) == len(KEYS)
