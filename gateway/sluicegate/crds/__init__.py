"""The CustomResourceDefinitions and their page, made from the models that judge manifests.

Only the command `sluicegate crds` and the checks load this; the gateway never does.
"""

from sluicegate.crds.definitions import FILES, definition, manifest
from sluicegate.crds.reference import page

__all__ = ["FILES", "definition", "manifest", "page"]
