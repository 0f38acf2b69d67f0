"""The 57 subjects and the two ways they are grouped."""

from __future__ import annotations

from collections.abc import Mapping

_BY_CATEGORY: Mapping[str, str] = {
    "stem": """
        abstract_algebra astronomy college_biology college_chemistry college_computer_science
        college_mathematics college_physics computer_security conceptual_physics electrical_engineering
        elementary_mathematics high_school_biology high_school_chemistry high_school_computer_science
        high_school_mathematics high_school_physics high_school_statistics machine_learning
    """,
    "humanities": """
        formal_logic high_school_european_history high_school_us_history high_school_world_history
        international_law jurisprudence logical_fallacies moral_disputes moral_scenarios philosophy
        prehistory professional_law world_religions
    """,
    "social": """
        econometrics high_school_geography high_school_government_and_politics
        high_school_macroeconomics high_school_microeconomics high_school_psychology human_sexuality
        professional_psychology public_relations security_studies sociology us_foreign_policy
    """,
    "other": """
        anatomy business_ethics clinical_knowledge college_medicine global_facts human_aging management
        marketing medical_genetics miscellaneous nutrition professional_accounting
        professional_medicine virology
    """,
}

HENDRYCKS: Mapping[str, str] = {
    subject: category for category, names in _BY_CATEGORY.items() for subject in names.split()
}
"""Category of each subject as the benchmark's authors have it."""

PAPER: Mapping[str, str] = {**HENDRYCKS, "anatomy": "stem"}
"""The same as AgentTuning's script has it: anatomy counts as STEM."""

SUBJECTS = tuple(sorted(HENDRYCKS))
