"""Proofs on their way to the disk: whole or not at all, and what a killed writer left is removed by the next.

A draft is locked as long as its writer lives; the system gives the lock up however the process ends.
"""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

_DRAFT = re.compile(r"\.[0-9a-f]{12}")


def write_proof(home: Path, name: str, document: Mapping[str, Any]) -> Path:
    """Write a proof to ``home/proofs/{name}.json``; drafts of dead writers in that folder go. Raises OSError."""
    path = home / "proofs" / f"{name}.json"
    sweep_drafts(path.parent)
    write_document(path, document)
    return path


def write_document(path: Path, document: Mapping[str, Any]) -> None:
    """Write a JSON document as :func:`write_whole` does. Raises OSError."""
    write_whole(path, json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def write_whole(path: Path, text: str) -> None:
    """Write ``text`` whole or not at all; drafts of it that dead writers left go. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_drafts(path.parent, path.name)
    draft, handle = _new_draft(path)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(handle)
            os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def sweep_drafts(folder: Path, name: str | None = None) -> int:
    """Remove drafts of ``name`` (of any JSON document by default) whose writers are dead; returns how many."""
    removed = 0
    pattern = "*.json" if name is None else glob.escape(name)
    for draft in folder.glob(f"{pattern}.*"):
        if not _DRAFT.fullmatch(draft.suffix):
            continue
        with suppress(OSError):  # its writer lives, or was faster
            handle = os.open(draft, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
                removed += 1
            finally:
                os.close(handle)
    return removed


def _new_draft(path: Path) -> tuple[Path, int]:
    """A new file beside ``path``, locked and open for writing."""
    while True:
        draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pass  # somebody who sweeps took it for a dead one's, and removes it
        except OSError:
            return draft, handle  # a file system without locks: nobody can lock it, so nobody removes it
        else:
            if os.fstat(handle).st_nlink:
                return draft, handle
        os.close(handle)
