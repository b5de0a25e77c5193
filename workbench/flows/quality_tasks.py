"""The tasks of a suite as items: from JSONL files, and from lm-eval's child; with what makes them what they are."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from workbench.flows.quality_spec import task_record
from workbench.quality.chat import ChatTemplate, required
from workbench.quality.harness.parent import Harness
from workbench.quality.items import Item
from workbench.quality.rows import Row
from workbench.quality.task_spec import TaskSpec
from workbench.quality.tasks import Lines


@dataclass
class TaskSet:
    """Items are made for each chat template once; lm-eval's child is asked only where a task is its."""

    specs: Sequence[TaskSpec]
    start_harness: Callable[[ChatTemplate | None], Harness]
    _lines: dict[str, Lines] = field(default_factory=dict)
    _harness: dict[str, tuple[list[Item], dict[str, Any]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._lines = {spec.name: Lines(spec) for spec in self.own}

    @property
    def own(self) -> list[TaskSpec]:
        return [spec for spec in self.specs if not spec.lm_eval]

    @property
    def by_lm_eval(self) -> list[TaskSpec]:
        return [spec for spec in self.specs if spec.lm_eval]

    @property
    def chats(self) -> bool:
        return any(spec.chat for spec in self.specs)

    def planned(self) -> list[Item]:
        """The items before any model is there: as many, with the same ids, without chat templates."""
        found = [item for spec in self.own for item in self._lines[spec.name].items()]
        return found + self._asked(None, plain=True)[0]

    def items(self, template: ChatTemplate | None) -> list[Item]:
        """As this model is asked."""
        found: list[Item] = []
        for spec in self.own:
            chat = required(template, spec.name).prompt if spec.chat else None
            found += self._lines[spec.name].items(chat)
        return found + self._asked(template)[0]

    def records(self, template: ChatTemplate | None) -> dict[str, Any]:
        """By task: what decides its answers, and a hash over it."""
        more = {} if template is None else {"chat_template_sha256": hashlib.sha256(template.text.encode()).hexdigest()}
        found = {spec.name: task_record(spec, self._lines[spec.name].sha256, more if spec.chat else {})
                 for spec in self.own}
        told = self._asked(template)[1]
        for spec in self.by_lm_eval:
            said = told[spec.name]
            content = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode())
            for split, name in sorted(spec.data.items()):
                content.update(f"{split} {hashlib.sha256(Path(name).read_bytes()).hexdigest()}".encode())
            found[spec.name] = task_record(spec, content.hexdigest(), said | (more if spec.chat else {}))
        return found

    def judged(self, template: ChatTemplate | None, rows: Sequence[Row]) -> tuple[list[Row], dict[str, Any]]:
        """The rows, those of lm-eval's tasks with its verdict, and its totals."""
        if not self.by_lm_eval:
            return list(rows), {}
        names = {spec.name for spec in self.by_lm_eval}
        harness = self.start_harness(template)
        scored, totals = harness.score(self.by_lm_eval, self._asked(template)[0],
                                       [row for row in rows if row.task in names])
        by_key = {row.key: row for row in scored}
        return [by_key.get(row.key, row) for row in rows], totals

    def _asked(self, template: ChatTemplate | None, *, plain: bool = False) -> tuple[list[Item], dict[str, Any]]:
        """lm-eval's items. `plain`: as if no task were a chat."""
        specs = self.by_lm_eval
        if not specs:
            return [], {}
        chats = any(spec.chat for spec in specs) and not plain
        for spec in specs if chats else ():
            if spec.chat:
                required(template, spec.name)
        key = template.text if chats and template is not None else ""
        if key not in self._harness:
            asked = [spec.model_copy(update={"chat": spec.chat and chats}) for spec in specs]
            self._harness[key] = self.start_harness(template if chats else None).items(asked)
        return self._harness[key]
