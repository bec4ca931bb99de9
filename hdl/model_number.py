"""Model numbers of the mini meter OEM module: ``M X XX T - X XX``.

Source: the module's data sheet. 24 models: elements × counter × CT rating × CT kind.
"""

from __future__ import annotations

import difflib
import itertools
import re
from dataclasses import dataclass

__all__ = ["ModelNumber"]

_PATTERN = re.compile(r"M(?P<elements>[SD])(?P<counter>NC|TC)T-(?P<ct_rating>[12])(?P<ct_kind>SC|SP|NC)")


@dataclass(frozen=True)
class ModelNumber:
    """One of the 24 models, taken apart.

    Parameters
    ----------
    elements : int
        1 (``S``, single element) or 2 (``D``, dual element).
    counter_wh : int
        Energy of one count of the electromechanical counter, in Wh:
        100 (``NC``, 0.1 kWh) or 1000 (``TC``, 1 kWh).
    ct_amps : int
        Rated primary current of the CT, in A: 100 (``1``) or 200 (``2``), at 0.1 A secondary.
    ct_kind : str
        ``SC`` solid-core, ``SP`` split-core, ``NC`` no CT (the customer's own).

    Raises
    ------
    ValueError
        A field is not one of the values above.
    """

    elements: int
    counter_wh: int
    ct_amps: int
    ct_kind: str

    def __post_init__(self) -> None:
        for name, allowed in (
            ("elements", (1, 2)),
            ("counter_wh", (100, 1000)),
            ("ct_amps", (100, 200)),
            ("ct_kind", ("SC", "SP", "NC")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}; allowed: {', '.join(map(str, allowed))}")

    @classmethod
    def parse(cls, text: str) -> ModelNumber:
        """Take a model number apart; case and surrounding space do not matter.

        Raises
        ------
        ValueError
            ``text`` is not one of the 24 models; the message names the nearest ones.
        """
        match = _PATTERN.fullmatch(text.strip().upper())
        if match is None:
            every = [str(model) for model in cls.all()]
            near = difflib.get_close_matches(text.strip().upper(), every, n=3, cutoff=0.0)
            raise ValueError(f"model {text!r} does not exist; nearest: {', '.join(near)} ('blondel models' lists all)")
        return cls(
            elements={"S": 1, "D": 2}[match["elements"]],
            counter_wh={"NC": 100, "TC": 1000}[match["counter"]],
            ct_amps={"1": 100, "2": 200}[match["ct_rating"]],
            ct_kind=match["ct_kind"],
        )

    @classmethod
    def all(cls) -> tuple[ModelNumber, ...]:
        """Return the 24 models in the data sheet's order."""
        return tuple(
            cls(*fields)
            for fields in itertools.product((1, 2), (100, 1000), (100, 200), ("SC", "SP", "NC"))
        )

    def __str__(self) -> str:
        elements = {1: "S", 2: "D"}[self.elements]
        counter = {100: "NC", 1000: "TC"}[self.counter_wh]
        return f"M{elements}{counter}T-{self.ct_amps // 100}{self.ct_kind}"
