"""Where settings come from, which source wins, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from pydantic import ValidationError

from lorabay.errors import UsageError
from lorabay.settings import (
    GROUPS,
    Settings,
    load_settings,
    parse_engine_options,
    parse_groups,
    service_links,
    split_hosts,
    split_names,
    split_paths,
)


def file_with(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "lorabay.yaml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    """Without any source the server is private, on the usual port, and has no key."""
    settings = load_settings({}, environ={})
    assert (settings.host, settings.port, settings.api_key, settings.engine) == (
        "127.0.0.1",
        8000,
        None,
        {},
    )
    assert settings.adapters == ("adapters",)


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    """Taking the sources away one by one uncovers the next value."""
    config = file_with(tmp_path, "port: 1003")
    environ = {"LORABAY_PORT": "1002"}
    assert load_settings({"port": "1001"}, config=config, environ=environ).port == 1001
    assert load_settings({}, config=config, environ=environ).port == 1002
    assert load_settings({}, config=config, environ={}).port == 1003
    assert load_settings({}, environ={}).port == 8000


def test_sources_are_combined_setting_by_setting(tmp_path: Path) -> None:
    """A source that names one setting leaves the others to the sources below it."""
    config = file_with(tmp_path, "grace_s: 1.5\nhost: 127.0.0.2\n")
    settings = load_settings(
        {"host": "127.0.0.3"}, config=config, environ={"LORABAY_API_KEY": "k", "HOME": "/h"}
    )
    assert (settings.host, settings.grace_s) == ("127.0.0.3", 1.5)
    assert settings.api_key is not None
    assert settings.api_key.get_secret_value() == "k"


def test_text_and_yaml_give_the_same_types(tmp_path: Path) -> None:
    """What arrives as text from a shell means the same as the typed value of a file."""
    config = file_with(
        tmp_path,
        "port: 0\nallowed_roots: [/a, /b]\nrefuse_foreign_base: true\nengine: {max_loras: 4}\n",
    )
    environ = {
        "LORABAY_PORT": "0",
        "LORABAY_ALLOWED_ROOTS": "/a:/b",
        "LORABAY_REFUSE_FOREIGN_BASE": "true",
        "LORABAY_ENGINE": "max_loras=4",
    }
    assert load_settings({}, config=config, environ={}) == load_settings({}, environ=environ)


@pytest.mark.parametrize(
    ("items", "options"),
    [
        (["max_loras=4"], {"max_loras": 4}),
        (["max-loras=4", "dtype=float32"], {"max_loras": 4, "dtype": "float32"}),
        (["enforce_eager=true", "seed=-1"], {"enforce_eager": True, "seed": -1}),
        (['hf_overrides={"a": [1]}'], {"hf_overrides": {"a": [1]}}),
        (
            ["chat_template=/a=b.jinja", "revision="],
            {"chat_template": "/a=b.jinja", "revision": ""},
        ),
        (["max_loras=2", "max_loras=4"], {"max_loras": 4}),
        (["revision=1.10", "code_revision=1e3"], {"revision": "1.10", "code_revision": "1e3"}),
        ("max_loras=4 dtype=float32", {"max_loras": 4, "dtype": "float32"}),
        ("", {}),
        ({"max_loras": 4}, {"max_loras": 4}),
    ],
)
def test_engine_options(items: object, options: dict[str, object]) -> None:
    """NAME=VALUE, repeated or joined by spaces; a value is JSON where that changes nothing; dashes
    mean underscores.
    """
    assert parse_engine_options(items) == options
    assert load_settings({"engine": items}, environ={}).engine == options


@given(
    st.dictionaries(
        st.from_regex(r"[a-z][a-z_]{0,20}", fullmatch=True), st.integers() | st.booleans()
    )
)
def test_any_options_survive_the_command_line(options: dict[str, object]) -> None:
    """Spelled as flags and read again, options are what they were."""
    spelled = [f"{name}={str(value).lower()}" for name, value in options.items()]
    assert parse_engine_options(spelled) == options


@pytest.mark.parametrize("item", ["max_loras", "", " "])
def test_an_engine_option_without_a_value_is_refused(item: str) -> None:
    """The message quotes what is not NAME=VALUE."""
    with pytest.raises(UsageError, match=r"'engine'.*is not NAME=VALUE"):
        load_settings({"engine": [item]}, environ={})


def test_paths_are_split_at_colons() -> None:
    """As in a shell's PATH; empty parts mean nothing."""
    assert split_paths("/a::/b:") == ("/a", "/b")
    assert load_settings({"allowed_roots": "/a:/b"}, environ={}).allowed_roots == (
        Path("/a"),
        Path("/b"),
    )


