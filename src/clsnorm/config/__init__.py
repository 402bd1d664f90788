"""From a composed configuration to one checked, plain dict; imports no torch.

`prepare` is the way in. `check_parts` and `instantiate` import what the configuration names, so they come later.
"""

from clsnorm.config.choices import CONF
from clsnorm.config.resolution import prepare
from clsnorm.config.roles import check_groups, instantiate, instantiate_partial, nodes_of
from clsnorm.config.rules import check_parts

__all__ = ["CONF", "check_groups", "check_parts", "instantiate", "instantiate_partial", "nodes_of", "prepare"]
