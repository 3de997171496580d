"""Every setting of the product, in one class; each default is explained where it stands.

Values come from ``VIDEO_ASSETS_*`` environment variables and from a ``.env`` file in the working folder.
"""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Settings of one installation. Nothing here touches the network or creates a file."""

    model_config = SettingsConfigDict(env_prefix="VIDEO_ASSETS_", env_file=".env", extra="ignore")

    home: Path = Field(
        Path(".video_assets"),
        description="Folder of everything embedded: the SQLite catalog, the local storage, the spool, the "
        "generated encryption key. Put it on a persistent volume.",
    )
    database_url: SecretStr | None = Field(
        None,
        description="SQLAlchemy URL of the catalog. Empty means SQLite in `home`; in production "
        "`postgresql+psycopg2://…`.",
    )
    encryption_key: SecretStr | None = Field(
        None,
        description="Fernet key that encrypts pending temporary URLs at rest. Empty means one is generated in "
        "`home/encryption.key` on first start, with a warning: set your own so that several machines share it.",
    )
    ledger_key: SecretStr | None = Field(
        None,
        description="Fernet key, yours alone, that encrypts what legacy rows held before they were rewritten, so "
        "that a rewrite can be undone. Needed by `legacy run` unless it is told `--no-undo`.",
    )

    deleting_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Hosts of yours or of your providers that delete what they serve, beside the known ones: "
        "`HOST`, `HOST/PATH` or `HOST/PATH = RETENTION`, such as `media.example.com/renders/ = 7d` "
        "(`m`, `h`, `d`, `w`; `*` in a path stands for any characters); comma-separated. Whatever looks for "
        "temporary links knows them: commands, checks, legacy sources, guards, proofs.",
    )

    legacy_config: Path = Field(
        Path("legacy.toml"),
        description="File that describes the legacy sources; `video-assets legacy discover` writes one.",
    )
    legacy_mode: Literal["rescue", "apply"] = Field(
        "rescue",
        description="What Dagster does with a batch of a legacy source: `rescue` saves the files and leaves the "
        "rows alone, `apply` rewrites the rows too.",
    )
    legacy_horizon: timedelta = Field(
        timedelta(hours=24),
        description="A batch of a legacy source whose first link dies within this time is started by itself.",
    )

    storage: Literal["local", "s3"] = Field(
        "local", description="Where durable copies live: a local folder, or any S3-compatible store."
    )
    storage_root: Path | None = Field(None, description="Folder of the local store. Empty means `home/storage`.")
    bucket: str = Field("generated-videos", description="Bucket (or first folder of the local store).")
    key_template: str = Field(
        "{owner}/{generation}/{kind}-{index}.{ext}",
        description="Where in the bucket an output is kept. Known words: owner, generation, provider, kind, "
        "index, ext, id, campaign.",
    )
    public_base_url: str = Field(
        "http://127.0.0.1:3080/media",
        description="What a durable link of the local store starts with: the address of the media server.",
    )
    s3_endpoint_url: str | None = Field(
        None, description="Endpoint of an S3-compatible store; empty means AWS itself."
    )
    s3_region: str | None = Field(
        None,
        description="Region of the bucket. Empty means the one that the endpoint's host names, `auto` for R2 and "
        "Google Cloud Storage, else us-east-1.",
    )
    s3_addressing_style: Literal["auto", "virtual", "path"] = Field(
        "auto",
        description="Where the bucket stands in an address: `virtual` in the host name, `path` in the path. "
        "`auto` is `virtual` on AWS and on stores known to take nothing else (Alibaba OSS, Tencent COS, Huawei "
        "OBS, Volcengine TOS, Tigris), `path` elsewhere.",
    )
    s3_access_key_id: SecretStr | None = Field(None, description="Empty means the usual AWS credential chain.")
    s3_secret_access_key: SecretStr | None = Field(None, description="Secret of the access key.")
    s3_public_flavour: Literal["aws-virtual", "aws-path", "supabase", "custom"] = Field(
        "aws-virtual", description="How public links are built; `custom` uses `s3_public_base_url`."
    )
    s3_public_base_url: str | None = Field(
        None, description="CDN or public bucket address in front of the store, without a trailing slash."
    )
    s3_multipart_threshold: int = Field(
        100 * 1024**2, ge=5 * 1024**2, description="Bytes from which an upload is sent in parts."
    )

    runway_api_key: SecretStr | None = Field(None, description="Runway key (RUNWAYML_API_SECRET elsewhere).")
    runway_base_url: str = Field("https://api.dev.runwayml.com", description="Runway API address.")
    luma_api_key: SecretStr | None = Field(None, description="Luma Dream Machine key.")
    luma_base_url: str = Field(
        "https://api.lumalabs.ai/dream-machine/v1", description="Luma Dream Machine API address."
    )
    provider_timeout_seconds: float = Field(60.0, gt=0, description="Longest wait for one provider answer.")
    poll_interval_scale: float = Field(
        1.0, gt=0, description="Multiplies every provider's poll interval; below 1 only against the emulator."
    )
    max_concurrent_jobs: Annotated[dict[str, int], NoDecode] = Field(
        {},
        description="How many jobs your account may have under way at a provider, where that differs from what "
        "its ordinary accounts may: `luma=50,runway=5`. Further ones stay queued; 0 means no limit of ours.",
    )
    unknown_job_patience: timedelta = Field(
        timedelta(hours=1),
        description="So long a provider has to say, again and again, that it does not know a job before it is "
        "believed; multiplied by `poll_interval_scale` too. 0 believes the first answer.",
    )

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="`host` or `host:port` names that may be fetched although they resolve to private addresses. "
        "For test hosts only; comma-separated.",
    )
    allowed_ports: Annotated[tuple[int, ...], NoDecode] = Field(
        (80, 443, 8080, 8443), description="Ports a source may be fetched from."
    )
    require_playable: bool = Field(
        False,
        description="Refuse a file that came whole but that nothing here can judge (an encrypted video, a format "
        "without a decoder), instead of keeping it and calling `playable` unknown.",
    )
    max_download_bytes: int = Field(5 * 1024**3, gt=0, description="Largest file that is accepted.")
    download_concurrency: int = Field(8, ge=1, le=64, description="Files rescued at the same time in one run.")
    per_host_concurrency: int = Field(6, ge=1, description="Connections to one source host at the same time.")
    connect_timeout_seconds: float = Field(10.0, gt=0, description="Longest wait for a connection.")
    idle_timeout_seconds: float = Field(30.0, gt=0, description="Longest silence inside a body.")
    total_timeout_seconds: float = Field(3600.0, gt=0, description="Longest time for one file.")
    min_bytes_per_second: int = Field(
        16 * 1024, ge=0, description="Throughput floor, averaged over `idle_timeout_seconds`."
    )
    kept_files_max_bytes: int = Field(
        20 * 1024**3,
        ge=0,
        description="Most bytes that verified files may take in the spool while the store does not accept them; "
        "0 keeps none. When it is reached, those whose links live longest are given up and downloaded again.",
    )
    kept_files_min_free_bytes: int = Field(
        1024**3,
        ge=0,
        description="Verified files make way in the spool while its disk has less free space than this.",
    )

    source_patience: timedelta = Field(
        timedelta(days=7),
        description="How long a source that does not hand out a file is asked again when nobody knows when the "
        "link dies, or when the provider's fresh links do not work either. A link with a deadline is tried until "
        "then.",
    )
    keep_lost_links: timedelta = Field(
        timedelta(days=30),
        description="The link of a lost file is kept, encrypted, for this long after its death, so that `retry` "
        "and `legacy run --again-lost` can try it; then it is erased.",
    )
    expiry_horizon: timedelta = Field(
        timedelta(minutes=30),
        description="A pending link that dies within this time gets a priority run of its own.",
    )
    lease_seconds: float = Field(
        120.0, gt=0, description="A claim on a job is given up after this long without a heartbeat."
    )
    stuck_after: timedelta = Field(
        timedelta(hours=2), description="A generation without progress for this long is reported as stuck."
    )
    job_deadline: timedelta = Field(
        timedelta(hours=24), description="A provider job that has not settled by then is given up as failed."
    )
    retire_after: timedelta = Field(
        timedelta(days=14), description="Settled generations older than this leave the Dagster partitions."
    )
    max_live_partitions: int = Field(20_000, ge=100, description="Dagster partitions kept by the retirement.")

    media_host: str = Field("127.0.0.1", description="Address the media server listens on.")
    media_port: int = Field(3080, ge=0, le=65535, description="Port the media server listens on.")

    @field_validator("allowed_hosts", "deleting_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return (
            tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value
        )

    @field_validator("max_concurrent_jobs", mode="before")
    @classmethod
    def _split_limits(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs = (part.partition("=") for part in value.split(",") if part.strip())
        return {name.strip(): int(number) for name, _, number in pairs}

    @field_validator("max_concurrent_jobs")
    @classmethod
    def _no_negative_limits(cls, value: dict[str, int]) -> dict[str, int]:
        if any(number < 0 for number in value.values()):
            raise ValueError("a limit is 0 or more")
        return value

    @field_validator("allowed_ports", mode="before")
    @classmethod
    def _split_ports(cls, value: object) -> object:
        return tuple(int(p) for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @property
    def catalog_url(self) -> str:
        """SQLAlchemy URL of the catalog, with the embedded default filled in. Holds a password: do not log."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{(self.home / 'catalog.db').absolute()}"

    @property
    def local_storage_root(self) -> Path:
        """Folder of the local store."""
        return self.storage_root or self.home / "storage"

    @property
    def spool(self) -> Path:
        """Folder of files that are being downloaded and verified."""
        return self.home / "spool"


@lru_cache(maxsize=1)
def get_settings() -> Settings:
    """The settings of this process, read once."""
    return Settings()
