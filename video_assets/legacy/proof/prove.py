"""The proof: what was scanned, what is left and why, roots over every row, and a signature anyone can verify.

A proof is one JSON document. It is verified offline, by its signature; ``--against`` a database it is verified by
scanning again and comparing the root over all values; and for a single row, an inclusion proof shows that the row
and the SHA-256 of its file were counted.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from video_assets import __version__
from video_assets.catalog import Catalog
from video_assets.catalog.audit import audit_persisted_urls
from video_assets.catalog.models import utc_now
from video_assets.legacy.config.models import Source
from video_assets.legacy.proof import merkle
from video_assets.legacy.proof.full_scan import scan_source
from video_assets.legacy.proof.merkle import Inclusion, Leaves
from video_assets.legacy.proof.scan_report import SourceScan
from video_assets.legacy.proof.signing import sign, signer_of
from video_assets.legacy.proof.store_scan import StoreScan
from video_assets.legacy.search.folders import DOCUMENT_TABLE
from video_assets.legacy.source.connect import connect
from video_assets.legacy.source.relations import relations_of
from video_assets.legacy.source.relations.roles import DAGSTER_NOTE
from video_assets.urls import NO_RULES, HostRules, redact
from video_assets.urls.schemes import SCHEMES

FORMAT = "video-assets-proof/2"
"""Tells with every column its type, and names what was not read."""
OLD_FORMAT = "video-assets-proof/1"
"""Covers the text and JSON columns of the configured tables, and does not say what else there was."""
ROW_FORMAT = "video-assets-row-proof/1"
TREES = ("files", "values")

Progress = Callable[[str, str, int], object]
"""Hears (source, table, rows read so far)."""


class ProofInvalid(Exception):
    """A document is no proof, or not a whole one. The message says what is wrong."""


class RowNotProven(Exception):
    """A row has no leaf in the trees at hand."""


def make_proof(
    catalog: Catalog,
    sources: Sequence[Source],
    *,
    key: Ed25519PrivateKey,
    scratch: Path,
    stores: Sequence[StoreScan] = (),
    leaves: Path | None = None,
    hosts: HostRules = NO_RULES,
    on_progress: Progress | None = None,
) -> dict[str, Any]:
    """Scan every row of ``sources`` and the whole catalog, and sign what was found.

    ``stores`` are scans of other databases that belong to the proof. ``leaves`` is a folder where the leaves of
    the trees are kept, for proofs of single rows; without it they go when the roots are known. ``hosts`` are the
    user's rules for the catalog; each source has its own. Disk in
    ``scratch``: about 200 bytes per value. Raises SourceError when a source cannot be opened.
    """
    began = utc_now()
    parts = [_prove_source(catalog, source, scratch, leaves, on_progress) for source in sources]
    with catalog.read() as session:
        audit = audit_persisted_urls(session, hosts=hosts)
    total = merkle.root_of(
        merkle.leaf_hash(merkle.leaf_bytes((part["name"], *(part["merkle"][tree]["root"] for tree in TREES))))
        for part in sorted(parts, key=lambda part: str(part["name"]))
    )
    own = audit.no_temporary_url
    document: dict[str, Any] = {
        "format": FORMAT,
        "began_at": began.isoformat(),
        "made_at": utc_now().isoformat(),
        "scanner": scanner() | {"deleting_hosts": list(hosts.texts())},
        "verdict": {
            "clean": own and all(part["clean"] for part in parts) and all(store.is_clean for store in stores),
            "accounted": own
            and all(part["accounted"] for part in parts)
            and all(store.is_clean for store in stores),
            "complete": all(part["coverage"]["complete"] for part in parts) and not _lacks_dagster(parts, stores),
        },
        "merkle": {"algorithm": merkle.ALGORITHM, "root": total.hex()},
        "sources": parts,
        "catalog": {
            "clean": audit.no_temporary_url,
            "rows": audit.rows,
            "values": sum(audit.values.values()),
            "columns": len(audit.values),
            "violations": audit.violations,
            "jwts": audit.jwts,
            "by_column": dict(audit.by_column),
            "sample": [str(violation) for violation in audit.sample],
        },
        "stores": [store.document() for store in stores],
    }
    return sign(_safe(document), key)


def _lacks_dagster(parts: Sequence[Mapping[str, Any]], stores: Sequence[StoreScan]) -> bool:
    """Whether a source holds Dagster's tables, which were left to the scan of its storage, and there was none."""
    return not stores and any(
        entry.get("note") == DAGSTER_NOTE for part in parts for entry in part["coverage"]["elsewhere"]
    )


