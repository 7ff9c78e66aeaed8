"""The question asked about two methods without a claim: whether they differ."""

from typing import Literal

from steadytune.claims.claim import Difference

POINT = 1.0
"""The difference that matters by default, in points."""


class Differs(Difference):
    """Whether two methods differ, and by about `margin` points."""

    id: str
    """`<encoder>/<method>`."""
    direction: Literal["either"] = "either"

    @classmethod
    def between(
        cls, encoder: str, method: str, baseline: str, margin: float = POINT, baseline_encoder: str | None = None
    ) -> "Differs":
        """The question about two methods, on one encoder or two, on every task that both have."""
        two = baseline_encoder not in (None, encoder)
        name, other = (f"{encoder}/{method}", f"{baseline_encoder}/{baseline}") if two else (method, baseline)
        return cls(
            id=f"{encoder}/{method}",
            sentence=f"{name} and {other} differ in their mean score over the tasks.",
            where="",
            paper="",
            source="",
            family=f"against {other}",
            statistic="difference",
            encoders=(encoder,),
            baseline_encoders=(baseline_encoder,) if baseline_encoder and two else None,
            method=method,
            against=(baseline,),
            tasks="*",
            margin=margin,
        )
