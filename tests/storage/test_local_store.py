"""The folder: nothing half-written is ever visible, nothing leads out of it, and a full disk is said plainly."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from video_assets.storage import InvalidKey, ObjectMissing, StorageFailed
from video_assets.storage.local import LocalStorage

from .conftest import Source, make_source

KEY = "ana/video-1732000000000/video-1.mp4"


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "root", "bucket", "http://127.0.0.1:3080/media/", b"signing-key")


def files_of(store: LocalStorage) -> list[Path]:
    return [path for path in store.folder.rglob("*") if path.is_file()]


# A writer that stops at one place of a put, says so, and waits there to be killed.
STOPPING_WRITER = """
import os, sys, time
from pathlib import Path
from video_assets.storage import local

root, source, place = sys.argv[1:]

def stop(*_):
    print("here", flush=True)
    time.sleep(600)

if place == "half copied":
    def half(src, dst, count, offset_src, offset_dst):
        os.write(dst, os.pread(src, 700_000, 0))
        stop()
    os.copy_file_range = half
elif place == "copied, not flushed":
    os.fsync = stop
elif place == "flushed, not renamed":
    os.replace = stop
elif place == "renamed, folder not flushed":
    real_replace = os.replace
    def renamed(a, b):
        real_replace(a, b)
        stop()
    os.replace = renamed