def test_names_are_split_at_commas_and_spaces() -> None:
    """Names and origins may be spelled either way; a file may hold a list."""
    assert split_names("a, b,c d") == ("a", "b", "c", "d")
    assert load_settings({"allowed_hosts": "a,b"}, environ={}).allowed_hosts == ("a", "b")
    origins = "https://console.example,http://[::1]:3000,*"
    assert load_settings({"cors_origins": origins}, environ={}).cors_origins == tuple(
        origins.split(",")
    )


@pytest.mark.parametrize(
    ("flags", "environ", "file", "place"),
    [
        ({}, {"LORABAY_PROT": "1"}, "", "environment"),
        ({}, {}, "prot: 1", "file"),
        ({"prot": "1"}, {}, "", "prot"),
    ],
)
def test_an_unknown_name_is_refused_in_every_source(
    tmp_path: Path, flags: dict[str, object], environ: dict[str, str], file: str, place: str
) -> None:
    """A mistyped setting is never silently ignored; the message names it and where it stands."""
    with pytest.raises(UsageError, match="prot") as caught:
        load_settings(flags, config=file_with(tmp_path, file), environ=environ)
    assert place in caught.value.message
    assert caught.value.exit_code == 2


SERVICE_LINKS = {
    "LORABAY_SERVICE_HOST": "10.0.0.1",
    "LORABAY_SERVICE_PORT": "8000",
    "LORABAY_SERVICE_PORT_HTTP": "8000",
    "LORABAY_SERVICE_PORT_HTTP_METRICS": "8001",
    "LORABAY_PORT": "tcp://10.0.0.1:8000",
    "LORABAY_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "LORABAY_PORT_8000_TCP_PROTO": "tcp",
    "LORABAY_PORT_8000_TCP_PORT": "8000",
    "LORABAY_PORT_8000_TCP_ADDR": "10.0.0.1",
    "LORABAY_PORT_53_UDP": "udp://10.0.0.1:53",
    "LORABAY_BLUE_2_SERVICE_HOST": "10.0.0.2",
    "LORABAY_BLUE_2_SERVICE_PORT": "80",
    "LORABAY_BLUE_2_PORT": "tcp://10.0.0.2:80",
    "LORABAY_BLUE_2_PORT_80_TCP_ADDR": "10.0.0.2",
}


def test_variables_of_services_are_no_settings() -> None:
    """What Kubernetes and Docker tell of services named like the program stops no start."""
    environ = SERVICE_LINKS | {"LORABAY_GRACE_S": "7", "HOME_SERVICE_HOST": "x"}
    settings = load_settings({}, environ=environ)
    assert (settings.port, settings.grace_s) == (8000, 7.0)
    assert service_links(environ) == tuple(SERVICE_LINKS)


@pytest.mark.parametrize(
    "name", ["SERVICE", "HOST_SERVICE", "PORT_8000", "PORT_TCP", "PORT_8000_TCP_NAME", "XPORT"]
)
def test_what_only_resembles_a_services_variable_is_refused(name: str) -> None:
    """A mistyped setting is told also if it has a word of Kubernetes in it."""
    with pytest.raises(UsageError, match=f"unknown setting '{name.lower()}'"):
        load_settings({}, environ={f"LORABAY_{name}": "1"})
    with pytest.raises(UsageError, match="unknown setting 'blue_port'"):
        load_settings({}, environ={"LORABAY_BLUE_PORT": "80"})


def test_a_near_miss_is_suggested() -> None:
    """The message names the setting that was probably meant."""
    with pytest.raises(
        UsageError, match="unknown setting 'prot' in the environment; did you mean 'port'"
    ):
        load_settings({}, environ={"LORABAY_PROT": "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", "many"),
        ("port", "-1"),
        ("port", "65536"),
        ("grace_s", "-0.1"),
        ("max_body_bytes", "0"),
        ("log_level", "loud"),
        ("cpu_kv_cache_gib", "1.5"),
        ("poll_s", "0"),
        ("refuse_foreign_base", "maybe"),
        ("max_connections", "0"),
        ("receive_timeout_s", "0"),
        ("send_timeout_s", "-1"),
        ("drain_s", "-1"),
    ],
)
def test_a_bad_value_names_its_setting(name: str, value: str) -> None:
    """Wrong types and values out of range are usage errors in one line."""
    with pytest.raises(UsageError, match=f"'{name}'") as caught:
        load_settings({name: value}, environ={})
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("origin", ["example.org", "https://example.org/", "https://", "**"])
def test_an_origin_is_a_scheme_and_a_host(origin: str) -> None:
    """An origin that no browser sends would allow nobody, without a word."""
    with pytest.raises(UsageError, match="'cors_origins"):
        load_settings({"cors_origins": origin}, environ={})


