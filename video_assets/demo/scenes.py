"""The dozen: what is asked, what goes wrong on the way, and how it has to end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from video_assets.catalog import GenerationStatus
from video_assets.generations.intake import GenerationRequest

OWNER = "demo"
COMPLETED, FAILED, EXPIRED = GenerationStatus.COMPLETED, GenerationStatus.FAILED, GenerationStatus.EXPIRED

MODELS = {"runway": "gen4.5", "luma": "ray-2"}
RAPID = "seconds=2, run_seconds=2"
"""Short videos of a quick provider."""


@dataclass(frozen=True, slots=True)
class Scene:
    """One generation of the demonstration."""

    name: str
    provider: str
    prompt: str
    directives: str = RAPID
    versions: int = 1
    ends: GenerationStatus = COMPLETED
    saved_by: str | None = None
    """The sensor whose run has to make it durable, where that is the point of the scene."""
    failed_downloads: int = 0
    """How many downloads at least have to break off for the scene to show anything."""
    refreshes: int = 0
    """How many links at least have to be refreshed by job id for the scene to show anything."""
    tells: str = ""
    """What is worth a line in the end; may name the fields of the evidence."""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def request(self) -> GenerationRequest:
        """The request as any user would make it; the emulator reads its directives from the prompt."""
        return GenerationRequest(
            owner=OWNER,
            provider=self.provider,
            model=MODELS[self.provider],
            prompt=f"{self.prompt} [emulator: {self.directives}]",
            parameters=self.parameters,
            versions=self.versions,
            campaign="demo",
            title=self.name,
            idempotency_key=f"demo-{self.name}",
        )


SCENES = (
    Scene("plain", "runway", "A paper boat crosses a pond at dawn"),
    Scene("with a thumbnail", "luma", "A lighthouse in a storm, seen from the sea"),
    Scene(
        "three versions",
        "runway",
        "A red kite over a wheat field",
        versions=3,
        tells="one request, {submits} jobs, every video durable",
    ),
    Scene(
        "slow provider",
        "luma",
        "A glacier calving in slow motion",
        "seconds=2, run_seconds=18",
    ),
    Scene(
        "provider fails",
        "runway",
        "A portrait that moderation refuses",
        "run_seconds=1, fail=SAFETY.INPUT.TEXT",
        ends=FAILED,
        tells="the provider said: {message}",
    ),
    Scene(
        "dead at first sight",
        "runway",
        "A clock running backwards",
        f"{RAPID}, dead_links=1",
        refreshes=1,
        tells="its link was dead before the first try; a fresh one was asked for by job id",
    ),
    Scene(
        "dead for good",
        "luma",
        "A letter burning in a fireplace",
        f"{RAPID}, dead_links=1, refresh=gone",
        ends=EXPIRED,
        tells="could not be saved by anybody, and this is the evidence: {message}",
    ),
    Scene(
        "truncated download",
        "runway",
        "A bridge being built, time lapse",
        f"{RAPID}, truncate_first=1",
        failed_downloads=1,
        tells="downloaded {downloads} times: the first one broke off in the middle and was not believed",
    ),
    Scene(
        "link dies in seconds",
        "runway",
        "A soap bubble about to burst",
        f"{RAPID}, link_ttl=45",
        saved_by="expiring_urls",
        tells="saved by the sensor {saved_by} {margin_seconds:.0f} s before its link died",
    ),
    Scene(
        "answer lost",
        "luma",
        "A bottle washed ashore",
        f"{RAPID}, lose_submit=1",
        tells="the answer to its submission was lost; it was found again and paid {submits} time",
    ),
    Scene(
        "provider talks nonsense",
        "luma",
        "A maze of mirrors",
        f"{RAPID}, html_first=1, odd_status=pondering",
        tells="a web page and an unknown status word were taken for what they are: no answer yet",
    ),
    Scene("other alphabets", "luma", "חתול ג'ינג'י רוקד בגשם, 猫が雨の中で踊る"),
)
"""Twelve generations over two providers; the first is submitted first."""
