"""The three published formats are read; any other file is refused with what is wrong and what is expected."""

import argparse
import os
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from sai_bench.errors import WeightsError
from sai_bench_builtin.priors.audiomae.checkpoint import load_encoder

SIZE = {"width": 32, "depth": 2, "heads": 4}
EXPECTED = r"Expected pretrained\.pth or finetuned\.pth .* timm-format file"


def encoder_state(seed=0, width=32, depth=2):
    """Random numbers under the encoder's published names, without the final norm."""
    shapes = {
        "cls_token": (1, 1, width),
        "pos_embed": (1, 513, width),
        "patch_embed.proj.weight": (width, 1, 16, 16),
        "patch_embed.proj.bias": (width,),
    }
    for i in range(depth):
        shapes |= {
            f"blocks.{i}.{name}.{kind}": shape if kind == "weight" else shape[:1]
            for name, shape in {
                "norm1": (width,),
                "attn.qkv": (3 * width, width),
                "attn.proj": (width, width),
                "norm2": (width,),
                "mlp.fc1": (4 * width, width),
                "mlp.fc2": (width, 4 * width),
            }.items()
            for kind in ("weight", "bias")
        }
    return random_tensors(shapes, seed)


def random_tensors(shapes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def norm(name, width=32):
    return random_tensors({f"{name}.weight": (width,), f"{name}.bias": (width,)}, seed=1)


def pretrained(path):
    decoder = random_tensors(
        {
            "decoder_embed.weight": (16, 32),
            "decoder_pos_embed": (1, 513, 16),
            "decoder_blocks.0.attn.qkv.weight": (48, 16),
            "decoder_norm.weight": (16,),
            "decoder_pred.weight": (256, 16),
            "mask_token": (1, 1, 16),
        }
    )
    state = {**encoder_state(), **norm("norm"), **decoder}
    torch.save({"model": state, "epoch": 32, "args": argparse.Namespace(lr=0.1, audio_exp=True)}, path)


def finetuned(path):
    head = random_tensors({"head.weight": (527, 32), "head.bias": (527,)})
    torch.save({"model": {**encoder_state(), **norm("fc_norm"), **head}}, path)


def timm_pickled(path):
    torch.save({**encoder_state(), **norm("norm")}, path)


def timm_safetensors(path):
    save_file({**encoder_state(), **norm("fc_norm")}, path)


@pytest.mark.parametrize(
    ("name", "write", "norm_name"),
    [
        ("pretrained.pth", pretrained, "norm"),
        ("finetuned.pth", finetuned, "fc_norm"),
        ("pytorch_model.bin", timm_pickled, "norm"),
        ("model.safetensors", timm_safetensors, "fc_norm"),
    ],
)
def test_every_published_format_gives_its_own_numbers(tmp_path, name, write, norm_name):
    write(tmp_path / name)
    encoder = load_encoder(tmp_path / name, **SIZE)
    expected = {**encoder_state(), "norm.weight": norm(norm_name)[f"{norm_name}.weight"]}
    for key, tensor in expected.items():
        assert torch.equal(encoder.state_dict()[key], tensor), key
    assert encoder.norm_after_pool == (norm_name == "fc_norm")
    assert not encoder.training
    assert not any(p.requires_grad for p in encoder.parameters())
    assert encoder(torch.zeros(1, 208, 128), valid_rows=13).isfinite().all()


def test_half_precision_files_become_float32(tmp_path):
    save_file(
        {k: t.half() for k, t in {**encoder_state(), **norm("norm")}.items()}, tmp_path / "a.safetensors"
    )
    assert load_encoder(tmp_path / "a.safetensors", **SIZE).cls_token.dtype == torch.float32


def written(path, change):
    state = {**encoder_state(), **norm("norm")}
    change(state)
    torch.save({"model": state}, path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda s: s.pop("blocks.1.attn.qkv.bias"), r"missing keys: blocks\.1\.attn\.qkv\.bias\n"),
        (lambda s: s.update(dist_token=torch.zeros(1)), r"unexpected keys: dist_token\n"),
        (
            lambda s: s.update(pos_embed=torch.zeros(1, 197, 32)),
            r"wrong shapes: pos_embed \(1, 197, 32\), expected \(1, 513, 32\)\n",
        ),
        (lambda s: s.update(cls_token="text"), r"no dense tensors of floating point: cls_token\n"),
        (
            lambda s: s.update(cls_token=torch.ones(1, 1, 32).to_sparse()),
            r"no dense tensors of floating point: cls_token\n",
        ),
        (
            lambda s: s.update(cls_token=torch.ones(1, 1, 32, device="meta")),
            r"no dense tensors of floating point: cls_token\n",
        ),
        (lambda s: s["cls_token"].fill_(torch.nan), r"NaN or infinite: cls_token\n"),
        (
            lambda s: s.update({"fc_norm.weight": torch.ones(32)}),
            r"two last norms, expected one of them: fc_norm\.weight, norm\.bias, norm\.weight\n",
        ),
        (
            lambda s: [s.pop(name) for name in list(s) if name.startswith("blocks.1")],
            r"missing keys: (blocks\.1\.[\w.]+, ){5}blocks\.1\.[\w.]+ and 6 more\n",
        ),
    ],
)
def test_what_is_wrong_with_the_keys_is_listed(tmp_path, change, says):
    written(tmp_path / "odd.pth", change)
    with pytest.raises(WeightsError, match=rf"odd\.pth: is no AudioMAE encoder[\s\S]*{says}{EXPECTED}"):
        load_encoder(tmp_path / "odd.pth", **SIZE)


