"""Stopping a job at its provider, for a person who cancelled."""

from __future__ import annotations

from video_assets.catalog import Catalog, JobStatus, ProviderJob, journal
from video_assets.catalog.models import utc_now
from video_assets.catalog.states import move_job
from video_assets.providers.base import Provider, TaskUnknown


def stop_job(catalog: Catalog, job: ProviderJob, provider: Provider) -> bool:
    """Ask the provider to stop ``job`` and follow it no longer; False when it is finished already.

    Where nothing proves that it stopped (the provider cannot stop jobs, or says that it does not know this one)
    it is given up instead of cancelled, so that a retry asks about it before anything is paid again.
    Raises ProviderError when the provider cannot be asked; nothing is changed then.
    """
    if job.task_id is None:
        return False
    ends = JobStatus.ABANDONED
    note = f"{provider.title} cannot stop a job: it may still be charged, and its output is not kept"
    if provider.can_cancel:
        try:
            if not provider.cancel(job.task_id):
                return False  # it is followed and stored like any other
            ends = JobStatus.CANCELLED
            note = f"{provider.title} was asked to stop {job.task_id}"
        except TaskUnknown:
            note = f"{provider.title} does not know {job.task_id}: if it runs, it may still be charged"
    with catalog.write() as session:
        row = session.get_one(ProviderJob, job.id, with_for_update=True, populate_existing=True)
        if not JobStatus(row.status).at_provider:
            return True
        move_job(row, ends)
        row.finished_at = utc_now()
        row.next_poll_at = None
        row.failure_code = None
        row.failure_message = note
        journal.record(session, "provider_cancelled", note, generation_id=job.generation_id, job_id=job.id)
    return True
