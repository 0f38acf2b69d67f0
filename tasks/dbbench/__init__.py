"""Questions and changes to one table of a MySQL database, worked out with SQL."""


def __getattr__(name: str) -> object:
    if name == "TASK":
        from tasks.dbbench.task import TASK

        return TASK
    raise AttributeError(name)
