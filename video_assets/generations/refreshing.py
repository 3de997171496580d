"""Refreshing: a link that died is asked for again by job id."""

from __future__ import annotations

from collections.abc import Callable

from video_assets.catalog import Catalog, MediaState, Output, ProviderJob, journal
from video_assets.catalog.models import utc_now
from video_assets.generations.following import record_outputs
from video_assets.providers.base import Provider, ProviderError, TaskUnknown
from video_assets.transfer.rescue import LinkGone, LinkUnavailable

GetProvider = Callable[[str], Provider]


class ProviderLinks:
    """Fresh links for outputs, from their providers. The rescue asks through this one method."""

    def __init__(self, catalog: Catalog, get_provider: GetProvider) -> None:
        self._catalog = catalog
        self._get_provider = get_provider

    def refresh(self, output_id: str) -> None:
        """Ask the provider again and write the fresh link into the output's row.

        Raises LinkGone when there will never be one (task deleted, output removed, provider cannot), and
        LinkUnavailable when the provider cannot be asked now.
        """
        with self._catalog.read() as session:
            output = session.get_one(Output, output_id)
            job = session.get_one(ProviderJob, output.job_id)
        provider = self._get_provider(job.provider)
        if provider.refreshes == "no" or job.task_id is None:
            raise LinkGone(f"{provider.title} hands out each link once only")
        try:
            snapshot = provider.poll(job.task_id)
        except TaskUnknown as exc:
            raise LinkGone(f"{provider.title} no longer knows {job.task_id}: {exc}", data_gone=True) from None
        except ProviderError as exc:
            raise LinkUnavailable(str(exc), reason=exc.reason, retry_after=exc.retry_after) from None
        with self._catalog.write() as session:
            job = session.get_one(ProviderJob, job.id, populate_existing=True)
            now = utc_now()
            rows = record_outputs(session, job, snapshot.outputs, now=now)
            row = next((row for row in rows if row.id == output_id), None)
            if row is None:
                if not snapshot.state.settled:
                    raise LinkUnavailable(f"{provider.title} calls {job.task_id} {snapshot.raw_status}")
                raise LinkGone(f"{provider.title} no longer offers this output of {job.task_id}", data_gone=True)
            if row.state == MediaState.PENDING:
                row.refreshes += 1
                row.refreshed_at = now
                journal.record(
                    session,
                    "refreshed",
                    f"{provider.title} gave a fresh link for {job.task_id}",
                    generation_id=row.generation_id,
                    job_id=job.id,
                    output_id=output_id,
                )
