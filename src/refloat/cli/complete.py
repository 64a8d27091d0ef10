"""``refloat complete``: completion of commands, options and types, for bash and zsh."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

from refloat.cli.arguments import short_name
from refloat.cli.base import BaseCommand

# Not more of the shell than bash and zsh's bashcompinit have in common, and no helpers of bash-completion.
_SCRIPT = """\
_refloat() {
  local cur="${COMP_WORDS[COMP_CWORD]}" cmd="" word="" next="" choices="" i=1
  while [ "$i" -lt "$COMP_CWORD" ]; do
    word="${COMP_WORDS[i]}"
    next="${cmd:+$cmd }$word"
    case "$next" in
      %(commands)s) cmd="$next" ;;
    esac
    i=$((i + 1))
  done
  case "$cmd" in
%(cases)s
  esac
  case "$cur" in
    -*) choices="$choices %(options)s" ;;
  esac
  COMPREPLY=( $(compgen -W "$choices" -- "$cur") )
}
complete -o default -F _refloat refloat
"""
_TAKE_A_TYPE = ("protectable list", "protectable show")


class Complete(BaseCommand):
    """Print the completion of commands and options, for bash and zsh."""

    examples = """
        source <(refloat complete)      # bash: in ~/.bashrc
        source <(refloat complete)      # zsh: the same, after compinit and bashcompinit
    """

    def take_action(self, parsed_args: argparse.Namespace) -> None:
        self.app.stdout.write(script(self._choices(), _options(self.app.parser)))

    def _choices(self) -> dict[str, list[str]]:
        """What may follow each command, or beginning of a command."""
        found: dict[str, list[str]] = {"": []}
        for name, entry in sorted(self.app.command_manager):
            words = name.split()
            for count in range(len(words)):
                following = found.setdefault(" ".join(words[:count]), [])
                if words[count] not in following:
                    following.append(words[count])
            parser = entry.load()(self.app, None, cmd_name=name).get_parser(name)
            found[name] = _options(parser)
        with self.open() as refloat:
            types = [short_name(type_name) for type_name in refloat.types()]
        for name in _TAKE_A_TYPE:
            found[name] += types
        return found


def script(choices: Mapping[str, list[str]], options: list[str]) -> str:
    return _SCRIPT % {
        "commands": " | ".join(f'"{name}"' for name in choices if name),
        "cases": "\n".join(
            f'    "{name}") choices="{" ".join(words)}" ;;' for name, words in choices.items()
        ),
        "options": " ".join(options),
    }


def _options(parser: argparse.ArgumentParser) -> list[str]:
    return [text for action in parser._actions for text in action.option_strings if text.startswith("--")]
