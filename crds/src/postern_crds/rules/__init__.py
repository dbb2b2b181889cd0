"""The rules of McpAuthPolicy that a type cannot express: each once, as CEL for the API server and as a function for ``render``.

Every rule has a fixture that the API server and the function both refuse. Messages say what to do.
"""

from postern_crds.rules.container import CONTAINER_RULES
from postern_crds.rules.modes import MODE_RULES
from postern_crds.rules.providers import PROVIDER_RULES
from postern_crds.rules.proxy import PROXY_RULES
from postern_crds.rules.rule import Rule
from postern_crds.rules.server import SERVER_RULES
from postern_crds.rules.tokens import TOKEN_RULES

__all__ = ["RULES", "Rule"]

RULES: tuple[Rule, ...] = (*SERVER_RULES, *PROVIDER_RULES, *PROXY_RULES, *MODE_RULES, *TOKEN_RULES, *CONTAINER_RULES)
