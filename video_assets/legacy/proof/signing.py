"""Ed25519 signatures under documents: one key per installation, documents that anyone can verify offline."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

KEY_FILE = "proof-signing.key"
ALGORITHM = "Ed25519 over the document without its signature, as JSON with sorted keys and no blanks, in UTF-8"


class SigningKeyUnusable(Exception):
    """The signing key can be neither read nor made. The message says what to do."""


def load_signing_key(home: Path) -> Ed25519PrivateKey:
    """The key of this installation, made in ``home`` on first use, readable by its owner only.

    Raises SigningKeyUnusable.
    """
    path = home / KEY_FILE
    try:
        if not path.exists():
            _create_once(path)
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as exc:
        raise SigningKeyUnusable(
            f"{path} cannot be used: {exc.strerror}; VIDEO_ASSETS_HOME must be a folder this user may write"
        ) from None
    except ValueError:
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningKeyUnusable(
            f"{path} is not an Ed25519 key: restore it, or remove it and make new proofs; old ones stay valid"
        )
    return key


def _create_once(path: Path) -> None:
    """Write the file complete or not at all; when another process was first, its key counts."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    draft = path.with_name(f"{path.name}.{secrets.token_hex(6)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


def canonical(document: Mapping[str, Any]) -> bytes:
    """The bytes of a document that are signed: its ``signature`` left out."""
    body = {name: value for name, value in document.items() if name != "signature"}
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode(
        "utf-8", "surrogatepass"
    )


def sign(document: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """The document with its ``signature``."""
    public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {
        **document,
        "signature": {
            "algorithm": ALGORITHM,
            "public_key": base64.b64encode(public).decode(),
            "value": base64.b64encode(key.sign(canonical(document))).decode(),
        },
    }


def signer_of(document: Mapping[str, Any]) -> str | None:
    """The signer's public key in base64, when the signature is good; None when it is missing or wrong.

    Whose key that is, is for the reader to know: a forger signs with another one.
    """
    try:
        signature = document["signature"]
        public = base64.b64decode(signature["public_key"], validate=True)
        value = base64.b64decode(signature["value"], validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(value, canonical(document))
    except (KeyError, TypeError, ValueError, binascii.Error, InvalidSignature):
        return None
    return base64.b64encode(public).decode()


def key_fingerprint(public_key: str) -> str:
    """A public key (base64) in the few letters that people compare."""
    digest = hashlib.sha256(base64.b64decode(public_key)).hexdigest()[:32]
    return ":".join(digest[at : at + 4] for at in range(0, 32, 4))
