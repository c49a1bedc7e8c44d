"""Which bucket a URL opens."""

from __future__ import annotations

import pytest
from obstore.store import AzureStore, GCSStore, S3Store

from lorabay.errors import UsageError
from lorabay.sources.clouds import open_store


def test_each_cloud_has_its_scheme(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is asked of it before it is listed."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "account")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "a2V5")
    assert isinstance(open_store("s3://bucket/some/prefix"), S3Store)
    assert isinstance(open_store("gs://bucket/some/prefix"), GCSStore)
    assert isinstance(open_store("az://container/some/prefix"), AzureStore)


def test_what_makes_no_address_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Azure needs the name of an account."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AZURE_STORAGE_ACCOUNT_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="cannot be opened"):
        open_store("az://container/prefix")
