"""The one error that is the user's to mend."""


class BadInput(ValueError):
    """Something a user gave cannot be used; the message is one line naming the value, the limit and the remedy.

    Scripts print it without a traceback and exit with code 2.
    """
