"""The question that is asked of two methods if nobody makes a claim about them."""

from typing import Literal

from steadytune.claims.claim import Difference

POINT = 1.0
"""The difference, in points, that matters if nobody states another."""


class Differs(Difference):
    """Whether two methods differ, and by about `margin` points."""

    id: str
    """`<encoder>/<method>`."""
    direction: Literal["either"] = "either"

    @classmethod
    def between(cls, encoder: str, method: str, baseline: str, margin: float = POINT) -> "Differs":
        """The question about two methods on an encoder, on every task that both have."""
        return cls(
            id=f"{encoder}/{method}",
            sentence=f"{method} and {baseline} differ in their mean score over the tasks.",
            where="",
            paper="",
            source="",
            family=f"against {baseline}",
            statistic="difference",
            encoders=(encoder,),
            method=method,
            against=(baseline,),
            tasks="*",
            margin=margin,
        )
