"""What a person clicks in the Dagster UI, asked for over its GraphQL API: launch a run, launch a backfill."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import requests

from video_assets.cli.failures import CommandFailed, ExitCode

_LAUNCH_RUN = """
mutation($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
    ... on InvalidSubsetError { message }
    ... on UnauthorizedError { message }
  }
}"""

_LAUNCH_BACKFILL = """
mutation($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on PartitionSetNotFoundError { message }
    ... on UnauthorizedError { message }
  }
}"""

_PARTITION_KEYS = """
query($asset: AssetKeyInput!) {
  assetNodeOrError(assetKey: $asset) { ... on AssetNode { partitionKeys } }
}"""


class DagsterUi:
    """The webserver at ``address``."""

    def __init__(self, address: str, *, location: str = "video_assets") -> None:
        self._address = address
        self._location = location

    def launch_run(self, job: str, partition: str) -> str:
        """Start one partition of a job; returns the run's id. Raises CommandFailed."""
        answer = self._ask(
            _LAUNCH_RUN,
            {
                "params": {
                    "selector": {
                        "repositoryLocationName": self._location,
                        "repositoryName": "__repository__",
                        "pipelineName": job,
                    },
                    "mode": "default",
                    "runConfigData": {},
                    "executionMetadata": {"tags": [{"key": "dagster/partition", "value": partition}]},
                }
            },
        )["launchRun"]
        return str(self._expect(answer, "LaunchRunSuccess")["run"]["runId"])

    def launch_backfill(self, asset: str, partitions: Sequence[str], tags: Mapping[str, str]) -> str:
        """Start a backfill of an asset's partitions; returns its id. Raises CommandFailed."""
        answer = self._ask(
            _LAUNCH_BACKFILL,
            {
                "params": {
                    "assetSelection": [{"path": [asset]}],
                    "partitionNames": list(partitions),
                    "tags": [{"key": key, "value": value} for key, value in tags.items()],
                }
            },
        )["launchPartitionBackfill"]
        return str(self._expect(answer, "LaunchBackfillSuccess")["backfillId"])

    def partitions(self, asset: str) -> list[str]:
        """The partition keys that the UI offers for an asset. Raises CommandFailed."""
        node = self._ask(_PARTITION_KEYS, {"asset": {"path": [asset]}})["assetNodeOrError"]
        return [str(key) for key in node.get("partitionKeys") or ()]

    def _ask(self, query: str, variables: Mapping[str, Any]) -> dict[str, Any]:
        with requests.Session() as http:
            http.trust_env = False
            try:
                answer = http.post(
                    f"{self._address}/graphql", json={"query": query, "variables": variables}, timeout=60
                ).json()
            except (requests.RequestException, ValueError) as exc:
                raise CommandFailed(
                    f"Dagster's webserver does not answer ({type(exc).__name__}).", ExitCode.UNAVAILABLE
                ) from None
        if answer.get("errors"):
            raise CommandFailed(f"Dagster refused: {answer['errors'][0].get('message')}", ExitCode.UNAVAILABLE)
        data: dict[str, Any] = answer["data"]
        return data

    @staticmethod
    def _expect(answer: dict[str, Any], kind: str) -> dict[str, Any]:
        if answer["__typename"] != kind:
            raise CommandFailed(
                f"Dagster refused: {answer.get('message') or answer['__typename']}", ExitCode.UNAVAILABLE
            )
        return answer
