"""Where Refloat keeps things, when nobody says otherwise. No configuration file is needed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import platformdirs

from refloat.providers.banks import BankLocation


@dataclass(frozen=True, slots=True)
class Settings:
    """Places, from environment variables or the user's XDG folders.

    :param database_url: ``REFLOAT_DATABASE_URL``: SQLite (``sqlite:////path``) or PostgreSQL.
    :param bank_url: ``REFLOAT_BANK``: a folder, or a URL as in ``docs/stores.md``.
    :param key_file: ``REFLOAT_BANK_KEY``: the file with the bank's key. Without it the bank cannot be read.
    :param providers: ``REFLOAT_PROVIDERS``: the folder of the files that define providers; None: no files.
    :param seen: the folder where this host keeps what it has seen of databases; None: it does not.
    :param noop: ``REFLOAT_NOOP``: whether there is the provider ``noop``, for trying out.
    :param own_bank: the bank is in the user's own folder, because nobody says otherwise.
    """

    database_url: str
    bank_url: str
    key_file: Path
    providers: Path | None = None
    seen: Path | None = None
    noop: bool = False
    own_bank: bool = False

    @classmethod
    def load(cls, environ: Mapping[str, str] = os.environ) -> Settings:
        """Read the environment. State may be lost; the bank and its key, elsewhere, may not."""
        dirs = platformdirs.PlatformDirs("refloat")
        return cls(
            database_url=environ.get("REFLOAT_DATABASE_URL")
            or f"sqlite:///{dirs.user_state_path}/refloat.sqlite",
            bank_url=environ.get("REFLOAT_BANK") or str(dirs.user_data_path / "bank"),
            key_file=Path(environ.get("REFLOAT_BANK_KEY") or dirs.user_config_path / "bank.key"),
            providers=Path(environ.get("REFLOAT_PROVIDERS") or dirs.user_config_path / "providers.d"),
            seen=dirs.user_state_path / "databases",
            noop=environ.get("REFLOAT_NOOP", "").lower() in ("1", "true", "yes"),
            own_bank=not environ.get("REFLOAT_BANK"),
        )

    def of_bank(self, url: str | None, key: str | Path | None) -> Settings:
        """The same with another bank, or another key, where these are named."""
        return replace(
            self,
            bank_url=url or self.bank_url,
            key_file=Path(key or self.key_file),
            own_bank=self.own_bank and not url and not key,
        )

    @property
    def bank(self) -> BankLocation:
        """The bank of providers that have none of their own."""
        return BankLocation(self.bank_url, self.key_file)
