"""Pruning touches nothing that somebody uses; archives come back byte for byte, and hostile ones bring nothing."""

from __future__ import annotations

import io
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import here, python
from safetensors import SafetensorError, safe_open
from test_inventory import STRANGER, artefact, place, stock
from test_lease import Hands

from benchmark import exchange
from benchmark.admitting.rerun import workshop
from benchmark.errors import BadInput
from benchmark.exchange import STANDING, pack, unpack
from benchmark.inventory import Holdings, members, sizes
from benchmark.lease import HEARTBEAT, STALE, Lease
from benchmark.pruning import prunable, remove
from benchmark.results.marks import mark, marks, written
from benchmark.seal import sealed, verified
from benchmark.store import Store, publish

Entry = tuple[tarfile.TarInfo, bytes]


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def touch(folder: Path, *names: str) -> list[Path]:
    paths = [folder / name for name in names]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("elsewhere 0")
    return sorted(paths)


def bequest(path: Path) -> Path:
    """A lease whose holder, a process of this machine, has been killed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    code = (
        "import os, sys; from pathlib import Path; from benchmark.lease import Lease\n"
        "Lease(Path(sys.argv[1]), done=lambda: False).__enter__(); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert path.exists()
    return path


# ---- pruning


def test_leftovers_go_and_all_else_stays(tmp_path: Path) -> None:
    record, shelf = stock(tmp_path), Store(tmp_path)
    touch(tmp_path, "downloads/x/part.tmp", "data/rows.json", "sweeps/one/0000.log", "mine.tmp")
    before = content(tmp_path)
    left = touch(
        tmp_path,
        f"artefacts/ab/{'a' * 64}.safetensors.{'0' * 32}.tmp",
        f"artefacts/ab/{'a' * 64}.1.checkpoint.tmp",
        f"records/ab/{'a' * 64}.json.12345678.damaged",
        f"data/{'b' * 64}.json.{'0' * 32}.tmp",
        "imports/x.tmp/records/ab/half.json",
    )
    left = sorted([*left, bequest(tmp_path / "artefacts" / "ab" / f"{'c' * 64}.lease")])
    hands = Hands()
    assert prunable(shelf, False, hands.clock, hands.sleep) == left and hands.waited == 0, "the dead are known at once"
    assert content(tmp_path).keys() == before.keys() | {str(path.relative_to(tmp_path)) for path in left}
    remove(shelf, left)
    assert content(tmp_path) == before and not (tmp_path / "imports").exists()
    assert Holdings(shelf).unused([record]) == []


def test_unused_artefacts_go_only_if_asked_for(tmp_path: Path) -> None:
    shelf = Store(tmp_path)
    stock(tmp_path)
    stock(tmp_path, seed=1, key=STRANGER)
    before, idle = content(tmp_path), shelf.artefact("0" * 64)
    publish(idle, artefact(99.0))
    assert prunable(shelf, unused=False) == []
    assert prunable(shelf, unused=True) == [idle]
    remove(shelf, [idle])
    assert content(tmp_path) == before


def test_verifications_go_if_asked_for_and_data_that_they_share_stay(tmp_path: Path) -> None:
    shelf = Store(tmp_path)
    stock(tmp_path)
    (kept,) = touch(tmp_path, "data/rows.json")
    root = workshop(tmp_path, 7)
    stock(root)
    (root / "failures" / "ab").mkdir(parents=True)
    (left,) = touch(root, "artefacts/ab/half.tmp")
    before = {name for name in content(tmp_path) if not name.startswith("verifications")}
    assert sum(sizes(shelf)["verifications"]) > 0 and prunable(shelf, unused=False) == [left]
    unused = prunable(shelf, unused=True)
    assert {path.name for path in unused if path.is_symlink()} == {"data", "downloads"}
    remove(shelf, unused)
    assert set(content(tmp_path)) == before and kept.exists() and not (tmp_path / "verifications").exists()


def test_a_verification_under_way_forbids_pruning(tmp_path: Path) -> None:
    root = workshop(tmp_path, 7)
    with (
        Lease(root / "records" / "ab" / "run.lease", done=lambda: False),
        pytest.raises(BadInput, match="verifications/7"),
    ):
        prunable(Store(tmp_path), unused=True)


def test_a_record_that_cannot_be_read_forbids_to_judge_what_is_unused(tmp_path: Path) -> None:
    record, shelf = stock(tmp_path), Store(tmp_path)
    shelf.record(record.key).write_bytes(b"")
    assert prunable(shelf, unused=False) == []
    with pytest.raises(BadInput, match="is no JSON"):
        prunable(shelf, unused=True)


def test_a_living_lease_of_elsewhere_forbids_pruning(tmp_path: Path) -> None:
    stock(tmp_path)
    living, stale = touch(tmp_path, "artefacts/ab/living.lease", "records/ab/stale.lease")
    hands = Hands(lambda now: living.write_text(f"elsewhere {now // HEARTBEAT}"))
    with pytest.raises(BadInput, match=r"processes hold artefacts/ab/living\.lease; prune") as caught:
        prunable(Store(tmp_path), False, hands.clock, hands.sleep)
    assert "stale" not in str(caught.value) and living.exists() and stale.exists()
    assert hands.waited < 2 * HEARTBEAT


def test_a_lease_that_is_taken_meanwhile_forbids_pruning(tmp_path: Path) -> None:
    stock(tmp_path)
    touch(tmp_path, "records/ab/stale.lease")
    hands = Hands(lambda now: touch(tmp_path, "records/ab/new.lease"))
    with pytest.raises(BadInput, match=r"processes hold records/ab/new\.lease; prune"):
        prunable(Store(tmp_path), False, hands.clock, hands.sleep)


def test_a_lease_without_a_heartbeat_is_found_out(tmp_path: Path) -> None:
    stock(tmp_path)
    stale, hands = touch(tmp_path, "records/ab/stale.lease"), Hands()
    assert prunable(Store(tmp_path), False, hands.clock, hands.sleep) == stale
    assert STALE < hands.waited < 2 * STALE


def test_a_lease_that_is_given_back_forbids_nothing(tmp_path: Path) -> None:
    stock(tmp_path)
    (lease,) = touch(tmp_path, "records/ab/run.lease")
    hands = Hands(lambda now: lease.unlink(missing_ok=True))
    assert prunable(Store(tmp_path), False, hands.clock, hands.sleep) == [] and hands.waited < STALE


def test_an_import_under_way_forbids_pruning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = stock(tmp_path / "a")
    pack(Store(tmp_path / "a"), [Store(tmp_path / "a").record(record.key)], tmp_path / "x.tar")
    seen: list[str] = []

    def look(path: Path, place: Path) -> str:
        hands = Hands(lambda now: lease.write_text(f"elsewhere {now}"))
        (lease,) = (tmp_path / "b").glob("imports/*.lease")
        with pytest.raises(BadInput, match="imports/"):
            prunable(Store(tmp_path / "b"), False, hands.clock, hands.sleep)
        seen.append(place.name)
        return "new"

    monkeypatch.setattr(exchange, "_publish", look)
    unpack(tmp_path / "x.tar", Store(tmp_path / "b"))
    assert seen == [f"{record.key}.json"]


# ---- archives


def packed(folder: Path, file: Path) -> Path:
    """An archive of all records and artefacts of a store."""
    shelf = Store(folder)
    pack(shelf, [*members(shelf, "records"), *members(shelf, "artefacts")], file)
    return file


def test_what_is_imported_is_what_was_exported(tmp_path: Path) -> None:
    for seed in range(2):
        stock(tmp_path / "a", seed)
    file = packed(tmp_path / "a", tmp_path / "x.tar")
    outcomes = unpack(file, Store(tmp_path / "b"))
    assert content(tmp_path / "b") == content(tmp_path / "a") and set(outcomes.values()) == {"new"}
    assert packed(tmp_path / "b", tmp_path / "y.tar").read_bytes() == file.read_bytes()
    with tarfile.open(file, "r:") as archive:
        entries = archive.getmembers()
    assert [entry.name for entry in entries] == sorted(content(tmp_path / "a")) == sorted(outcomes)
    assert {(entry.mtime, entry.uid, entry.uname, entry.mode) for entry in entries} == {(0, 0, "", 0o644)}


def test_marks_travel_with_records(tmp_path: Path) -> None:
    """Without its mark a record that others reported would count as made here."""
    one, two, three = (stock(tmp_path / "a", seed) for seed in range(3))
    records, there = tmp_path / "a" / "records", tmp_path / "b" / "records"
    mark(records, {one.key: "reported", two.key: "reproduced", "0" * 64: "reported"})
    file = packed(tmp_path / "a", tmp_path / "x.tar")
    outcomes = unpack(file, Store(tmp_path / "b"))
    assert marks(there) == {one.key: "reported", two.key: "reproduced"}, "of what was exported"
    assert set(outcomes) == {
        str(path.relative_to(tmp_path / "b")) for path in there.parent.rglob("*.[js]*") if path.is_file()
    }
    assert packed(tmp_path / "b", tmp_path / "y.tar").read_bytes() == file.read_bytes()
    mark(there, {one.key: "reproduced", three.key: "reported"})
    (there / two.key[:2] / f"{two.key}.json").unlink()
    mark(records, {two.key: "not reproduced", three.key: "reproduced"})
    unpack(packed(tmp_path / "a", tmp_path / "z.tar"), Store(tmp_path / "b"))
    assert marks(there) == {one.key: "reproduced", two.key: "not reproduced", three.key: "reported"}, "ours stay"


def test_an_archive_cannot_mark_what_it_does_not_bring(tmp_path: Path) -> None:
    record = stock(tmp_path / "b", seed=5)
    place(tmp_path / "b", record, "defended").unlink()  # it has the record's key
    packed(tmp_path / "b", tmp_path / "x.tar")
    bare = archive(tmp_path / "y.tar", entry(STANDING, written({record.key: "reported", "0" * 64: "reported"})))
    assert unpack(bare, Store(tmp_path / "b")) == {} and marks(tmp_path / "b" / "records") == {}
    name = f"artefacts/{record.key[:2]}/{record.key}.safetensors"
    more = archive(tmp_path / "z.tar", entry(name, artefact(1.0)), entry(STANDING, written({record.key: "reported"})))
    assert unpack(more, Store(tmp_path / "b")) == {name: "new"} and marks(tmp_path / "b" / "records") == {}


def test_what_is_there_stays(tmp_path: Path) -> None:
    record = stock(tmp_path / "a")
    file = packed(tmp_path / "a", tmp_path / "x.tar")
    stock(tmp_path / "b")
    clean, control = place(tmp_path / "b", record, "clean"), place(tmp_path / "b", record, "control")
    clean.write_bytes(artefact(99.0))
    control.unlink()
    outcomes = unpack(file, Store(tmp_path / "b"))
    name = clean.relative_to(tmp_path / "b").as_posix()
    assert outcomes.pop(name) == "different" and clean.read_bytes() == artefact(99.0)
    assert outcomes.pop(control.relative_to(tmp_path / "b").as_posix()) == "new"
    assert len(outcomes) == 3 and set(outcomes.values()) == {"same"}


def test_an_archive_is_not_written_over(tmp_path: Path) -> None:
    stock(tmp_path / "a")
    (tmp_path / "x.tar").write_text("mine")
    with pytest.raises(BadInput, match="must be a new file"):
        packed(tmp_path / "a", tmp_path / "x.tar")
    with pytest.raises(BadInput, match="in a folder that exists"):
        packed(tmp_path / "a", tmp_path / "nowhere" / "x.tar")
    assert (tmp_path / "x.tar").read_text() == "mine"


def test_a_member_too_large_is_neither_packed_nor_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stock(tmp_path / "a")
    file = packed(tmp_path / "a", tmp_path / "x.tar")
    monkeypatch.setitem(exchange.LIMITS, "artefacts", 100)
    with pytest.raises(BadInput, match="the limit is 100"):
        packed(tmp_path / "a", tmp_path / "y.tar")
    refused(file, tmp_path, "the limit is 100")
    assert {path.name for path in tmp_path.iterdir()} == {"a", "b", "x.tar"}, "no half archive is left"


# ---- hostile archives


def refused(file: Path, tmp_path: Path, told: str) -> None:
    """Nothing of the archive comes into a store that holds something, nor beside it."""
    stock(tmp_path / "b", seed=5)
    before = content(tmp_path / "b")
    with pytest.raises(BadInput, match=told) as caught:
        unpack(file, Store(tmp_path / "b"))
    assert content(tmp_path / "b") == before
    assert "\n" not in str(caught.value) and "nothing was imported" in str(caught.value)


def entry(name: str, data: bytes = b"", kind: bytes = tarfile.REGTYPE, target: str = "") -> Entry:
    found = tarfile.TarInfo(name)
    found.size, found.type, found.linkname = len(data), kind, target
    return found, data


def archive(file: Path, *entries: Entry, form: int = tarfile.USTAR_FORMAT) -> Path:
    with tarfile.open(file, "w", format=form) as out:
        for found, data in entries:
            out.addfile(found, io.BytesIO(data))
    return file


A = f"artefacts/aa/{'a' * 64}.safetensors"
R = f"records/aa/{'a' * 64}.json"


@pytest.mark.parametrize(
    "name",
    [
        "../outside.json",
        "/outside.json",
        f"records/../records/aa/{'a' * 64}.json",
        f"./{A}",
        f"{A}/",
        f"{A}\n",
        f"records/aa/{'a' * 64}.safetensors",
        f"artefacts/aa/{'a' * 64}.json",
        f"artefacts/bb/{'a' * 64}.safetensors",
        f"artefacts/aa/{'a' * 63}.safetensors",
        f"artefacts/aa/{'A' * 64}.safetensors",
        f"failures/aa/{'a' * 64}.json",
        f"artefacts/aa/{'a' * 64}.lease",
        f"store/{A}",
        "",
    ],
)
def test_a_name_that_no_store_has_is_refused(name: str, tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar", entry(A, artefact(1.0)), entry(name, artefact(2.0)))
    refused(file, tmp_path, "is no plain file with the name")
    assert not Path("/outside.json").exists() and not (tmp_path / "outside.json").exists()


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.CONTTYPE]
)
def test_what_is_no_plain_file_is_refused(kind: bytes, tmp_path: Path) -> None:
    refused(archive(tmp_path / "x.tar", entry(A, kind=kind, target="/etc/passwd")), tmp_path, "is no plain file")


@pytest.mark.parametrize("form", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
def test_headers_that_rename_the_next_member_are_refused(form: int, tmp_path: Path) -> None:
    """As they would for a name that is too long for a header."""
    refused(archive(tmp_path / "x.tar", entry(f"{A}{'x' * 300}"), form=form), tmp_path, "is no plain file")


def test_sparse_files_are_refused(tmp_path: Path) -> None:
    refused(archive(tmp_path / "x.tar", entry(A, kind=tarfile.GNUTYPE_SPARSE)), tmp_path, "is no plain file")


def wrong_record(folder: Path) -> bytes:
    return Store(folder).record(stock(folder).key).read_bytes()


def flipped() -> bytes:
    data = bytearray(artefact(1.0))
    data[-1] ^= 1
    return bytes(data)


def hollow() -> bytes:
    """Sealed rightly, but its header is no safetensors file's."""
    return sealed(lambda metadata: _header(metadata, '"w": {"dtype": "U9", "shape": [9], "data_offsets": [0, 0]}'), {})


