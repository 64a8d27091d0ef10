"""What a user may set for a resource in one operation, declared once and checked in one place."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from refloat.errors import InvalidInput

_TRUE = {"true", "yes", "on", "1"}
_FALSE = {"false", "no", "off", "0"}
_JSON_TYPES = {str: "string", int: "integer", bool: "boolean"}


@dataclass(frozen=True, slots=True)
class Option:
    """One setting.

    :param type: ``str``, ``int`` or ``bool``; text from a command line is converted, so that the
        text ``False`` is false.
    :param choices: the only values allowed, if any.
    :param stands_for: the words that may stand in braces in its text; None: braces are nothing special.
    """

    name: str
    help: str
    type: type[str] | type[int] | type[bool] = str
    default: Any = None
    choices: tuple[str, ...] = ()
    stands_for: tuple[str, ...] | None = None

    def convert(self, value: Any) -> Any:
        """The value in the option's type. :raises InvalidInput: it is not one."""
        if self.choices and value not in self.choices:
            raise InvalidInput(
                f"'{value}' is not a value of {self.name}", advice=f"Use {' or '.join(self.choices)}"
            )
        if self.type is bool:
            return self._boolean(value)
        if self.type is int and not isinstance(value, bool):
            try:
                return int(value)
            except (TypeError, ValueError) as exc:
                raise InvalidInput(f"'{value}' is not a whole number, which {self.name} must be") from exc
        if self.type is str and isinstance(value, str):
            if self.stands_for is not None:
                refuse_unknown(self.name, value, self.stands_for)
            return value
        raise InvalidInput(f"'{value}' is not a value of {self.name}", advice=self.help)

    def _boolean(self, value: Any) -> bool:
        if isinstance(value, bool):
            return value
        word = str(value).lower()
        if word in _TRUE | _FALSE:
            return word in _TRUE
        raise InvalidInput(f"'{value}' is neither true nor false, which {self.name} must be")

    def schema(self) -> dict[str, Any]:
        schema: dict[str, Any] = {"type": _JSON_TYPES[self.type], "description": self.help}
        if self.choices:
            schema["enum"] = list(self.choices)
        if self.default is not None:
            schema["default"] = self.default
        return schema


def refuse_unknown(name: str, text: str, known: tuple[str, ...]) -> None:
    """:raises InvalidInput: a word in braces stands for nothing."""
    for word in re.findall(r"\{(\w*)\}", text):
        if word not in known:
            raise InvalidInput(
                f"'{{{word}}}' stands for nothing in {name}",
                advice=f"It knows {', '.join(f'{{{each}}}' for each in known)}",
            )


def settle(options: Iterable[Option], given: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The value of every option: what was given, converted, or the default.

    :param where: what the settings are for, for messages: ``OS::Cinder::Volume (protect)``.
    :raises InvalidInput: an unknown name or a wrong value.
    """
    known = {option.name: option for option in options}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidInput(
            f"{where} has no parameter '{unknown[0]}'",
            advice=f"It has: {', '.join(sorted(known))}" if known else "It has none",
        )
    return {
        name: option.convert(given[name]) if name in given else option.default
        for name, option in known.items()
    }
