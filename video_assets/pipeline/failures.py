"""The failure that a person reads in the UI."""

import dagster as dg


def failure(subject: str, message: str, *, remedy: str) -> dg.Failure:
    """A failure that a person can act on. Dagster's own retries leave it alone: the sensors retry by reason."""
    return dg.Failure(
        f"{subject}: {message}",
        metadata={"subject": subject, "what_to_do": remedy},
        allow_retries=False,
    )
