"""Settings: environment variables MODELLEDGER_…, lines of .env, or modelledger.toml; read once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from dotenv import dotenv_values
from pydantic import Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from core.errors import BadSettings, CoreError
from core.redact import masked, password_of, redactor, secret_values
from core.settings_file import read_settings_file

# With psycopg 3 every promotion that archives fails (mlflow#9151).
_POSTGRES = "postgresql+psycopg2"
_OF_A_PROVIDER = {"client_id", "client_secret", "server_metadata_url"}
_CHECKOUT = Path(__file__).resolve().parent.parent


class _SettingsFile(InitSettingsSource):
    """The settings file. A value of an earlier source replaces its value whole; dictionaries are not merged."""

    def __call__(self) -> dict[str, Any]:
        return {name: value for name, value in super().__call__().items() if name not in self.current_state}


class Settings(BaseSettings):
    """All settings with their defaults. `python -m core doctor` lists each setting with its source.

    An environment variable overrides a line of .env, which overrides the settings file.
    """

    model_config = SettingsConfigDict(
        env_prefix="MODELLEDGER_", env_file=".env", env_file_encoding="utf-8", extra="ignore", frozen=True
    )

    home: Path = Field(_CHECKOUT / "workspace", description="Folder that holds all data of the embedded default")
    engine: Literal["delta-rs", "spark"] = Field("delta-rs", description="Delta engine")
    spark_master: str = Field("local[*]", description="local[*], spark://host:port or sc://host:port")
    spark_jars: str | None = Field(None, description="Folder of Delta's JAR files, if they cannot be downloaded")
    spark_conf: dict[str, str] = Field(
        default_factory=dict,
        description='Settings of Spark, as JSON: {"spark.executor.memory": "4g"}',
        json_schema_extra={"secret": True},
    )
    database_url: str | None = Field(
        None, description="SQLAlchemy URL; default: SQLite in home", json_schema_extra={"secret": True}
    )
    tables: str | None = Field(
        None,
        description="Folders or URIs of tables and name=uri pairs, separated by commas",
    )
    storage_options: dict[str, str] = Field(
        default_factory=dict, description="Options of the object store, as JSON", json_schema_extra={"secret": True}
    )
    mlflow_tracking_uri: str | None = Field(
        None, validation_alias="MLFLOW_TRACKING_URI", description="MLflow tracking store or server"
    )
    mlflow_registry_uri: str | None = Field(
        None,
        validation_alias="MLFLOW_REGISTRY_URI",
        description="MLflow model registry, if it is elsewhere",
    )
    registry_stages: Literal["native", "aliases"] = Field("native", description="How the registry stores stages")
    aliases: dict[str, dict[str, str]] = Field(
        default_factory=dict,
        description='Alias per stage, as JSON: {model or \'*\': {"Production": "champion", "Staging": "challenger"}}',
    )
    mlflow_timeout_s: float = Field(5.0, description="Longest wait for one answer of MLflow, in seconds")
    experiment: str = Field("modelledger", description="MLflow experiment for trainings that ModelLedger starts")
    policies: dict[str, Any] = Field(
        default_factory=dict, description="Promotion policy per model, as JSON: {model or '*': [{gate: …}, …]}"
    )
    approvals: dict[str, int] = Field(
        default_factory=dict,
        description="Number of people who must approve for Production, as JSON: {model or '*': number}; default 1",
    )
    claims: list[dict[str, str]] = Field(
        default_factory=list,
        description="Params and tags that say what a run was trained on, as JSON: "
        '[{"version": "params.data_version", "table": "params.data_path"}]',
    )
    metric_directions: dict[str, Literal["lower", "higher"]] = Field(
        default_factory=dict,
        description='Which values of a metric are better, as JSON: {name or pattern: "lower" or "higher"}',
    )
    inspect_every_s: float = Field(
        300.0, description="Seconds between two inspections of the registry by the worker; 0 turns inspections off"
    )
    language: Literal["en"] = Field("en", description="Language of the pages")
    upload_limit_mb: int = Field(200, ge=1, description="Largest file that a page or `ingest` accepts, in MB")
    upload_memory_mb: int = Field(4096, ge=512, description="Memory of the process that reads an uploaded file, in MB")
    upload_time_s: int = Field(120, ge=1, description="Longest time to read an uploaded file, in seconds")
    upload_rows: int = Field(20_000_000, ge=1, description="Most rows of an uploaded file")
    upload_columns: int = Field(2_000, ge=1, description="Most columns of an uploaded file")
    upload_cell_kb: int = Field(1_024, ge=1, description="Longest text in one cell of an uploaded file, in KB")
    sample: bool = Field(True, description="Build the sample workspace on the first start of the embedded default")
    signing_key: Path | None = Field(None, description="File of the key that signs audit log heads; default: in home")
    log_name: str = Field(
        "modelledger.local/audit",
        pattern=r"^[^\s+]+$",
        description="Name of this audit log in its signed heads, for example bank.example/modelledger",
    )
    head_keys: str = Field(
        "",
        description="Further public keys, separated by spaces: of other instances, and earlier ones",
    )
    head_every_h: float = Field(24.0, ge=0, description="Hours between two signed heads; 0 turns signing off")
    secrets: Path | None = Field(
        None, description="File whose [auth] section names the sign-in provider; default: .streamlit/secrets.toml"
    )
    roles: dict[str, Literal["auditor", "scientist", "manager", "admin"]] = Field(
        default_factory=dict, description='Role of each group of the sign-in provider, as JSON: {"Risk": "manager"}'
    )
    roles_claim: str = Field("groups", description="Claim that holds a person's groups; a.b reads the claim b inside a")
    name_claim: str = Field("email", description="Claim that names a person; a name must never change its owner")
    accept_unverified_email: bool = Field(
        False, description="Accept an e-mail address as a name although the provider did not verify the address"
    )
    hosts: str = Field("", description="Host names, separated by spaces, under which browsers reach a shared server")
    log_format: Literal["text", "json"] = Field("text", description="Format of the logs on stderr: text or JSON lines")
    log_level: Literal["debug", "info", "warning", "error"] | None = Field(
        None, description="Lowest level of the logs; default: info for the app and the worker, warning for commands"
    )
    notifications: list[dict[str, Any]] = Field(
        default_factory=list,
        description="Webhooks and e-mail that report requests, decisions, findings and failed jobs, as JSON: "
        "docs/notifications.md",
        json_schema_extra={"secret": True},
    )
    smtp: dict[str, Any] = Field(
        default_factory=dict,
        description="Mail server of the notifications, as JSON: docs/notifications.md",
        json_schema_extra={"secret": True},
    )
    notification_allow: list[str] = Field(
        default_factory=list,
        description="Hosts and networks inside the own network to which notifications may be sent, as JSON",
    )
    base_url: str | None = Field(
        None,
        pattern=r"^https?://[!-~]+$",
        description="Address under which people open ModelLedger, for the links in notifications",
    )
    worker_lease_s: float = Field(30.0, description="Seconds of silence after which another worker takes over a job")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the sources in the order in which they win."""
        given = dotenv_settings() | env_settings() | init_settings()
        home = _absolute(Path(given.get("home", cls.model_fields["home"].default)))
        values = read_settings_file(home, cls.model_fields)
        aliases = {name: field.validation_alias for name, field in cls.model_fields.items()}
        named = {str(aliases[name] or name): value for name, value in values.items()}
        return init_settings, env_settings, dotenv_settings, _SettingsFile(settings_cls, named)

    @property
    def is_embedded(self) -> bool:
        """Whether all data is in home: no foreign MLflow and no foreign tables. Only then is the sample built."""
        return self.mlflow_tracking_uri is None and self.mlflow_registry_uri is None and self.tables is None

    @cached_property
    def tracking_uri(self) -> str:
        return _with_driver(self.mlflow_tracking_uri) or f"sqlite:///{self.own_mlflow_store}"

    @cached_property
    def registry_uri(self) -> str:
        return _with_driver(self.mlflow_registry_uri) or self.tracking_uri

    @property
    def own_mlflow_store(self) -> Path:
        """The MLflow database that ModelLedger creates and upgrades; any other belongs to somebody else."""
        return self.home / "mlflow.db"

    @property
    def artifact_root(self) -> Path:
        """The folder in which the embedded MLflow store keeps artifacts."""
        return self.home / "artifacts"

    @cached_property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.home / 'modelledger.db'}"

    @property
    def signing_key_file(self) -> Path:
        """The private key of signed heads; created on first use, readable by its owner only."""
        return self.signing_key or self.home / "signing-key.pem"

    @property
    def secrets_file(self) -> Path:
        return self.secrets or _CHECKOUT / ".streamlit" / "secrets.toml"

    @property
    def has_sign_in(self) -> bool:
        """Whether a sign-in provider is configured. Raises BadSettings if the secrets file cannot be read."""
        return bool(self._auth)

    @property
    def sign_in_providers(self) -> dict[str, str]:
        """The address of each provider by its name in the secrets file ("auth" if there is only one). Raises
        BadSettings.
        """
        # [auth.client_kwargs] is a section, but not a provider.
        named = {k: part for k, part in self._auth.items() if isinstance(part, dict) and _OF_A_PROVIDER & set(part)}
        if "server_metadata_url" in self._auth or not named:
            named = {"auth": self._auth, **named} if self._auth else {}
        return {name: masked(str(part.get("server_metadata_url", "not stated"))) for name, part in named.items()}

    @property
    def secret_values(self) -> tuple[str, ...]:
        """Values that must never appear in a log, an export or an answer, whichever setting they come from."""
        urls = [self.database_url, self.mlflow_tracking_uri, self.mlflow_registry_uri, self.spark_master]
        urls += (self.tables or "").split(",")
        try:
            auth = [part for part in (self._auth, *self._auth.values()) if isinstance(part, dict)]
        except BadSettings:
            auth = []  # reported where somebody signs in
        return (
            *(secret for url in urls for secret in password_of(url)),
            *secret_values(self.storage_options),
            *secret_values(self.spark_conf),
            *(secret for part in auth for secret in secret_values({k: str(v) for k, v in part.items()})),
            *self._notification_secrets(),
        )

    def _notification_secrets(self) -> Iterator[str]:
        """The addresses of webhooks, which often hold a token, and the values of the variables that settings name."""
        for entry in (*self.notifications, self.smtp):
            yield from (str(entry[name]) for name in ("url", "password") if name in entry)
            named = (str(entry[name]) for name in ("url_env", "secret_env", "password_env") if name in entry)
            yield from filter(None, (environment_value(name) for name in named))

    @cached_property
    def _auth(self) -> dict[str, Any]:
        """The [auth] section of the secrets file; empty if there is none."""
        try:
            content = tomllib.loads(self.secrets_file.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            if self.secrets is None:
                return {}
            raise BadSettings(
                "MODELLEDGER_SECRETS names a file that does not exist. Create the file, or remove the setting.",
                setting="MODELLEDGER_SECRETS",
            ) from error
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            # The parser's message is left out: it may quote the file.
            raise BadSettings(
                "The secrets file {file} cannot be read as TOML. Nobody can sign in until the file is corrected.",
                file=self.secrets_file,
                setting="MODELLEDGER_SECRETS",
            ) from error
        auth = content.get("auth")
        return auth if isinstance(auth, dict) else {"auth": auth} if auth else {}

    @property
    def recipes_folder(self) -> Path:
        return self.home / "recipes"


def environment_value(name: str) -> str | None:
    """Return the value of an environment variable that a setting names, also from .env; None where it is not set."""
    return os.environ.get(name) or (dotenv_values(".env").get(name) if Path(".env").is_file() else None)


def secret_free() -> Callable[[str], str]:
    """Return a function that masks the secrets of the settings and the environment in a text."""
    try:
        return redactor(load_settings().secret_values)
    except CoreError:
        return redactor()


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment and .env; *overrides* win. Raises BadSettings in one line."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        full = name if name.startswith("MLFLOW_") else f"MODELLEDGER_{name.upper()}"
        raise BadSettings("{setting} cannot be used: {cause}.", setting=full, cause=first["msg"]) from error
    except SettingsError as error:
        # The message names only the field: its value may be secret.
        field = next((name for name in Settings.model_fields if f'"{name}"' in str(error)), "")
        full = f"MODELLEDGER_{field.upper()}"
        raise BadSettings("{setting} cannot be used: the value is not valid JSON.", setting=full) from error
    for full, uri in (
        ("MLFLOW_TRACKING_URI", settings.mlflow_tracking_uri),
        ("MLFLOW_REGISTRY_URI", settings.mlflow_registry_uri),
    ):
        if uri and uri.startswith("postgresql+") and not uri.startswith(f"{_POSTGRES}://"):
            raise BadSettings(
                "{setting} names a driver with which MLflow's promotions fail. Write {driver}://… instead.",
                setting=full,
                driver=_POSTGRES,
            )
        if uri and settings.database_url and _place(uri) == _place(settings.database_url):
            raise BadSettings(
                "{other_setting} and {setting} name the same database, and both would create a table jobs "
                "in it. Name two "
                "databases; they can be on the same server.",
                other_setting=full,
                setting="MODELLEDGER_DATABASE_URL",
            )
    return settings.model_copy(update={"home": _absolute(settings.home)})


def _absolute(home: Path) -> Path:
    try:
        return home.expanduser().resolve()
    except RuntimeError as error:  # a user that is not there, links that lead round
        raise BadSettings(
            "MODELLEDGER_HOME names {home}, which is not a valid folder. Name another folder.",
            home=home,
            setting="MODELLEDGER_HOME",
        ) from error


def _with_driver(uri: str | None) -> str | None:
    """Name the driver with which MLflow's registry works: SQLAlchemy 2.1 would take psycopg 3."""
    scheme, separator, rest = (uri or "").partition("://")
    return f"{_POSTGRES}://{rest}" if separator and scheme in ("postgresql", "postgres") else uri


def _place(url: str) -> str:
    """Return the database that a URL names, without user and driver."""
    scheme, _, rest = url.partition("?")[0].partition("://")
    host, slash, name = rest.rpartition("@")[2].partition("/")
    kind = "postgresql" if scheme.startswith("postgres") else scheme
    return f"{kind}://{host.removesuffix(':5432')}{slash}{name}"
