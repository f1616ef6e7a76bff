"""Image files: read by the processor of the model's folder, trained on and scored; what is no image is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w
import torch

from benchmarks.experiments.experiment import Experiment
from benchmarks.problems.find import find_problem
from benchmarks.problems.problem import ProblemError
from peft_methods import VPT, Frozen

transformers = pytest.importorskip("transformers", reason="needs transformers (pip install crossbar-sim[hf])")
image = pytest.importorskip("PIL.Image", reason="needs Pillow")
SIZE = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random ViT with its processor, and bright and dark pictures of several sizes and modes."""
    made = tmp_path_factory.mktemp("images")
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 24}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = transformers.ViTForImageClassification(
            transformers.ViTConfig(**sizes, image_size=SIZE, patch_size=4, num_labels=3)
        )
    model.save_pretrained(made / "vit")
    transformers.ViTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(made / "vit")
    stream = np.random.RandomState(0)
    for name, count in (("train", 20), ("test", 6)):
        lines = ["image,label"]
        for place in range(count):
            pixels = (stream.randint(0, 120, (10 + place % 3, 12, 3)) + 130 * (place % 2)).astype(np.uint8)
            picture = image.fromarray(pixels)
            path = made / f"{name}{place}.png"
            (picture if place % 4 else picture.convert("L")).save(path)
            lines.append(f"{path.name},{('dark', 'bright')[place % 2]}")
        (made / f"{name}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return made


def problem_file(folder: Path, train: str = "train.csv") -> str:
    task = {"name": "light", "train": train, "test": "test.csv"}
    stated = {"name": "pictures", "model": "vit", "task_type": "image-classification", "tasks": [task]}
    path = folder / "problem.toml"
    path.write_text(tomli_w.dumps(stated), encoding="utf-8")
    return str(path)


def test_pictures_are_classified_with_prompts_and_frozen(folder: Path) -> None:
    problem = find_problem(problem_file(folder))
    task = problem.task("light")
    assert task.labels == ("bright", "dark")
    data = task.data(None, 0)
    assert data.test.by_name()["pixel_values"].shape == (6, 3, SIZE, SIZE) and len(data.train) == 16
    for method in (VPT(prompts=2, steps=3), Frozen()):
        record = Experiment(method=method, problem=problem, seeds=(0,)).run(folder / "runs").record()
        assert 0 <= record.accuracy_mean <= 1 and (record.trained_values > 0) == (method != Frozen())


@pytest.mark.parametrize(("content", "name"), [(None, "gone.png"), (b"no image", "broken.png")])
def test_what_is_no_image_is_named(content: bytes | None, name: str, folder: Path) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    rows = (folder / "train.csv").read_text(encoding="utf-8").replace("train0.png", name)
    (folder / "wrong.csv").write_text(rows, encoding="utf-8")
    problem = find_problem(problem_file(folder, "wrong.csv"))
    with pytest.raises(ProblemError, match=f"wrong.csv: image {name} cannot be read"):
        problem.task("light").data(None, 0)
