"""What a person reads after a run."""

from __future__ import annotations

import pytest

from blondel.hdl.config import Line, MeterConfig
from blondel.host.report import energy, energy_unit, report
from blondel.sim.measure import ElementFigures, Figures

CONFIG = MeterConfig.for_model("MDNCT-2SC")
QUIET = {"voltage": [False, False], "reversed": [False, False], "overrange": [False, False],
         "no_load": [False, False], "queued": False, "lost_frames": 0}  # fmt: skip


def figures(elements, total, config=CONFIG, flags=QUIET, **changes) -> Figures:
    fields = {
        "config": config, "settle_frames": 131072, "frames": 480_000, "elements": tuple(elements), "total": total,
        "pulses": {10: 12, 100: 1, 1000: 0}, "counts": 1, "flags": flags, "engine": "both", "bit_exact": True,
        "real_time_factor": 12.34, "checked_frames": 480_000,
    }  # fmt: skip
    return Figures(**(fields | changes))


FIRST = ElementFigures(100.00012345, 0.0, 100.0, 1.2345)
SECOND = ElementFigures(0.0, 20.0, -20.000001, -0.05)
TOTAL = ElementFigures(100.00012345, 20.0, 79.999999, 1.5)


def test_energies_stand_in_aligned_columns():
    text = report(figures([FIRST, SECOND], TOTAL))
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if "delivered Wh" in line)
    table = lines[first : first + 4]
    assert len({len(line) for line in table}) == 1
    # Eight digits of the largest energy: 0.1 ppm.
    assert table[1].split() == ["element", "1", "100.00012", "0.00000", "100.00000", "+1.23"]
    assert table[2].split() == ["element", "2", "0.00000", "20.00000", "-20.00000", "-0.05"]
    assert table[3].split()[0] == "total"
    for column in ("delivered Wh", "received Wh", "true net Wh", "error ppm"):
        end = table[0].index(column) + len(column)
        assert all(line[end - 1] != " " and line[end : end + 1] in (" ", "") for line in table)


def test_the_rest_is_said():
    lines = report(figures([FIRST, SECOND], TOTAL)).splitlines()
    assert lines[0] == "MDNCT-2SC: 2 elements, 200 A, 108–132 V 60 Hz, 8000 samples/s, 24 bits"
    assert lines[1] == "60 s (480000 frames), after 16.384 s of settling"
    assert "pulses   Output 10: 12 × 10 Wh   Output 100: 1 × 100 Wh   Output 1000: 0 × 1000 Wh" in lines
    assert "counter  1 × 100 Wh" in lines
    assert "flags    none" in lines
    assert lines[-1] == "engines  golden model and RTL agree bit for bit in 480000 frames, 12.3 × real time"
    alone = report(figures([FIRST, SECOND], TOTAL, engine="rtl", bit_exact=False, checked_frames=0)).splitlines()
    assert alone[-1] == "engines  rtl engine alone, 12.3 × real time"
    fast = report(figures([FIRST, SECOND], TOTAL, real_time_factor=8612.3))
    assert fast.endswith(", 8610 × real time\n")


def test_one_is_not_many_and_large_ratings_have_no_exponent():
    config = MeterConfig(line=Line(50, 1_800_000, 2_200_000), class_amps=20_000, v_full_scale=5e6, pulse_wh=10**6,
                         counter_wh=10**7)  # fmt: skip
    lines = report(figures([FIRST], FIRST, config, settle_frames=0, frames=1, checked_frames=1)).splitlines()
    assert lines[0].startswith("Custom meter: 1 element, 20 kA, 1800000–2200000 V 50 Hz")
    assert "(1 frame), after 0 s" in lines[1]
    assert "bit for bit in 1 frame," in lines[-1]


def test_flags_are_named_with_their_elements():
    flags = QUIET | {"overrange": [False, True], "no_load": [True, True], "queued": True, "lost_frames": 3}
    text = report(figures([FIRST, SECOND], TOTAL, flags=flags))
    assert "flags    overrange (element 2), no-load (element 1, 2), queued, 3 lost frames" in text.splitlines()
    single = MeterConfig.for_model("MSNCT-1SC")
    flags = {"voltage": [True], "reversed": [False], "overrange": [False], "no_load": [False], "queued": False}
    assert "flags    voltage\n" in report(figures([FIRST], FIRST, single, flags))


def test_no_error_and_no_negative_zero():
    quiet = ElementFigures(0.0, 0.0, -1e-15, None)
    text = report(figures([quiet, quiet], quiet))
    assert "-0.0" not in text
    assert text.count("–") == 4  # 108–132 V, and three errors
    assert "-0.00" not in report(figures([FIRST, SECOND], ElementFigures(1.0, 0.0, 1.0, -0.001)))


@pytest.mark.parametrize(("wh", "unit"), [(0, "Wh"), (99_999, "Wh"), (100_001, "kWh"), (1e9, "MWh"), (1e20, "GWh")])
def test_large_energies_have_large_units(wh, unit):
    assert energy_unit(wh)[0] == unit


def test_constants_are_short():
    assert [energy(wh) for wh in (0.5, 10, 1000, 10_000, 1_000_000, 10_000_000)] == [
        "0.5 Wh", "10 Wh", "1000 Wh", "10 kWh", "1000 kWh", "10 MWh",
    ]  # fmt: skip
