"""The lab: pages for a lecture, which show runs that were computed beforehand, without a server."""

from somaflow.lab.page import written

__all__ = ["written"]
