"""From a finished job to the addresses of its outputs, as its plan wants them: fresh, dead, or the same again."""

from __future__ import annotations

from video_assets.emulator.jobs import Job
from video_assets.emulator.links import LinkOffice, Scheme


def signed_urls(links: LinkOffice, job: Job, host: str, scheme: Scheme, *, counted: bool = True) -> list[str]:
    """One signed URL per output, in the order of the job's assets. Counts as showing the outputs once."""
    shown = job.next_finished_request() if counted else job.finished_requests
    dead = job.faulty("dead_links", shown)
    urls = []
    for asset in job.assets:
        query = job.first_queries.get(asset.path) if job.plan.refresh == "same" else None
        if query is None:
            link = links.issue(scheme, asset.path, job.id, host, ttl=job.plan.link_ttl or None, dead=dead)
            query = link.query
            job.first_queries.setdefault(asset.path, query)
        urls.append(f"http://{host}{asset.path}?{query}")
    return urls
