"""Limits and test points of the standards, as data; each test says where they come from.

Currents are parts of the class amps: for IEC 62053-22 the rated current In is the class amps, which the CT turns into
0.1 A, and Imax is 1.1 In, the data sheet's 110 mA; for ANSI C12.20 the test amps (TA) are 0.15 of the class amps (15 A
of 100 A, 30 A of 200 A). Both are the project's reading of standards that know no meter of this kind.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from blondel.sim.calibrate import TEST_FRACTION
from blondel.sim.standards.results import Provenance
from blondel.sim.standards.stimulus import REFERENCE_C

__all__ = ["ANSI", "CLASSES", "IEC", "I_MAX", "Condition", "Standard", "TestSpec", "standard_of"]

#: The data sheet's most current as a part of the class amps: 110 mA secondary.
I_MAX = 1.1


@dataclass(frozen=True, kw_only=True)
class Condition:
    """One point of a test: how it departs from the reference condition, and its limits.

    Parameters
    ----------
    amps : float
        Current of every element, as a part of the class amps.
    limit : mapping of str to float, or None
        By accuracy class, in %: the value has to be within ± this; ``None``: for information.
    factor : str
        Power factor. Default 1.
    volts, hertz : float
        As parts of the nominal. Default 1.
    temperature_c : float
        In °C. Default 23.
    waveform : str
        One of :data:`blondel.sim.standards.waveforms.WAVEFORMS`. Default ``sine``.
    lead_ft : float
        By how much the CTs' leads are extended, in feet. Default 0.
    dc : float
        DC at the converter's inputs, all channels, as a part of full scale. Default 0.
    at_terminals : bool
        Whether the current goes into the meter's CT terminals, past the CT. Default false.
    """

    amps: float
    limit: Mapping[str, float] | None
    factor: str = "1"
    volts: float = 1.0
    hertz: float = 1.0
    temperature_c: float = REFERENCE_C
    waveform: str = "sine"
    lead_ft: float = 0.0
    dc: float = 0.0
    at_terminals: bool = False

    def reference(self) -> Condition:
        """Return the same load at the reference condition; current past the CTs stays so, for these have an error."""
        return Condition(amps=self.amps, limit=None, factor=self.factor, at_terminals=self.at_terminals)


@dataclass(frozen=True)
class TestSpec:
    """A test as the standard has it.

    Parameters
    ----------
    key, title, text : str
        As :class:`~blondel.sim.standards.results.TestResult`'s.
    provenance : Provenance
        Of points and limits.
    kind : str
        What is judged: ``error``; ``change`` of the error from the same load at the reference condition; ``elements``:
        each element's error with current in it alone, and its difference to the first one's; ``no_load``; ``pulses``.
    conditions : tuple of Condition
        The points.
    quick : tuple of int or None
        Indices of those that the short plan has; ``None``: all. Default ``None``.
    solid_core : bool
        Whether this is claimed with solid-core CTs alone: for information with split-core ones. Default false.
    """

    __test__ = False  # for pytest: no test of its own

    key: str
    title: str
    text: str
    provenance: Provenance
    kind: str
    conditions: tuple[Condition, ...]
    quick: tuple[int, ...] | None = None
    solid_core: bool = False


@dataclass(frozen=True)
class Standard:
    """A standard: its classes and its tests.

    Parameters
    ----------
    name : str
        Such as ``ANSI C12.20``.
    classes : tuple of str
        Accuracy classes.
    tests : tuple of TestSpec
        In the order of the report.
    """

    name: str
    classes: tuple[str, ...]
    tests: tuple[TestSpec, ...] = field(default=())


def _iec(s02: float, s05: float) -> dict[str, float]:
    return {"0.2S": s02, "0.5S": s05}


def _ansi(c01: float, c02: float, c05: float) -> dict[str, float]:
    return {"0.1": c01, "0.2": c02, "0.5": c05}


#: The classes, and each one's own number as a limit.
CLASSES: dict[str, float] = {"0.1": 0.1, "0.2": 0.2, "0.5": 0.5, "0.2S": 0.2, "0.5S": 0.5}
#: What is claimed beyond the class.
_CLAIM = dict.fromkeys(CLASSES, 0.1)
_TENTH = {name: limit / 10 for name, limit in CLASSES.items()}
_STARTING = {name: 4 * limit for name, limit in CLASSES.items()}

_IEC_TABLE = (
    "the clause is in the table of contents of BS EN IEC 62053-22:2021 (seen: "
    "https://secure.madcad.com/library/331872/toc), its text was not seen"
)


def _memory(text: str) -> Provenance:
    return Provenance("memory", text)


def _own(text: str) -> Provenance:
    return Provenance("own", text)


def _points(amps: tuple[float, ...], limit: Mapping[str, float] | None, **changes: object) -> tuple[Condition, ...]:
    return tuple(Condition(amps=each, limit=limit, **changes) for each in amps)


def _waveform_test(
    key: str, title: str, text: str, provenance: Provenance, amps: float, limit: Mapping[str, float], *names: str
) -> TestSpec:
    return TestSpec(
        key,
        title,
        text,
        provenance,
        "change",
        tuple(Condition(amps=amps, limit=limit, waveform=name) for name in names),
    )


_SEEN_TALK = (
    "seen: https://www.slideshare.net/tescometering/21st-century-power-measurements, which says that C12.20-2015 has "
    "harmonic tests, without their limits"
)


def _distortion(
    harmonics: tuple[Mapping[str, float], Provenance], sub_harmonics: tuple[Mapping[str, float], Provenance]
) -> tuple[TestSpec, ...]:
    """Return the tests with waveforms that are no sines; limits and provenance of two of them differ by standard."""
    return (
        _waveform_test(
            "harmonics",
            "Harmonics in voltage and current",
            "Fifth harmonic, 10 % of the voltage and 40 % of the current; a meter of the fundamental alone would read "
            "−3.85 %.",
            harmonics[1],
            I_MAX / 2,
            harmonics[0],
            "fifth",
        ),
        _waveform_test(
            "phase_fired",
            "Odd harmonics",
            "90° phase-fired current.",
            _own(
                "limit: the class. IEC 62053-21 has this test for direct connected meters, with wider limits, and ANSI "
                f"C12.20-2015 has it, both from memory; {_SEEN_TALK}"
            ),
            0.5,
            CLASSES,
            "phase_fired",
        ),
        _waveform_test(
            "waveforms",
            "Distorted waveforms",
            "Quadriform, peaked, pulse and multiple zero crossing.",
            _own(
                f"limit: the class. OIML R 46 and ANSI C12.20-2015 have tests of these names, from memory; {_SEEN_TALK}"
            ),
            0.25,
            CLASSES,
            "quadriform",
            "peaked",
            "pulse",
            "zero_crossings_v",
            "zero_crossings_i",
        ),
        TestSpec(
            "half_wave",
            "DC and even harmonics",
            "Half-wave rectified current into the meter's CT terminals, past the CT, whose core such a current "
            "saturates; through the CT for information.",
            _own("limit: the class. IEC 62053-21 has this test, from memory, for direct connected meters without CTs"),
            "change",
            (
                Condition(amps=0.5, limit=CLASSES, waveform="half_wave", at_terminals=True),
                Condition(amps=0.5, limit=None, waveform="half_wave"),
            ),
        ),
        _waveform_test(
            "sub_harmonics",
            "Sub-harmonics",
            "Burst-fired current, two cycles on, two off.",
            sub_harmonics[1],
            0.5,
            sub_harmonics[0],
            "burst",
        ),
    )


#: The tests that both standards' plans have: the data sheet's, and the project's own.
_DATA_SHEET = (
    TestSpec(
        "data_sheet_temperature",
        "Class over the temperature range",
        "Error at the ends of the data sheet's range, −20 and 50 °C, calibrated at 23 °C; at −30 and 70 °C, where the "
        "meter operates, for information.",
        _own("data sheet: class 0.5 with solid-core CTs from −20 to 50 °C; operates from −30 to 70 °C"),
        "error",
        tuple(
            Condition(amps=amps, factor=factor, temperature_c=celsius, limit=limit)
            for celsius, limit in ((-20.0, CLASSES), (50.0, CLASSES), (-30.0, None), (70.0, None))
            for amps, factor in ((TEST_FRACTION, "1"), (1.0, "0.5lag"))
        ),
        quick=(0, 1, 2, 3),
        solid_core=True,
    ),
    TestSpec(
        "leading",
        "Leading power factor",
        "Error at the data sheet's 0.866 leading, and at the IEC's 0.8.",
        _own("data sheet: power factor 0.5 lagging to 0.866 leading; limits: 1.2 times the class"),
        "error",
        tuple(
            condition
            for factor in ("0.866lead", "0.8lead")
            for condition in _points(
                (0.1, 1.0), {name: 1.2 * limit for name, limit in CLASSES.items()}, factor=factor
            )
        ),
    ),
    TestSpec(
        "wide_range",
        "0.1 % over 10,000:1",
        "Error at power factors 1 and 0.5 lagging from the class amps down to a ten-thousandth, at 23 °C.",
        _own("the project's claim, whatever the class: 0.1 % over 10,000:1, with solid-core CTs"),
        "error",
        _points((1e-4, 1e-3, 1e-2, 0.1, 1.0), _CLAIM) + _points((1e-4, 1e-3, 1e-2, 0.1, 1.0), _CLAIM, factor="0.5lag"),
        quick=(2, 3, 4, 7, 8, 9),
        solid_core=True,
    ),
    TestSpec(
        "dc_at_converter",
        "DC at the converter",
        "1 % of full scale of DC on every channel, voltage and current alike, as a converter's offsets; an error if "
        "the meter multiplied them. The change is judged.",
        _own("limit: a tenth of the class, for the change"),
        "change",
        _points((TEST_FRACTION,), _TENTH, dc=0.01),
    ),
    TestSpec(
        "lead_extension",
        "CT lead extension",
        "Change of the error where the CTs' leads are extended after the calibration.",
        _own("data sheet: leads may be extended to 500 ft, which may cost accuracy; for information"),
        "change",
        tuple(
            Condition(amps=TEST_FRACTION, factor=factor, lead_ft=feet, limit=None)
            for factor in ("1", "0.5lag")
            for feet in (50.0, 100.0, 250.0, 500.0)
        ),
        quick=(3, 7),
    ),
    TestSpec(
        "pulses",
        "Pulse output",
        "Each pulse of Output 10, from its edge and the one before: the mean of their true energy against Kh "
        "(constant), the standard deviation of a pulse (repeatability), and the registers' energy against the pulses "
        "(in pulses). The delay of filters and core, some frames, is taken off.",
        _own(
            "limits: the class for the constant, a tenth of it for the standard deviation, one pulse for the registers"
        ),
        "pulses",
        (Condition(amps=TEST_FRACTION, limit=CLASSES),),
    ),
)

_C12_MEMORY = _memory(
    "ANSI C12.20-2010 and -2015, tables of load performance, power factor, voltage and frequency, whose text was not "
    "seen; class 0.1 as half of class 0.2"
)


def _temperatures(amps: float, unity: Mapping[str, float], half: Mapping[str, float]) -> tuple[Condition, ...]:
    """Return the points of a temperature test, from the coefficients, in %/K, at power factors 1 and 0.5."""
    return tuple(
        Condition(
            amps=amps,
            factor=factor,
            temperature_c=celsius,
            limit={name: each * abs(celsius - REFERENCE_C) for name, each in coefficient.items()},
        )
        for celsius in (-20.0, 0.0, 40.0, 50.0)
        for factor, coefficient in (("1", unity), ("0.5lag", half))
    )


def _no_load(provenance: Provenance) -> TestSpec:
    return TestSpec(
        "no_load",
        "No load",
        "115 % of the nominal voltage, current circuits open: at most one pulse of the test output, and no movement of "
        "any register.",
        provenance,
        "no_load",
        (Condition(amps=0.0, volts=1.15, limit=None),),
    )


IEC = Standard(
    "IEC 62053-22",
    ("0.2S", "0.5S"),
    (
        TestSpec(
            "load_performance",
            "Variation of the current",
            "Error from 1 % of the rated current to the most, at power factor 1.",
            _memory(f"IEC 62053-22:2020, 7.9, table 3; {_IEC_TABLE}"),
            "error",
            _points((0.01, 0.02), _iec(0.4, 1.0)) + _points((0.05, 0.1, 0.2, 0.5, 1.0, I_MAX), _iec(0.2, 0.5)),
            quick=(0, 2, 5, 7),
        ),
        TestSpec(
            "power_factor",
            "Variation of the power factor",
            "Error from 2 % of the rated current to the most, at power factors 0.5 lagging and 0.8 leading.",
            _memory(f"IEC 62053-22:2020, 7.9, table 3; {_IEC_TABLE}"),
            "error",
            tuple(
                Condition(amps=amps, factor=factor, limit=limit)
                for factor in ("0.5lag", "0.8lead")
                for amps, limit in (
                    (0.02, _iec(0.5, 1.0)), (0.05, _iec(0.5, 1.0)), (0.1, _iec(0.3, 0.6)), (0.5, _iec(0.3, 0.6)),
                    (1.0, _iec(0.3, 0.6)), (I_MAX, _iec(0.3, 0.6)),
                )
            ),
            quick=(0, 2, 5, 6, 8, 11),
        ),
        TestSpec(
            "voltage",
            "Variation of the voltage",
            "Change of the error at ±10 % of the nominal voltage.",
            _memory(f"IEC 62053-22:2020, 7.10, table 4; {_IEC_TABLE}"),
            "change",
            tuple(
                Condition(amps=amps, factor=factor, volts=volts, limit=limit)
                for volts in (0.9, 1.1)
                for amps, factor, limit in (
                    (0.05, "1", _iec(0.1, 0.2)), (1.0, "1", _iec(0.1, 0.2)), (0.1, "0.5lag", _iec(0.2, 0.4)),
                )
            ),
            quick=(1, 2, 4, 5),
        ),
        TestSpec(
            "frequency",
            "Variation of the frequency",
            "Change of the error at ±2 % of the nominal frequency.",
            _memory(f"IEC 62053-22:2020, 7.10, table 4; {_IEC_TABLE}"),
            "change",
            tuple(
                Condition(amps=amps, factor=factor, hertz=hertz, limit=_iec(0.1, 0.2))
                for hertz in (0.98, 1.02)
                for amps, factor in ((0.05, "1"), (1.0, "1"), (0.1, "0.5lag"))
            ),
            quick=(1, 2, 4, 5),
        ),
        TestSpec(
            "temperature",
            "Ambient temperature",
            "Change of the error from 23 °C to −20, 0, 40 and 50 °C, held to the temperature coefficient times the "
            "difference; the standard tests 20 K wide intervals.",
            _memory(
                "IEC 62053-22:2020, 7.10: 0.01 (0.2S) and 0.03 (0.5S) %/K at power factor 1, 0.02 and 0.05 %/K at 0.5 "
                f"lagging; {_IEC_TABLE}"
            ),
            "change",
            _temperatures(0.1, _iec(0.01, 0.03), _iec(0.02, 0.05)),
            quick=(0, 1, 6, 7),
        ),
        _no_load(_memory(f"IEC 62053-22:2020, 7.6: one pulse; {_IEC_TABLE}. Registers: the project's own")),
        TestSpec(
            "starting",
            "Starting current",
            "Error at 0.1 % of the rated current (IEC) and at the data sheet's 0.05 %.",
            _own(f"limits: four times the class. IEC 62053-22:2020, 7.7, asks that the meter registers; {_IEC_TABLE}"),
            "error",
            _points((5e-4, 1e-3), _STARTING),
            quick=(0,),
        ),
        TestSpec(
            "elements",
            "Single-element load",
            "Error with current in one element alone and voltage on all; difference of the elements' errors.",
            _memory(f"IEC 62053-22:2020, 7.9, table 3; {_IEC_TABLE}"),
            "elements",
            (
                Condition(amps=1.0, limit=_iec(0.3, 0.6)),
                Condition(amps=0.1, factor="0.5lag", limit=_iec(0.4, 1.0)),
            ),
        ),
        *_distortion(
            (_iec(0.4, 0.5), _memory(f"IEC 62053-22:2020, 7.10, table 4, at 0.5 Imax; {_IEC_TABLE}")),
            (_iec(0.6, 1.5), _memory(f"IEC 62053-22:2020, 7.10, table 4, at 0.5 In; {_IEC_TABLE}")),
        ),
        *_DATA_SHEET,
    ),
)

ANSI = Standard(
    "ANSI C12.20",
    ("0.1", "0.2", "0.5"),
    (
        TestSpec(
            "load_performance",
            "Load performance",
            "Error from 0.5 % of the class amps to all of them, at power factor 1.",
            _C12_MEMORY,
            "error",
            _points((0.005,), _ansi(0.2, 0.4, 1.0)) + _points((0.015, 0.05, 0.15, 0.25, 0.5, 0.75, 1.0), CLASSES),
            quick=(0, 1, 3, 7),
        ),
        TestSpec(
            "power_factor",
            "Variation of the power factor",
            "Error at 0.5 lagging.",
            _C12_MEMORY,
            "error",
            _points((0.03,), _ansi(0.25, 0.5, 1.0), factor="0.5lag")
            + _points((TEST_FRACTION, 0.5, 1.0), _ansi(0.15, 0.3, 0.6), factor="0.5lag"),
            quick=(0, 1, 3),
        ),
        TestSpec(
            "voltage",
            "Variation of the voltage",
            "Change of the error at ±10 % of the nominal voltage.",
            _C12_MEMORY,
            "change",
            tuple(
                Condition(amps=amps, volts=volts, limit=_ansi(0.05, 0.1, 0.2))
                for volts in (0.9, 1.1)
                for amps in (0.015, TEST_FRACTION)
            ),
            quick=(1, 3),
        ),
        TestSpec(
            "frequency",
            "Variation of the frequency",
            "Change of the error at ±2 % of the nominal frequency.",
            _C12_MEMORY,
            "change",
            tuple(
                Condition(amps=amps, factor=factor, hertz=hertz, limit=_ansi(0.05, 0.1, 0.2))
                for hertz in (0.98, 1.02)
                for amps, factor in ((0.015, "1"), (TEST_FRACTION, "1"), (TEST_FRACTION, "0.5lag"))
            ),
            quick=(1, 2, 4, 5),
        ),
        TestSpec(
            "temperature",
            "Ambient temperature",
            "Change of the error from 23 °C to −20, 0, 40 and 50 °C, held to the temperature coefficient times the "
            "difference.",
            _memory(
                "ANSI C12.20: 0.005, 0.01, 0.03 %/K of classes 0.1, 0.2, 0.5 at power factor 1, 0.01, 0.02, 0.05 %/K "
                "at 0.5 lagging; its text was not seen"
            ),
            "change",
            _temperatures(TEST_FRACTION, _ansi(0.005, 0.01, 0.03), _ansi(0.01, 0.02, 0.05)),
            quick=(0, 1, 6, 7),
        ),
        _no_load(
            _memory(
                "ANSI C12.20: no more than one pulse; its text was not seen. Registers: the project's own"
            )
        ),
        TestSpec(
            "starting",
            "Starting load",
            "Error at 0.05 % of the class amps.",
            _own(
                "limits: four times the class; the data sheet and ANSI C12.20, from memory (0.1 A of class 200), ask "
                "that the meter registers"
            ),
            "error",
            _points((5e-4,), _STARTING),
        ),
        TestSpec(
            "elements",
            "Equality of elements",
            "Error with current in one element alone and voltage on all; difference of the elements' errors.",
            _C12_MEMORY,
            "elements",
            (
                Condition(amps=TEST_FRACTION, limit=_ansi(0.15, 0.3, 0.5)),
                Condition(amps=TEST_FRACTION, factor="0.5lag", limit=_ansi(0.15, 0.3, 0.6)),
            ),
        ),
        *_distortion(
            (CLASSES, _own(f"limit: the class, at the IEC's stimulus; {_SEEN_TALK}")),
            (CLASSES, _own("limit: the class, at the IEC's stimulus")),
        ),
        *_DATA_SHEET,
    ),
)

_STANDARDS = (IEC, ANSI)


def standard_of(accuracy_class: str) -> Standard:
    """Return the standard that has an accuracy class.

    Raises
    ------
    ValueError
        There is no such class.
    """
    for standard in _STANDARDS:
        if accuracy_class in standard.classes:
            return standard
    raise ValueError(f"accuracy class is {accuracy_class}; allowed: {', '.join(CLASSES)}")
