"""The formulas of the catalogue, one module a family; importing a module registers its statistics."""

from clsnorm.statistics.families import (
    centre,
    classes,
    correlation,
    cosine,
    energy,
    isotropy,
    norm,
    outliers,
    sample,
    spectrum,
    spread,
    tails,
)

MODULES = (
    centre,
    energy,
    spread,
    correlation,
    spectrum,
    cosine,
    isotropy,
    tails,
    outliers,
    norm,
    sample,
    classes,
)
FAMILIES = tuple(module.__name__.rpartition(".")[2] for module in MODULES)  # the order of the catalogue
