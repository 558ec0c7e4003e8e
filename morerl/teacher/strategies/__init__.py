"""How reasoning is come by, one file a strategy, its wording in the template beside it.

A strategy has VERSION (part of what a reply is remembered by, and of every chain's provenance: it changes with the
wording), SHOWS_GOLD, WORDING (the template's file), `check(sample)` (raises ConfigError where the strategy cannot be
taken for a sample) and `template(sample)` (the student's template whose form the reasoning keeps). Those of ASKING have
`messages(sample, spec, settings)`, what a teacher is shown; mimic, which asks nobody, has `planner(samples, spec)`.
"""

from morerl.teacher.strategies import distill, guided, mimic, stepwise

ASKING = {"stepwise": stepwise, "guided": guided, "distill": distill}
STRATEGIES = {**ASKING, "mimic": mimic}
