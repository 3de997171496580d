"""The standing guard: triggers that refuse a temporary URL at the moment it is written into a cleaned column.

Triggers and not CHECK constraints: PostgreSQL prints the failing row of a CHECK into its log, secrets and all,
and SQLite cannot add one to a table that exists. A guard looks only at values that a statement really changes, so
rows that still hold a lost link can be saved as before.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import inspect, text
from sqlalchemy.types import JSON

from video_assets.legacy.config.models import Column, Source, Table
from video_assets.legacy.errors import SourceError, SourceMismatch
from video_assets.legacy.guard.patterns import ESCAPES, SIGNS, Group, Sign, signs_of
from video_assets.legacy.source.connect import SourceDatabase, connect, quote_name, quote_table
from video_assets.legacy.source.relations.sqlite import is_virtual
from video_assets.legacy.source.table_shape import is_binary, plain_type, split_name, view_names

PREFIX = "video_assets_guard_"
FUNCTION = "video_assets_temporary"
DELETING = "video_assets_deleting"
REFUSAL = "video_assets_refuse"
_MARK = "made by video_assets"
_CLASS = re.compile(r"\[\^?\]?[^\]]*\]")


class GuardNotPossible(SourceError):
    """This source or column cannot be guarded. The message says why."""


@dataclass(frozen=True, slots=True)
class Guarded:
    """One column and its guard."""

    table: str
    column: str
    trigger: str
    """Name of the trigger without its ``_insert`` or ``_update``."""
    why_not: str | None = None
    """Why this column is left without a guard, one sentence."""


@dataclass(frozen=True, slots=True)
class GuardPlan:
    """What to run on a source, statement by statement, and how to undo it."""

    source: str
    dialect: str
    columns: tuple[Guarded, ...]
    install: tuple[str, ...]
    remove: tuple[str, ...]

    def script(self, *, removing: bool = False) -> str:
        """The statements as a file for review, one transaction."""
        what = "Removes" if removing else "Installs"
        head = [f"-- {what} the standing guard of source {self.source!r}; {_MARK}.", "BEGIN;"]
        notes = [
            f"-- {each.table}.{each.column} is not guarded: {each.why_not}"
            for each in self.columns
            if each.why_not
        ]
        return "\n".join([*head, *notes, *(f"{each};" for each in self._statements(removing)), "COMMIT;", ""])

    def _statements(self, removing: bool) -> tuple[str, ...]:
        return self.remove if removing else self.install


def plan_guard(source: Source) -> GuardPlan:
    """The statements for every configured text and JSON column of ``source``.

    Raises GuardNotPossible for what is no SQLite or PostgreSQL database, and SourceUnavailable.
    """
    if source.kind != "database":
        raise GuardNotPossible(f"source {source.name!r} is a folder; only a database can refuse what is written")
    with connect(source) as database:
        if database.dialect not in ("sqlite", "postgresql"):
            raise GuardNotPossible(
                f"source {source.name!r}: there is no guard for {database.dialect}; `video-assets proof` on a "
                "schedule tells what was written since"
            )
        columns: list[Guarded] = []
        install: list[str] = []
        remove: list[str] = []
        schemas: dict[str, None] = {}
        for table in source.tables:
            _, schema = split_name(table.name)
            try:
                found = list(_columns(database, table))
            except SourceMismatch as exc:
                columns += [Guarded(table.name, column.name, "", str(exc)) for column in table.columns]
                continue
            for column, is_json, why_not in found:
                why_not = why_not or _why_not(table, is_json)
                name = _trigger_name(table.name, column.name)
                columns.append(Guarded(table.name, column.name, name, why_not))
                if why_not is not None:
                    continue
                schemas[f"{quote_name(database.engine, schema)}." if schema else ""] = None
                make = _sqlite_triggers if database.dialect == "sqlite" else _postgresql_triggers
                created, dropped = make(database, table, column, name, is_json)
                # A guard that is there already is replaced: its rules may be older.
                install += [*dropped, *created]
                remove += dropped
        if database.dialect == "postgresql":
            functions = [_postgresql_functions(schema) for schema in schemas]
            install = [statement for some in functions for statement in some] + install
            remove += [
                f"DROP FUNCTION IF EXISTS {schema}{function}"
                for schema in schemas
                for function in (
                    f"{REFUSAL}()",
                    f"{FUNCTION}(text, text[])",
                    f"{DELETING}(text, text[], text[])",
                )
            ]
        return GuardPlan(source.name, database.dialect, tuple(columns), tuple(install), tuple(remove))


def install_guard(source: Source) -> GuardPlan:
    """Install or renew the guard, in one transaction. Raises as ``plan_guard``, and SourceReadOnly."""
    return _run(source, removing=False)


def remove_guard(source: Source) -> GuardPlan:
    """Remove the guard; what is not there is not missed. Raises as ``install_guard``."""
    return _run(source, removing=True)


def installed_guards(source: Source) -> list[str]:
    """Names of the guard's triggers that are in the database now. Raises SourceUnavailable."""
    if source.kind != "database":
        return []
    with connect(source) as database, database.connect() as connection:
        if database.dialect == "sqlite":
            question = "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        elif database.dialect == "postgresql":
            question = "SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
        else:
            return []
        found = [str(name).lower() for (name,) in connection.execute(text(question))]
    return sorted(name for name in found if name.startswith(PREFIX))


