"""The control page: a page for people and JSON for tests, to see jobs and links and to make them go wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

from video_assets.emulator.jobs import Job, JobBoard, Phase
from video_assets.emulator.links import Link, LinkOffice
from video_assets.emulator.plans import BadDirective, describe
from video_assets.emulator.wire import Reply, Request


class Control:
    """Answers ``/`` and ``/control/…``."""

    def __init__(self, board: JobBoard, links: LinkOffice, secrets: Callable[[], Sequence[str]]) -> None:
        self._board = board
        self._links = links
        self._secrets = secrets

    def handle(self, request: Request) -> Reply | None:
        """Answer one request; None for a path that is not here.

        ``GET /control/jobs``, ``GET /control/secrets``, ``GET`` and ``POST /control/defaults`` (directives for
        jobs to come), ``POST /control/jobs/{id}`` (directives for one job), ``POST /control/jobs/{id}/kill``,
        ``POST /control/jobs/{id}/fail``.
        """
        where = tuple(filter(None, request.path.split("/")))
        try:
            match request.method, where:
                case "GET", ():
                    return Reply(200, self._page().encode(), "text/html; charset=utf-8")
                case "GET", ("control", "jobs"):
                    return Reply.of([self.describe(job) for job in self._board.all()])
                case "GET", ("control", "secrets"):
                    return Reply.of(list(self._secrets()))
                case "GET", ("control", "defaults"):
                    return Reply.of({name: getattr(self._board.defaults, name) for name, _, _ in describe()})
                case "POST", ("control", "defaults"):
                    self._board.defaults = self._board.defaults.changed(_directives(request))
                    return Reply.of({"changed": True})
                case "POST", ("control", "jobs", job_id):
                    job = self._board.find(job_id)
                    job.plan = job.plan.changed(_directives(request))
                    return Reply.of(self.describe(job))
                case "POST", ("control", "jobs", job_id, "kill"):
                    killed = self._links.kill(self._board.find(job_id).id)
                    return _back(request) or Reply.of({"killed": killed})
                case "POST", ("control", "jobs", job_id, "fail"):
                    job = self._board.find(job_id)
                    if not self._board.look(job)[0].settled:
                        self._board.stop(job, Phase.FAILED, "INTERNAL.BAD_OUTPUT.CODE01")
                    return _back(request) or Reply.of(self.describe(job))
        except KeyError:
            return Reply.of({"error": "no such job"}, 404)
        except BadDirective as exc:
            return Reply.of({"error": str(exc)}, 400)
        return None

    def describe(self, job: Job) -> dict[str, Any]:
        """One job as JSON, its links without their secrets."""
        phase, progress = self._board.look(job)
        finished = self._board.finished(job)
        return {
            "id": job.id,
            "provider": job.provider,
            "model": job.model,
            "prompt": job.prompt,
            "state": "deleted" if job.deleted else phase.value,
            "progress": round(progress, 3),
            "cost": job.cost,
            "created_at": job.created.isoformat(),
            "finished_at": finished.isoformat() if finished else None,
            "status_requests": job.status_requests,
            "finished_requests": job.finished_requests,
            "submits_of_prompt": self._board.submits(job.prompt),
            "outputs": [{"kind": a.kind, "index": a.index, "downloads": a.downloads} for a in job.assets],
            "links": [_link(link) for link in self._links.of_job(job.id)],
        }

    def _page(self) -> str:
        rows = "".join(self._row(job) for job in reversed(self._board.all()))
        knobs = "".join(
            f"<tr><td><code>{escape(name)}</code><td>{escape(repr(default))}<td>{escape(meaning)}"
            for name, default, meaning in describe()
        )
        return _PAGE.replace("{rows}", rows or "<tr><td colspan=8>No job yet.").replace("{knobs}", knobs)

    def _row(self, job: Job) -> str:
        seen = self.describe(job)
        links = "<br>".join(
            f"<code>{escape(link['path'][-28:])}?{escape(link['secret'])}</code> "
            + ("dead" if link["dead"] else f"{link['seconds_left']} s left")
            + f", {link['downloads']} downloads"
            for link in seen["links"]
        )
        buttons = "".join(
            f'<form method=post action="/control/jobs/{job.id}/{act}"><button>{text}</button></form>'
            for act, text in (("kill", "kill links"), ("fail", "fail job"))
        )
        state = f"{seen['state']} {seen['progress']:.0%}" if seen["state"] == "running" else seen["state"]
        cells = [job.provider, job.model, job.prompt[:120], state, str(job.status_requests), str(job.cost)]
        return (
            f'<tr class="{escape(seen["state"])}"><td title="{job.id}">'
            + "<td>".join(escape(cell) for cell in cells)
            + f"<td>{links}<td>{buttons}"
        )


def _link(link: Link) -> dict[str, Any]:
    left = link.expires_at - time.time()
    return {
        "scheme": link.scheme.value,
        "path": link.path,
        "secret": "[redacted]",
        "expires_at": link.expires_at,
        "seconds_left": max(0, round(left)),
        "dead": link.killed or left <= 0,
        "killed": link.killed,
        "downloads": link.downloads,
    }


def _directives(request: Request) -> dict[str, Any]:
    try:
        body = json.loads(request.body or b"{}")
    except ValueError:
        raise BadDirective("the body is not JSON") from None
    if not isinstance(body, dict):
        raise BadDirective("the body is not a JSON object")
    return body


def _back(request: Request) -> Reply | None:
    """Lead a browser that pressed a button back to the page."""
    if "text/html" in request.headers.get("accept", ""):
        return Reply(303, headers={"Location": "/"})
    return None


_PAGE = """<!doctype html>
<html lang=en><meta charset=utf-8><title>Provider emulator</title><meta http-equiv=refresh content=3>
<style>
body{font:14px/1.45 system-ui,sans-serif;margin:2rem;color:#1c2430;background:#f7f8fa}
table{border-collapse:collapse;background:#fff;width:100%;margin:1rem 0 2rem}
th,td{text-align:left;padding:.4rem .6rem;border-bottom:1px solid #e3e6eb;vertical-align:top}
th{background:#eef1f5}code{font-size:12px}form{display:inline;margin-right:.3rem}
.succeeded td:nth-child(4){color:#0a7d33}.failed td:nth-child(4){color:#b3261e}
.running td:nth-child(4){color:#0b57d0}.deleted,.cancelled{color:#888}
</style>
<h1>Provider emulator</h1>
<p>Runway at <code>/runway</code>, Luma Dream Machine at <code>/luma/dream-machine/v1</code>, media at
<code>/media</code>; JSON at <a href="/control/jobs">/control/jobs</a>.</p>
<table><tr><th>provider<th>model<th>prompt<th>state<th>asked<th>cost<th>links<th>
{rows}</table>
<h2>Directives</h2>
<p>In a prompt: <code>[emulator: link_ttl=8, truncate_first=1]</code>. As JSON:
<code>POST /control/defaults</code> for jobs to come, <code>POST /control/jobs/ID</code> for one job.</p>
<table><tr><th>name<th>default<th>meaning
{knobs}</table>
"""
