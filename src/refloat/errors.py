"""What went wrong, in the words of the person who has to act on it.

Every error that may reach a user is a :class:`RefloatError`. It says what failed, on which
resource, why (the service's own words and request id), what is left behind and what to do next.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class RefloatError(Exception):
    """An error a user can read and act on.

    :param message: what failed, one sentence without a final full stop.
    :param resource: the resource it failed on, as ``TYPE name (id)`` or ``TYPE id``.
    :param reason: why, in the words of the service that refused.
    :param request_id: the service's request id (``req-...``), for the operator's logs.
    :param left_behind: what remains in the cloud or the bank; empty when nothing does.
    :param advice: what to do next.
    """

    exit_status = 1

    def __init__(
        self,
        message: str,
        *,
        resource: str = "",
        reason: str = "",
        request_id: str = "",
        left_behind: str = "",
        advice: str = "",
    ) -> None:
        self.message = message
        self.resource = resource
        self.reason = reason.rstrip(". ")
        self.request_id = request_id
        self.left_behind = left_behind
        self.advice = advice
        super().__init__(str(self))

    def __str__(self) -> str:
        text = self.message
        if self.resource and self.resource not in text:
            text = f"{self.resource}: {text}"
        if self.reason and self.reason not in text:
            text = f"{text}: {self.reason}"
        if self.request_id and self.request_id not in text:
            text = f"{text} (request id {self.request_id})"
        if self.left_behind:
            text = f"{text}. Left behind: {self.left_behind}"
        if self.advice:
            text = f"{text}. {self.advice}"
        return text

    def to_json(self) -> dict[str, str]:
        return {"error": type(self).__name__, **{k: str(v) for k, v in vars(self).items()}}

    @staticmethod
    def from_json(data: dict[str, Any]) -> RefloatError:
        """Rebuild an error of the same class from :meth:`to_json`'s result."""
        found = _class_named(str(data.get("error", "")))
        fields = {k: str(data.get(k, "")) for k in _FIELDS}
        return found(str(data.get("message", "unknown error")), **fields)


def cause(data: Mapping[str, Any]) -> str:
    """An error (:meth:`RefloatError.to_json`) in words, for a place that names the resource already."""
    return str(RefloatError.from_json({**data, "resource": ""}))


_FIELDS = ("resource", "reason", "request_id", "left_behind", "advice")


class InvalidInput(RefloatError):
    """The request itself is wrong; nothing was changed."""

    exit_status = 2


class NotFound(RefloatError):
    """The thing that was named does not exist, or is not visible to this user."""


class Gone(NotFound):
    """The service that would have it says itself that it is not there: that is more than an absence."""


class Conflict(RefloatError):
    """The thing is in a state that does not allow the request."""


class Held(Conflict):
    """Nothing was removed: the checkpoint is on legal hold, or too young; or this host may not see enough."""


class Stale(Conflict):
    """The cloud is not as it was when a restore plan was made. Nothing was changed."""


class NoBank(NotFound):
    """There is no bank where one was looked for, and none is known to have been there."""


class CloudError(RefloatError):
    """An OpenStack service refused or failed a call."""


class ServiceMissing(CloudError):
    """The cloud has no endpoint for a service that is needed."""


class AuthFailed(CloudError):
    """The identity service refused the credentials."""


class WaitFailed(CloudError):
    """A resource went into a failed state, vanished, or did not become ready in time."""


class BankError(RefloatError):
    """The bank could not be read or written."""


class BankDamaged(BankError):
    """Data or metadata in the bank is not what was written."""


class WrongBank(BankError):
    """The store does not hold the bank that it should: nothing, another one, or another folder."""


class OlderBank(WrongBank):
    """The store holds an earlier state of the bank than is known. Nothing of it was changed."""


class Impossible(RefloatError):
    """A restore plan contains something that cannot be done; nothing was changed."""


class Cancelled(RefloatError):
    """The operation was cancelled by the user."""


class LeaseLost(Cancelled):
    """Another process runs the operation by now, or it has ended: this one may change nothing any more.

    :param ended: it has ended, so nobody goes on with what this process has begun.
    """

    def __init__(self, message: str, *, ended: bool = False, **more: str) -> None:
        super().__init__(message, **more)
        self.ended = ended


def _class_named(name: str) -> type[RefloatError]:
    pending: list[type[RefloatError]] = [RefloatError]
    while pending:
        found = pending.pop()
        if found.__name__ == name:
            return found
        pending.extend(found.__subclasses__())
    return RefloatError
