"""The ``refloat`` command. Every subcommand is an entry point of the group ``refloat.cli``.

Nothing that is slow to import is imported here or at the top of a command's module: help must be quick.
"""

from __future__ import annotations

import argparse
import gc
import logging
import os
import sys
import warnings
from collections.abc import Sequence
from importlib.metadata import EntryPoint
from typing import Any

from cliff._argparse import ArgumentParser
from cliff.app import App
from cliff.commandmanager import CommandManager
from cliff.help import HelpCommand as CliffHelpCommand

from refloat import __version__
from refloat.entry_points import entry_points
from refloat.errors import InvalidInput, RefloatError

FAILED, INTERRUPTED, PIPE_CLOSED = 1, 130, 141

SERVICE_OPTION, SERVICE_VARIABLE = "--service", "REFLOAT_SERVICE"
CATALOG = "catalog"
"""In the place of a service's URL: as the cloud's catalog, or clouds.yaml, says."""

_LEVELS = {0: logging.ERROR, 1: logging.WARNING, 2: logging.INFO}

_EPILOG = """\
Refloat needs no server and no configuration file, only clouds.yaml (or OS_* variables).
State, bank and key are kept in your XDG folders; REFLOAT_DATABASE_URL, REFLOAT_BANK and
REFLOAT_BANK_KEY name other places; REFLOAT_BANK_PASSPHRASE_FILE a passphrase in place of a key.

examples:
  refloat --os-cloud mycloud protectable list server
  refloat plan create shop --resource server=web --resource server=db
  refloat protect shop
  refloat restore CHECKPOINT --dry-run
  refloat restore CHECKPOINT
  refloat --service plan list               # what the cloud's Refloat service has

exit status: 0 done, 1 failed, 2 wrong input, 130 stopped with Ctrl-C.
Completion: source <(refloat complete)
"""


class Commands(CommandManager):
    """Finds the commands by their entry points, without importing them."""

    def load_commands(self, namespace: str) -> None:
        """Note the commands of a group; each is imported when it is used."""
        self.group_list.append(namespace)
        for entry in entry_points(group=namespace):
            self.commands[entry.name.replace("_", " ")] = entry


class HelpCommand(CliffHelpCommand):
    """Print help for a command, or all commands."""

    def take_action(self, parsed_args: argparse.Namespace) -> int:
        if parsed_args.cmd:
            return super().take_action(parsed_args)
        assert isinstance(self.app, RefloatApp)  # noqa: S101
        self.app.print_help()
        return 0


