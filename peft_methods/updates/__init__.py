"""Update rules: how the change that the optimiser wants reaches the cells of a trained matrix; one rule, one file.

A rule is a setting of a method (`update_rule`), by name or as a table with its own settings. The matrix's master is
where the optimiser writes; what the chip has to keep for it, and what a step costs, is the rule's to say. Importing
this room registers every rule that lies in it.
"""

from __future__ import annotations

from peft_methods.registry import import_members
from peft_methods.updates.base import RULES as RULES
from peft_methods.updates.base import AnyRule as AnyRule
from peft_methods.updates.base import UpdateRule as UpdateRule

import_members(__name__, first=("write_verify", "sign_pulses", "open_loop", "mixed_precision", "stochastic"))
