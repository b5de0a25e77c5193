"""Profiles from the results of `vllm bench serve` (--save-result --save-detailed): what one client saw of one server.

Its requests are laid on one clock again. A prompt counts where it was alone in the server until its first token; a gap
between two tokens counts as an iteration where nobody's prompt was being computed. Both hold the client, HTTP and
tokenising. Several files of one server may be given together, such as one at concurrency 1 and one at 16.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workbench.errors import UsageError
from workbench.profile.imported import Origin, opened
from workbench.profile.points import DecodePoint, PromptPoint, fit
from workbench.profile.profile import Profile, Subject

NS_PER_S, NS_PER_MS = 1e9, 1e6
BUCKET_TOK = 256  # contexts are averaged over so many tokens
LEAST_GAPS = 8  # of a number of sequences and a context, else it is left out
LISTS = ("input_lens", "output_lens", "ttfts", "itls", "start_times")
SETUP = ("model_id", "backend", "tokenizer_id")
SHOWN = (*SETUP, "date", "num_prompts", "request_rate", "max_concurrency", "burstiness")
Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(slots=True)
class Seen:
    """Requests of one file on its own clock: seconds and tokens."""

    start_s: Floats
    first_s: Floats
    prompt_tok: Ints
    gaps_s: list[Floats]

    @property
    def last_s(self) -> Floats:
        return np.asarray(self.first_s + np.array([gaps.sum() for gaps in self.gaps_s]), dtype=np.float64)


def load(paths: Sequence[Path], *, kv_tok: int, block_tok: int = 16, model: str = "", quant: str = "",
         hardware: str = "") -> Profile:
    """`kv_tok` is what the server's log calls its KV cache size. Raises UsageError where the files do not suffice."""
    origins: list[Origin] = []
    prompts: dict[int, list[float]] = {}
    decodes: dict[tuple[int, int], list[tuple[float, int]]] = {}
    setups: list[dict[str, Any]] = []
    for path in paths:
        text, origin = opened(path)
        raw = _parsed(text, path.name)
        setups.append({key: raw.get(key) for key in SHOWN if raw.get(key) is not None})
        _take(raw, origin, prompts, decodes)
        origins.append(origin)
    files = ", ".join(item.file for item in origins)
    _one_setup(setups, files)
    prompt_points = [PromptPoint(1, tok, 0, median(times), len(times)) for tok, times in sorted(prompts.items())]
    decode_points = [_decode(n, members) for (n, _), members in sorted(decodes.items()) if len(members) >= LEAST_GAPS]
    if not prompt_points:
        raise UsageError(f"{files}: no request was alone in the server until its first token, so a prompt's time is not"
                         " to be had; give a run with --max-concurrency 1, too")
    fitted = fit(prompt_points, decode_points, files)
    widest = max(point.decodes for point in decode_points)
    facts = setups[0]
    return Profile(
        source="imported", model=fitted.grid, ranges=fitted.ranges, kv_blocks=max(1, kv_tok // block_tok),
        block_tok=block_tok,
        subject=Subject(engine="vllm", model=model or str(facts.get("model_id", "")), quant=quant, hardware=hardware),
        rules={"engine": "vllm", "kv_blocks": max(1, kv_tok // block_tok), "block_tok": block_tok,
               "max_num_seqs": max(256, widest), "max_num_batched_tokens": 2048},
        thin=(*fitted.thin, "times hold the client, HTTP and tokenising, which are not told apart",
              "prompts beside decodes were not measured; whether prompts met a warm prefix cache is not in the file"),
        provenance={"imported": {
            "dataset": "vllm bench serve", "files": [item.as_json() for item in origins], "setup": setups,
            "reproduces": fitted.reproduces,
            "kv_blocks": {"origin": "given", "basis": "KV cache size as stated on the command line"},
        }},
    )


def _parsed(text: str, file: str) -> Mapping[str, Any]:
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{file}: not JSON: {error}") from error
    if not isinstance(raw, dict) or "mean_ttft_ms" not in raw:
        raise UsageError(f"{file}: not a result of `vllm bench serve` (mean_ttft_ms is missing); run it with"
                         " --save-result --save-detailed")
    return raw


def _take(raw: Mapping[str, Any], origin: Origin, prompts: dict[int, list[float]],
          decodes: dict[tuple[int, int], list[tuple[float, int]]]) -> None:
    if all(isinstance(raw.get(name), list) for name in LISTS):
        seen = _requests(raw, origin)
        _alone(seen, prompts)
        _iterations(seen, decodes)
    else:
        _means(raw, origin, prompts, decodes)


def _requests(raw: Mapping[str, Any], origin: Origin) -> Seen:
    """The requests that succeeded with one token a gap. Raises UsageError naming the place of a wrong value."""
    columns = [raw[name] for name in LISTS]
    if len({len(column) for column in columns}) != 1:
        raise UsageError(f"{origin.file}: {', '.join(LISTS)} differ in length; the file is cut or was joined")
    errors = raw.get("errors") or []
    kept: list[tuple[float, float, int, Floats]] = []
    for i, (prompt_tok, output_tok, ttft_s, gaps, start_s) in enumerate(zip(*columns, strict=True)):
        place = f"{origin.file}: request {i}"
        if (i < len(errors) and errors[i]) or not output_tok:
            origin.leave_out("failed")
            continue
        times = np.array([_time(value, place, "itls") for value in gaps])
        if len(times) != output_tok - 1:
            origin.leave_out("several tokens in one chunk")
            continue
        first_s = _time(ttft_s, place, "ttfts")
        if type(prompt_tok) is not int or prompt_tok < 1:
            raise UsageError(f"{place}: input_lens: {prompt_tok!r} is no number of tokens")
        kept.append((_time(start_s, place, "start_times"), first_s, prompt_tok, times))
    origin.rows += len(kept)
    if not kept:
        raise UsageError(f"{origin.file}: no request is of use ({origin.left_out})")
    start, ttft, tok = (np.array(column) for column in list(zip(*kept, strict=True))[:3])
    return Seen(start, start + ttft, tok.astype(np.int64), [item[3] for item in kept])


def _time(value: Any, place: str, key: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < 0:
        raise UsageError(f"{place}: {key}: {value!r} is no time in seconds")
    return float(value)


def _alone(seen: Seen, prompts: dict[int, list[float]]) -> None:
    """Prompts while which no other request was in flight."""
    starts, ends = np.sort(seen.start_s), np.sort(seen.last_s)
    in_flight = np.searchsorted(starts, seen.first_s, "left") - np.searchsorted(ends, seen.start_s, "right")
    for i in np.flatnonzero(in_flight == 1):
        time_ns = float(seen.first_s[i] - seen.start_s[i]) * NS_PER_S
        if time_ns > 0:
            prompts.setdefault(int(seen.prompt_tok[i]), []).append(time_ns)


def _iterations(seen: Seen, decodes: dict[tuple[int, int], list[tuple[float, int]]]) -> None:
    """Gaps without anybody's prompt in them, by how many decoded and at what context."""
    starts, firsts, lasts = np.sort(seen.start_s), np.sort(seen.first_s), np.sort(seen.last_s)
    for i, gaps in enumerate(seen.gaps_s):
        ends = seen.first_s[i] + np.cumsum(gaps)
        begins = ends - gaps
        middle = (begins + ends) / 2
        # began before the gap's end, and had no first token by its beginning; the instant itself is not inside
        come, gone = ends - gaps / 4, begins + gaps / 4
        prompts = np.searchsorted(starts, come, "left") - np.searchsorted(firsts, gone, "right")
        together = np.searchsorted(firsts, middle, "right") - np.searchsorted(lasts, middle, "left")
        for k in np.flatnonzero((prompts == 0) & (together > 0)):
            context = int(seen.prompt_tok[i]) + int(k) + 1
            decodes.setdefault((int(together[k]), context // BUCKET_TOK), []).append((float(gaps[k]), context))


def _means(raw: Mapping[str, Any], origin: Origin, prompts: dict[int, list[float]],
           decodes: dict[tuple[int, int], list[tuple[float, int]]]) -> None:
    """A result without its requests: of use where one request at a time was sent."""
    if raw.get("max_concurrency") != 1:
        raise UsageError(f"{origin.file}: holds means over requests that met each other; run vllm bench serve with"
                         " --save-detailed, or with --max-concurrency 1")
    n = raw.get("completed")
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise UsageError(f"{origin.file}: completed: {n!r}: no request succeeded")
    values = [_time(raw.get(key), origin.file, key)
              for key in ("total_input_tokens", "total_output_tokens", "mean_ttft_ms", "mean_tpot_ms")]
    prompt_tok, output_tok = round(values[0] / n), round(values[1] / n)
    if prompt_tok < 1 or output_tok < 2 or not values[2] or not values[3]:
        raise UsageError(f"{origin.file}: {prompt_tok} tokens of prompt and {output_tok} of answer on average: a"
                         " profile needs a prompt, two tokens of answer and their times")
    origin.rows += n
    prompts.setdefault(prompt_tok, []).extend([values[2] * NS_PER_MS] * n)
    middle = prompt_tok + output_tok // 2
    gaps = max(LEAST_GAPS, n * (output_tok - 1))
    decodes.setdefault((1, middle // BUCKET_TOK), []).extend([(values[3] / 1e3, middle)] * min(gaps, 10_000))


def _decode(n: int, members: Sequence[tuple[float, int]]) -> DecodePoint:
    """Their mean: gaps that a network joins and parts come out right in it, and not in a median."""
    contexts = [context for _, context in members]
    mean_ns = math.fsum(gap for gap, _ in members) / len(members) * NS_PER_S
    return DecodePoint(n, min(contexts), max(contexts), mean_ns, len(members))


def _one_setup(setups: Sequence[Mapping[str, Any]], files: str) -> None:
    for key in SETUP:
        values = list(dict.fromkeys(str(item.get(key, "")) for item in setups))
        if len(values) > 1:
            raise UsageError(f"{files}: {len(values)} set-ups in one import: {key} is {' | '.join(values)}; give the"
                             " files of one")