class RefloatApp(App):
    """The command: global options, one error message, exit status."""

    NAME = "refloat"

    def __init__(self, stdin: Any = None, stdout: Any = None, stderr: Any = None) -> None:
        self._handlers: list[logging.Handler] = []
        super().__init__(
            "Protects whole OpenStack applications and brings them back.",
            __version__,
            Commands("refloat.cli"),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            deferred_help=True,
        )
        self.command_manager.add_command("help", HelpCommand)
        # Cliff brings one too, for bash with bash-completion only.
        own = EntryPoint("complete", "refloat.cli.complete:Complete", "refloat.cli")
        self.command_manager.commands["complete"] = own

    def build_option_parser(
        self, description: str | None, version: str | None, argparse_kwargs: dict[str, Any] | None = None
    ) -> argparse.ArgumentParser:
        """The options that every command has; they may stand before or after the command."""
        parser = ArgumentParser(
            prog=self.NAME,
            usage="refloat [options] COMMAND ...",
            description=description,
            epilog=_EPILOG,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            **(argparse_kwargs or {}),
        )
        parser.add_argument(
            "--os-cloud",
            metavar="NAME",
            default=None,
            help="the entry of clouds.yaml to work with (default: OS_CLOUD, or the OS_* variables)",
        )
        parser.add_argument(
            SERVICE_OPTION,
            metavar="URL",
            nargs="?",
            const=CATALOG,
            default=os.environ.get(SERVICE_VARIABLE, ""),
            help="have the REST service do it: that of the catalog, or that at URL (default: "
            f"{SERVICE_VARIABLE}: a URL, or '{CATALOG}'; else this machine does it)",
        )
        volume = parser.add_mutually_exclusive_group()
        volume.add_argument(
            "-q",
            "--quiet",
            action="store_const",
            dest="verbose_level",
            const=0,
            default=1,
            help="no progress and no messages but errors",
        )
        volume.add_argument(
            "-v",
            "--verbose",
            action="count",
            dest="verbose_level",
            default=1,
            help="tell more; twice: everything",
        )
        parser.add_argument("--debug", action="store_true", help="show tracebacks and all that is logged")
        parser.add_argument("--log-file", metavar="FILE", default=None, help="also log to this file")
        parser.add_argument("-h", "--help", dest="deferred_help", action="store_true", help="show this help")
        parser.add_argument("--version", action="version", version=f"refloat {version}")
        return parser

    def configure_logging(self) -> None:
        """Errors and warnings of ours to stderr; what libraries have to say only when it is asked for."""
        level = logging.DEBUG if self.options.debug else _LEVELS.get(self.options.verbose_level, 10)
        quiet = logging.CRITICAL + 1 if level >= logging.WARNING else level
        console = logging.StreamHandler(self.stderr)
        console.setLevel(level)
        console.addFilter(lambda record: record.levelno >= quiet or record.name.startswith("refloat"))
        console.setFormatter(
            logging.Formatter("%(name)s: %(message)s" if self.options.debug else "%(levelname)s: %(message)s")
        )
        self._handlers.append(console)
        if self.options.log_file:
            try:
                to_file = logging.FileHandler(self.options.log_file)
            except OSError as exc:
                raise InvalidInput("the log file cannot be written", reason=str(exc)) from exc
            to_file.setFormatter(logging.Formatter(self.LOG_FILE_MESSAGE_FORMAT))
            self._handlers.append(to_file)
        root = logging.getLogger()
        root.setLevel(logging.DEBUG if self.options.log_file else level)
        for handler in self._handlers:
            root.addHandler(handler)
        if not self.options.debug:
            warnings.simplefilter("ignore")

    def run(self, argv: Sequence[str]) -> int:
        """Run a command. Errors are told on stderr, once."""
        with warnings.catch_warnings():
            try:
                return self._run(list(argv))
            except BrokenPipeError:
                silence_stdout()
                return PIPE_CLOSED
            except KeyboardInterrupt as exc:
                if not exc.args:  # else it has been told
                    self.say("Interrupted.")
                return INTERRUPTED
            except Exception as exc:
                return self.tell(exc)
            finally:
                for handler in self._handlers:
                    logging.getLogger().removeHandler(handler)
                    handler.close()
                self._handlers.clear()

    @property
    def service(self) -> str:
        """The service that is to do it: a URL, or :data:`CATALOG`; empty: none."""
        found = str(self.options.service)
        if found and found != CATALOG and "://" not in found:
            raise InvalidInput(f"'{found}' is not the URL of a service", advice=f"Or write '{CATALOG}'")
        return found

    def _run(self, argv: list[str]) -> int:
        self.options, rest = self.parser.parse_known_args(_with_catalog(argv))
        self.configure_logging()
        if not rest:
            self.print_help()
            return 0
        if rest[0].startswith("-"):
            raise InvalidInput(f"{rest[0]} is not an option", advice="See: refloat --help")
        if self.options.deferred_help:
            self.options.deferred_help = False
            rest.insert(0, "help")
        return self.run_subcommand(rest)

    def run_subcommand(self, argv: list[str]) -> int:
        """Find the command, read its options, run it."""
        try:
            factory, name, rest = self.command_manager.find_command(argv)
        except ValueError:
            raise self._unknown(argv) from None
        command = factory(self, self.options, cmd_name=name)
        parser = command.get_parser(f"{self.NAME} {name}")
        return command.run(parser.parse_args(rest))

    def tell(self, exc: BaseException) -> int:
        if self.options.debug:
            logging.getLogger("refloat").error("the command failed", exc_info=exc)
        if isinstance(exc, RefloatError):
            self.stderr.write(f"refloat: {exc}\n")
            return exc.exit_status
        text = " ".join(str(exc).split())
        advice = "" if self.options.debug else " (this should not happen; --debug tells more)"
        self.stderr.write(f"refloat: {type(exc).__name__}: {text}{advice}\n")
        return FAILED

    def say(self, sentence: str) -> None:
        if self.options.verbose_level:
            self.stderr.write(f"{sentence}\n")
            self.stderr.flush()

    def print_help(self) -> None:
        """The options, then the commands, one line each."""
        epilog, self.parser.epilog = self.parser.epilog, None
        out = self.stdout
        self.parser.print_help(out)
        out.write("\ncommands:\n")
        for name, entry in sorted(self.command_manager):
            summary = (entry.load().__doc__ or "").strip().partition("\n")[0].rstrip(".")
            out.write(f"  {name:<18}  {summary[:1].lower()}{summary[1:]}\n")
        out.write(f"\n{epilog}")
        self.parser.epilog = epilog

    def _unknown(self, argv: Sequence[str]) -> InvalidInput:
        words = " ".join(word for word in argv[:2] if not word.startswith("-"))
        near = self.get_fuzzy_matches(argv[0])
        exact = [name for name in near if name.split()[0] == argv[0]]
        return InvalidInput(
            f"'{words}' is not a command",
            advice=f"Did you mean: {', '.join(exact or near[:6])}?" if near else "See: refloat --help",
        )


def _with_catalog(argv: Sequence[str]) -> list[str]:
    """The URL behind ``--service`` may be left out: what follows is then the command, and no URL."""
    return [
        f"{word}={CATALOG}"
        if word == SERVICE_OPTION and "://" not in "".join(argv[place + 1 : place + 2])
        else word
        for place, word in enumerate(argv)
    ]


def main(argv: Sequence[str] | None = None) -> int:
    gc.set_threshold(50_000)  # what is imported is no garbage, and a command imports much
    status = RefloatApp().run(sys.argv[1:] if argv is None else argv)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        silence_stdout()
        return PIPE_CLOSED
    finally:
        gc.freeze()  # nor when the process ends
    return status


def silence_stdout() -> None:
    """Whoever read our output has read enough: nothing may be written at exit either."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
