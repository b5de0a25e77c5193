"""Worked examples of the same subject, for lm-eval, in whose environment this runs."""

from collections import defaultdict
from typing import Any

from lm_eval.api.samplers import ContextSampler
from lm_eval.api.task import ConfigurableTask


class SameSubject(ContextSampler):  # type: ignore[misc]
    """The first n of the subject that was set last."""

    subject = ""

    def sample(self, n: int, *_given: Any, **_more: Any) -> list[Any]:
        if not hasattr(self, "_by_subject"):
            self._by_subject = defaultdict(list)
            for doc in self.fewshot_docs():
                self._by_subject[doc["subject"]].append(doc)
        found = self._by_subject[self.subject][:n]
        if len(found) < n:
            raise ValueError(f"{self.subject}: {len(found)} worked examples; {n} are asked for")
        return found


class BySubject(ConfigurableTask):  # type: ignore[misc]
    """lm-eval does not tell a sampler which document the examples are for."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={key: value for key, value in config.items() if key != "class"})

    def fewshot_context(self, doc: Any, *given: Any, **more: Any) -> Any:
        self.sampler.subject = doc["subject"]
        return super().fewshot_context(doc, *given, **more)
