"""LiteLLM's proxy configuration to manifests. Pure: files are read by a function that is passed in.

Called by `sluicegate import litellm` and by the source behind `serve --litellm-config`. What maps
to what is in docs/from-litellm.md; facts about the format are from LiteLLM's own pages
"Config.yaml" and "All settings".
"""

from sluicegate.litellm_config.findings import Finding
from sluicegate.litellm_config.manifest import Manifest
from sluicegate.litellm_config.translate import Translation, Unserved, translate
from sluicegate.litellm_config.values import Unreadable
from sluicegate.litellm_config.writing import written

__all__ = [
    "Finding",
    "Manifest",
    "Translation",
    "Unreadable",
    "Unserved",
    "translate",
    "written",
]
