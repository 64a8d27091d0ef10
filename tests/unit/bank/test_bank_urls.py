"""URLs of stores: what is understood, what is refused, and that no secret is shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from refloat.bank.opening import open_store
from refloat.bank.urls import parse, rate_of
from refloat.errors import InvalidInput, NotFound


def test_folders(tmp_path: Path) -> None:
    open_store(f"file://{tmp_path}/s", create=True).put("x", b"x")
    assert open_store(str(tmp_path / "s")).get("x") == b"x"
    assert open_store(f"file://{tmp_path}/s?limit=1GiB/s").get("x") == b"x"
    with pytest.raises(NotFound, match="no folder"):
        open_store(f"file://{tmp_path}/none")


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://x", "no store for http"),
        ("file://x/y", "three slashes"),
        ("file:///x?colour=red", "no option 'colour'"),
        ("s3:///x", "names no container"),
        ("s3://bucket/a//b", "not an object name"),
        ("s3://bucket/x?cloud=mine", "no option 'cloud'"),
        ("s3://bucket/x?limit=fast", "not a rate"),
        ("s3://bucket/x?timeout=never", "no number of seconds"),
        ("azblob://container/x", "names no account"),
        ("swift://container/x", "a cloud to log in to"),
    ],
)
def test_what_is_wrong(url: str, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("refloat.bank.opening._registered", [])
    with pytest.raises(InvalidInput, match=words):
        open_store(url)


@pytest.mark.parametrize(
    "url",
    [
        "s3://AKIA:hush-hush@bucket/x",
        "s3://bucket/x?secret_access_key=hush-hush",
        "s3://bucket/x?endpoint=https://me:hush-hush@host",
        "swift://user:hush-hush@container",
    ],
)
def test_secrets_in_a_url_are_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        open_store(url)
    assert "hush" not in str(caught.value)


def test_the_url_in_messages_tells_where_and_nothing_else() -> None:
    assert parse("s3://b/a/p/?region=r&endpoint=https://h:1&profile=p&limit=1M").url == (
        "s3://b/a/p?region=r&endpoint=https://h:1"
    )
    assert parse("swift://c/p?cloud=there").url == "swift://c/p?cloud=there"
    assert parse("gs://b").url == "gs://b"
    assert parse("/a/b").url == "file:///a/b"


def test_rates() -> None:
    assert rate_of("50MiB/s") == 50 * 1024 * 1024
    assert rate_of("50M") == 50e6
    assert rate_of("1.5 GB/s") == 1.5e9
    assert rate_of("800") == 800
    for wrong in ("", "fast", "0", "-1M", "5 apples"):
        with pytest.raises(InvalidInput):
            rate_of(wrong)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "No such file"),
        ("hush-hush", "no keys of S3"),
        ("[other]\naws_access_key_id = hush-hush\naws_secret_access_key = hush-hush\n", r"\[default\]"),
        ("[default]\naws_access_key_id = hush-hush\n", "no keys of S3"),
    ],
)
def test_a_file_with_credentials_that_has_none(tmp_path: Path, content: str | None, words: str) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_text(content)
    with pytest.raises(InvalidInput, match=words) as caught:
        open_store(f"s3://bucket/x?endpoint=http://127.0.0.1:9&credentials={file}")
    assert "hush" not in str(caught.value)
    assert "hush" not in str(caught.value.__cause__)
