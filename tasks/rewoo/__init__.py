"""Plan first, call tools, then solve: questions of seven data sets in two model calls each."""


def __getattr__(name: str) -> object:
    if name == "TASK":
        from tasks.rewoo.task import TASK

        return TASK
    raise AttributeError(name)