def test_an_encoder_of_another_size_is_refused_and_the_size_keys_are_named(tmp_path):
    pretrained(tmp_path / "pretrained.pth")
    with pytest.raises(WeightsError, match=r"width 768, 12 blocks[\s\S]*wrong shapes[\s\S]*encoder_width"):
        load_encoder(tmp_path / "pretrained.pth")


class Harmful:
    def __reduce__(self):
        return Path.touch, (Path("harm_done"),)


NO_TENSORS = "cannot be read as tensors: it is no PyTorch or safetensors file, or it is damaged"
CODE = "cannot be read as tensors: it contains code besides tensors, which is not loaded"


class ScriptedModule(torch.nn.Module):
    def forward(self, x):
        return x + 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("name", "write", "says"),
    [
        ("text.pth", lambda p: p.write_text("hello"), NO_TENSORS),
        ("text.safetensors", lambda p: p.write_text("hello, this is text"), NO_TENSORS),
        ("json.safetensors", lambda p: p.write_text('12345678{"a": 1}'), NO_TENSORS),
        ("numbers.pkl", lambda p: p.write_bytes(pickle.dumps({"a": 1})), NO_TENSORS),
        ("empty.pth", lambda p: p.write_bytes(b""), "cannot be read as tensors: it is empty"),
        ("empty.safetensors", lambda p: p.write_bytes(b""), "cannot be read as tensors: it is empty"),
        ("code.pth", lambda p: torch.save({"model": Harmful()}, p), CODE),
        ("code.bin", lambda p: p.write_bytes(pickle.dumps(Harmful(), protocol=2)), CODE),
        ("newer.bin", lambda p: p.write_bytes(pickle.dumps(Harmful(), protocol=4)), CODE),
        ("network.pth", lambda p: torch.save({"model": torch.nn.Linear(2, 2)}, p), CODE),
        (
            "older.pth",
            lambda p: torch.save(torch.nn.Linear(2, 2), p, _use_new_zipfile_serialization=False),
            CODE,
        ),
        ("list.pth", lambda p: torch.save([torch.zeros(1)], p), "holds a list and no named tensors"),
        ("numbers.pth", lambda p: torch.save({1: torch.zeros(1)}, p), "no named tensors"),
        ("tensor.pth", lambda p: torch.save({"model": torch.zeros(3)}, p), "holds a Tensor"),
        ("absent.pth", lambda p: None, "cannot be read as tensors: no such file"),
        ("folder.pth", Path.mkdir, "cannot be read as tensors: it is a folder"),
        ("pipe.pth", os.mkfifo, "cannot be read as tensors: it is no regular file"),
    ],
)
def test_files_without_tensors_are_refused_with_the_reason_and_run_no_code(
    tmp_path, monkeypatch, name, write, says
):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / name)
    with pytest.raises(WeightsError, match=rf"{name}: .*{says}[\s\S]*{EXPECTED}") as refusal:
        load_encoder(tmp_path / name, **SIZE)
    assert refusal.value.exit_code == 2
    assert "weights_only" not in str(refusal.value)
    assert "\x1b" not in str(refusal.value)
    assert not Path("harm_done").exists()


@pytest.mark.filterwarnings("ignore:.torch.jit")
def test_a_network_with_its_code_is_refused(tmp_path):
    torch.jit.script(ScriptedModule()).save(tmp_path / "scripted.pth")
    with pytest.raises(WeightsError, match=CODE):
        load_encoder(tmp_path / "scripted.pth", **SIZE)


@pytest.mark.parametrize("write", [pretrained, timm_safetensors])
def test_a_truncated_file_is_refused(tmp_path, write):
    write(tmp_path / "cut.pth")
    content = (tmp_path / "cut.pth").read_bytes()
    (tmp_path / "cut.pth").write_bytes(content[: len(content) // 2])
    with pytest.raises(WeightsError, match=rf"cut\.pth: {NO_TENSORS}"):
        load_encoder(tmp_path / "cut.pth", **SIZE)


@pytest.mark.parametrize(("name", "write"), [("a.pth", timm_safetensors), ("a.safetensors", timm_pickled)])
def test_what_a_file_is_shows_in_its_content_and_not_in_its_name(tmp_path, name, write):
    write(tmp_path / name)
    assert torch.equal(load_encoder(tmp_path / name, **SIZE).cls_token, encoder_state()["cls_token"])
