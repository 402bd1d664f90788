"""What a study of outlier dimensions is to do."""

from __future__ import annotations

from dataclasses import dataclass

from clsnorm.ablation.interventions import INTERVENTIONS
from clsnorm.ablation.outlier_sets import DEFINITIONS
from clsnorm.errors import require_choice, require_whole

FEWEST = 20  # random sets: with fewer, no p value is below 0.05


@dataclass(frozen=True)
class AblationPlan:
    """The options of a study.

    Attributes:
        random_sets: Random sets of each kind.
        rows: Training rows from which outliers, means and covariances are computed: a fixed random sample.
        resamples: Bootstrap resamples of the report split's examples.
        label_draws: Permutations of the labels for single dimensions.
        refit_sets: Random sets for which, as for the outliers, a head is fitted to the ablated embeddings; 0: none.
        seed: Of all draws.
        definition: Whose outliers are measured on ``report``; empty: chosen on ``select``.
        ablation: Which ablation is measured on ``report``; empty: chosen on ``select``.

    Raises:
        InputError: If an option is out of range.
    """

    random_sets: int = 200
    rows: int = 2000
    resamples: int = 1000
    label_draws: int = 20
    refit_sets: int = 0
    seed: int = 0
    definition: str = ""
    ablation: str = ""

    def __post_init__(self) -> None:
        require_whole("random_sets", self.random_sets, least=FEWEST, advice="Give --random_sets 200")
        require_whole("rows", self.rows, least=2, most=2048, advice="Give --rows 2000")
        require_whole("resamples", self.resamples, least=1, advice="Give --resamples 1000")
        require_whole("label_draws", self.label_draws, least=1, advice="Give --label_draws 20")
        require_whole("refit_sets", self.refit_sets, least=0, advice="Give --refit_sets 50")
        require_whole("seed", self.seed, least=0, most=2**32 - 1, advice="Give --seed 0")
        require_choice("definition", self.definition, ("", *DEFINITIONS), advice="Leave it out to choose on select")
        require_choice("ablation", self.ablation, ("", *INTERVENTIONS), advice="Leave it out to choose on select")
