"""The one error that is the user's to mend."""

from __future__ import annotations


class BadInput(ValueError):
    """Something a user gave cannot be used; the message is one line naming the value, the limit and the remedy.

    Scripts print it without a traceback and exit with code 2.
    """


def bad_input_behind(error: BaseException) -> BadInput | None:
    """The bad input among an error and its causes, which a library may have wrapped; None where there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, BadInput):
        cause = cause.__cause__
    return cause
