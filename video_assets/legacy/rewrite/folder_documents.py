"""The documents of a folder source: text files whose temporary URLs are replaced in place.

A file is replaced as a whole, by a rename, so a reader sees the old one or the new one. What is written first is
a draft beside it. Its name tells whose draft it is, so that one of a killed process is found and removed: the
draft of an undo holds the old secrets.

Nothing guards a file against a program that writes into it at the very same moment; so its bytes are compared
once more right before the rename, and whoever edits files while a rewrite runs may lose an edit of the last
milliseconds.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from video_assets.legacy.config.models import Source
from video_assets.legacy.errors import SourceError, SourceUnavailable
from video_assets.legacy.rewrite.compare_and_set import ConcurrentChange, OpenStored, RowChange, RowRefused
from video_assets.legacy.rewrite.edit import RowEdit, edit_value
from video_assets.legacy.rewrite.plan import PlannedRow, RowWork
from video_assets.legacy.search.folders import DOCUMENT_COLUMN, DOCUMENT_TABLE
from video_assets.legacy.source.cell import Value
from video_assets.legacy.source.row_key import decode_key


class FolderDocuments:
    """The documents of one folder source as rows: the key is the path, the one column is the content."""

    def __init__(self, source: Source) -> None:
        self.source = source.name
        self._hosts = source.host_rules
        self._folder = source.path()

    def plan(self, work: RowWork) -> PlannedRow:
        """What becomes of one document. Raises SourceError."""
        if work.table != DOCUMENT_TABLE:
            return PlannedRow(work, RowEdit())
        content = self._content(work.row_key)
        if content is None:
            return PlannedRow(work, RowEdit(missing=work.all_places), is_gone=True)
        edit = RowEdit()
        places = work.places.get(DOCUMENT_COLUMN, [])
        edited = edit_value(content, places, work.excepted.get(DOCUMENT_COLUMN, ()), (), self._hosts)
        edit.missing += edited.missing
        if edited.done:
            edit.done[DOCUMENT_COLUMN] = list(edited.done)
            edit.put(DOCUMENT_COLUMN, content, edited.value)
        return PlannedRow(work, edit)

    def read(self, table: str, row_key: str, like: Mapping[str, Value]) -> dict[str, Value] | None:
        """The document's bytes now; None when it is gone. Raises SourceError."""
        content = self._content(row_key)
        return None if content is None else dict.fromkeys(like, content)

    def apply(self, change: RowChange, open_stored: OpenStored | None = None) -> None:
        """Replace one document, keeping its permissions. Raises ConcurrentChange, RowRefused."""
        path = self._path(change.row_key)
        new = change.after[DOCUMENT_COLUMN].raw()
        draft: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(prefix=_prefix_of_drafts(path), dir=path.parent)
            draft = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                file.write(new)
                file.flush()
                os.fsync(file.fileno())
            shutil.copystat(path, draft)
            os.utime(draft)
            if self._content(change.row_key) != change.before[DOCUMENT_COLUMN]:
                raise ConcurrentChange(path.name)
            draft.replace(path)
            draft = None
            _sync_folder(path.parent)
        except FileNotFoundError:
            raise ConcurrentChange(path.name) from None
        except OSError as exc:
            raise RowRefused(f"{path.name} cannot be written: {exc.strerror or type(exc).__name__}") from None
        finally:
            if draft is not None:
                draft.unlink(missing_ok=True)

    def tidy(self, table: str, row_key: str) -> None:
        """Remove the draft of a writer that was killed. Raises SourceError for a key outside of the folder."""
        path = self._path(row_key)
        for draft in path.parent.glob(f"{_prefix_of_drafts(path)}*"):
            with suppress(OSError):  # the folder takes no changes any more
                draft.unlink(missing_ok=True)

    def _content(self, row_key: str) -> Value | None:
        path = self._path(row_key)
        try:
            return Value("bytes", path.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as exc:
            what = exc.strerror or type(exc).__name__
            raise SourceUnavailable(f"source {self.source!r}: {path.name} cannot be read: {what}") from None

    def _path(self, row_key: str) -> Path:
        return inside(self._folder, str(decode_key(row_key)[0]))


def inside(folder: Path, name: str) -> Path:
    """The file ``name`` of ``folder``. Raises SourceError for one outside of it."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise SourceError(f"{name!r} is not inside the folder of the source")
    return path


def _prefix_of_drafts(path: Path) -> str:
    return f".video-assets-{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]}-"


def _sync_folder(folder: Path) -> None:
    """Flush the rename to the disk, where the file system can: the change itself is made by now."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
