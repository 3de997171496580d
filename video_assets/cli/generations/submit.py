"""``video-assets submit``: a request becomes a row in the catalog, and the pipeline takes it from there."""

from __future__ import annotations

import json
import sys
from typing import Annotated, Any

import typer

from video_assets.catalog import open_catalog
from video_assets.cli.failures import CommandFailed
from video_assets.cli.generations.follow import show_following
from video_assets.cli.generations.json_views import generation_document
from video_assets.cli.output import JsonOption, note, print_json, say
from video_assets.generations.intake import MAX_VERSIONS, GenerationRequest, Intake, check_request, take_in
from video_assets.providers import PROVIDERS, get_provider
from video_assets.settings import get_settings

LARGEST_PROMPT_BYTES = 1024 * 1024


def mount(app: typer.Typer) -> None:
    """Add the command."""
    app.command(no_args_is_help=True)(submit)


def submit(
    provider: Annotated[str, typer.Option(help=f"Who generates: {', '.join(sorted(PROVIDERS))}.")],
    model: Annotated[str, typer.Option(help="The provider's model, for example gen4.5 or ray-2.")],
    prompt: Annotated[str, typer.Option(help="What to show; `-` reads it from standard input.")],
    owner: Annotated[str, typer.Option(help="Whose video it is: the first folder of its durable address.")],
    param: Annotated[
        list[str] | None,
        typer.Option(help="For the provider, JSON or plain text; may be repeated.", metavar="KEY=VALUE"),
    ] = None,
    versions: Annotated[int, typer.Option(help=f"How many videos to make of it, 1 to {MAX_VERSIONS}.")] = 1,
    campaign: Annotated[str | None, typer.Option(help="A word to find it by.")] = None,
    title: Annotated[str | None, typer.Option(help="A title for people.")] = None,
    language: Annotated[str | None, typer.Option(help="Language of the prompt, such as en or he.")] = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="Asking again with the same key gives the first generation.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it is settled.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Check everything, write and send nothing.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for a video. It is answered at once; the running pipeline submits, follows and rescues it.

    \b
    Examples:
      video-assets submit --provider runway --model gen4.5 --owner ana --prompt "A fox in the snow"
      video-assets submit --provider luma --model ray-2 --owner ana --prompt - --wait < prompt.txt
      video-assets submit --provider runway --model gen4.5 --owner ana --prompt "A fox" \\
        --param ratio=1280:720 --param duration=5 --versions 3 --idempotency-key order-1042
    """
    settings = get_settings()
    request = GenerationRequest(
        owner=owner,
        provider=provider,
        model=model,
        prompt=_prompt(prompt),
        parameters=_parameters(param or []),
        versions=versions,
        campaign=campaign,
        title=title,
        language=language,
        idempotency_key=idempotency_key,
    )
    chosen = get_provider(provider, settings)
    check_request(request, chosen)
    if not chosen.has_key:
        raise CommandFailed(
            f"{chosen.title} has no key, so nothing was taken in: set VIDEO_ASSETS_{provider.upper()}_API_KEY, "
            "or try it without one with `video-assets dev --emulator`."
        )
    if dry_run:
        _show_dry_run(request, as_json=as_json)
        return
    catalog = open_catalog(settings)
    intake = take_in(catalog, request, chosen)
    if not wait:
        _show(intake, as_json=as_json)
        return
    if not as_json:
        _show(intake, as_json=False)
    all_completed = show_following(catalog, [intake.generation.id], as_json=as_json, timeout=None)
    raise typer.Exit(0 if all_completed else 1)


def _show(intake: Intake, *, as_json: bool) -> None:
    generation = intake.generation
    if as_json:
        print_json({**generation_document(generation), "created": intake.created})
        return
    say(generation.id)
    if intake.created:
        note(f"Queued. See it with `video-assets watch {generation.id}`.")
    else:
        note(f"This idempotency key was used before: the first generation is {generation.status}.")


def _show_dry_run(request: GenerationRequest, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {
                "dry_run": True,
                "owner": request.owner,
                "provider": request.provider,
                "model": request.model,
                "prompt": request.prompt,
                "parameters": request.parameters,
                "versions": request.versions,
                "digest": request.digest,
            }
        )
        return
    say(f"Valid: {request.versions} × {request.provider} {request.model} for {request.owner}. Nothing was sent.")


def _prompt(text: str) -> str:
    if text != "-":
        return text
    raw = sys.stdin.buffer.read(LARGEST_PROMPT_BYTES + 1)
    if len(raw) > LARGEST_PROMPT_BYTES:
        raise CommandFailed("The prompt on standard input is over 1 MiB: no provider takes that, shorten it.")
    try:
        return raw.decode().strip()
    except UnicodeDecodeError:
        raise CommandFailed("The prompt on standard input is not UTF-8 text: convert it first.") from None


def _parameters(given: list[str]) -> dict[str, Any]:
    """``key=value`` pairs; a value is JSON when it reads as JSON, else the text as it is."""
    parameters: dict[str, Any] = {}
    for item in given:
        key, equals, text = item.partition("=")
        key = key.strip()
        if not equals or not key:
            raise CommandFailed(f"--param {item!r} is not KEY=VALUE: write for example --param duration=5.")
        if key in parameters:
            raise CommandFailed(f"--param {key} is given twice: keep one of them.")
        parameters[key] = _value(key, text)
    return parameters


def _value(key: str, text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise CommandFailed(f"--param {key} is nested too deeply to be read: simplify it.") from None
    except ValueError as exc:
        # What begins like JSON was meant as JSON: passing half of it on as text would surprise the provider.
        if text.lstrip().startswith(("{", "[", '"')):
            raise CommandFailed(
                f"--param {key} begins like JSON but is not ({exc}): correct it, or quote it as a JSON string."
            ) from None
        return text


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")