def _run(source: Source, *, removing: bool) -> GuardPlan:
    plan = plan_guard(source)
    with connect(source, for_writing=True) as database, database.begin() as connection:
        for statement in plan.remove if removing else plan.install:
            connection.exec_driver_sql(statement.replace("%", "%%") if _wants_doubled(database) else statement)
    return plan


def _wants_doubled(database: SourceDatabase) -> bool:
    # psycopg2 formats a statement only when it is given parameters, and SQLAlchemy gives it an empty tuple.
    return database.dialect == "postgresql"


def _columns(database: SourceDatabase, table: Table) -> Iterator[tuple[Column, bool, str | None]]:
    """The configured columns that hold text, each with whether it holds JSON and why a trigger is of no use."""
    name, schema = split_name(table.name)
    with database.connect() as connection:
        inspector = inspect(connection)
        if not inspector.has_table(name, schema=schema):
            raise SourceMismatch(f"source {database.name!r} has no table {table.name!r}")
        if name in view_names(inspector, schema):
            return
        entries = inspector.get_columns(name, schema)
        has_no_triggers = database.dialect == "sqlite" and is_virtual(connection, name)
    types = {entry["name"]: plain_type(entry["type"]) for entry in entries}
    generated = {entry["name"] for entry in entries if entry.get("computed")}
    for column in table.columns:
        if column.type == "blob":
            continue
        if column.name not in types:
            raise SourceMismatch(f"source {database.name!r}: {table.name!r} has no column {column.name!r}")
        is_json = column.type == "json" or isinstance(types[column.name], JSON)
        why_not = None
        if column.name in generated:
            why_not = "the database computes it; guard what it is made from"
        elif has_no_triggers:
            why_not = "SQLite has no triggers on virtual tables"
        elif is_binary(types[column.name]):
            why_not = "it holds bytes, and a trigger reads text; prove the source from time to time"
        yield column, is_json, why_not


def _why_not(table: Table, is_json: bool) -> str | None:
    """A rule that leaves URLs alone can be told in SQL by its host, or by a fixed place in JSON."""
    for rule in table.exceptions:
        if rule.host is not None or (rule.pointer is not None and not is_json):
            continue
        if rule.pointer is None or "*" in rule.pointer:
            return f"SQL cannot tell which of its URLs the configuration leaves alone ({rule.why})"
    return None


def _spared_hosts(table: Table) -> tuple[str, ...]:
    return tuple(dict.fromkeys(rule.host.lower() for rule in table.exceptions if rule.host is not None))


