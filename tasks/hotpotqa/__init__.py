"""Multi-hop questions answered with a ReAct agent that searches Wikipedia."""


def __getattr__(name: str) -> object:
    if name == "TASK":
        from tasks.hotpotqa.task import TASK

        return TASK
    raise AttributeError(name)
