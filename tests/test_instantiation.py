from pathlib import Path

import pytest

from clsnorm.errors import InputError
from clsnorm.instantiation import check_targets, instantiate

IDENTITY = {"_target_": "clsnorm.normalizers.Identity", "_partial_": True}


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "os.system"}, "CLSNORM_PACKAGES"),
        ({"_target_": "torch.hub.load"}, "subclass of clsnorm.normalizers.Normalizer"),
        ({"_target_": "torch.utils.collect_env.run"}, "subclass"),
        ({"_target_": "torch.nn.LayerNorm"}, "subclass"),
        ({"_target_": "clsnorm.normalizers.LayerNrom"}, "Did you mean 'LayerNorm'"),
        ({"_target_": "clsnorm.normlizers.LayerNorm"}, "cannot be imported"),
        ({**IDENTITY, "option": {"_target_": "builtins.eval"}}, "CLSNORM_PACKAGES"),
        ({**IDENTITY, "option": [{"_target_": "torch.hub.load"}]}, "subclass"),
    ],
)
def test_role_decides_what_may_be_built(node: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_targets(node, "normalizer")


def test_refused_arguments_become_one_sentence() -> None:
    with pytest.raises(InputError, match=r"^normalizer: .*unexpected keyword argument 'epsilon'"):
        instantiate({**IDENTITY, "epsilon": 1.0}, "normalizer", 4)


def test_what_a_part_says_to_the_user_is_not_replaced_by_its_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    node = {"_target_": "clsnorm.model.Encoder", "path": "nobody/no-such-model"}
    with pytest.raises(InputError, match=r"nobody/no-such-model.*cache") as refusal:
        instantiate(node, "model")
    assert "local_files_only" not in str(refusal.value)


def test_own_package_needs_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mylab.py").write_text(
        "from clsnorm.normalizers import Normalizer\n"
        "class Half(Normalizer):\n"
        "    def normalize(self, h):\n"
        "        return h / 2\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    node = {"_target_": "mylab.Half", "_partial_": True}
    with pytest.raises(InputError, match="CLSNORM_PACKAGES"):
        instantiate(node, "normalizer", 4)
    monkeypatch.setenv("CLSNORM_PACKAGES", "mylab")
    assert instantiate(node, "normalizer", 4).dim == 4
