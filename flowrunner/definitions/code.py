"""What a code of findings is; which there are is `flowrunner.definitions.codes`."""

from __future__ import annotations

from flowrunner.dataclass import dataclass


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.

    Attributes:
        code: Stable, `FR` and three digits.
        title: A few words, for tables.
        explanation: What is wrong and how to put it right, for a person who looks the code up.
    """

    code: str
    title: str
    explanation: str

    @property
    def is_advice(self) -> bool:
        """Whether its findings are warnings, which keep no flow out."""
        return self.code.startswith("FR5")
