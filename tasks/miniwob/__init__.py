"""MiniWoB++: small web pages played through plan, critique and one grounded instruction at a time."""


def __getattr__(name: str):
    if name == "TASK":
        from tasks.miniwob.task import TASK

        return TASK
    raise AttributeError(name)
