"""The errors that a user is meant to read: one message, one exit code, no traceback."""


class DevcloudError(Exception):
    """Something that the user can act upon; the command ends with `exit_code`."""

    exit_code = 1


class UsageError(DevcloudError):
    """The command cannot be carried out as it was given."""

    exit_code = 2


class NeedsRoot(DevcloudError):
    """Namespaces, mounts and packages need root."""

    exit_code = 3

    def __init__(self) -> None:
        super().__init__("devcloud needs root: it installs packages, makes mounts and namespaces (try sudo)")


class NotRunning(DevcloudError):
    """The command needs a running cloud."""

    exit_code = 4

    def __init__(self, name: str) -> None:
        super().__init__(f"cloud '{name}' is not running: devcloud --name {name} up")
