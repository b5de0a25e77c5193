"""The two ways a command can fail, each one clear line: what, where, and what to do."""


class WorkbenchError(Exception):
    """Base of every error that is shown to a user as one line."""

    exit_code = 1


class UsageError(WorkbenchError):
    """The input is wrong: a key, a value, a path, a flag. Exit code 2."""

    exit_code = 2


class Failure(WorkbenchError):
    """The input is right and it failed anyway: an engine died, a port was taken. Exit code 1."""


class ConfigError(UsageError):
    """A configuration file is wrong at one place: `file: key: what; remedy`."""

    def __init__(self, file: str, key: str, problem: str, remedy: str = "") -> None:
        self.file, self.key = file, key
        super().__init__(f"{file}: {key}: {problem}" + (f"; {remedy}" if remedy else ""))
