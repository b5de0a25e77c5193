"""What fits where: by hand, as laws, against NVIDIA's own estimates, and what the command says of it."""

import json
import statistics
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.cli.main import main
from workbench.errors import UsageError
from workbench.flows.memory import memory
from workbench.hardware import accelerators, models
from workbench.hardware.accelerators import GIB
from workbench.hardware.fit import Ask, ceiling_tok_per_s, fit
from workbench.hardware.memory import Split, kv_blocks
from workbench.hardware.model_config import from_config
from workbench.paths import datasets

LLAMA_8B, H100, RTX3060 = models.find("Llama-3.1-8B"), accelerators.find("H100"), accelerators.find("RTX3060")
GEMMA, DEEPSEEK = models.find("gemma-3-27b"), models.find("DeepSeek-V3")
GGUF = st.sampled_from(["Q8_0", "Q6_K", "Q4_K_M", "Q2_K"])


@pytest.mark.parametrize(("name", "params"), [
    ("DeepSeek-V3", 671_026_419_200), ("DeepSeek-V2-Lite", 15_706_484_224), ("Mistral-7B-v0.1", 7_241_732_096),
])
def test_parameters_of_the_wider_models_follow_from_their_dimensions(name: str, params: int) -> None:
    """Element counts of the safetensors files on the hub (DeepSeek-V3 without its prediction layer)."""
    assert models.find(name).params == params


def test_their_cards_agree() -> None:
    files = sorted((datasets() / "models" / "configs").glob("*.json"))
    assert len(files) >= 4
    for path in files:
        card = json.loads(path.read_text())["published_params_b"]
        assert models.find(path.stem).params / 1e9 == pytest.approx(card, rel=7e-3)


def test_caches_by_hand() -> None:
    assert DEEPSEEK.kv_bytes_per_tok() == 61 * (512 + 64) * 2  # one vector and one rotary key for all 128 heads
    assert GEMMA.kv_bytes_per_tok() == 2 * 62 * 16 * 128 * 2
    each = 2 * 16 * 128 * 2  # of one layer
    assert GEMMA.kv_bytes(1024) == 62 * each * 1024
    assert GEMMA.kv_bytes(32_768) == (10 * 32_768 + 52 * 1024) * each  # every sixth layer keeps all
    assert fit(accelerators.find("H200"), DEEPSEEK, Ask("fp8_block", split=Split(8))).kv_bytes_per_tok == 61 * 576 * 2


def test_llama_cpp_by_hand() -> None:
    """8 slots of 4,096 tokens: exactly 4 GiB at 128 KiB a token; logits and residuals of 512 tokens; a 16-bit mask."""
    found = fit(RTX3060, LLAMA_8B, Ask("Q4_K_M", 4096, 8))
    assert found.engine == "llama.cpp"
    assert found.terms["kv_cache"] == -4 * GIB
    assert found.terms["compute_buffer"] == -4 * 512 * (128_256 + 4096) - 2 * 512 * 4096
    assert (found.fits, found.requests, found.kv_tok) == (True, 13, 13 * 4096)


def test_vllm_counts_the_blocks_that_kv_blocks_counts() -> None:
    found = fit(accelerators.find("RTX4090"), LLAMA_8B, Ask("bf16", 2048, 4))
    blocks = kv_blocks(accelerators.find("RTX4090"), LLAMA_8B).blocks
    assert found.kv_tok == blocks * 16
    assert found.requests == blocks // 128
    assert found.fits


@given(card=st.sampled_from([name for name in accelerators.names() if not name.startswith("TPU")]),
       model=st.sampled_from(models.names()), quant=st.sampled_from(["bf16", "fp8", "awq", "Q8_0", "Q4_K_M"]),
       tok=st.integers(1, 200_000), requests=st.integers(1, 500), more=st.integers(1, 100))
def test_memory_is_never_negative_and_more_is_never_less(
    card: str, model: str, quant: str, tok: int, requests: int, more: int
) -> None:
    where, what, ask = accelerators.find(card), models.find(model), Ask(quant, tok, requests)
    found = fit(where, what, ask)
    assert min(found.kv_tok, found.requests, found.short_bytes) >= 0
    assert found.kv_bytes_per_request > 0
    assert sum(list(found.terms.values())[:-1]) == list(found.terms.values())[-1]
    assert all(value <= 0 for name, value in found.terms.items() if name not in ("memory", "left", "kv_cache"))
    assert found.fits == (found.requests >= requests)
    assert fit(where, what, replace(ask, requests=requests + more)).short_bytes >= found.short_bytes
    longer = fit(where, what, replace(ask, context_tok=tok + more))
    assert longer.requests <= found.requests
    assert longer.kv_bytes_per_request >= found.kv_bytes_per_request


