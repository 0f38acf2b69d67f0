"""SciWorld: ScienceWorld's thirty science tasks on its own simulator, as AgentTuning evaluated them."""


def __getattr__(name: str):
    if name == "TASK":
        from tasks.sciworld.task import TASK

        return TASK
    raise AttributeError(name)
