"""The refusal of a request that the local server cannot serve."""


class Invalid(ValueError):
    """A request that is refused with 422; the text is TGI's where TGI has one."""