def _spared_pointers(table: Table) -> tuple[str, ...]:
    return tuple(
        rule.pointer
        for rule in table.exceptions
        if rule.host is None and rule.pointer is not None and "*" not in rule.pointer
    )


def _trigger_name(table: str, column: str) -> str:
    plain = re.sub(r"\W", "_", f"{table}_{column}".lower())[:24]
    return f"{PREFIX}{plain}_{hashlib.sha256(f'{table}.{column}'.encode()).hexdigest()[:6]}"


def refusal(table: str, column: str) -> str:
    """What the application that writes is told. It does not repeat the value."""
    return (
        f"video_assets: {table}.{column} takes no temporary URL; store the file first and write its durable "
        "address (video-assets legacy guard remove takes this guard away)"
    )


# --- SQLite -----------------------------------------------------------------------------------------------------


def _sqlite_triggers(
    database: SourceDatabase, table: Table, column: Column, name: str, is_json: bool
) -> tuple[list[str], list[str]]:
    quoted, place = quote_table(database.engine, table.name), quote_name(database.engine, column.name)
    _, schema = split_name(table.name)
    qualifier = f"{quote_name(database.engine, schema)}." if schema else ""
    value = f"NEW.{place}"
    question = sqlite_question(
        value,
        is_json=is_json,
        pointers=_spared_pointers(table),
        hosts=_spared_hosts(table),
        signs=(*SIGNS, *signs_of(table.host_rules)),
    )
    body = f"SELECT RAISE(ABORT, {_literal(refusal(table.name, column.name))}) WHERE {question}"
    created, dropped = [], []
    for event, when in (
        ("insert", f"{value} IS NOT NULL"),
        ("update", f"{value} IS NOT OLD.{place}"),
    ):
        of = f" OF {place}" if event == "update" else ""
        created.append(
            f"CREATE TRIGGER {qualifier}{name}_{event} BEFORE {event.upper()}{of} ON {quoted} FOR EACH ROW "
            f"WHEN {when} AND {_sqlite_first_look(value)} BEGIN\n{body};\nEND"
        )
        dropped.append(f"DROP TRIGGER IF EXISTS {qualifier}{name}_{event}")
    return created, dropped


def _sqlite_first_look(value: str) -> str:
    return (
        f"(instr({value}, '//') OR instr({value}, '\\/') OR instr({value}, 'eyJ') "
        f"OR {value} LIKE '%\\u002f%' OR {value} LIKE '%2f%2f%')"
    )


def sqlite_question(
    value: str,
    *,
    is_json: bool,
    pointers: tuple[str, ...] = (),
    hosts: tuple[str, ...] = (),
    signs: tuple[Sign, ...] = SIGNS,
) -> str:
    """An SQL condition: does ``value`` hold a temporary URL? In JSON each string is asked by itself.

    ``pointers`` and ``hosts`` are left alone.
    """
    if is_json:
        valid = f"json_valid({value})"
        document = f"CASE WHEN {valid} THEN {value} ELSE 'null' END"
        for pointer in pointers:
            document = f"json_remove({document}, {_literal(_sqlite_path(pointer))})"
        texts = (
            f"SELECT atom AS t FROM json_tree({document}) WHERE type = 'text' "  # noqa: S608 - quoted above
            f"UNION ALL SELECT key FROM json_tree({document}) WHERE typeof(key) = 'text' "
            f"UNION ALL SELECT {value} WHERE NOT {valid}"
        )
    else:
        texts = f"SELECT {value} AS t"
    normal = "lower(t)"
    for old, new in ESCAPES:
        normal = f"replace({normal}, {_literal(old)}, {_literal(new)})"
    plain = "\n OR ".join(_sqlite_sign(sign) for sign in signs if not sign.needs_a_parameter)
    with_parameter = "\n OR ".join(_sqlite_sign(sign) for sign in signs if sign.needs_a_parameter)
    any_sign = f"{plain}\n OR instr(v, '=') AND ({with_parameter})"
    spared = "".join(
        f" AND v NOT GLOB {_literal(f'*//{form}/*')}" for host in hosts for form in (host, f"*.{host}")
    )
    # LIMIT keeps SQLite from writing the long expression into every comparison below.
    inner = f"(SELECT {normal} AS v FROM ({texts}) LIMIT -1)"  # noqa: S608 - quoted above
    return f"EXISTS (SELECT 1 FROM {inner} WHERE ({any_sign}){spared})"  # noqa: S608 - quoted above


