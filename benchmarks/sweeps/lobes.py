"""The lobes: one network, and the weight from LN to PN that each member has.

Needs NumPy alone, so that every peer's environment can import it.
"""

import json
from typing import Any

import numpy as np

MEMBERS = 256
WEAKEST, STRONGEST = 0.0, 0.6  # mS/cm2


def weights(members: int) -> np.ndarray:
    """Return the weight from LN to PN of each member in mS/cm2, [members]."""
    return np.linspace(WEAKEST, STRONGEST, members)


def answer(peer: str, members: int, seconds: float, **more: Any) -> None:
    """Print what the members took, in seconds of the wall, and what they did."""
    found = {"peer": peer, "members": members, "seconds": seconds, "ms_a_member": seconds / members}
    found["ms_a_member"] *= 1e3
    print(json.dumps(found | more), flush=True)
