"""Amazon Bedrock by its Converse API, whole and streamed.

One form for the models of many makers; what they differ in beyond it is in models.py.
"""

from sluicegate.providers.bedrock.connector import PROVIDER
from sluicegate.providers.bedrock.support import CONTENT_SUPPORT, SUPPORT

__all__ = ["CONTENT_SUPPORT", "PROVIDER", "SUPPORT"]
