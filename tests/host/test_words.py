"""Numbers in words."""

from __future__ import annotations

import pytest

from blondel.host.words import count, quantity


def test_counts_have_their_noun():
    assert [count(n, "frame") for n in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]


@pytest.mark.parametrize(("value", "shown"), [
    (0.05, "0.05 V"), (-1000, "-1000 V"), (9999.99, "9999.99 V"), (10_000, "10 kV"), (200_000, "200 kV"),
    (1e6, "1 MV"), (2.5e9, "2.5 GV"), (565.68542, "565.685 V"),
])  # fmt: skip
def test_quantities_have_no_exponent(value, shown):
    assert quantity(value, "V") == shown
