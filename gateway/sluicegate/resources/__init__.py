"""The custom resources: typed models, strict loading with file and line, diagnostics.

Knows nothing of compile.
"""

from sluicegate.resources.api_key import ApiKey
from sluicegate.resources.diagnostics import Diagnostic, field_name
from sluicegate.resources.inventory import Inputs, Inventory
from sluicegate.resources.loading import LoadedFile, load_steps, load_text, unreadable_file
from sluicegate.resources.model_deployment import ModelDeployment
from sluicegate.resources.objects import Origin, Resource, ResourceRef, Secret, SecretRef
from sluicegate.resources.validation import Flaw, Invalid, validate

__all__ = [
    "ApiKey",
    "Diagnostic",
    "Flaw",
    "Inputs",
    "Invalid",
    "Inventory",
    "LoadedFile",
    "ModelDeployment",
    "Origin",
    "Resource",
    "ResourceRef",
    "Secret",
    "SecretRef",
    "field_name",
    "load_steps",
    "load_text",
    "unreadable_file",
    "validate",
]