def listing() -> bytes:
    """Sealed rightly, but its facts are a list."""
    return sealed(lambda metadata: _header(metadata, ""), [])  # type: ignore[arg-type]


def _header(metadata: dict[str, str], tensors: str) -> bytes:
    import json

    text = f'{{"__metadata__": {json.dumps(metadata)}{", " if tensors else ""}{tensors}}}'.encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    ("name", "data", "told"),
    [
        (A, flipped(), "do not match their seal"),
        (A, artefact(1.0)[:-1], "not a sealed safetensors file"),
        (A, b"", "not a sealed safetensors file"),
        (A, b"PK\x03\x04 a pickle", "not a sealed safetensors file"),
        (A, (99).to_bytes(8, "little") + b"[" * 99, "not a sealed safetensors file"),
        (A, (10**6).to_bytes(8, "little") + b"[" * 10**6, "recursion"),
        (A, hollow(), "U9"),
        (A, listing(), "its facts are no object"),
        (R, b"{}", "schema None is unknown"),
        (R, b"[" * 10**6, "recursion"),
        (R, b'{"schema": 1, "\\n\\u001b[31m": NaN}', "is no JSON of finite numbers"),
        (R, b'{"schema": 1}', "field"),
        (R, b"\xff\xfe", "is no JSON"),
        (STANDING, b"[" * 10**6, "recursion"),
        (STANDING, b'{"a": "trusted"}', "must give keys the standings"),
    ],
)
def test_unsound_members_are_refused(name: str, data: bytes, told: str, tmp_path: Path) -> None:
    good = f"artefacts/00/{'0' * 64}.safetensors"
    file = archive(tmp_path / "x.tar", entry(good, artefact(1.0)), entry(name, data))
    refused(file, tmp_path, told)