def scanner() -> dict[str, Any]:
    """What scanned: versions, and a digest of the rules, so that two proofs can be compared."""
    rules = "\n".join(f"{scheme.name} {scheme.source}" for scheme in SCHEMES)
    return {
        "name": "video_assets",
        "version": __version__,
        "python": platform.python_version(),
        "schemes": len({scheme.name for scheme in SCHEMES}),
        "rules_sha256": hashlib.sha256(rules.encode()).hexdigest(),
    }


def leaf_file(folder: Path, source: str, tree: str) -> Path:
    """Where the leaves of one tree are kept."""
    return folder / f"{source}.{tree}.leaves"


def _prove_source(
    catalog: Catalog, source: Source, scratch: Path, leaves: Path | None, on_progress: Progress | None
) -> dict[str, Any]:
    with ExitStack() as stack:
        trees: dict[str, Leaves] = {}
        for tree in TREES:
            path = None
            if leaves is not None:
                leaves.mkdir(parents=True, exist_ok=True)
                path = leaf_file(leaves, source.name, tree)
                path.unlink(missing_ok=True)
            trees[tree] = stack.enter_context(Leaves(path, folder=scratch))

        def progress(table: str, rows: int) -> None:
            if on_progress is not None:
                on_progress(source.name, table, rows)

        scan = scan_source(
            source, catalog, on_value=trees["values"].add, on_file=trees["files"].add, on_progress=progress
        )
        return {
            **scan.document(),
            "deleting_hosts": list(source.host_rules.texts()),
            "merkle": {tree: {"leaves": len(found), "root": found.root().hex()} for tree, found in trees.items()},
        }


def prove_row(
    document: Mapping[str, Any], folder: Path, *, source: str, table: str, row_key: str
) -> dict[str, Any]:
    """Inclusion proofs of every value and file of one row, with the signed report's head beside them.

    ``row_key`` is the JSON list of the key's values. Raises RowNotProven, and ProofInvalid when the leaves in
    ``folder`` are not those of this proof.
    """
    part = _part(document, source)
    proofs: list[dict[str, Any]] = []
    for tree in TREES:
        path = leaf_file(folder, source, tree)
        if not path.is_file():
            raise ProofInvalid(f"there is no {path}: make the proof with --leaves to prove single rows")
        with Leaves(path) as leaves:
            if leaves.root().hex() != part["merkle"][tree]["root"]:
                raise ProofInvalid(f"{path} holds the leaves of another proof")
            proofs += [
                {"tree": tree, **leaves.inclusion(words).document()}
                for words in leaves.matching((source, table, row_key))
            ]
    if not proofs:
        raise RowNotProven(f"source {source!r} has no row {row_key} in {table!r} among the leaves of this proof")
    return {"format": ROW_FORMAT, "proof": dict(document), "source": source, "inclusions": proofs}


@dataclass(slots=True)
class Verification:
    """What a verification showed. Each line of ``failures`` is a sentence."""

    signer: str | None
    """Public key in base64; None when the signature is not good."""
    document: Mapping[str, Any]
    checks: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    inclusions: list[Inclusion] = field(default_factory=list)

    @property
    def is_good(self) -> bool:
        """True when nothing speaks against the proof."""
        return self.signer is not None and not self.failures


def verify(document: Mapping[str, Any], *, public_key: str | None = None) -> Verification:
    """Verify a proof, or the proof of a row, with nothing but itself.

    ``public_key`` (base64) is the one it must be signed with; without it, whose signature it is remains for the
    reader to judge. Raises ProofInvalid for a document that is none.
    """
    if document.get("format") == ROW_FORMAT:
        return _verify_row(document, public_key)
    if document.get("format") not in (FORMAT, OLD_FORMAT):
        raise ProofInvalid(
            f"this is no proof: its format is {redact(str(document.get('format')))!r}, not {FORMAT}"
        )
    found = Verification(signer_of(document), document)
    if found.signer is None:
        found.failures.append("the signature does not fit the document: it was changed, or damaged")
        return found
    found.checks.append("the signature fits the document")
    if public_key is not None:
        if found.signer != public_key:
            found.failures.append("it is signed with another key than the one given")
        else:
            found.checks.append("it is signed with the key given")
    try:
        roots = merkle.root_of(
            merkle.leaf_hash(merkle.leaf_bytes((part["name"], *(part["merkle"][tree]["root"] for tree in TREES))))
            for part in sorted(document["sources"], key=lambda part: str(part["name"]))
        )
        fits = roots.hex() == document["merkle"]["root"]
    except (KeyError, TypeError) as exc:
        raise ProofInvalid("this proof is not whole: it lacks its roots") from exc
    if fits:
        found.checks.append("the root covers the roots of every source")
    else:
        found.failures.append("the root does not cover the roots of its sources")
    if document["format"] == OLD_FORMAT:
        found.checks.append("its format is an older one, which does not tell what was not read")
    return found


