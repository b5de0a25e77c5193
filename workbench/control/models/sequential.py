"""Is the canary's failure rate worse? Decided as soon as the evidence is there, at any look, with bounded errors."""

from typing import Literal

from workbench.control.limits.answer import whole

Verdict = Literal["go on", "good", "bad"]


class PairedSprt:
    """Each canary outcome is paired with one of the baseline. Pairs that agree say nothing; of those that differ, the
    canary fails in a share OR / (1 + OR), where OR is the ratio of the odds of failing, whatever the rates are.

    Good is OR <= 1, bad is OR >= `ratio_ppm`. The likelihood ratio of bad against good after x pairs where the canary
    alone failed and y where the baseline alone did is (2r / (1 + r))^x (2 / (1 + r))^y. Under good it is a
    nonnegative supermartingale that begins at 1, under bad its inverse is one; so by Ville's inequality

    - a bad canary is ever called good with probability <= `false_good_ppm`,
    - a good canary is ever called bad with probability <= `false_bad_ppm`,

    however often one looks. Between good and bad either may come out. All arithmetic is in integers, exact.
    Outcomes must be independent given the arm: feed one for each user where users' requests are alike.
    Source: Wald 1947, "Sequential Analysis", chapter 6 (double dichotomies); Ville 1939.
    """

    def __init__(self, ratio_ppm: int = 2_000_000, false_good_ppm: int = 50_000, false_bad_ppm: int = 50_000) -> None:
        self.ratio_ppm = whole("ratio_ppm", ratio_ppm, 1_000_001)
        self.false_good_ppm = whole("false_good_ppm", false_good_ppm)
        self.false_bad_ppm = whole("false_bad_ppm", false_bad_ppm)
        for name in ("false_good_ppm", "false_bad_ppm"):
            if getattr(self, name) >= 1_000_000:
                raise ValueError(f"{name} {getattr(self, name)}: below 1000000")
        self.pairs = self.canary_alone = self.baseline_alone = 0
        self.verdict: Verdict = "go on"
        self._ratio, self._over = 1, 1  # the likelihood ratio as a fraction

    def pair(self, canary_failed: bool, baseline_failed: bool) -> Verdict:
        """One more pair. A verdict is final."""
        if self.verdict != "go on":
            return self.verdict
        self.pairs += 1
        if canary_failed != baseline_failed:
            self.canary_alone += canary_failed
            self.baseline_alone += baseline_failed
            self._ratio *= 2 * self.ratio_ppm if canary_failed else 2_000_000
            self._over *= 1_000_000 + self.ratio_ppm
            self.verdict = self._judge()
        return self.verdict

    def _judge(self) -> Verdict:
        if self._ratio * self.false_bad_ppm >= self._over * 1_000_000:
            return "bad"
        if self._ratio * 1_000_000 <= self._over * self.false_good_ppm:
            return "good"
        return "go on"