@given(tp=st.sampled_from([1, 2, 4, 8]), tok=st.integers(1, 100_000))
def test_more_cards_never_hold_fewer_requests(tp: int, tok: int) -> None:
    one, two = (fit(H100, models.find("Llama-3.1-70B"), Ask("fp8", tok, split=Split(n))) for n in (tp, 2 * tp))
    assert one.requests <= two.requests


def test_nvidias_estimate_of_all_shipped_profiles() -> None:
    """Where the cache is large we agree; where little is left, the 3.5 GiB that NVIDIA sets aside decide."""
    large, small = [], []
    for path in sorted((datasets() / "profiles" / "silicon").glob("*.json")):
        profile = json.loads(path.read_text())
        subject, split = profile["subject"], profile.get("parallel", {})
        quant = {"int4": "int4_wo", "int8": "int8_wo"}.get(subject["quant"], subject["quant"])
        found = kv_blocks(accelerators.find(subject["hardware"].split(" x ")[-1]), models.find(subject["model"]), quant,
                          split.get("tp", 1), ep=split.get("ep", 1), max_batched_tok=8192)
        (large if profile["kv_blocks"] >= 20_000 else small).append(found.blocks / profile["kv_blocks"] - 1)
    assert (len(large), len(small)) == (97, 25)
    assert statistics.median(large) == pytest.approx(0.017, abs=0.001)
    assert max(large) < 0.28
    assert statistics.median(small) == pytest.approx(0.10, abs=0.05)


def test_a_ceiling_is_bandwidth_over_bytes() -> None:
    found = ceiling_tok_per_s(RTX3060, LLAMA_8B, Ask("Q4_K_M", 2))
    assert found == pytest.approx(3.6e11 / (LLAMA_8B.weight_bytes("Q4_K_M") + 131_072))


@given(requests=st.integers(1, 64), tok=st.integers(256, 65_536), quant=GGUF)
def test_every_remedy_fits(requests: int, tok: int, quant: str) -> None:
    row = memory("Llama-3.1-8B", "RTX3060", Ask(quant, tok, requests))["cards"][0]
    for remedy in row["remedies"]:
        words = remedy.split()
        asked = dict(zip(words[::2], words[1::2], strict=True))
        ask = Ask(asked.get("--quant", quant), int(asked.get("--context", tok)), int(asked.get("--requests", requests)),
                  asked.get("--kv-type", "auto"))
        assert memory("Llama-3.1-8B", asked.get("--gpu", "RTX3060"), ask)["cards"][0]["fits"], remedy


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["memory", "Llama-3.1-8B", "--gpu", "RTX_3060", "--quant", "Q4_K_M", "--context", "4096", "--requests"]
    main([*asked, "8"])
    shown = capsys.readouterr().out
    assert "Fits: 8 requests of 4096 tokens" in shown
    assert "Mind" not in shown
    main(["memory", "Llama-3.1-8B", "--gpu", "H100", "--context", "200000"])
    assert "Mind: 200,000 tokens are more than the 131,072" in capsys.readouterr().out
    main([*asked, "80", "--json"])
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert found["cards"][0]["fits"] is False
    assert found["cards"][0]["remedies"][0] == "--requests 13"
    main(["memory", "Llama-3.1-8B", "--json"])
    assert len(json.loads(capsys.readouterr().out)["cards"]) == len(accelerators.names())


@pytest.mark.parametrize(("args", "message"), [
    (["Llama-3.1-9B"], "did you mean"), (["Llama-3.1-8B", "--gpu", "RTX_3061"], "did you mean 'RTX3060'"),
    (["Llama-3.1-8B", "--quant", "Q4_K_N"], "did you mean 'q4_k_"), ([], "which model"),
    (["Llama-3.1-8B", "--requests", "0"], "1 or more"), (["none.json"], "no such file"),
    (["Llama-3.1-70B", "--gpu", "H100", "--tp", "3"], "use 1, 2, 4, 8"),
    (["Llama-3.1-8B", "--gpu", "RTX3060", "--quant", "Q4_K_M", "--tp", "2"], "spreads layers"),
    (["Llama-3.1-8B", "--utilisation", "90"], "fraction"),
])
def test_what_is_wrong_is_one_line(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["memory", *args])
    shown = capsys.readouterr().err
    assert caught.value.code == 2
    assert message in shown
    assert shown.count("\n") == 1


def test_asking_for_bytes_alone_reads_more_kinds() -> None:
    with pytest.raises(UsageError, match="kv_lora_rank"):
        from_config(datasets() / "models" / "configs" / "DeepSeek-V3.json")
