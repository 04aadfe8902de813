"""Errors that a person can meet: each says what happened and what to do next."""


class LemoError(Exception):
    """Something a person must hear of: `message` says what happened and where, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class InvalidInput(LemoError):
    """What was handed in breaks a rule; asking again unchanged gives the same answer."""


class NotFound(LemoError):
    """The named tenant, scenario, item, run or file does not exist (or is not this tenant's)."""


class Damaged(NotFound):
    """What is stored is there, but not whole: as good as lost, and made anew where it can be."""


class Conflict(LemoError):
    """The thing exists already, or somebody else is doing it right now."""


class Outdated(LemoError):
    """What is stored was written by a version of Lemo that this one cannot read."""


class WrongCredential(LemoError):
    """No key, an unknown key, or (`NotAllowed`) a key that may not do this."""


class NotAllowed(WrongCredential):
    """The key is known, but it may not do this."""


class TooLarge(LemoError):
    """The body, or a list in it, is larger than one request may be."""


class TooMuch(LemoError):
    """The tenant has reached a limit."""

    def __init__(self, message: str, hint: str, seconds: int) -> None:
        super().__init__(message, hint)
        self.seconds = seconds
        """After how long it may try again."""


class EngineUnavailable(LemoError):
    """An engine did not answer; the same call may succeed later."""

    def __init__(self, message: str, hint: str = "", *, engine: str = "", seconds: float | None = None) -> None:
        super().__init__(message, hint)
        self.engine = engine
        """Name and place of the engine, where they are known: for those who say it in another language."""
        self.seconds = seconds
        """How long its answer was waited for, where it accepted the call and was silent."""
