"""The encoder against transformers, for every family."""

import pytest
import torch
from transformers import AutoModel

from clsnorm.errors import InputError
from clsnorm.model.encoder import attention, dropout, last_layer
from clsnorm.model.encoder.checkpoint import Pooler
from clsnorm.model.encoder.encoder import Encoder

ALL = (
    "bert", "roberta", "xlm-roberta", "electra", "albert", "distilbert", "modernbert", "mpnet", "deberta", "deberta-v2",
)  # fmt: skip
UNPACKABLE = ("mpnet", "deberta", "deberta-v2")
POOLED = ("bert", "roberta", "xlm-roberta", "albert", "mpnet")
CUT = ("bert", "roberta", "xlm-roberta", "electra", "distilbert", "albert", "modernbert")
LENGTHS = [7, 19, 1, 12]


def build(folder, family, **options):
    return Encoder(folder, attention="eager" if family in UNPACKABLE else "sdpa", **options)


def reference(folder, family, batch, **options):
    """Outputs of transformers on the padded batch, with its positions and none of our code."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, **options).eval()
    inputs = {"input_ids": batch.token_ids, "attention_mask": batch.mask.long()}
    if family in ("bert", "electra", "albert"):
        inputs["token_type_ids"] = batch.segment_ids
    with torch.no_grad():
        return model(**inputs, output_hidden_states=True)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", ALL)
def test_hidden_and_layers_equal_those_of_transformers(family, packed, tiny, make_batch):
    if packed and family in UNPACKABLE:
        pytest.skip("cannot pack")
    encoder = build(tiny(family), family).eval()
    expected = reference(tiny(family), family, make_batch(LENGTHS))
    with torch.no_grad():
        plain = encoder(make_batch(LENGTHS, packed=packed))
        full = encoder(make_batch(LENGTHS, packed=packed), layers=True)
    torch.testing.assert_close(plain.cls, expected.last_hidden_state[:, 0], atol=5e-6, rtol=1e-5)
    layers = torch.stack([state[:, 0] for state in expected.hidden_states])
    assert full.layers.shape == (4, len(LENGTHS), 24)
    torch.testing.assert_close(full.layers, layers, atol=5e-6, rtol=1e-5)
    torch.testing.assert_close(full.cls, full.layers[-1])
    assert plain.layers is None


@pytest.mark.parametrize("family", [f for f in ALL if f not in UNPACKABLE])
def test_packed_equals_padded_in_gradients(family, tiny, make_batch):
    encoder = build(tiny(family), family, dropout=0.0)
    weights = torch.randn(len(LENGTHS), 24, generator=torch.Generator().manual_seed(3))
    gradients = {}
    for packed in (False, True):
        encoder.zero_grad()
        (encoder(make_batch(LENGTHS, packed=packed)).cls * weights).sum().backward()
        gradients[packed] = {name: p.grad.clone() for name, p in encoder.named_parameters()}
    for name, padded in gradients[False].items():
        torch.testing.assert_close(
            gradients[True][name], padded, atol=2e-5, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("family", POOLED)
@pytest.mark.parametrize("packed", [False, True])
def test_taps_are_the_poolers(family, packed, tiny, make_batch):
    if packed and family in UNPACKABLE:
        pytest.skip("cannot pack")
    expected = reference(tiny(family), family, make_batch(LENGTHS))
    with torch.no_grad():
        taps = {tap: build(tiny(family), family, tap=tap).eval()(make_batch(LENGTHS, packed=packed)) for tap in
                ("hidden", "pooler_pre", "pooler")}  # fmt: skip
    torch.testing.assert_close(taps["pooler"].cls, expected.pooler_output, atol=5e-6, rtol=1e-5)
    torch.testing.assert_close(taps["pooler_pre"].cls.tanh(), expected.pooler_output, atol=5e-6, rtol=1e-5)
    assert taps["pooler_pre"].cls.abs().max() > 1  # so that tanh was left out
    torch.testing.assert_close(taps["pooler"].hidden, taps["hidden"].cls)
    torch.testing.assert_close(taps["pooler"].pooler_pre, taps["pooler_pre"].cls)
    assert taps["hidden"].pooler is None
    assert isinstance(build(tiny(family), family, tap="pooler").pooler, Pooler)


@pytest.mark.parametrize("family", [f for f in ALL if f not in POOLED])
def test_a_family_without_pooler_refuses_its_taps(family, tiny):
    with pytest.raises(InputError, match=r"model\.tap.*no pooler.*model\.tap=hidden"):
        build(tiny(family), family, tap="pooler")


@pytest.mark.parametrize("layers", [False, True])
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", ALL)
@pytest.mark.parametrize("lengths", [LENGTHS, []])
def test_every_parameter_has_a_gradient(family, packed, layers, lengths, tiny, make_batch):
    """Every parameter has a gradient, or distributed training would hang; without examples all are exactly zero."""
    if packed and family in UNPACKABLE:
        pytest.skip("cannot pack")
    tap = "pooler" if family in POOLED else "hidden"
    encoder = build(tiny(family), family, tap=tap)
    out = encoder(make_batch(lengths, packed=packed), layers=layers)
    assert out.cls.shape == (len(lengths), 24)
    assert (out.layers is not None) == layers
    out.cls.square().sum().backward()
    for name, parameter in encoder.named_parameters():
        assert parameter.grad is not None, name
        if not lengths:
            assert not parameter.grad.any(), name


def test_no_pooler_is_built_for_the_hidden_tap(tiny):
    assert not [name for name, _ in Encoder(tiny("bert")).named_parameters() if "pooler" in name]


@pytest.mark.parametrize("family", ALL)
def test_dropout_is_on_after_loading_and_its_override_works(family, tiny, make_batch):
    def spread(**options):
        encoder = build(tiny(family), family, **options)
        assert encoder.training
        assert all(module.training for module in encoder.modules())
        torch.manual_seed(0)
        batch = make_batch(LENGTHS)
        return (encoder(batch).cls - encoder(batch).cls).abs().max()

    assert spread() > 1e-3
    assert spread(dropout=0.0) == 0


@pytest.mark.parametrize("cls_only", [False, True])
def test_attention_dropout_acts_alone(cls_only, tiny, make_batch):
    """Hidden dropout off, attention dropout on: the packed path and the last layer must apply it too."""
    encoder = Encoder(tiny("bert", hidden_dropout_prob=0.0, num_hidden_layers=1), last_layer_cls_only=cls_only)
    batch = make_batch(LENGTHS, packed=True)
    assert (encoder(batch).cls - encoder(batch).cls).abs().max() > 1e-3


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("family", CUT)
def test_last_layer_at_cls_only_equals_the_whole_layer(family, packed, tiny, make_batch):
    outputs, gradients = {}, {}
    for cls_only in (False, True):
        encoder = Encoder(tiny(family), dropout=0.0, last_layer_cls_only=cls_only)
        out = encoder(make_batch(LENGTHS, packed=packed)).cls
        out.pow(3).sum().backward()
        outputs[cls_only] = out.detach()
        gradients[cls_only] = {name: p.grad for name, p in encoder.named_parameters()}
    torch.testing.assert_close(outputs[True], outputs[False], atol=2e-6, rtol=1e-5)
    assert gradients[True].keys() == gradients[False].keys()
    for name, whole in gradients[False].items():
        torch.testing.assert_close(
            gradients[True][name], whole, atol=1e-4, rtol=1e-4, msg=lambda m, n=name: f"{n}: {m}"
        )


@pytest.mark.parametrize("family", CUT)
def test_last_layer_drops_what_the_whole_layer_drops(family, tiny, make_batch, monkeypatch):
    """With the same masks the outputs are equal: attention weights that no longer sum to one count as they are."""

    def drop(x, p=0.5, training=True, inplace=False):
        return x * (torch.arange(x.shape[-1]) % 3 > 0) / (1 - p) if training and p else x

    monkeypatch.setattr(torch.nn.functional, "dropout", drop)
    monkeypatch.setattr(dropout, "is_faster", lambda x: False)
    one = {"n_layers": 1} if family == "distilbert" else {"num_hidden_layers": 1}
    outputs = []
    for implementation in ("eager", "sdpa"):  # the first one: the whole layer, weights dropped by that function
        encoder = Encoder(tiny(family, **one), dropout=0.2, attention=implementation).train()
        outputs.append(encoder(make_batch(LENGTHS)).cls)
    torch.testing.assert_close(*outputs, atol=1e-5, rtol=1e-5)
    assert (outputs[0] - encoder.eval()(make_batch(LENGTHS)).cls).abs().max() > 1e-3


@pytest.mark.parametrize("family", [f for f in ALL if f not in UNPACKABLE])
def test_with_masks_that_drop_nothing_training_equals_evaluation(family, tiny, make_batch, monkeypatch):
    drawn = []

    def draw(shape, probability):
        drawn.append(tuple(shape))
        return torch.ones(*shape)

    for module in (attention, dropout):
        monkeypatch.setattr(module, "scaled_mask", draw)
    wide = {"local_attention": 128} if family == "modernbert" else {}  # its windows are left to torch
    encoder = Encoder(tiny(family, **wide), dropout=0.2, last_layer_cls_only=False)
    batch = make_batch(LENGTHS, packed=True)
    torch.testing.assert_close(encoder.train()(batch).cls, encoder.eval()(batch).cls, atol=5e-6, rtol=1e-5)
    assert any(shape[-1] == shape[-2] for shape in drawn)  # shares of attention


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", ["window", "groups", "attention bias", "no final global layer"])
def test_last_layer_of_unusual_configurations_equals_the_whole_layer(kind, packed, tiny, make_batch):
    family, changes = {
        "window": ("modernbert", {"global_attn_every_n_layers": 2, "num_hidden_layers": 4, "local_attention": 6}),
        "groups": ("albert", {"num_hidden_groups": 2, "num_hidden_layers": 4, "inner_group_num": 2}),
        "attention bias": ("modernbert", {"attention_bias": True, "mlp_bias": True, "norm_bias": True}),
        "no final global layer": ("modernbert", {"num_hidden_layers": 1}),
    }[kind]
    outputs = []
    for cls_only in (False, True):
        encoder = Encoder(tiny(family, **changes), last_layer_cls_only=cls_only).eval()
        outputs.append(encoder(make_batch(LENGTHS, packed=packed)).cls)
        alone = encoder(make_batch([19], packed=packed, seed=1)).cls  # without padding there may be no mask
        outputs[-1] = torch.cat([outputs[-1], alone])
    torch.testing.assert_close(*outputs, atol=5e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("family", "part"),
    [
        ("bert", "encoder.layer.2.intermediate"),
        ("distilbert", "transformer.layer.2.ffn.lin1"),
        ("albert", "encoder.albert_layer_groups.0.albert_layers.0.ffn"),
        ("modernbert", "layers.2.mlp"),
    ],
)
def test_last_layer_at_cls_only_runs_less(family, part, tiny, make_batch):
    encoder, seen = Encoder(tiny(family)), []
    encoder.model.get_submodule(part).register_forward_hook(lambda m, args, out: seen.append(args[0].shape))
    encoder(make_batch(LENGTHS))
    assert seen.pop() == (4, 24)
    assert all(shape == (4, 19, 24) for shape in seen)
    assert len(seen) == (2 if family == "albert" else 0)
    seen.clear()
    encoder(make_batch(LENGTHS), layers=True)
    assert set(seen) == {(4, 19, 24)}


def test_the_last_layer_is_named_by_the_kind_of_its_family(tiny):
    for family, kind in (("distilbert", "DistilBertCls"), ("albert", "AlbertCls"), ("modernbert", "ModernBertCls")):
        _, adapter = last_layer.ADAPTERS[family]
        assert adapter is getattr(last_layer, kind)
        assert any(isinstance(module, adapter) for module in Encoder(tiny(family)).modules())
    assert isinstance(Encoder(tiny("albert")).model.encoder, last_layer.AlbertPasses)
    layers = last_layer.albert_layers(Encoder(tiny("albert")).model.encoder)
    assert len(layers) == 3
    assert len(set(layers)) == 1
    whole = Encoder(tiny("bert"), last_layer_cls_only=False)
    assert not any(isinstance(module, last_layer.ClsOnlyLayer) for module in whole.modules())
    assert any(isinstance(module, last_layer.BertCls) for module in Encoder(tiny("bert")).modules())


def test_neighbours_in_a_packed_row_do_not_see_each_other(tiny, make_batch):
    encoder = Encoder(tiny("bert")).eval()
    batch = make_batch([5, 9, 5], packed=True)
    changed = batch.token_ids.clone()
    changed[0, 5:14] = 9
    with torch.no_grad():
        before = encoder(batch).cls
        after = encoder(type(batch)(**{f: getattr(batch, f) for f in batch.__slots__} | {"token_ids": changed})).cls
    assert torch.equal(before[[0, 2]], after[[0, 2]])
    assert (before[1] - after[1]).abs().max() > 1e-3


def test_segment_ids_reach_families_that_have_them(tiny, make_batch):
    batch = make_batch(LENGTHS)
    flat = type(batch)(**{f: getattr(batch, f) for f in batch.__slots__} | {"segment_ids": batch.segment_ids * 0})
    bert, roberta = Encoder(tiny("bert")).eval(), Encoder(tiny("roberta")).eval()
    assert (bert(batch).cls - bert(flat).cls).abs().max() > 1e-3
    assert torch.equal(roberta(batch).cls, roberta(flat).cls)


def test_weights_are_float32_whatever_was_saved(tmp_path, tiny):
    AutoModel.from_pretrained(tiny("bert"), dtype=torch.bfloat16).save_pretrained(tmp_path)
    assert {p.dtype for p in Encoder(str(tmp_path)).parameters()} == {torch.float32}


def test_a_missing_pooler_starts_from_its_seed_and_does_not_change_the_global_state(tmp_path, tiny):
    AutoModel.from_pretrained(tiny("roberta"), add_pooling_layer=False).save_pretrained(tmp_path)
    state = torch.random.get_rng_state()
    first, again, other = (Encoder(str(tmp_path), tap="pooler", seed_init=s).pooler.dense.weight for s in (1, 1, 2))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_fingerprint_follows_weights_and_tap(tmp_path, tiny):
    folder = tiny("bert")
    base = Encoder(folder).fingerprint()
    assert base == Encoder(folder, dropout=0.0).fingerprint()
    assert base != Encoder(folder, tap="pooler").fingerprint()
    model = AutoModel.from_pretrained(folder)
    model.embeddings.word_embeddings.weight.data[5, 0] += 1e-3
    model.save_pretrained(tmp_path)
    assert base != Encoder(str(tmp_path)).fingerprint()


def test_wrong_options_and_long_sequences_are_refused(tmp_path, tiny, make_batch):
    with pytest.raises(InputError, match=r"model\.tap.*Did you mean 'pooler'"):
        Encoder(tiny("bert"), tap="poler")
    with pytest.raises(InputError, match=r"model\.dropout` to be null or a number from 0 to below 1, but got 1\.0"):
        Encoder(tiny("bert"), dropout=1.0)
    with pytest.raises(InputError, match=r"at most 40 tokens.*got 41.*data\.max_length=40"):
        Encoder(tiny("bert"))(make_batch([41]))
    assert Encoder(tiny("roberta")).max_length == 38  # two rows of the table are not for tokens
    with pytest.raises(InputError, match=r"packed.*data\.packed=false"):
        build(tiny("mpnet"), "mpnet")(make_batch(LENGTHS, packed=True))
    with pytest.raises(InputError, match=r"model\.path.*MPNet"):
        Encoder(tiny("mpnet"), attention="sdpa")
    AutoModel.from_pretrained(tiny("bert", num_hidden_layers=2)).save_pretrained(tmp_path)
    config = (tmp_path / "config.json").read_text().replace('"num_hidden_layers": 2', '"num_hidden_layers": 3')
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"all weights of a bert.*lacks 16 of them"):
        Encoder(str(tmp_path))


def test_an_unlisted_family_works_padded(tmp_path, make_batch):
    from transformers import NystromformerConfig, NystromformerModel

    config = NystromformerConfig(
        vocab_size=60, hidden_size=24, num_hidden_layers=2, num_attention_heads=3, intermediate_size=40,
        max_position_embeddings=40, num_landmarks=40, segment_means_seq_len=40, pad_token_id=1,
    )  # fmt: skip
    model = NystromformerModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder = Encoder(str(tmp_path), attention="eager").eval()
    batch = make_batch(LENGTHS)
    expected = model(batch.token_ids, batch.mask.long(), token_type_ids=batch.segment_ids).last_hidden_state[:, 0]
    torch.testing.assert_close(encoder(batch).cls, expected)
    assert not encoder.can_pack
    with pytest.raises(InputError, match=r"model\.dropout.*nystromformer"):
        Encoder(str(tmp_path), attention="eager", dropout=0.0)