def test_only_the_second_look_finds_a_hollow_artefact(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(hollow())
    assert verified(tmp_path / "x").facts == {}
    with pytest.raises(SafetensorError), safe_open(tmp_path / "x", "numpy"):
        pass


def test_a_record_under_another_key_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar", entry(R, wrong_record(tmp_path / "a")))
    refused(file, tmp_path, f"{R}: is the record of another key")


def test_a_member_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    file = archive(tmp_path / "x.tar", entry(A, artefact(1.0)), entry(A, artefact(2.0)))
    refused(file, tmp_path, f"{A} is there twice")


def negative(data: bytes) -> bytes:
    """A size of -512, which would walk back to the same header for ever."""
    header = bytearray(data[:512])
    header[124:136] = b"\xff" * 10 + b"\xfe\x00"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


def beyond(data: bytes) -> bytes:
    header = bytearray(data[:512])
    header[124:136] = b"00000777777\0"
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + data[512:]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data[:700], "is cut off"),
        (lambda data: data[:512], "is cut off"),
        (lambda data: data[:1024], "empty header"),
        (lambda data: data[:1100], "truncated header"),
        (lambda data: b"", "empty header"),
        (lambda data: b"\x1f\x8b" + data[2:], "bad checksum"),
        (lambda data: b"\xff" * 2000, "bad checksum"),
        (negative, "is cut off"),
        (beyond, "is cut off"),
    ],
)
def test_an_archive_that_is_cut_or_forged_is_refused(
    change: Callable[[bytes], bytes], told: str, tmp_path: Path
) -> None:
    file = archive(tmp_path / "x.tar", entry(A, artefact(1.0)))
    assert 0 < len(artefact(1.0)) <= 512
    file.write_bytes(change(file.read_bytes()))
    refused(file, tmp_path, told)