def test_all_bad_values_are_told_at_once() -> None:
    """Nobody has to fix one to hear of the next."""
    with pytest.raises(UsageError, match=r"'port'.*'grace_s'|'grace_s'.*'port'"):
        load_settings({"port": "many", "grace_s": "long"}, environ={})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"- a\n- b\n", "names and values"),
        (b"a: [", "cannot read"),
        (b"\xff\xfe", "cannot read"),
        (b"7", "names and"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    """Broken YAML, lists and bytes that are no text are usage errors that name the file, in one
    line.
    """
    path = tmp_path / "lorabay.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=reason) as caught:
        load_settings({}, config=path, environ={})
    assert str(path) in caught.value.message
    assert "\n" not in caught.value.message


def test_a_missing_file_is_refused_and_an_empty_one_is_not(tmp_path: Path) -> None:
    """A file that was asked for must be there; it may say nothing."""
    with pytest.raises(UsageError, match=r"nowhere\.yaml"):
        load_settings({}, config=tmp_path / "nowhere.yaml", environ={})
    assert load_settings({}, config=file_with(tmp_path, "# nothing yet\n"), environ={}).port == 8000


def test_settings_are_frozen() -> None:
    """Nobody changes a setting after the start."""
    settings = load_settings({}, environ={})
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize("name", ["api_key", "admin_key"])
def test_keys_are_never_printed(name: str) -> None:
    """Neither the settings nor an error about them show a key."""
    settings = load_settings({name: "top-secret"}, environ={})
    assert (
        "top-secret"
        not in f"{settings!r} {settings} {settings.model_dump()} {settings.model_dump_json()}"
    )
    with pytest.raises(UsageError) as caught:
        load_settings({name: ["top-secret"], "port": "many"}, environ={})
    assert "top-secret" not in caught.value.message


def test_every_setting_is_described_and_in_one_group() -> None:
    """The documented table and the flags are made from the fields, so each needs a sentence."""
    fields = [name for group in GROUPS for name in group.model_fields]
    assert sorted(fields) == sorted(Settings.model_fields)
    assert len(fields) >= 15
    for name, field in Settings.model_fields.items():
        assert field.description, name
        assert field.description.endswith((".", "`")), name


def test_hosts_are_joined_by_commas() -> None:
    """In one spelling, with a port where one is named; nothing means none."""
    assert split_hosts("CDN.example.com,b.example:8443, [::1]:80,") == (
        "cdn.example.com",
        "b.example:8443",
        "[::1]:80",
    )
    assert split_hosts("") == ()
    assert load_settings({}, environ={}).media_domains == ()
    environ = {"LORABAY_MEDIA_DOMAINS": "a.example,b.example"}
    assert load_settings({}, environ=environ).media_domains == ("a.example", "b.example")


@pytest.mark.parametrize(
    "text", ["https://a.example", "a.example/x", "*.example", "*", "a b", "a.example:", "a@b"]
)
def test_what_is_no_host_is_refused(text: str) -> None:
    """An address or a pattern would be taken for a host that no request names."""
    with pytest.raises(UsageError, match=r"'media_domains': .* is not a host, as in"):
        load_settings({"media_domains": text}, environ={})


def test_connections_are_kept_longer_than_balancers_keep_theirs() -> None:
    """Those keep them for 60 seconds, and the server must not be the first to end one."""
    assert Settings().keep_alive_s > 60
    assert 0 < Settings().stream_comment_s < 60


def test_groups_and_their_roles_are_read_from_flags_variables_and_files() -> None:
    """A group may hold `=`; in a file also spaces and commas."""
    roles = {"ml-team": "operator", "a=b": "viewer"}
    assert load_settings({"oidc_roles": ["ml-team=operator", "a=b = viewer"]}).oidc_roles == roles
    environ = {"LORABAY_OIDC_ROLES": "ml-team=operator, a=b=viewer,"}
    assert load_settings({}, environ=environ).oidc_roles == roles
    assert parse_groups({"Platform, all": "owner"}) == {"Platform, all": "owner"}


@pytest.mark.parametrize(
    ("text", "sources"),
    [
        ("my adapters, all", ("my adapters, all",)),
        ("s3://bucket/a, adapters", ("s3://bucket/a", "adapters")),
        ("@sources.txt", ("@sources.txt",)),
    ],
)
def test_adapters_of_a_folder_or_of_several_sources(text: str, sources: tuple[str, ...]) -> None:
    """A folder's path is never cut, whatever it is called."""
    assert load_settings({"adapters": text}, environ={}).adapters == sources
    assert load_settings({"adapters": list(sources)}, environ={}).adapters == sources