def _sqlite_sign(sign: Sign) -> str:
    return " AND ".join(_sqlite_group(group) for group in sign.groups)


def _sqlite_group(group: Group) -> str:
    alternatives = " OR ".join(f"v GLOB {_literal(f'*{pattern}*')}" for pattern in group)
    return f"({alternatives})" if len(group) > 1 else alternatives


def _sqlite_path(pointer: str) -> str:
    """A JSON pointer as SQLite's path: ``/a/0/b`` → ``$."a"[0]."b"``."""
    steps = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
    return "$" + "".join(f"[{step}]" if step.isdecimal() else f'."{step}"' for step in steps)


def _literal(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"


# --- PostgreSQL -------------------------------------------------------------------------------------------------


def _postgresql_triggers(
    database: SourceDatabase, table: Table, column: Column, name: str, is_json: bool
) -> tuple[list[str], list[str]]:
    quoted, place = quote_table(database.engine, table.name), quote_name(database.engine, column.name)
    _, schema = split_name(table.name)
    prefix = f"{quote_name(database.engine, schema)}." if schema else ""
    value = f"NEW.{place}"
    if is_json and (pointers := _spared_pointers(table)):
        value = f"{value}::jsonb"
        for pointer in pointers:
            steps = [token.replace("~1", "/").replace("~0", "~") for token in pointer[1:].split("/")]
            array = ", ".join(_literal(step) for step in steps)
            value = f"({value} #- ARRAY[{array}]::text[])"
    hosts = ", ".join(_literal(host) for host in _spared_hosts(table))
    question = f"{prefix}{FUNCTION}(({value})::text, ARRAY[{hosts}]::text[]) IS NOT NULL"
    signs = signs_of(table.host_rules)
    if patterns := ", ".join(_literal(_regex(each)) for sign in signs for group in sign.groups for each in group):
        told = f"{prefix}{DELETING}(({value})::text, ARRAY[{patterns}]::text[], ARRAY[{hosts}]::text[])"
        question = f"({question} OR {told})"
    says = _literal(refusal(table.name, column.name))
    created, dropped = [], []
    for event, when in (
        ("insert", question),
        ("update", f"NEW.{place}::text IS DISTINCT FROM OLD.{place}::text AND {question}"),
    ):
        of = f" OF {place}" if event == "update" else ""
        created.append(
            f"CREATE TRIGGER {name}_{event} BEFORE {event.upper()}{of} ON {quoted} FOR EACH ROW "
            f"WHEN ({when}) EXECUTE FUNCTION {prefix}{REFUSAL}({says})"
        )
        dropped.append(f"DROP TRIGGER IF EXISTS {name}_{event} ON {quoted}")
    return created, dropped


def _postgresql_functions(prefix: str) -> tuple[str, str, str]:
    """The functions that tell a temporary URL (its scheme, or NULL), tell one of a user's host, and refuse.

    The patterns of hosts are handed to the second one, because sources that share a schema may know other hosts.
    """
    normal = "lower(value)"
    for old, new in ESCAPES:
        normal = f"replace({normal}, {_literal(old)}, {_literal(new)})"
    plain = "\n".join(_postgresql_sign(sign) for sign in SIGNS if not sign.needs_a_parameter)
    with_parameter = "\n".join(_postgresql_sign(sign) for sign in SIGNS if sign.needs_a_parameter)
    tell = f"""CREATE OR REPLACE FUNCTION {prefix}{FUNCTION}(value text, spared_hosts text[]) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE SET standard_conforming_strings = on AS $video_assets$
-- The signing scheme of the first temporary URL in a text, or NULL; {_MARK}.
DECLARE v text;
BEGIN
  IF position('//' in value) = 0 AND position('\\/' in value) = 0 AND position('eyJ' in value) = 0
     AND value !~* '%2f%2f|\\\\u002f' THEN
    RETURN NULL;
  END IF;
  FOREACH v IN ARRAY regexp_split_to_array({normal}, '[[:space:]"<>]+') LOOP
    CONTINUE WHEN position('//' in v) = 0 AND position('eyj' in v) = 0;
    CONTINUE WHEN EXISTS (SELECT 1 FROM unnest(spared_hosts) AS host
                          WHERE v LIKE '%//' || host || '/%' OR v LIKE '%//%.' || host || '/%');
{plain}
    CONTINUE WHEN position('=' in v) = 0;
{with_parameter}
  END LOOP;
  RETURN NULL;
END $video_assets$"""  # noqa: S608 - every literal is quoted above
    refuse = f"""CREATE OR REPLACE FUNCTION {prefix}{REFUSAL}() RETURNS trigger LANGUAGE plpgsql AS $video_assets$
-- {_MARK}
BEGIN
  RAISE EXCEPTION USING ERRCODE = 'check_violation', MESSAGE = TG_ARGV[0], TABLE = TG_TABLE_NAME;
END $video_assets$"""
    told = f"""CREATE OR REPLACE FUNCTION {prefix}{DELETING}(value text, patterns text[], spared_hosts text[])
RETURNS boolean LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $video_assets$
-- Whether a text holds a URL of a host that a user knows to delete; {_MARK}.
SELECT EXISTS (SELECT 1 FROM regexp_split_to_table({normal}, '[[:space:]"<>]+') AS v
               WHERE v ~ ANY (patterns) AND NOT EXISTS (
                 SELECT 1 FROM unnest(spared_hosts) AS host
                 WHERE v LIKE '%//' || host || '/%' OR v LIKE '%//%.' || host || '/%'))
$video_assets$"""  # noqa: S608 - every literal is quoted above
    return tell, told, refuse


def _postgresql_sign(sign: Sign) -> str:
    # Looking for a literal is cheap; a regular expression is only compiled for what passes that.
    cheap = " AND ".join(
        f"({' OR '.join(f'position({_literal(literal)} in v) > 0' for literal in literals)})"
        for group in sign.groups
        if all(literals := [_longest_literal(pattern) for pattern in group])
    )
    sure = " AND ".join(
        f"({' OR '.join(f'v ~ {_literal(_regex(pattern))}' for pattern in group)})" for group in sign.groups
    )
    inner = f"IF {sure} THEN RETURN {_literal(sign.scheme)}; END IF;"
    return f"    IF {cheap} THEN {inner} END IF;" if cheap else f"    {inner}"


def _longest_literal(pattern: str) -> str:
    return max(re.split(r"\*|\?|\[\^?\]?[^\]]*\]", pattern), key=len)


def _regex(pattern: str) -> str:
    """A GLOB pattern as a regular expression of PostgreSQL, repeated classes written with a count."""
    found: list[tuple[str, int]] = []
    at = 0
    while at < len(pattern):
        if match := _CLASS.match(pattern, at):
            token, at = match[0], match.end()
        else:
            token, at = {"*": "[^[:space:]]*", "?": "."}.get(pattern[at], re.escape(pattern[at])), at + 1
        if found and found[-1][0] == token and token.startswith("["):
            found[-1] = token, found[-1][1] + 1
        else:
            found.append((token, 1))
    return "".join(token if count == 1 else f"{token}{{{count}}}" for token, count in found)
