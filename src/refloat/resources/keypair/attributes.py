"""How faithfully key pairs come back."""

from __future__ import annotations

from refloat.resources.attributes import Attribute

ATTRIBUTES = (
    Attribute("name", "exact", "another one when the user has a different key under this name"),
    Attribute("type", "exact"),
    Attribute("public_key", "exact"),
    Attribute("fingerprint", "exact"),
    Attribute("user_id", "mapped", "key pairs belong to the user who restores"),
    Attribute("private_key", "lost", "Nova does not keep it; whoever has it keeps it"),
)