store = local.LocalStorage(Path(root), "bucket", "http://127.0.0.1/media", b"secret")
local._flush_folder = lambda folder: None  # making the folders must not stop the writer already
store.put("ana/video.mp4", Path(source), content_type="video/mp4", sha256="unused")
"""


@pytest.mark.parametrize(
    ("place", "visible"),
    [
        ("half copied", False),
        ("copied, not flushed", False),
        ("flushed, not renamed", False),
        ("renamed, folder not flushed", True),
    ],
)
def test_a_writer_that_is_killed_leaves_the_whole_object_or_none(
    local: LocalStorage, source: Source, tmp_path: Path, place: str, visible: bool
) -> None:
    writer = subprocess.Popen(
        [sys.executable, "-c", STOPPING_WRITER, str(tmp_path / "root"), str(source.path), place],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert writer.stdout is not None
    with writer:
        assert writer.stdout.readline() == "here\n"
        writer.send_signal(signal.SIGKILL)
    assert [found.key for found in local.list()] == (["ana/video.mp4"] if visible else [])
    if visible:
        assert local.read_back("ana/video.mp4", size=len(source.content), sha256=source.sha256) == "bytes"
    else:
        assert local.head("ana/video.mp4") is None
        assert len(files_of(local)) == 1  # the half-written file, out of everybody's sight
        assert local.abort_stale_uploads(timedelta(hours=1)) == 0
        assert local.abort_stale_uploads(timedelta(seconds=-60)) == 1
        assert files_of(local) == []
    source.put(local, "ana/video.mp4")
    assert local.read_back("ana/video.mp4", size=len(source.content), sha256=source.sha256) == "bytes"


def test_the_file_is_flushed_before_its_name_and_its_name_before_the_answer(
    local: LocalStorage, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    real_fsync, real_replace = os.fsync, os.replace

    def fsync(handle: int) -> None:
        seen.append(("flush", os.readlink(f"/proc/self/fd/{handle}")))
        real_fsync(handle)

    def replace(draft: Path, target: Path) -> None:
        seen.append(("rename", str(draft)))
        real_replace(draft, target)

    if not Path("/proc/self/fd").is_dir():
        pytest.skip("needs /proc to see which file is flushed")
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    source.put(local, KEY)
    renamed = seen.index(next(step for step in seen if step[0] == "rename"))
    draft = seen[renamed][1]
    assert ("flush", draft) in seen[:renamed]
    assert ("flush", str((local.folder / KEY).parent)) in seen[renamed:]
    # Every folder that was made is flushed in its parent, up to the one that was there before.
    flushed = {path for step, path in seen if step == "flush"}
    assert {str(local.folder / "ana"), str(local.folder), str(local.folder.parent.parent)} <= flushed


def test_writing_to_the_spool_afterwards_cannot_change_the_object(local: LocalStorage, source: Source) -> None:
    source.put(local, KEY)
    with source.path.open("r+b") as spool:
        spool.write(b"overwritten")
    assert local.read_back(KEY, size=len(source.content), sha256=source.sha256) == "bytes"
    assert os.stat(local.folder / KEY).st_nlink == 1


def test_a_changed_byte_on_the_disk_is_found(local: LocalStorage, source: Source) -> None:
    source.put(local, KEY)
    with (local.folder / KEY).open("r+b") as file:
        file.seek(1_000_000)
        file.write(bytes([source.content[1_000_000] ^ 1]))
    with pytest.raises(StorageFailed, match="other bytes"):
        local.read_back(KEY, size=len(source.content), sha256=source.sha256)


def test_the_copy_is_whole_where_the_kernel_cannot_copy(
    local: LocalStorage, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    source.put(local, KEY)
    assert local.read_back(KEY, size=len(source.content), sha256=source.sha256) == "bytes"


def test_a_kernel_copy_that_gives_up_in_the_middle_is_finished(
    local: LocalStorage, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def some_bytes(src: int, dst: int, count: int, offset_src: int, offset_dst: int) -> int:
        calls.append(offset_src)
        if len(calls) > 2:
            raise OSError(18, "Invalid cross-device link")
        return os.pwrite(dst, os.pread(src, 100_000, offset_src), offset_dst)

    monkeypatch.setattr(os, "copy_file_range", some_bytes, raising=False)
    source.put(local, KEY)
    assert calls == [0, 100_000, 200_000]
    assert local.read_back(KEY, size=len(source.content), sha256=source.sha256) == "bytes"


def test_symbolic_links_are_refused_for_reading_and_writing(
    local: LocalStorage, source: Source, tmp_path: Path
) -> None:
    source.put(local, KEY)
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret.mp4").write_bytes(b"secret")
    (local.folder / "way").symlink_to(outside, target_is_directory=True)
    (local.folder / "file.mp4").symlink_to(outside / "secret.mp4")
    for call in (
        lambda: local.head("way/secret.mp4"),
        lambda: local.read("way/secret.mp4"),
        lambda: local.delete("way/secret.mp4"),
        lambda: source.put(local, "way/new.mp4"),
        lambda: source.put(local, "way/deeper/new.mp4"),
    ):
        with pytest.raises(InvalidKey, match="symbolic link"):
            call()
    assert local.head("file.mp4") is None
    assert local.delete("file.mp4") is False
    with pytest.raises(ObjectMissing):
        local.read("file.mp4")
    assert [found.key for found in local.list()] == [KEY]
    assert [path.name for path in outside.iterdir()] == ["secret.mp4"]
    source.put(local, "file.mp4")  # takes the place of the link, and does not write through it
    assert (outside / "secret.mp4").read_bytes() == b"secret"


def test_a_root_behind_a_symbolic_link_is_fine(tmp_path: Path, source: Source) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk", target_is_directory=True)
    store = LocalStorage(tmp_path / "root", "bucket", "http://127.0.0.1/media", b"secret")
    source.put(store, KEY)
    assert (tmp_path / "disk" / "bucket" / KEY).is_file()


@pytest.mark.parametrize("bucket", ["..", "a/b", "", "."])
def test_a_bucket_is_one_folder(tmp_path: Path, bucket: str) -> None:
    with pytest.raises(InvalidKey):
        LocalStorage(tmp_path, bucket, "http://127.0.0.1/media", b"secret")


def test_deleting_leaves_no_empty_folders_and_nothing_else_gone(local: LocalStorage, tmp_path: Path) -> None:
    small = make_source(tmp_path, 1)
    for key in ("a/b/c/1.mp4", "a/b/2.mp4"):
        small.put(local, key)
    local.delete("a/b/c/1.mp4")
    assert not (local.folder / "a/b/c").exists()
    assert local.head("a/b/2.mp4") is not None
    local.delete("a/b/2.mp4")
    assert sorted(path.name for path in local.folder.iterdir()) == [".incoming"]


def test_a_folder_is_not_an_object(local: LocalStorage, source: Source) -> None:
    source.put(local, KEY)
    assert local.head("ana") is None
    assert local.delete("ana") is False
    assert local.head(KEY + "/below.mp4") is None
    assert local.delete(KEY + "/below.mp4") is False
    with pytest.raises(ObjectMissing):
        local.read("ana")
    with pytest.raises(StorageFailed, match="in each other's way"):
        source.put(local, KEY + "/below.mp4")
    with pytest.raises(StorageFailed, match="in each other's way"):
        source.put(local, "ana")
    assert [found.key for found in local.list()] == [KEY]
    assert len(files_of(local)) == 1


@given(
    st.lists(st.text(alphabet="ab-/.é0", min_size=1, max_size=8), max_size=12),
    st.text(alphabet="ab-/", max_size=3),
)
def test_the_list_is_in_the_order_of_s3_whatever_the_names(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], prefix: str
) -> None:
    folder = tmp_path_factory.mktemp("order")
    store = LocalStorage(folder, "bucket", "http://127.0.0.1/media", b"secret")
    kept: set[str] = set()
    for name in names:
        target = store.folder / name
        key = "/".join(part for part in name.split("/") if part not in ("", ".", ".."))
        taken = any(key == old or key.startswith(old + "/") or old.startswith(key + "/") for old in kept)
        if key and not taken:
            target = store.folder / key
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(b"")
            kept.add(key)
    expected = sorted((key for key in kept if key.startswith(prefix)), key=str.encode)
    assert [found.key for found in store.list(prefix)] == expected
    shutil.rmtree(folder)


def test_a_root_that_is_a_file_is_said_plainly(tmp_path: Path, source: Source) -> None:
    (tmp_path / "file").write_bytes(b"")
    store = LocalStorage(tmp_path / "file" / "below", "bucket", "http://127.0.0.1/media", b"secret")
    with pytest.raises(StorageFailed, match="VIDEO_ASSETS_STORAGE_ROOT"):
        source.put(store, KEY)
    assert store.head(KEY) is None
    with pytest.raises(StorageFailed, match="VIDEO_ASSETS_STORAGE_ROOT"):
        list(store.list())  # an empty answer would look like a loss of everything


PUT = """
import resource, sys
from pathlib import Path
from video_assets.storage import StorageFailed
from video_assets.storage.local import LocalStorage

