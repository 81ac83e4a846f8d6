"""Models on Hugging Face: `pull` one into the registry, `publish` one, and see what the public sees (`published`)."""

from streetvision.models.hub_client import Hub
from streetvision.models.hub_files import RepoRef, parse_ref
from streetvision.models.hub_look import CardFinding, Published, published
from streetvision.models.hub_publish import PublishPlan, publish
from streetvision.models.hub_pull import Fetched, fetch, pull

__all__ = [
    "CardFinding",
    "Fetched",
    "Hub",
    "PublishPlan",
    "Published",
    "RepoRef",
    "fetch",
    "parse_ref",
    "publish",
    "published",
    "pull",
]
