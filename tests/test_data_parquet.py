"""Parquet sources: generated files, the copies in ../shared where they exist, and what a user can get wrong."""

from __future__ import annotations

import inspect
import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from PIL import Image

from benchmark.data.parquet import Parquet
from benchmark.data.source import Decoded
from benchmark.errors import BadInput

SHARED = Path(__file__).parents[2] / "shared" / "data"
needs_shared = pytest.mark.skipif(not (SHARED / "gtsrb").is_dir(), reason=f"no copies of real data sets in {SHARED}")


def picture(level: int, width: int = 6, height: int = 6, mode: str = "RGB", kind: str = "PNG") -> bytes:
    """A picture file of one grey level."""
    stream = io.BytesIO()
    Image.new("L", (width, height), level).convert(mode).save(stream, kind)
    return stream.getvalue()


def write(file: Path, labels: list[Any], names: list[str] | None = None, **columns: Any) -> Path:
    """A Parquet file with one picture a row, whose grey level is the row's number; returns its folder."""
    file.parent.mkdir(parents=True, exist_ok=True)
    cells = columns.pop("cells", None) or [{"bytes": picture(row), "path": f"{row}.png"} for row in range(len(labels))]
    table = pa.table({"image": cells, "label": labels, **columns})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"_type": "ClassLabel", "names": names}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file, row_group_size=3)
    return file.parent


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six training rows and two test rows of the labels 0, 1 and 2."""
    write(tmp_path / "train.parquet", [0, 1, 2, 0, 1, 2])
    return write(tmp_path / "test.parquet", [2, 0])


def decode(folder: Path, **options: Any) -> Decoded:
    return Parquet(str(folder), **options).decode(folder / "downloads")


def refused(folder: Path | str | None, **options: Any) -> str:
    """The one line with which a source is refused."""
    with pytest.raises(BadInput) as caught:
        source = Parquet(None if folder is None else str(folder), **options)
        source.decode(Path("downloads"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def levels(data: Decoded) -> tuple[list[int], list[int]]:
    """The grey levels of the training and of the test pictures: the rows they came from."""
    return data.train.inputs[:, 0, 0, 0].tolist(), data.test.inputs[:, 0, 0, 0].tolist()


def test_reads_rows_in_file_order(folder: Path) -> None:
    data = decode(folder)
    assert data.train.inputs.shape == (6, 3, 6, 6) and data.train.inputs.dtype == np.uint8
    assert data.train.targets.tolist() == [0, 1, 2, 0, 1, 2] and data.train.targets.dtype == np.int64
    assert data.test.targets.tolist() == [2, 0] and data.classes == ["0", "1", "2"]
    assert levels(data) == ([0, 1, 2, 3, 4, 5], [0, 1])
    assert data.train.group is None and data.test.group is None


def test_files_are_the_shards_in_order(folder: Path) -> None:
    write(folder / "train-00001.parquet", [0, 1])
    (folder / "notes.txt").write_text("not read")
    names = [path.name for path in Parquet(str(folder)).files(folder)]
    assert names == ["train-00001.parquet", "train.parquet", "test.parquet"]
    data = decode(folder)
    assert levels(data)[0] == [0, 1, 0, 1, 2, 3, 4, 5] and data.train.targets.tolist() == [0, 1, 0, 1, 2, 0, 1, 2]


def test_grey_and_resized(folder: Path) -> None:
    data = decode(folder, channels=1, size=9)
    assert data.train.inputs.shape == (6, 1, 9, 9) and levels(data)[0] == [0, 1, 2, 3, 4, 5]


def test_planes_are_red_green_blue_and_rows_run_down(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 5, 7, 3), dtype=np.uint8)
    cells = []
    for image in pixels:
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "PNG")
        cells.append({"bytes": stream.getvalue(), "path": None})
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", [0, 1], cells=cells)
    assert np.array_equal(decode(tmp_path).train.inputs, pixels.transpose(0, 3, 1, 2))


def test_plain_bytes_column_and_other_names(tmp_path: Path) -> None:
    table = pa.table({"img": [picture(3), picture(4)], "fine": pa.array([1, 0], pa.uint8())})
    for split in ("train", "val"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    data = decode(tmp_path, image="img", label="fine", test_split="val")
    assert levels(data) == ([3, 4], [3, 4]) and data.train.targets.tolist() == [1, 0]


@pytest.mark.parametrize("mode, kind", [("L", "JPEG"), ("1", "PNG"), ("P", "GIF"), ("RGBA", "PNG"), ("CMYK", "JPEG")])
def test_any_8_bit_mode(tmp_path: Path, mode: str, kind: str) -> None:
    cells = [{"bytes": picture(0, mode=mode, kind=kind), "path": None}] * 2
    for split in ("train", "test"):
        write(tmp_path / f"{split}.parquet", [0, 1], cells=cells)
    assert decode(tmp_path).train.inputs.shape == (2, 3, 6, 6)


def test_string_labels_are_sorted(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", ["stop", "yield", "arrow"])
    data = decode(write(tmp_path / "test.parquet", ["yield"]))
    assert data.classes == ["arrow", "stop", "yield"]
    assert data.train.targets.tolist() == [1, 2, 0] and data.test.targets.tolist() == [2]


def test_categories_are_strings(tmp_path: Path) -> None:
    column = pa.array(["b", "a"]).dictionary_encode()
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": [picture(0), picture(1)], "label": column}), tmp_path / f"{split}.parquet")
    assert decode(tmp_path).train.targets.tolist() == [1, 0]


def test_integers_with_gaps_are_numbered_from_zero(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [10, 2, 10])
    data = decode(write(tmp_path / "test.parquet", [2]))
    assert data.classes == ["2", "10"] and data.train.targets.tolist() == [1, 0, 1]


def test_class_labels_have_names(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [1, 0], names=["cat", "ant"])
    data = decode(write(tmp_path / "test.parquet", [1], names=["cat", "ant"]))
    assert data.classes == ["cat", "ant"] and data.train.targets.tolist() == [1, 0]


def test_splits_must_number_the_classes_alike(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [1, 0], names=["cat", "ant"])
    write(tmp_path / "test.parquet", [1], names=["ant", "cat"])
    assert "name the classes differently (ant, cat against cat, ant)" in refused(tmp_path)


def test_keeping_classes_renumbers_and_then_limits(tmp_path: Path) -> None:
    names = ["cat", "ant", "dog"]
    write(tmp_path / "train.parquet", [0, 1, 2, 0, 1, 2, 2], names=names)
    write(tmp_path / "test.parquet", [1, 2, 0, 0], names=names)
    for classes in (["dog", "cat"], [2, 0], ["dog", 0]):
        data = decode(tmp_path, classes=classes, train_rows=3, test_rows=1)
        assert data.classes == ["dog", "cat"]
        assert data.train.targets.tolist() == [1, 0, 1] and data.test.targets.tolist() == [0]
        assert levels(data) == ([0, 2, 3], [1])


def test_groups_are_tracks_of_one_class(tmp_path: Path) -> None:
    paths = ["a/7_0.png", "a/7_1.png", "a/8_0.png", "b/7_0.png", "b/7_1.png"]
    cells = [{"bytes": picture(row), "path": path} for row, path in enumerate(paths)]
    write(tmp_path / "train.parquet", [0, 0, 0, 1, 1], cells=cells)
    data = decode(write(tmp_path / "test.parquet", [0, 1]), group_pattern=r"(\d+)_\d+\.png$")
    assert data.train.group is not None and data.train.group.dtype == np.int64
    assert data.train.group.tolist() == [0, 0, 1, 2, 2]  # track 7 of another class is another track
    assert data.test.group is None


def test_yaml_is_the_constructor_call() -> None:
    options = dict(OmegaConf.load(Path(__file__).parents[1] / "conf" / "dataset" / "parquet.yaml"))
    assert options.pop("_target_") == "benchmark.data.parquet.Parquet" and options.pop("path") is None
    parameters = inspect.signature(Parquet).parameters
    assert options == {name: one.default for name, one in parameters.items() if name != "path"}


@pytest.mark.parametrize("path", [None, ""])
def test_path_must_be_given(path: str | None) -> None:
    assert "dataset.path is not set" in refused(path)


def test_path_must_be_a_folder(folder: Path) -> None:
    assert "no such folder" in refused(folder / "nowhere")
    assert "give the folder" in refused(folder / "train.parquet")


def test_both_splits_must_be_there(tmp_path: Path) -> None:
    assert "no train*.parquet; there are: none" in refused(tmp_path)
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "tset.parquet", [0, 1])
    assert "no test*.parquet; did you mean tset.parquet?" in refused(tmp_path)


def test_splits_must_differ(folder: Path) -> None:
    assert "both train" in refused(folder, test_split="train")
    write(folder / "train_test.parquet", [0, 1])
    assert "cannot be told apart" in refused(folder, test_split="train_test")


@pytest.mark.parametrize("option", ["image", "label"])
def test_missing_column_names_the_nearest(folder: Path, option: str) -> None:
    message = refused(folder, **{option: option + "s"})
    assert f"dataset.{option}={option}s" in message and f"did you mean {option}?" in message
    assert "there are: image, label" in message


def test_columns_must_hold_pictures_and_labels(folder: Path) -> None:
    assert "not pictures" in refused(folder, image="label")
    assert "labels are integers or strings" in refused(folder, label="image")
    write(folder / "train.parquet", [0.5, 1.0])
    assert "holds double there; labels are integers or strings" in refused(folder)


def test_labels_must_be_there_and_not_negative(folder: Path) -> None:
    write(folder / "test.parquet", [0, -1])
    assert "test row 1: label -1" in refused(folder)
    write(folder / "train.parquet", [0, 1, None])
    assert "train row 2: label None" in refused(folder)


def test_two_classes_are_needed(folder: Path) -> None:
    assert "at least 2" in refused(folder, classes=[1])
    assert "at least 2" in refused(folder, classes=[])
    write(folder / "train.parquet", [3, 3])
    assert "at least 2" in refused(folder)


def test_classes_to_keep_must_be_there_once(folder: Path) -> None:
    assert "twice" in refused(folder, classes=[0, 1, "0"])
    write(folder / "train.parquet", [0, 1], names=["stop", "yield"])
    assert "no label stpo; did you mean stop?" in refused(folder, classes=["stpo", "yield"])


def test_test_labels_must_be_known(folder: Path) -> None:
    write(folder / "test.parquet", [0, 3])
    assert "test row 1: label 3 is not one of the training labels; there are: 0, 1, 2" in refused(folder)
    assert decode(folder, classes=[0, 1]).test.targets.tolist() == [0]  # other rows are dropped, as asked
    for split in ("train", "test"):
        write(folder / f"{split}.parquet", [0, 1, 2], names=["a", "b"])
    assert "train row 2: label 2" in refused(folder)


def test_each_class_needs_a_training_row(folder: Path) -> None:
    message = refused(folder, train_rows=2)
    assert "class 2 has no row among the 2 training rows; raise dataset.train_rows" in message


def test_test_rows_of_dropped_classes_leave_none(folder: Path) -> None:
    write(folder / "test.parquet", [2])
    assert "no pictures" in refused(folder, classes=[0, 1])


@pytest.mark.parametrize(
    "content", [b"", b"text", picture(1)[:40], b"%!PS-Adobe-3.0 EPSF-3.0\n", picture(1, mode="I;16")]
)
def test_unreadable_picture_names_its_row(folder: Path, content: bytes) -> None:
    cells = [{"bytes": picture(row), "path": None} for row in range(4)] + [{"bytes": content, "path": None}]
    write(folder / "train.parquet", [0, 1, 2, 0, 1], cells=cells)
    message = refused(folder)
    assert "train.parquet row 4: unreadable picture" in message


def test_pictures_must_be_embedded(folder: Path) -> None:
    cells = [{"bytes": picture(0), "path": "0.png"}, {"bytes": None, "path": "/etc/passwd"}]
    write(folder / "train.parquet", [0, 1], cells=cells)
    assert "train.parquet row 1: no picture bytes" in refused(folder, classes=[0, 1])


def test_sizes_must_agree_unless_resized(folder: Path) -> None:
    cells = [{"bytes": picture(0), "path": None}, {"bytes": picture(1, 7, 5), "path": None}]
    write(folder / "train.parquet", [0, 1], cells=cells)
    write(folder / "test.parquet", [0])
    message = refused(folder)
    assert "row 1: 5x7 pixels, the first picture 6x6" in message and "dataset.size=32" in message
    assert decode(folder, size=8).train.inputs.shape == (2, 3, 8, 8)
    write(folder / "train.parquet", [0, 1], cells=cells[1:] * 2)
    assert "training pictures of 5x7 pixels, test pictures of 6x6" in refused(folder)


def test_damaged_files_are_named(folder: Path) -> None:
    (folder / "test.parquet").write_bytes(b"PAR1 but nothing more")
    assert "test.parquet: unreadable as Parquet" in refused(folder)
    content = bytearray((folder / "train.parquet").read_bytes())
    content[4:400] = bytes(396)  # the pages; the index at the end stays
    (folder / "train.parquet").write_bytes(content)
    write(folder / "test.parquet", [2, 0])
    assert "train.parquet" in refused(folder)


@pytest.mark.parametrize(
    "options, part",
    [
        ({"size": 0}, "dataset.size=0"),
        ({"channels": 2}, "dataset.channels=2"),
        ({"train_rows": 0}, "dataset.train_rows=0"),
        ({"test_rows": True}, "dataset.test_rows=True"),
        ({"clean": 0}, "dataset.clean=0"),
        ({"group_pattern": "("}, "no regular expression"),
        ({"group_pattern": "x+"}, "captures nothing"),
        ({"group_pattern": "(x)"}, "train row 0 has the path 0.png, which does not match"),
    ],
)
def test_options_without_sense(folder: Path, options: dict[str, Any], part: str) -> None:
    assert part in refused(folder, **options)


def test_groups_need_paths(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pq.write_table(pa.table({"image": [picture(0), picture(1)], "label": [0, 1]}), tmp_path / f"{split}.parquet")
    assert "holds no paths" in refused(tmp_path, group_pattern="(x)")


def test_hub_data_set_is_fetched_once(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    asked = []
    local = datasets.load_dataset_builder
    files = {split: str(folder / f"{split}.parquet") for split in ("train", "test")}

    def builder(name: str, config: str | None, revision: str | None, cache_dir: str) -> Any:
        asked.append((name, config, revision))
        return local("parquet", data_files=files, cache_dir=cache_dir)

    monkeypatch.setattr(datasets, "load_dataset_builder", builder)
    downloads = tmp_path / "downloads"
    source = Parquet("owner/signs", revision="v1", channels=1)
    data = source.decode(downloads)
    assert levels(data) == ([0, 1, 2, 3, 4, 5], [0, 1]) and data.train.targets.tolist() == [0, 1, 2, 0, 1, 2]
    assert asked == [("owner/signs", None, "v1")]
    paths = source.files(downloads)
    assert [path.suffix for path in paths] == [".arrow", ".arrow"] and len(asked) == 1
    assert all(path.is_relative_to(downloads) for path in paths)
    paths[0].unlink()
    with pytest.raises(BadInput, match="no split val; there are: train, test"):
        Parquet("owner/signs", test_split="val").files(downloads)


@pytest.mark.parametrize("error", [ConnectionError("no\nnetwork"), FileNotFoundError("no such data set"), ValueError()])
def test_no_network_or_unknown_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    import datasets

    def fail(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr(datasets, "load_dataset_builder", fail)
    monkeypatch.chdir(tmp_path)
    message = refused("owner/signs")
    assert "dataset.path=owner/signs: no such folder here, and the Hugging Face hub did not give it" in message


def test_other_formats_on_the_hub_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    (tmp_path / "rows.csv").write_text("image,label\n0,1\n")
    builder = datasets.load_dataset_builder("csv", data_files=str(tmp_path / "rows.csv"), cache_dir=str(tmp_path))
    monkeypatch.setattr(datasets, "load_dataset_builder", lambda *arguments, **options: builder)
    monkeypatch.chdir(tmp_path)
    assert "not stored as Parquet on the hub" in refused("owner/signs")


@needs_shared
def test_real_cifar10_copy() -> None:
    data = decode(SHARED / "cifar10", train_rows=300, test_rows=200)
    assert data.train.inputs.shape == (300, 3, 32, 32) and data.test.inputs.shape == (200, 3, 32, 32)
    assert data.classes[:2] == ["airplane", "automobile"] and len(data.classes) == 10
    assert 90 < data.train.inputs.mean() < 150  # pixels in [0, 255], not [0, 1]


@needs_shared
def test_real_gtsrb_copy_has_tracks() -> None:
    signs = ["stop", "yield", "no entry"]
    data = decode(SHARED / "gtsrb", classes=signs, test_rows=50, group_pattern=r"^(\d+_\d+)_")
    assert data.classes == signs and data.train.group is not None
    tracks = np.bincount(data.train.group)
    assert tracks.max() == 30 and tracks.min() >= 29
    for track in range(len(tracks)):
        assert len(set(data.train.targets[data.train.group == track].tolist())) == 1
