"""Refreshing: a link that died is asked for again by job id; a file behind a key is fetched with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from video_assets.catalog import Catalog, MediaState, Output, ProviderJob, journal
from video_assets.catalog.models import utc_now
from video_assets.generations import unknown
from video_assets.generations.following import record_outputs
from video_assets.providers.base import Provider, ProviderError, TaskUnknown
from video_assets.settings import Settings
from video_assets.transfer.rescue.outputs import LinkGone, LinkUnavailable

GetProvider = Callable[[str], Provider]


class ProviderLinks:
    """Fresh links for outputs, and the keys they are behind, from their providers."""

    def __init__(self, catalog: Catalog, get_provider: GetProvider, settings: Settings) -> None:
        self._catalog = catalog
        self._get_provider = get_provider
        self._settings = settings

    def refresh(self, output_id: str) -> None:
        """Ask the provider again and write the fresh link into the output's row.

        Raises LinkGone when there will never be one (task deleted, output removed, provider cannot), and
        LinkUnavailable when the provider cannot be asked now. A task counts as deleted only when the provider has
        said so for some time.
        """
        with self._catalog.read() as session:
            output = session.get_one(Output, output_id)
            job = session.get_one(ProviderJob, output.job_id)
        try:
            provider = self._get_provider(job.provider)
            if provider.refreshes == "no" or job.task_id is None:
                raise LinkGone(f"{provider.title} hands out each link once only")
            snapshot = provider.poll(job.task_id)
        except TaskUnknown as exc:
            raise self._unknown(job.id, exc) from None
        except ProviderError as exc:
            raise LinkUnavailable(str(exc), reason=exc.reason, retry_after=exc.retry_after) from None
        if not snapshot.state.settled:
            raise LinkUnavailable(f"{provider.title} says that {job.task_id} is {snapshot.raw_status} again")
        with self._catalog.write() as session:
            job = session.get_one(ProviderJob, job.id, with_for_update=True, populate_existing=True)
            now = utc_now()
            unknown.forget(job)
            job.polled_at = now
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

    def download_headers(self, provider: str, url: str) -> Mapping[str, str]:
        """The headers that fetch ``url`` with the provider's key, none for what is not its own.

        Raises LinkUnavailable when the key is not there.
        """
        try:
            return self._get_provider(provider).download_headers(url)
        except ProviderError as exc:
            raise LinkUnavailable(str(exc)) from None

    def _unknown(self, job_id: str, error: TaskUnknown) -> LinkGone | LinkUnavailable:
        with self._catalog.write() as session:
            job = session.get_one(ProviderJob, job_id, with_for_update=True, populate_existing=True)
            if unknown.note(session, job, error, self._settings, now=utc_now()):
                return LinkGone(job.failure_message or str(error), data_gone=True)
            pause = unknown.pause_after(job.unknown_answers, self._settings)
            return LinkUnavailable(job.failure_message or str(error), retry_after=pause)
