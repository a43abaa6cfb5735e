"""Settings: sources, defaults that depend on each other, secrets, and clear refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from app.settings import credentials
from app.settings.base import SettingsError
from app.settings.loading import lines, load
from app.settings.schema import Settings


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import os

    for name in list(os.environ):
        if name.startswith("PATCHWRIGHT_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_defaults_need_nothing(tmp_path: Path) -> None:
    settings = load()
    assert settings.state_dir == tmp_path / "state" / "patchwright"
    assert settings.database == f"sqlite:///{tmp_path}/state/patchwright/patchwright.db"
    assert settings.engine_database.endswith("/engine.db")
    assert settings.profile == "offline"
    assert settings.base_url == "http://127.0.0.1:8080"
    assert settings.label == "patchwright"
    assert settings.label_permission == "triage"
    assert settings.body_limit_bytes == 25 * 1024 * 1024
    assert settings.budget.wall_s == 3 * 3600
    assert settings.limits.memory_bytes == 2 * 1024**3
    assert settings.executor == "worker-0"
    assert load(executor_id="worker-3").executor == "worker-3"
    assert not settings.state_dir.exists()  # reading settings makes no folders


def test_a_model_url_chooses_the_reference_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHWRIGHT_MODEL_URL", "http://a:30000/v1/, http://b:30000/v1")
    settings = load()
    assert settings.model_url == ("http://a:30000/v1", "http://b:30000/v1")
    assert settings.profile == "k2-thinking"
    monkeypatch.setenv("PATCHWRIGHT_MODEL", "offline")
    assert load().profile == "offline"


def test_profiles_with_servers_of_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_text("hunter2\n")
    toml = tmp_path / "p.toml"
    toml.write_text(
        'repo_models = ["k3"]\n[model_servers.k3]\nurl = "http://a:1/v1/, http://b:1"\n'
        f'api_key_file = "{key}"\n[model_servers.k2-thinking]\nurl = ["http://c:1"]\n'
        'api_key = "hunter2"\n'
    )
    monkeypatch.setenv("PATCHWRIGHT_CONFIG", str(toml))
    settings = load()
    assert (settings.profile, settings.offered_models) == ("k2-thinking", ("k2-thinking", "k3"))
    assert settings.server_of("k3").url == ("http://a:1/v1", "http://b:1")
    assert settings.model_key("k3") == settings.model_key("k2-thinking") == "hunter2"
    assert settings.model_key("k2.5") == ""
    (shown,) = [line.value for line in lines(settings) if line.name == "model_servers"]
    assert "http://b:1" in shown
    assert "hunter2" not in shown + repr(settings)
    key.unlink()
    with pytest.raises(
        SettingsError, match=r"MODEL_SERVERS \(k3.api_key_file\): .* cannot be read"
    ):
        load()


def test_environment_is_above_the_file_and_arguments_above_both(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    toml = tmp_path / "p.toml"
    toml.write_text('label = "from-file"\nport = 1111\nmodel_url = ["http://m/v1"]\n')
    monkeypatch.setenv("PATCHWRIGHT_CONFIG", str(toml))
    assert (load().label, load().port, load().model_url) == ("from-file", 1111, ("http://m/v1",))
    monkeypatch.setenv("PATCHWRIGHT_PORT", "2222")
    assert load().port == 2222
    assert load(port=3333).port == 3333


def test_an_env_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    env = tmp_path / "patchwright.env"
    env.write_text('PATCHWRIGHT_LABEL=fixme\nPATCHWRIGHT_MODEL_OVERRIDES={"temperature": 0.6}\n')
    monkeypatch.setenv("PATCHWRIGHT_CONFIG", str(env))
    assert load().label == "fixme"
    assert load().model_overrides == {"temperature": 0.6}


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("PATCHWRIGHT_PORT", "http", "PATCHWRIGHT_PORT"),
        ("PATCHWRIGHT_PORT", "70000", "PATCHWRIGHT_PORT"),
        ("PATCHWRIGHT_LABLE", "x", "Did you mean PATCHWRIGHT_LABEL?"),
        ("PATCHWRIGHT_LABEL", "", "PATCHWRIGHT_LABEL"),
        ("PATCHWRIGHT_LABEL_PERMISSION", "owner", "PATCHWRIGHT_LABEL_PERMISSION"),
        ("PATCHWRIGHT_MODEL_URL", "localhost:30000", "PATCHWRIGHT_MODEL_URL"),
        ("PATCHWRIGHT_MODEL", "k2-thinking", "PATCHWRIGHT_MODEL_URL"),
        ("PATCHWRIGHT_GITHUB_API_URL", "github.example", "PATCHWRIGHT_GITHUB_API_URL"),
        ("PATCHWRIGHT_DATABASE_URL", "mysql://u:hunter2@h/db", "sqlite or postgresql"),
        ("PATCHWRIGHT_DATABASE_URL", "::hunter2::", "PATCHWRIGHT_DATABASE_URL"),
        ("PATCHWRIGHT_REPOSITORY_CONCURRENCY", "9", "PATCHWRIGHT_CONCURRENCY"),
        ("PATCHWRIGHT_EXECUTOR_ID", "a b", "PATCHWRIGHT_EXECUTOR_ID"),
        ("PATCHWRIGHT_MODEL_API_KEY_FILE", "/no/such", "API_KEY_FILE: /no/such"),
        ("PATCHWRIGHT_CONFIG", "/no/such.toml", "PATCHWRIGHT_CONFIG"),
        ("PATCHWRIGHT_MODEL_OVERRIDES", "{", "MODEL_OVERRIDES"),
        ("PATCHWRIGHT_MODEL_SERVERS", '{"k4": {"url": "http://h"}}', "no model profile 'k4'"),
        (
            "PATCHWRIGHT_MODEL_SERVERS",
            '{"k3": {"uri": "hunter2"}}',
            "MODEL_SERVERS (k3.uri): Extra",
        ),
        ("PATCHWRIGHT_MODEL_SERVERS", '{"k3": {"url": "h:1"}}', "MODEL_SERVERS (k3.url)"),
        ("PATCHWRIGHT_MODEL_SERVERS", '{"k3": {"name": "x"}}', "k3 has no url"),
        ("PATCHWRIGHT_REPO_MODELS", "k3", "REPO_MODELS offers 'k3', which needs a server"),
    ],
)
def test_a_wrong_setting_is_named(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, words: str
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as caught:
        load()
    assert words.lower() in str(caught.value).lower()
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [("lable = 'x'", "Did you mean PATCHWRIGHT_LABEL?"), ("label = ", "p.toml"), ("qq = 1", "qq")],
)
def test_a_wrong_file_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, words: str
) -> None:
    toml = tmp_path / "p.toml"
    toml.write_text(text)
    monkeypatch.setenv("PATCHWRIGHT_CONFIG", str(toml))
    with pytest.raises(SettingsError) as caught:
        load()
    assert words in str(caught.value)


def test_a_secret_file_is_read_anew_each_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "secret"
    file.write_text("first\n")
    monkeypatch.setenv("PATCHWRIGHT_GITHUB_WEBHOOK_SECRET_FILE", str(file))
    monkeypatch.setenv("PATCHWRIGHT_GITHUB_WEBHOOK_SECRET", "unused")
    settings = load()
    assert settings.secret("github_webhook_secret") == "first"
    file.write_text("second")
    assert settings.secret("github_webhook_secret") == "second"
    file.unlink()
    with pytest.raises(SettingsError, match="GITHUB_WEBHOOK_SECRET_FILE"):
        settings.secret("github_webhook_secret")


def test_the_databases_url_may_stand_in_a_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "url"
    monkeypatch.setenv("PATCHWRIGHT_DATABASE_URL_FILE", str(file))
    with pytest.raises(SettingsError, match=r"DATABASE_URL_FILE: .* cannot be read"):
        load()
    file.write_text("postgresql+psycopg://u:hunter2@h/db\n")
    settings = load()
    assert settings.database == "postgresql+psycopg://u:hunter2@h/db"
    assert settings.engine_database.startswith("postgresql+psycopg://u:hunter2@h/db?connect_timeo")
    assert "hunter2" not in repr(settings) + repr(lines(settings))
    for wrong in ("mysql://u:hunter2@h/db", "hunter2", "postgresql://u:hunter2@h/d?pool_size=x"):
        file.write_text(wrong)
        with pytest.raises(SettingsError, match="DATABASE_URL_FILE") as refused:
            _ = load().database
        assert "hunter2" not in str(refused.value)


def test_a_role_that_everybody_has_is_no_permission(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHWRIGHT_LABEL_PERMISSION", "read")
    with pytest.raises(SettingsError, match=r"LABEL_PERMISSION: everybody has .*Use triage"):
        load()


def test_every_setting_is_described_and_no_secret_is_shown() -> None:
    settings = load(
        github_webhook_secret="hunter2",
        operator_token="hunter2",
        database_url="postgresql+psycopg://u:hunter2@h/db",
    )
    shown = {line.variable: line for line in lines(settings)}
    assert len(shown) == len(Settings.model_fields)
    assert all(line.description for line in shown.values())
    assert "hunter2" not in repr(shown) + repr(settings) + str(settings.model_dump())
    assert shown["PATCHWRIGHT_OPERATOR_TOKEN"].value == "********"
    assert not shown["PATCHWRIGHT_OPERATOR_TOKEN"].is_default
    assert shown["PATCHWRIGHT_LABEL"].is_default


def test_key_files_may_be_missing_only_until_the_app_is_set_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATCHWRIGHT_GITHUB_PRIVATE_KEY_FILE", "/no/such")
    assert load().github_app_id == 0
    monkeypatch.setenv("PATCHWRIGHT_GITHUB_APP_ID", "7")
    with pytest.raises(SettingsError, match="PRIVATE_KEY_FILE: /no/such"):
        load()


def test_the_app_that_set_up_left_is_taken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials.save_identity(
        load(),
        app_id=41,
        slug="fixer",
        html_url="https://github.com/apps/fixer",
        api_url="https://api.github.com",
        private_key="PEM",
        webhook_secret="hush",
        client_id="Iv1.4",
        client_secret="psst",
    )
    settings = load()
    assert settings.github_app_id == 41
    assert (settings.github_client_id, settings.secret("github_client_secret")) == ("Iv1.4", "psst")
    assert settings.secret("github_private_key") == "PEM"
    assert settings.secret("github_webhook_secret") == "hush"
    files = {p.name: oct(p.stat().st_mode & 0o777) for p in settings.state_dir.iterdir()}
    assert files == {
        "github-app.json": "0o600",
        "github-app.pem": "0o600",
        "github-client-secret": "0o600",
        "github-webhook-secret": "0o600",
    }
    assert oct(settings.state_dir.stat().st_mode & 0o777) == "0o700"
    # An App named in the settings is above it, and so is sign-in by a client named there.
    assert load(github_client_id="Iv1.9", github_client_secret="s").github_client_id == "Iv1.9"
    assert load(github_app_id=7, github_private_key="k").github_app_id == 7
    monkeypatch.setenv("PATCHWRIGHT_GITHUB_API_URL", "https://git.corp.example/api/v3")
    with pytest.raises(SettingsError, match=r"created at https://api\.github\.com, not at"):
        load()
    monkeypatch.delenv("PATCHWRIGHT_GITHUB_API_URL")
    (settings.state_dir / "github-app.json").write_text("{}")
    with pytest.raises(SettingsError, match=r"github-app\.json cannot be read.*damaged"):
        load()


def test_no_part_of_the_settings_hides_a_validator_of_another() -> None:
    """They share one class: of two methods with one name, only one is ever called."""
    found = Settings.__pydantic_decorators__
    known = {*found.field_validators, *found.model_validators}
    named = [name for part in Settings.__mro__ for name in vars(part) if name in known]
    assert len(named) == len(set(named)), [n for n in named if named.count(n) > 1]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"price_prompt_tokens": 1}, "PATCHWRIGHT_CURRENCY"),
        ({"model_prices": {"k3": {"prompt": 1}}}, "PATCHWRIGHT_CURRENCY"),
        ({"cost_per_run": 5}, "PATCHWRIGHT_CURRENCY"),
        ({"currency": "euro"}, "PATCHWRIGHT_CURRENCY"),
        ({"currency": "EUR", "model_prices": {"k3": {"prompt": -1}}}, "PATCHWRIGHT_MODEL_PRICES"),
        ({"currency": "EUR", "model_prices": {"k3": {"promt": 1}}}, "PATCHWRIGHT_MODEL_PRICES"),
        (
            {
                "currency": "EUR",
                "cost_per_month": 5,
                "model_prices": {"k3": {"prompt": 1}},
                "model_url": "http://x/v1",
                "repo_models": "k3,cheap",
            },
            "COST_PER_MONTH cannot be kept without prices of the model profiles k2-thinking, cheap",
        ),
        (
            {"currency": "EUR", "cost_per_month": 5, "price_gpu_hour": 2, "model_url": "http://x"},
            "of the model profile k2-thinking an hour of a GPU has a price, but not how many",
        ),
        ({"currency": "EUR", "cost_per_run": 5, "cost_per_run_most": 2}, "COST_PER_RUN is more"),
    ],
)
def test_money_needs_prices_and_a_currency(given: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(**given)


def test_a_profile_has_its_own_prices_or_those_of_all() -> None:
    settings = load(
        currency="EUR", price_prompt_tokens=3, model_prices={"k3": {"prompt": 1}, "own": {}}
    )
    found = [settings.prices_of(name) for name in ("k3", "own", "k2-thinking")]
    assert [prices and prices.prompt for prices in found] == [1.0, 0.0, 3.0]
    assert load(currency="EUR").prices_of("k3") is None
    assert not load(currency="EUR").counts_money


def test_lists_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATCHWRIGHT_SETUP_NETWORKS", "203.0.113.80/32, 198.51.100.0/24")
    monkeypatch.setenv("PATCHWRIGHT_ATTACHMENT_NETWORKS", "192.0.2.0/24")
    settings = Settings()
    assert settings.setup_networks == ("203.0.113.80/32", "198.51.100.0/24")
    assert settings.attachment_networks == ("192.0.2.0/24",)
