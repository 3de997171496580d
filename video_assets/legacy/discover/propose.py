"""From what discovery found to a configuration with comments that a person can check and use."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import make_url

from video_assets.legacy.config.models import Column, Folder, Job, Source, Table
from video_assets.legacy.config.toml import source_toml
from video_assets.legacy.discover.discover import BlobPlace, Discovery, Place, TableLook
from video_assets.legacy.search.folders import FolderLook

_IDS = ("task_id", "taskid", "job_id", "prediction_id", "generation_id", "video_id", "provider_job_id")
_KEEP = ("prompt", "prompt_text", "script", "title", "parameters", "settings", "options", "model")
_OWNERS = ("user_id", "userid", "owner_id", "owner", "account_id", "created_by")
_PROVIDERS = {"runway": "runway", "luma": "luma", "replicate": "replicate", "kie": "kie"}
_URL_COLUMNS = ("video_url", "file_url", "url", "public_url")


def propose(discovery: Discovery, *, name: str, url: str) -> str:
    """A commented configuration file for a discovered database. It never holds a password.

    ``url`` is its address, or ``env:NAME``. Views are left out where there are tables: what they show stands in
    one of them, and is rewritten there. Raises ValueError when nothing was found that is worth a configuration.
    """
    tables: list[Table] = []
    comments: dict[tuple[str, ...], list[str]] = {}
    holding = {place.table for place in discovery.places}
    views = [look.name for look in discovery.tables if look.is_view and look.name in holding]
    if any(not look.is_view and look.name in holding for look in discovery.tables):
        looks = [look for look in discovery.tables if look.name not in views]
    else:
        looks, views = discovery.tables, []
    for look in looks:
        if look.left_alone is not None:
            continue
        places = [place for place in discovery.places if place.table == look.name]
        table = _table(discovery, look, places)
        if table is None:
            continue
        tables.append(table)
        comments[(look.name,)] = _about_table(look)
        for entry in table.columns:
            comments[look.name, entry.name] = _about_column(discovery, look, entry.name)
        comments[look.name, "job"] = ["Where the provider's job id stands, to ask for a fresh link. Check this."]
    if not tables:
        raise ValueError("nothing temporary was found, so there is nothing to configure")
    address, hint = _address(url)
    if views:
        hint.append(f"Views are left out, because their rows stand in tables: {', '.join(views)}.")
    for look in discovery.tables:
        if look.problem is not None:
            hint.append(f"{look.name} is left out: {look.problem}")
    hint += [f"{each.name} is left alone: {each.note}" for each in discovery.left_alone]
    comments[()] = [f"Found on {discovery.now:%Y-%m-%d %H:%M} UTC in {discovery.address}.", *hint]
    source = Source(name=name, url=address, tables=tuple(tables))
    return source_toml(source, comments)


def propose_folder(look: FolderLook, *, name: str) -> str:
    """A commented configuration file for a folder."""
    source = Source(
        name=name,
        kind="folder",
        url=str(look.path),
        folder=Folder(documents=tuple(f"**/*{suffix}" for suffix in sorted(look.document_types))),
    )
    lines = [f"{look.media_files:,} media files, {look.media_bytes / 1e6:,.1f} MB."]
    if look.places:
        lines.append(f"{sum(p.count for p in look.places):,} temporary URLs in documents.")
    return source_toml(source, {(): lines})


def _address(url: str) -> tuple[str, list[str]]:
    if url.startswith("env:"):
        return url, []
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return url, []
    return "env:LEGACY_DATABASE_URL", ["Put the database's address, with its password, into LEGACY_DATABASE_URL."]


def _table(discovery: Discovery, look: TableLook, places: list[Place]) -> Table | None:
    columns = [
        Column(name=name, type="json" if name in look.json_columns else "text")
        for name in look.columns
        if any(place.column == name for place in places)
    ]
    lower = {name.lower(): name for name in look.columns}
    for blob in discovery.blobs:
        media = sum(count for kind, count in blob.types.items() if kind != "unknown")
        # A column is either: text that holds URLs goes before the files beside it.
        is_text = any(column.name == blob.column for column in columns)
        if blob.table == look.name and media and media * 2 >= blob.count and not is_text:
            url_column = next((lower[name] for name in _URL_COLUMNS if name in lower), None)
            columns.append(Column(name=blob.column, type="blob", url_column=url_column))
    if not columns:
        return None
    task_id = next((lower[name] for name in _IDS if name in lower), None)
    provider = next((_PROVIDERS[place.scheme] for place in places if place.scheme in _PROVIDERS), None)
    jobs: tuple[Job, ...] = ()
    if task_id is not None and "provider" in lower:
        jobs = (Job(provider_at=lower["provider"], id_at=task_id),)
    elif task_id is not None and provider is not None:
        jobs = (Job(provider=provider, id_at=task_id),)
    return Table(
        name=look.name,
        # Without a primary key somebody has to say which columns tell rows apart; the first is only a guess.
        key=() if look.key else look.columns[:1],
        columns=tuple(columns),
        created_at=look.created_at,
        changed_at=look.changed_at,
        keep=tuple(lower[name] for name in _KEEP if name in lower),
        owner_at=next((lower[name] for name in _OWNERS if name in lower), None),
        jobs=jobs,
    )


def _about_table(look: TableLook) -> list[str]:
    counted = f"{look.rows:,}" if look.rows is not None else "many"
    read = "all of them" if look.is_exact else f"a sample of {look.rows_read:,}"
    lines = [f"{counted} rows; {read} were read."]
    if not look.key:
        what = "A view" if look.is_view else "No primary key"
        lines.append(f"{what}: the key below is a guess. Name the columns that tell rows apart.")
    return lines


def _about_column(discovery: Discovery, look: TableLook, name: str) -> list[str]:
    lines = []
    for place in discovery.places:
        if (place.table, place.column) != (look.name, name):
            continue
        estimate = discovery.estimate(place)
        about = "" if look.is_exact or estimate is None else f", about {estimate:,} in all"
        lines.append(
            f"{place.pointer or 'the whole value'}: {place.count:,} from {place.host} ({place.scheme}){about}; "
            f"{place.alive:,} alive, {place.dying:,} dying, {place.dead:,} dead, {place.unknown:,} unknown"
            f"{_span(place.oldest, place.newest)}"
        )
    for blob in discovery.blobs:
        if (blob.table, blob.column) == (look.name, name):
            kinds = ", ".join(f"{count:,} {kind}" for kind, count in blob.types.items())
            lines.append(f"files as bytes: {blob.count:,}, {blob.bytes / 1e6:,.1f} MB ({kinds})")
            lines += fixed_lines(blob)
    return lines


def fixed_lines(blob: BlobPlace) -> list[str]:
    """What is found in a BLOB column and cannot be rewritten where it stands, a line each."""
    return [
        f"{blob.table}.{blob.column}: {count:,} values ({kind}) hold temporary URLs that cannot be replaced in "
        "place: let the application that wrote them do it"
        for kind, count in blob.fixed.items()
    ]


def _span(oldest: datetime | None, newest: datetime | None) -> str:
    if oldest is None or newest is None:
        return ""
    return f"; rows of {oldest:%Y-%m-%d} to {newest:%Y-%m-%d}"