def test_no_archive_is_refused(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.tar", tmp_path, "No such file")


def test_an_empty_archive_brings_nothing(tmp_path: Path) -> None:
    assert unpack(archive(tmp_path / "x.tar"), Store(tmp_path / "b")) == {}


# ---- the script


def test_the_script_lists_before_it_prunes(tmp_path: Path) -> None:
    stock(tmp_path)
    before = content(tmp_path)
    (left,) = touch(tmp_path, "artefacts/ab/half.tmp")
    done = here("scripts/store.py", "prune", "--unused", "--store", str(tmp_path))
    assert (done.returncode, left.exists()) == (0, True)
    assert str(left) in done.stdout and done.stdout.endswith("1 files, 11 bytes; --yes removes them\n")
    done = here("scripts/store.py", "prune", "--unused", "--yes", "--store", str(tmp_path))
    assert done.returncode == 0 and content(tmp_path) == before


def test_the_script_refuses_to_prune_under_a_living_process(tmp_path: Path) -> None:
    stock(tmp_path)
    touch(tmp_path, "artefacts/ab/half.tmp")
    with Lease(tmp_path / "artefacts" / "ab" / "victim.lease", done=lambda: False):
        before = content(tmp_path).keys()
        done = here("scripts/store.py", "prune", "--yes", "--store", str(tmp_path))
        assert done.returncode == 2 and "artefacts/ab/victim.lease" in done.stderr
        assert content(tmp_path).keys() == before


def test_the_script_exports_and_imports(tmp_path: Path) -> None:
    first, second = stock(tmp_path / "a"), stock(tmp_path / "a", seed=1)
    place(tmp_path / "a", first, "control").unlink()
    where = ("--store", str(tmp_path / "a"))
    done = python("scripts/store.py", "export", str(tmp_path / "all.tar"), *where)
    assert done.returncode == 0 and done.stdout.startswith("2 files, ")
    done = here("scripts/store.py", "export", str(tmp_path / "x.tar"), first.key, "--victims", *where)
    assert done.stdout.splitlines()[0] == f"left out: control of {first.key} (missing)"
    assert done.stdout.splitlines()[1].startswith("4 files, ")
    done = here("scripts/store.py", "import", str(tmp_path / "x.tar"), "--store", str(tmp_path / "b"))
    assert done.stdout == "4 files imported, 0 were there, 0 differ\n"
    there = content(tmp_path / "b")
    assert there.items() <= content(tmp_path / "a").items() and len(there) == 4
    assert f"records/{second.key[:2]}/{second.key}.json" not in there
    done = here("scripts/store.py", "import", str(tmp_path / "x.tar"), "--store", str(tmp_path / "b"))
    assert done.stdout == "0 files imported, 4 were there, 0 differ\n"
    done = here("scripts/store.py", "export", str(tmp_path / "y.tar"), "../../x", *where)
    assert done.returncode == 2 and not (tmp_path / "y.tar").exists()
