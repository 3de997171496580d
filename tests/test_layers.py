"""Imports point down only, every module says what belongs there, and no secret is in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "video_assets"

MAY_IMPORT = {
    "settings": set(),
    "reasons": set(),
    "urls": set(),
    "media": set(),
    "storage": {"settings", "reasons", "media"},
    "catalog": {"settings", "reasons", "urls"},
    "transfer": {"settings", "reasons", "urls", "media", "storage", "catalog"},
    "providers": {"settings", "reasons", "urls", "media"},
    "generations": {"settings", "reasons", "urls", "media", "storage", "catalog", "transfer", "providers"},
    "emulator": {"media"},
}
"""What each package may import besides itself; services, legacy, pipeline, web and cli may import all of them."""

NEVER = {
    "web": {"pipeline", "cli", "definitions"},
    "pipeline": {"web", "cli"},
    "legacy": {"pipeline", "web", "cli"},
}


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def package_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def packages_imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "video_assets":
                names = [f"video_assets.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("video_assets.")}
    return found


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_imports_point_down_only(package: str) -> None:
    allowed = MAY_IMPORT[package] | {package, "__version__"}
    wrong = {
        str(path.relative_to(ROOT)): extra
        for path in modules()
        if package_of(path) == package and (extra := packages_imported(path) - allowed)
    }
    assert wrong == {}


@pytest.mark.parametrize("package", NEVER)
def test_entry_points_do_not_know_each_other(package: str) -> None:
    wrong = {
        str(path.relative_to(ROOT)): extra
        for path in modules()
        if package_of(path) == package and (extra := packages_imported(path) & NEVER[package])
    }
    assert wrong == {}


def test_the_lower_packages_know_nothing_of_dagster_or_the_web() -> None:
    for path in modules():
        if package_of(path) in ("urls", "catalog", "media", "reasons", "settings", "providers", "generations"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"^\s*(import|from) (dagster|fastapi|uvicorn|starlette)\b", text, re.M), path


def test_every_module_begins_by_saying_what_belongs_there() -> None:
    silent = [
        str(p.relative_to(ROOT)) for p in modules() if not ast.get_docstring(ast.parse(p.read_text("utf-8")))
    ]
    assert silent == []


MADE_UP = ("1234567890", "EMULATOR", "AbCd1234", "example")
"""What shows at sight that a key in a test is no key."""

SECRETS = re.compile(
    "|".join(
        (
            r"AKIA[0-9A-Z]{16}(?<!EXAMPLE)",
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----\s+[A-Za-z0-9+/]{40}",
            r"\bsk-[A-Za-z0-9]{40,}",
            r"\bkey_[0-9a-f]{64,}",
            r"\bluma-[0-9a-f-]{36,}",
            r"\bghp_[A-Za-z0-9]{36}",
            r"\bxox[bp]-[0-9]{10,}-[0-9A-Za-z-]{20,}",
            r"\bAIza[0-9A-Za-z_-]{35}",
        )
    )
)
PLACES = re.compile(
    "|".join(("/work" + "/", "/ro" + "ot/", "/home/" + r"[a-z]+/", r"pypi\.o" + "rg", "pythonh" + "osted"))
)


def test_no_secret_and_no_place_of_a_machine_is_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    found = []
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.suffix in (".png", ".jpg", ".ico") or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
            if SECRETS.search(line) and not any(sign in line for sign in MADE_UP):
                found.append(f"{name}:{number}: looks like a secret")
            if PLACES.search(line):
                found.append(f"{name}:{number}: names a place of one machine or a registry host")
    assert found == [], "\n".join(found)


def test_no_possessive_quantifier_stands_behind_a_group() -> None:
    """Python before 3.11.5 matches them wrongly when the group itself can backtrack."""
    behind_a_group = re.compile(r"(?<!\\)\)(?:[*+?]|\{\{?[0-9,]+\}\}?)\+|\}\{\{[0-9,]+\}\}\+")
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in modules()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if behind_a_group.search(line) and any(sign in line for sign in ("re.compile", 'r"', "r'", 'rf"', "rf'"))
    ]
    assert found == []