def _verify_row(document: Mapping[str, Any], public_key: str | None) -> Verification:
    try:
        proof, source, proofs = document["proof"], document["source"], document["inclusions"]
        found = verify(proof, public_key=public_key)
        part = _part(proof, source)
        for entry in proofs:
            inclusion = Inclusion.read(entry)
            root = inclusion.root()
            expected = part["merkle"][entry["tree"]]
            if root is None or root.hex() != expected["root"] or inclusion.size != expected["leaves"]:
                found.failures.append(f"the row's {entry['tree']} leaf does not lead to the root that was signed")
            else:
                found.inclusions.append(inclusion)
                found.checks.append(f"leaf {inclusion.index + 1} of {inclusion.size} in the {entry['tree']} tree")
    except (KeyError, TypeError, ValueError) as exc:
        raise ProofInvalid("this proof of a row is not whole") from exc
    return found


def verify_against(found: Verification, source: str, url: str, scratch: Path) -> None:
    """Scan the source's database again and compare: adds to ``found``. Raises SourceError, ProofInvalid."""
    part = _part(found.document, source)
    if DOCUMENT_TABLE in part["tables"]:
        raise ProofInvalid(f"source {source!r} is a folder; only a database is compared")
    again = Source.model_validate(
        {
            "name": source,
            "url": url,
            "deleting_hosts": part.get("deleting_hosts", []),
            "tables": [
                {
                    "name": name,
                    "key": table["key"],
                    "column": [{"name": each} for each in table["columns"]],
                }
                for name, table in part["tables"].items()
                if table["columns"]
            ],
        }
    )
    only = {name: tuple(table["columns"]) for name, table in part["tables"].items() if table["columns"]}
    with Leaves(folder=scratch) as leaves:
        scan = scan_source(again, None, on_value=leaves.add, only=only)
        root, size = leaves.root().hex(), len(leaves)
    expected = part["merkle"]["values"]
    if root == expected["root"]:
        found.checks.append(f"the database still holds exactly the {size} values that were signed")
    else:
        found.failures.append(f"source {source!r} has changed since: {_differences(part, scan)}")
    if new := _new_columns(part, again):
        found.failures.append(f"source {source!r} has what the proof does not know: {', '.join(new)}")
    for name, table in part["tables"].items():
        for each, counts in table["columns"].items():
            now = scan.tables[name].columns.get(each)
            if now is not None and now.temporary > counts["temporary"]:
                found.failures.append(
                    f"{name}.{each} holds {now.temporary} temporary URLs, and {counts['temporary']} in the proof"
                )


def _new_columns(part: Mapping[str, Any], source: Source) -> list[str]:
    """Tables and columns of the database that a proof of the present format does not name, the first ten."""
    if "coverage" not in part:
        return []
    known = {entry["name"] for part_ in ("not_read", "elsewhere") for entry in part["coverage"][part_]}
    for name, table in part["tables"].items():
        known |= {name, *(f"{name}.{each}" for each in (*table["columns"], *table["no_text"]))}
    with connect(source) as database:
        relations = relations_of(database)
    new: list[str] = []
    for relation in relations:
        name = next((each for each in part["tables"] if relation.is_called(each)), relation.name)
        if name not in known:
            new.append(redact(name))
        elif name in part["tables"]:
            places = [f"{name}.{column.name}" for column in relation.columns]
            new += [redact(place) for place in places if place not in known]
    return new[:10]


def _differences(part: Mapping[str, Any], scan: SourceScan) -> str:
    changes = []
    for name, table in part["tables"].items():
        now = scan.tables.get(name)
        if now is None or now.problem:
            changes.append(f"{name} cannot be read")
        elif now.rows != table["rows"]:
            changes.append(f"{name} had {table['rows']} rows and has {now.rows}")
    return "; ".join(changes) or "the same number of rows, with other values"


def _part(document: Mapping[str, Any], source: str) -> Mapping[str, Any]:
    names = []
    for part in document.get("sources", ()):
        names.append(str(part["name"]))
        if part["name"] == source:
            return part  # type: ignore[no-any-return]
    raise ProofInvalid(f"this proof does not cover {source!r}; it covers {', '.join(names) or 'no source'}")


def _safe(value: Any) -> Any:
    """The document with every text redacted: nothing that is handed out holds a secret."""
    match value:
        case str():
            return redact(value)
        case Mapping():
            return {str(name): _safe(item) for name, item in value.items()}
        case list() | tuple():
            return [_safe(item) for item in value]
        case _:
            return value