root, source, limit = sys.argv[1:]
store = LocalStorage(Path(root), "bucket", "http://127.0.0.1/media", b"secret")
if int(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
try:
    store.put("ana/video.mp4", Path(source), content_type="video/mp4", sha256="unused")
except StorageFailed as error:
    print(error, "| retryable:", error.retryable)
    print("left:", [str(path.name) for path in store.folder.rglob("*") if path.is_file()])
"""


def test_a_file_size_limit_is_said_plainly_and_leaves_nothing(tmp_path: Path, source: Source) -> None:
    run = subprocess.run(
        [sys.executable, "-c", PUT, str(tmp_path / "root"), str(source.path), "500000"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "the file is larger than this disk or process may hold" in run.stdout
    assert "left: []" in run.stdout


@pytest.mark.parametrize(
    ("mount", "sentence"),
    [
        ("mount -t tmpfs -o size=1m tmpfs {disk}", "the disk is full. Free some space"),
        ("mount -t tmpfs -o ro,size=9m tmpfs {disk}", "the disk is mounted read-only. Mount it writable"),
    ],
)
def test_a_full_and_a_read_only_disk_are_said_plainly_and_leave_nothing(
    tmp_path: Path, source: Source, mount: str, sentence: str
) -> None:
    """On a real file system of one megabyte, mounted in a namespace of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    namespace = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
    mounting = mount.format(disk=disk)
    probe = shutil.which("unshare") and subprocess.run([*namespace, mounting], capture_output=True, check=False)
    if not probe or probe.returncode:
        pytest.skip("this machine allows no file system in a user namespace (unshare --user --mount)")
    run = subprocess.run(
        [
            *namespace,
            f'{mounting} && exec "$@"',
            "sh",
            sys.executable,
            "-c",
            PUT,
            str(disk),
            str(source.path),
            "0",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert sentence in run.stdout, run.stderr
    assert "retryable: True" in run.stdout
    assert "left: []" in run.stdout


def test_a_folder_without_permission_is_said_plainly(tmp_path: Path, source: Source) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere; the read-only disk above is tested instead")
    root = tmp_path / "root"
    root.mkdir(mode=0o500)
    store = LocalStorage(root, "bucket", "http://127.0.0.1/media", b"secret")
    with pytest.raises(StorageFailed, match="may not be written by this user"):
        source.put(store, KEY)


def test_the_object_can_be_read_by_a_web_server_of_another_user(local: LocalStorage, source: Source) -> None:
    old = os.umask(0o022)
    try:
        source.put(local, KEY)
    finally:
        os.umask(old)
    assert (local.folder / KEY).stat().st_mode & 0o777 == 0o644


def test_nothing_of_the_secret_is_in_what_is_printed(local: LocalStorage) -> None:
    assert "signing-key" not in repr(local)
    signed = local.signed_url(KEY, expires_in=60)
    assert re.fullmatch(
        re.escape(f"http://127.0.0.1:3080/media/{KEY}") + r"\?expires=\d+&signature=[0-9a-f]{64}", signed
    )
